#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runtime/container/shim.h"
#include "runtime/container/shim/shim_frame.h"
#include "runtime/container/shim/shim_log.h"

static void test_a_line_is_what_kubelet_parses(void **state)
{
    (void)state;
    struct buf out = BUF_INIT;
    shim_log_append_line(&out, INT64_C(1700000000) * 1000000000 + 42, 0, true,
                         bytes_from_text("hello"));
    shim_log_append_line(&out, INT64_C(1700000000) * 1000000000 + 999999999, 1, false,
                         bytes_from_text(""));
    assert_string_equal(buf_text(&out), "2023-11-14T22:13:20.000000042Z stdout F hello\n"
                                        "2023-11-14T22:13:20.999999999Z stderr P \n");
    buf_deinit(&out);
}

static void test_frames_are_cut_where_they_end(void **state)
{
    (void)state;
    struct buf out = BUF_INIT;
    struct bytes body;
    shim_frame_append_header(&out, 3);
    buf_append_text(&out, "abc");
    shim_frame_append_header(&out, 0);
    for (size_t size = 0; size < 7; size++) {
        assert_int_equal(shim_frame_next(bytes_make(out.data, size), &body), 0);
    }
    assert_int_equal(shim_frame_next(buf_bytes(&out), &body), 1);
    assert_true(bytes_equal(body, BYTES_LITERAL("abc")));
    buf_consume(&out, 7);
    assert_int_equal(shim_frame_next(buf_bytes(&out), &body), 1);
    assert_int_equal(body.size, 0);
    buf_deinit(&out);
}

static void test_a_frame_beyond_the_limit_is_refused_before_it_arrives(void **state)
{
    (void)state;
    struct buf out = BUF_INIT;
    struct bytes body;
    shim_frame_append_header(&out, SHIM_FRAME_SIZE_MAX + 1);
    assert_int_equal(shim_frame_next(buf_bytes(&out), &body), ERR_TOO_LARGE);
    buf_clear(&out);
    shim_frame_append_header(&out, SHIM_FRAME_SIZE_MAX);
    assert_int_equal(shim_frame_next(buf_bytes(&out), &body), 0);
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_is_what_kubelet_parses),
        cmocka_unit_test(test_frames_are_cut_where_they_end),
        cmocka_unit_test(test_a_frame_beyond_the_limit_is_refused_before_it_arrives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
