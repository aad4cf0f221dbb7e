#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/pb.h"

static struct bytes text(const char *value)
{
    return bytes_from_text(value);
}

static void test_varints_of_all_sizes_come_back(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        for (int delta = -1; delta <= 1; delta++) {
            uint64_t value = (UINT64_C(1) << bit) + (uint64_t)(int64_t)delta;
            struct buf out = BUF_INIT;
            pb_put_varint(&out, value);
            assert_int_equal(buf_size(&out), pb_varint_size(value));
            struct pb_reader reader = pb_reader_make(buf_bytes(&out));
            uint64_t found;
            assert_true(pb_read_varint(&reader, &found));
            assert_true(found == value);
            assert_ptr_equal(reader.at, reader.end);
            buf_deinit(&out);
        }
    }
}

static void test_fields_come_back_and_defaults_are_left_out(void **state)
{
    (void)state;
    struct buf out = BUF_INIT;
    pb_put_u64(&out, 1, 0);
    pb_put_bytes(&out, 2, text(""));
    pb_put_text(&out, 3, "");
    assert_int_equal(buf_size(&out), 0);
    pb_put_i64(&out, 1, -1);
    pb_put_text(&out, 2000, "value");
    pb_put_message(&out, 3, text(""));
    assert_int_equal(buf_size(&out),
                     pb_u64_size(1, UINT64_MAX) + pb_bytes_size(2000, 5) + pb_message_size(3, 0));
    struct pb_reader reader = pb_reader_make(buf_bytes(&out));
    struct pb_field field;
    assert_true(pb_next(&reader, &field));
    assert_true(field.key == PB_VARINT(1) && field.value == UINT64_MAX);
    assert_true(pb_next(&reader, &field));
    assert_true(field.key == PB_BYTES(2000) && bytes_equal(field.bytes, text("value")));
    assert_true(pb_next(&reader, &field));
    assert_true(field.key == PB_BYTES(3) && field.bytes.size == 0);
    assert_false(pb_next(&reader, &field));
    assert_false(reader.failed);
    buf_deinit(&out);
}

static void test_a_message_gets_its_length_when_it_is_complete(void **state)
{
    (void)state;
    for (size_t size = 0; size < 40000; size = size * 3 + 1) {
        struct buf out = BUF_INIT;
        buf_append_text(&out, "before");
        size_t outer = pb_begin_message(&out, 1);
        size_t inner = pb_begin_message(&out, 2);
        for (size_t i = 0; i < size; i++) {
            buf_append_u8(&out, 'x');
        }
        pb_end_message(&out, inner);
        pb_end_message(&out, outer);
        buf_consume(&out, 6);
        struct pb_reader reader = pb_reader_make(buf_bytes(&out));
        struct pb_field field;
        assert_true(pb_next(&reader, &field));
        assert_true(field.key == PB_BYTES(1));
        assert_false(pb_next(&reader, &(struct pb_field){0}));
        reader = pb_reader_make(field.bytes);
        assert_true(pb_next(&reader, &field));
        assert_int_equal(field.bytes.size, size);
        assert_true(size == 0 || field.bytes.data[size - 1] == 'x');
        buf_deinit(&out);
    }
}

static void test_fixed_fields_are_read_and_unknown_ones_passed_over(void **state)
{
    (void)state;
    struct pb_reader reader =
        pb_reader_make(bytes_make("\x0d\x01\x02\x03\x04\x11\x01\0\0\0\0\0\0\x80\x18\x05", 16));
    struct pb_field field;
    assert_true(pb_next(&reader, &field));
    assert_true(field.value == 0x04030201);
    assert_true(pb_next(&reader, &field));
    assert_true(field.value == UINT64_C(0x8000000000000001));
    assert_true(pb_next(&reader, &field));
    assert_true(field.key == PB_VARINT(3) && field.value == 5);
    assert_false(pb_next(&reader, &field));
    assert_false(reader.failed);
}

static void assert_malformed(const void *data, size_t size)
{
    struct pb_reader reader = pb_reader_make(bytes_make(data, size));
    struct pb_field field;
    while (pb_next(&reader, &field)) {
    }
    assert_true(reader.failed);
    assert_false(pb_next(&reader, &field)); /* and it stays so */
}

static void test_damaged_input_is_found(void **state)
{
    (void)state;
    assert_malformed("\x08", 1);                                          /* no value */
    assert_malformed("\x08\xff", 2);                                      /* a cut varint */
    assert_malformed("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11); /* 65 bits */
    assert_malformed("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12);
    assert_malformed("\x0a\x05"
                     "abcd",
                     6);                                                  /* a cut string */
    assert_malformed("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11); /* a huge length */
    assert_malformed("\x0d\x01\x02\x03", 4);                              /* a cut fixed32 */
    assert_malformed("\x11\x01\x02\x03\x04", 5);                          /* a cut fixed64 */
    assert_malformed("\x00\x01", 2);                                      /* field number 0 */
    assert_malformed("\x0b", 1);                                          /* a group */
    assert_malformed("\x0f\x01", 2);                                      /* type 7 */
    struct pb_reader empty = pb_reader_make((struct bytes){NULL, 0});
    assert_false(pb_next(&empty, &(struct pb_field){0}));
    assert_false(empty.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_varints_of_all_sizes_come_back),
        cmocka_unit_test(test_fields_come_back_and_defaults_are_left_out),
        cmocka_unit_test(test_a_message_gets_its_length_when_it_is_complete),
        cmocka_unit_test(test_fixed_fields_are_read_and_unknown_ones_passed_over),
        cmocka_unit_test(test_damaged_input_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
