/* The parts of gRPC and of the plumbing below it, one by one: framing, time-outs, texts, decoding,
 * chains, timers, buckets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "proto/arena_allocator.h"
#include "proto/election.pb-c.h"
#include "proto/grpc_frame.h"
#include "proto/health.pb-c.h"
#include "proto/http_session.h"
#include "proto/lock.pb-c.h"
#include "proto/raft_internal.pb-c.h"

/* Framing. */

static void append_message(struct buf *out, const char *text)
{
    uint8_t prefix[GRPC_PREFIX_BYTES];
    grpc_frame_prefix(prefix, strlen(text));
    buf_append(out, prefix, sizeof prefix);
    buf_append_text(out, text);
}

static void test_messages_come_out_whole_however_the_input_is_cut(void **state)
{
    (void)state;
    static const char *const texts[] = {"first", "", "third message", "4"};
    CLEANUP(buf) struct buf stream = BUF_INIT;
    for (size_t i = 0; i < 4; i++) {
        append_message(&stream, texts[i]);
    }
    for (size_t step = 1; step <= buf_size(&stream); step++) {
        struct grpc_deframer deframer;
        grpc_deframer_init(&deframer, 100);
        size_t count = 0;
        for (size_t at = 0; at < buf_size(&stream); at += step) {
            size_t left = buf_size(&stream) - at;
            struct bytes input =
                bytes_make(buf_bytes(&stream).data + at, left < step ? left : step);
            struct bytes message = {NULL, 0};
            struct err err = {0};
            while (grpc_deframer_next(&deframer, &input, &message, &err) == 1) {
                assert_true(bytes_equal(message, bytes_from_text(texts[count])));
                count++;
            }
            assert_int_equal(err.code, 0);
        }
        assert_int_equal(count, 4);
        assert_false(grpc_deframer_is_partial(&deframer));
        grpc_deframer_deinit(&deframer);
    }
}

static int deframe(const char *data, size_t size, size_t max, enum grpc_encoding encoding,
                   struct err *err)
{
    struct grpc_deframer deframer;
    grpc_deframer_init(&deframer, max);
    deframer.encoding = encoding;
    struct bytes input = bytes_make(data, size);
    struct bytes message = {NULL, 0};
    int rv = grpc_deframer_next(&deframer, &input, &message, err);
    grpc_deframer_deinit(&deframer);
    return rv;
}

static void test_a_message_over_the_limit_is_refused_by_its_prefix(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(deframe("\0\0\0\0\x65", 5, 100, GRPC_ENCODING_IDENTITY, &err), ERR_TOO_LARGE);
    assert_string_equal(err.text, "grpc: received message larger than max (101 vs. 100)");
    assert_int_equal(deframe("\0\xff\xff\xff\xff", 5, 100, GRPC_ENCODING_IDENTITY, &err),
                     ERR_TOO_LARGE);
    assert_string_equal(err.text, "grpc: received message larger than max (4294967295 vs. 100)");
}

static void test_bad_flags_are_refused(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(deframe("\2\0\0\0\0", 5, 100, GRPC_ENCODING_IDENTITY, &err), ERR_MALFORMED);
    assert_string_equal(err.text, "grpc: received unexpected payload format 2");
    assert_int_equal(deframe("\1\0\0\0\0", 5, 100, GRPC_ENCODING_IDENTITY, &err), ERR_MALFORMED);
    assert_string_equal(err.text, "grpc: compressed flag set with identity or empty encoding");
    assert_int_equal(deframe("\1\0\0\0\3abc", 8, 100, GRPC_ENCODING_GZIP, &err), ERR_MALFORMED);
    assert_int_equal(deframe("\1\0\0\0\0", 5, 100, GRPC_ENCODING_GZIP, &err), ERR_MALFORMED);
}

