#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_is_what_kubelet_parses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