static void append_gzipped(struct buf *out, const uint8_t *data, size_t size)
{
    z_stream stream = {0};
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    size_t room = deflateBound(&stream, size);
    uint8_t *packed = mem_alloc(room);
    stream.next_in = (Bytef *)(uintptr_t)data;
    stream.avail_in = (uInt)size;
    stream.next_out = packed;
    stream.avail_out = (uInt)room;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    uint8_t prefix[GRPC_PREFIX_BYTES];
    grpc_frame_prefix(prefix, stream.total_out);
    prefix[0] = 1;
    buf_append(out, prefix, sizeof prefix);
    buf_append(out, packed, stream.total_out);
    (void)deflateEnd(&stream);
    mem_free(packed);
}

static void test_a_compressed_message_is_opened_and_a_bomb_is_not(void **state)
{
    (void)state;
    enum { SIZE = 100000 };
    CLEANUP(buf) struct buf stream = BUF_INIT;
    uint8_t *zeros = mem_zalloc(SIZE);
    append_gzipped(&stream, zeros, SIZE);
    append_gzipped(&stream, (const uint8_t *)"hello", 5);
    struct grpc_deframer deframer;
    grpc_deframer_init(&deframer, SIZE);
    deframer.encoding = GRPC_ENCODING_GZIP;
    struct bytes input = buf_bytes(&stream);
    struct bytes message = {NULL, 0};
    struct err err = {0};
    assert_int_equal(grpc_deframer_next(&deframer, &input, &message, &err), 1);
    assert_true(bytes_equal(message, bytes_make(zeros, SIZE)));
    assert_int_equal(grpc_deframer_next(&deframer, &input, &message, &err), 1);
    assert_true(bytes_equal(message, BYTES_LITERAL("hello")));
    grpc_deframer_deinit(&deframer);
    struct bytes all = buf_bytes(&stream);
    assert_int_equal(deframe((const char *)all.data, all.size, SIZE - 1, GRPC_ENCODING_GZIP, &err),
                     ERR_TOO_LARGE);
    assert_non_null(strstr(err.text, "after decompression larger than max"));
    mem_free(zeros);
}

/* Texts and times. */

static void test_status_texts_are_percent_encoded_and_back(void **state)
{
    (void)state;
    CLEANUP(buf) struct buf out = BUF_INIT;
    CLEANUP(arena) struct arena arena = ARENA_INIT;
    grpc_message_percent_encode(&out, BYTES_LITERAL("a%b\nc\xc3\xa4~"));
    assert_string_equal(buf_text(&out), "a%25b%0Ac%C3%A4~");
    struct bytes back = grpc_message_percent_decode(buf_bytes(&out), &arena);
    assert_true(bytes_equal(back, BYTES_LITERAL("a%b\nc\xc3\xa4~")));
    /* Whatever is not an encoding stays as it is. */
    back = grpc_message_percent_decode(BYTES_LITERAL("%zz %4 %"), &arena);
    assert_true(bytes_equal(back, BYTES_LITERAL("%zz %4 %")));
    back = grpc_message_percent_decode(BYTES_LITERAL("%41%4a"), &arena);
    assert_true(bytes_equal(back, BYTES_LITERAL("AJ")));
}

static void test_timeouts_are_parsed_in_all_units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {{"1H", 3600000}, {"2M", 120000}, {"3S", 3000},
                {"4m", 4},       {"5000u", 5},   {"1u", 1},
                {"1000001n", 2}, {"0n", 0},      {"99999999H", UINT64_C(359999996400000)}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        uint64_t ms = 1;
        assert_true(grpc_timeout_parse(bytes_from_text(good[i].text), &ms));
        assert_int_equal(ms, good[i].ms);
    }
    static const char *const bad[] = {"", "m", "5", "-1m", "1x", "1 m", "100000000m", "1.5S"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint64_t ms = 42;
        assert_false(grpc_timeout_parse(bytes_from_text(bad[i]), &ms));
        assert_int_equal(ms, 42);
    }
}

static void test_timeouts_are_written_with_at_most_eight_digits(void **state)
{
    (void)state;
    static const struct {
        uint64_t ms;
        const char *text;
    } cases[] = {{0, "0m"},
                 {1500, "1500m"},
                 {99999999, "99999999m"},
                 {100000000, "100000S"},
                 {UINT64_MAX, "99999999H"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[GRPC_TIMEOUT_TEXT_MAX];
        struct bytes got = grpc_timeout_format(cases[i].ms, text);
        assert_true(bytes_equal(got, bytes_from_text(cases[i].text)));
    }
}

static void test_statuses_have_names_and_http_relatives(void **state)
{
    (void)state;
    assert_string_equal(grpc_status_name(GRPC_INVALID_ARGUMENT), "InvalidArgument");
    assert_string_equal(grpc_status_name((enum grpc_status)99), "Unknown");
    assert_int_equal(grpc_status_to_http(GRPC_OUT_OF_RANGE), 400);
    assert_int_equal(grpc_status_to_http(GRPC_RESOURCE_EXHAUSTED), 429);
    assert_int_equal(grpc_status_from_http(404), GRPC_UNIMPLEMENTED);
    assert_int_equal(grpc_status_from_http(503), GRPC_UNAVAILABLE);
}

static void test_utf8_is_told_from_what_is_not(void **state)
{
    (void)state;
    static const char *const good[] = {
        "", "plain", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",         "\xc0\x80",         "\xc3", "\xe0\x80\x80",
                                      "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff", "a\xe2\x82"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(utf8_is_valid(bytes_from_text(good[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(utf8_is_valid(bytes_from_text(bad[i])));
    }
}

/* Messages. */

static void test_field_numbers_are_etcd_s(void **state)
{
    (void)state;
    CLEANUP(arena) struct arena arena = ARENA_INIT;
    Etcdserverpb__Compare compare = ETCDSERVERPB__COMPARE__INIT;
    compare.result = ETCDSERVERPB__COMPARE__COMPARE_RESULT__NOT_EQUAL;
    compare.target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD;
    compare.key = (ProtobufCBinaryData){1, (uint8_t *)"k"};
    compare.target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION;
    compare.mod_revision = 5;
    compare.range_end = (ProtobufCBinaryData){1, (uint8_t *)"z"};
    struct bytes got = proto_encode(&compare.base, &arena);
    assert_true(bytes_equal(got, bytes_make("\x08\x03\x10\x02\x1a\x01k\x30\x05\x82\x04\x01z", 13)));

    Etcdserverpb__InternalRaftRequest internal = ETCDSERVERPB__INTERNAL_RAFT_REQUEST__INIT;
    Etcdserverpb__RequestHeader header;
    Etcdserverpb__AuthRoleListRequest roles = ETCDSERVERPB__AUTH_ROLE_LIST_REQUEST__INIT;
    etcdserverpb__request_header__init(&header);
    header.id = 9;
    internal.header = &header;
    internal.auth_role_list = &roles;
    got = proto_encode(&internal.base, &arena);
    assert_true(bytes_equal(got, bytes_make("\xa2\x06\x02\x08\x09\x9a\x45\x00", 8)));
}

static void test_every_method_of_the_services_has_a_descriptor(void **state)
{
    (void)state;
    assert_int_equal(etcdserverpb__kv__descriptor.n_methods, 6);
    assert_int_equal(etcdserverpb__auth__descriptor.n_methods, 17);
    assert_int_equal(etcdserverpb__maintenance__descriptor.n_methods, 8);
    assert_string_equal(etcdserverpb__kv__descriptor.name, "etcdserverpb.KV");
    assert_string_equal(v3lockpb__lock__descriptor.name, "v3lockpb.Lock");
    assert_string_equal(v3electionpb__election__descriptor.name, "v3electionpb.Election");
    assert_string_equal(grpc__health__v1__health__descriptor.name, "grpc.health.v1.Health");
}

static void test_decoding_keeps_all_in_the_arena(void **state)
{
    (void)state;
    CLEANUP(arena) struct arena arena = ARENA_INIT;
    const Etcdserverpb__PutRequest *put = (const Etcdserverpb__PutRequest *)proto_decode(
        &etcdserverpb__put_request__descriptor, bytes_make("\x0a\x03key\x12\x05value\x18\x07", 14),
        &arena);
    assert_non_null(put);
    assert_int_equal(put->key.len, 3);
    assert_memory_equal(put->value.data, "value", 5);
    assert_int_equal(put->lease, 7);
    const Etcdserverpb__HashRequest *empty = (const Etcdserverpb__HashRequest *)proto_decode(
        &etcdserverpb__hash_request__descriptor, bytes_make(NULL, 0), &arena);
    assert_non_null(empty);
}

static void test_malformed_messages_are_refused(void **state)
{
    (void)state;
    static const struct bytes inputs[] = {
        {(const uint8_t *)"\x0a", 1},
        {(const uint8_t *)"\x0a\x05key", 5},
        {(const uint8_t *)"\x0a\xff\xff\xff\xff\x0f", 6},
        {(const uint8_t *)"\x80", 1},
        {(const uint8_t *)"\x0b", 1},
        {(const uint8_t *)"\x0d\x01\x02", 3},
        {(const uint8_t *)"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11},
    };
    CLEANUP(arena) struct arena arena = ARENA_INIT;
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        assert_null(proto_decode(&etcdserverpb__put_request__descriptor, inputs[i], &arena));
    }
    /* Text that is not UTF-8, in a string field. */
    assert_null(proto_decode(&etcdserverpb__auth_user_add_request__descriptor,
                             bytes_make("\x0a\x02\xc3\x28", 4), &arena));
    /* The same bytes in a bytes field are fine. */
    assert_non_null(proto_decode(&etcdserverpb__put_request__descriptor,
                                 bytes_make("\x0a\x02\xc3\x28", 4), &arena));
}

static void test_messages_nested_too_deep_are_refused(void **state)
{
    (void)state;
    /* TxnRequest.success(2) -> RequestOp.request_txn(4) -> TxnRequest ... */
    for (unsigned depth = 40; depth < 3000; depth += 2900) {
        CLEANUP(arena) struct arena arena = ARENA_INIT;
        CLEANUP(buf) struct buf inner = BUF_INIT;
        for (unsigned i = 0; i < depth; i++) {
            CLEANUP(buf) struct buf outer = BUF_INIT;
            size_t size = buf_size(&inner);
            buf_append_u8(&outer, i % 2 == 0 ? 0x22 : 0x12);
            while (size >= 128) {
                buf_append_u8(&outer, (uint8_t)(size % 128 + 128));
                size /= 128;
            }
            buf_append_u8(&outer, (uint8_t)size);
            buf_append_bytes(&outer, buf_bytes(&inner));
            buf_clear(&inner);
            buf_append_bytes(&inner, buf_bytes(&outer));
        }
        ProtobufCMessage *message =
            proto_decode(&etcdserverpb__txn_request__descriptor, buf_bytes(&inner), &arena);
        assert_true((message != NULL) == (depth <= PROTO_DEPTH_MAX));
    }
}

/* Chains, timers, buckets. */

static void test_a_chain_gives_back_what_was_put_in(void **state)
{
    (void)state;
    enum { LARGE = 5000 };
    struct blob *blob = blob_new(LARGE);
    for (uint32_t i = 0; i < LARGE; i++) {
        blob->data[i] = (uint8_t)i;
    }
    CLEANUP(buf) struct buf expected = BUF_INIT;
    struct chain from;
    struct chain to;
    chain_init(&from);
    chain_init(&to);
    for (unsigned i = 0; i < 50; i++) {
        chain_append(&from, BYTES_LITERAL("small piece;"));
        buf_append_text(&expected, "small piece;");
        size_t offset = i % 3 == 0 ? 4990 : i;
        chain_append_blob(&from, blob, offset, LARGE - offset);
        buf_append(&expected, blob->data + offset, LARGE - offset);
    }
    assert_int_equal(from.size, buf_size(&expected));
    size_t step = 1;
    while (from.size > 0) {
        size_t size = from.size < step ? from.size : step;
        chain_move(&to, &from, size);
        step = step * 2 % 7919 + 1;
    }
    CLEANUP(buf) struct buf got = BUF_INIT;
    while (to.size > 0) {
        struct iovec vectors[5];
        unsigned count = chain_peek(&to, vectors, 5);
        assert_in_range(count, 1, 5);
        size_t size = vectors[0].iov_len > 3 ? vectors[0].iov_len - 1 : vectors[0].iov_len;
        buf_append(&got, vectors[0].iov_base, size);
        chain_consume(&to, size);
    }
    assert_true(bytes_equal(buf_bytes(&got), buf_bytes(&expected)));
    chain_deinit(&from);
    chain_deinit(&to);
    assert_int_equal(atomic_load(&blob->reference_count), 1);
    blob_unref(blob);
}

struct alarm {
    struct timer timer;
    struct timers *timers;
    unsigned fired;
    unsigned *sequence;
    unsigned position;
};

static void on_alarm(struct timer *timer)
{
    struct alarm *alarm = container_of(timer, struct alarm, timer);
    alarm->fired++;
    alarm->position = ++*alarm->sequence;
    if (alarm->fired == 1) { /* again at once: not in the same round */
        timers_set(alarm->timers, timer, alarm->timers->now_ms);
    }
}

static void test_timers_fire_in_order_and_once(void **state)
{
    (void)state;
    struct timers timers;
    unsigned sequence = 0;
    struct alarm alarms[4];
    timers_init(&timers, 100);
    for (unsigned i = 0; i < 4; i++) {
        alarms[i] = (struct alarm){.timers = &timers, .sequence = &sequence};
        timer_init(&alarms[i].timer, on_alarm);
        timers_set(&timers, &alarms[i].timer, i == 0 ? 120 : 110);
    }
    timers_clear(&timers, &alarms[3].timer);
    assert_int_equal(timers_deadline_ms(&timers), 110);
    timers_advance(&timers, 109);
    assert_int_equal(sequence, 0);
    timers_advance(&timers, 120);
    assert_int_equal(sequence, 3);
    assert_int_equal(alarms[1].position, 1);
    assert_int_equal(alarms[2].position, 2);
    assert_int_equal(alarms[0].position, 3);
    timers_advance(&timers, 120);
    assert_int_equal(sequence, 6);
    assert_int_equal(alarms[3].fired, 0);
    assert_int_equal(timers_deadline_ms(&timers), UINT64_MAX);
    timers_deinit(&timers);
}

static void test_a_bucket_empties_and_fills_again(void **state)
{
    (void)state;
    struct http_bucket bucket = {0};
    for (unsigned i = 0; i < 10; i++) {
        assert_true(http_bucket_take(&bucket, 10, 5, 1000));
    }
    assert_false(http_bucket_take(&bucket, 10, 5, 1000));
    assert_false(http_bucket_take(&bucket, 10, 5, 1199));
    assert_true(http_bucket_take(&bucket, 10, 5, 1200));
    assert_false(http_bucket_take(&bucket, 10, 5, 1200));
    unsigned taken = 0;
    while (http_bucket_take(&bucket, 10, 5, UINT64_C(1) << 50)) {
        taken++;
    }
    assert_int_equal(taken, 10); /* never more than full, however long it was */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_come_out_whole_however_the_input_is_cut),
        cmocka_unit_test(test_a_message_over_the_limit_is_refused_by_its_prefix),
        cmocka_unit_test(test_bad_flags_are_refused),
        cmocka_unit_test(test_a_compressed_message_is_opened_and_a_bomb_is_not),
        cmocka_unit_test(test_status_texts_are_percent_encoded_and_back),
        cmocka_unit_test(test_timeouts_are_parsed_in_all_units),
        cmocka_unit_test(test_timeouts_are_written_with_at_most_eight_digits),
        cmocka_unit_test(test_statuses_have_names_and_http_relatives),
        cmocka_unit_test(test_utf8_is_told_from_what_is_not),
        cmocka_unit_test(test_field_numbers_are_etcd_s),
        cmocka_unit_test(test_every_method_of_the_services_has_a_descriptor),
        cmocka_unit_test(test_decoding_keeps_all_in_the_arena),
        cmocka_unit_test(test_malformed_messages_are_refused),
        cmocka_unit_test(test_messages_nested_too_deep_are_refused),
        cmocka_unit_test(test_a_chain_gives_back_what_was_put_in),
        cmocka_unit_test(test_timers_fire_in_order_and_once),
        cmocka_unit_test(test_a_bucket_empties_and_fills_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
