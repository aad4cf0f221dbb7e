/* Messages as JSON, as etcd's gateway writes and reads them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "proto/arena_allocator.h"
#include "proto/base64.h"
#include "proto/json_codec.h"
#include "proto/json_number.h"
#include "proto/json_reader.h"
#include "proto/rpc.pb-c.h"

static void expect_encoded(const void *message, const char *text)
{
    CLEANUP(buf) struct buf out = BUF_INIT;
    json_encode(&out, message);
    assert_string_equal(buf_text(&out), text);
}

static void test_an_answer_looks_as_from_etcd_s_gateway(void **state)
{
    (void)state;
    Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    Mvccpb__KeyValue kv = MVCCPB__KEY_VALUE__INIT;
    Mvccpb__KeyValue *kvs[] = {&kv};
    Etcdserverpb__RangeResponse response = ETCDSERVERPB__RANGE_RESPONSE__INIT;
    header.cluster_id = UINT64_C(14841639068965178418);
    header.member_id = UINT64_C(10276657743932975437);
    header.revision = 2;
    header.raft_term = 2;
    kv.key = (ProtobufCBinaryData){3, (uint8_t *)"foo"};
    kv.value = (ProtobufCBinaryData){4, (uint8_t *)"bar!"};
    kv.create_revision = 2;
    kv.mod_revision = 2;
    kv.version = 1;
    response.header = &header;
    response.kvs = kvs;
    response.n_kvs = 1;
    response.count = 1;
    expect_encoded(&response,
                   "{\"header\":{\"cluster_id\":\"14841639068965178418\",\"member_id\":"
                   "\"10276657743932975437\",\"revision\":\"2\",\"raft_term\":\"2\"},\"kvs\":["
                   "{\"key\":\"Zm9v\",\"create_revision\":\"2\",\"mod_revision\":\"2\","
                   "\"version\":\"1\",\"value\":\"YmFyIQ==\"}],\"count\":\"1\"}");
}

static void test_what_is_at_its_default_is_left_out(void **state)
{
    (void)state;
    Etcdserverpb__PutResponse put = ETCDSERVERPB__PUT_RESPONSE__INIT;
    expect_encoded(&put, "{}");
    Etcdserverpb__HashResponse hash = ETCDSERVERPB__HASH_RESPONSE__INIT;
    hash.hash = 4294967295;
    expect_encoded(&hash, "{\"hash\":4294967295}");
}

static void test_enums_choices_and_texts(void **state)
{
    (void)state;
    Etcdserverpb__Compare compare = ETCDSERVERPB__COMPARE__INIT;
    compare.result = ETCDSERVERPB__COMPARE__COMPARE_RESULT__LESS;
    compare.target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD;
    compare.target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION;
    compare.mod_revision = 0; /* chosen, so it is told although it is 0 */
    expect_encoded(&compare, "{\"result\":\"LESS\",\"target\":\"MOD\",\"mod_revision\":\"0\"}");
    compare.result = (Etcdserverpb__Compare__CompareResult)77;
    expect_encoded(&compare, "{\"result\":77,\"target\":\"MOD\",\"mod_revision\":\"0\"}");
    Etcdserverpb__StatusResponse status;
    etcdserverpb__status_response__init(&status);
    char *errors[] = {"no \"leader\"\n", "b"};
    status.errors = errors;
    status.n_errors = 2;
    status.dbsize = -5;
    status.islearner = 1;
    expect_encoded(&status, "{\"dbSize\":\"-5\",\"errors\":[\"no \\\"leader\\\"\\n\",\"b\"],"
                            "\"isLearner\":true}");
}

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

static void *decode(const ProtobufCMessageDescriptor *type, const char *text)
{
    struct err err = {0};
    ProtobufCMessage *message = json_decode(type, bytes_from_text(text), &arena, &err);
    assert_string_equal(err.text, "");
    assert_non_null(message);
    return message;
}

static void test_a_request_is_read_in_all_its_spellings(void **state)
{
    (void)state;
    const Etcdserverpb__RangeRequest *range = decode(
        &etcdserverpb__range_request__descriptor,
        " { \"key\" : \"Zm9v\", \"range_end\":\"_-A\", \"limit\": 5, \"revision\":\"-7\",\n"
        "\"sortOrder\":\"DESCEND\", \"sort_target\":3, \"serializable\":true, \"keys_only\":null,"
        "\"unknown\":{\"a\":[1,2,{\"b\":null}]}, \"max_mod_revision\":1.5e1 }\t");
    assert_int_equal(range->key.len, 3);
    assert_memory_equal(range->key.data, "foo", 3);
    assert_int_equal(range->range_end.len, 2);
    assert_memory_equal(range->range_end.data, "\xff\xe0", 2);
    assert_int_equal(range->limit, 5);
    assert_int_equal(range->revision, -7);
    assert_int_equal(range->sort_order, ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND);
    assert_int_equal(range->sort_target, ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__MOD);
    assert_true(range->serializable);
    assert_false(range->keys_only);
    assert_int_equal(range->max_mod_revision, 15);
}

static void test_nested_lists_and_choices_are_read(void **state)
{
    (void)state;
    const Etcdserverpb__TxnRequest *txn =
        decode(&etcdserverpb__txn_request__descriptor,
               "{\"compare\":[{\"target\":\"CREATE\",\"key\":\"Zm9v\",\"createRevision\":\"2\"}],"
               "\"success\":[{\"requestPut\":{\"key\":\"Zm9v\",\"value\":\"YmFy\"}},"
               "{\"request_txn\":{\"failure\":[{\"request_range\":{}}]}}]}");
    assert_int_equal(txn->n_compare, 1);
    assert_int_equal(txn->compare[0]->target_union_case,
                     ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION);
    assert_int_equal(txn->compare[0]->create_revision, 2);
    assert_int_equal(txn->n_success, 2);
    assert_int_equal(txn->success[0]->request_case, ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT);
    assert_memory_equal(txn->success[0]->request_put->value.data, "bar", 3);
    assert_int_equal(txn->success[1]->request_txn->n_failure, 1);
    const Etcdserverpb__WatchCreateRequest *watch =
        decode(&etcdserverpb__watch_create_request__descriptor,
               "{\"filters\":[\"NODELETE\",0,1,1,1,1,1,1,1,1]}");
    assert_int_equal(watch->n_filters, 10);
    assert_int_equal(watch->filters[0], 1);
    assert_int_equal(watch->filters[1], 0);
}

static void test_strings_are_unescaped(void **state)
{
    (void)state;
    const Etcdserverpb__AuthUserAddRequest *user =
        decode(&etcdserverpb__auth_user_add_request__descriptor,
               "{\"name\":\"\\u00e4\\ud83d\\ude00\\n\\/\\\\\\\"\",\"password\":\"\xc3\xa4\"}");
    assert_string_equal(user->name, "\xc3\xa4\xf0\x9f\x98\x80\n/\\\"");
    assert_string_equal(user->password, "\xc3\xa4");
}

static void test_nothing_is_an_empty_message(void **state)
{
    (void)state;
    const Etcdserverpb__RangeRequest *range = decode(&etcdserverpb__range_request__descriptor, "");
    assert_int_equal(range->key.len, 0);
}

static void test_malformed_texts_are_refused_with_a_reason(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *reason;
    } cases[] = {
        {"[]", "expected an object"},
        {"{", "expected a field name"},
        {"{\"key\"}", "expected a field name"},
        {"{\"key\":\"Zm9v\"", "object not closed"},
        {"{\"key\":\"Zm9v\",}", "expected a field name"},
        {"{\"key\":\"Zm9v\"} x", "text after the message"},
        {"{\"key\":\"Zm9v\",\"key\":\"Zm9v\"}", "duplicate field key"},
        {"{\"key\":\"a\"}", "invalid base64 for key"},
        {"{\"key\":\"a*bc\"}", "invalid base64 for key"},
        {"{\"key\":5}", "invalid string for key"},
        {"{\"limit\":\"x\"}", "invalid whole number for limit"},
        {"{\"limit\":\" 5\"}", "invalid whole number for limit"},
        {"{\"limit\":1.5}", "invalid whole number for limit"},
        {"{\"limit\":01}", "invalid whole number for limit"},
        {"{\"limit\":9223372036854775808}", "number out of range for limit"},
        {"{\"limit\":1e19}", "number out of range for limit"},
        {"{\"limit\":true}", "invalid whole number for limit"},
        {"{\"sort_order\":\"UP\"}", "unknown enum value for sort_order"},
        {"{\"sort_order\":true}", "invalid enum value for sort_order"},
        {"{\"serializable\":\"true\"}", "invalid bool for serializable"},
        {"{\"x\":\"\\ud800\"}", "malformed value"},
        {"{\"x\":\"\xff\"}", "malformed value"},
        {"{\"x\":\"a\nb\"}", "malformed value"},
        {"{\"x\":[1,]}", "malformed value"},
        {"{\"x\":nul}", "malformed value"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = {0};
        assert_null(json_decode(&etcdserverpb__range_request__descriptor,
                                bytes_from_text(cases[i].text), &arena, &err));
        assert_int_equal(err.code, ERR_MALFORMED);
        if (strstr(err.text, cases[i].reason) == NULL) {
            fail_msg("%s: \"%s\" is not in \"%s\"", cases[i].text, cases[i].reason, err.text);
        }
    }
    struct err err = {0};
    assert_null(json_decode(&etcdserverpb__request_op__descriptor,
                            BYTES_LITERAL("{\"request_put\":{},\"request_range\":{}}"), &arena,
                            &err));
    assert_non_null(strstr(err.text, "another choice is already made"));
    assert_null(json_decode(&etcdserverpb__auth_user_add_request__descriptor,
                            BYTES_LITERAL("{\"name\":\"a\\u0000b\"}"), &arena, &err));
}

static void test_depth_is_limited_whether_the_fields_are_known_or_not(void **state)
{
    (void)state;
    CLEANUP(buf) struct buf text = BUF_INIT;
    struct err err = {0};
    for (unsigned i = 0; i < 2000; i++) {
        buf_append_text(&text, "{\"success\":[{\"request_txn\":");
    }
    assert_null(
        json_decode(&etcdserverpb__txn_request__descriptor, buf_bytes(&text), &arena, &err));
    assert_non_null(strstr(err.text, "nested too deep"));
    buf_clear(&text);
    buf_append_text(&text, "{\"x\":");
    for (unsigned i = 0; i < 100000; i++) {
        buf_append_u8(&text, '[');
    }
    assert_null(
        json_decode(&etcdserverpb__txn_request__descriptor, buf_bytes(&text), &arena, &err));
}

static void test_whole_numbers_in_scientific_dress(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_good;
        bool is_negative;
        uint64_t magnitude;
    } cases[] = {{"0", true, false, 0},
                 {"-0", true, true, 0},
                 {"1e3", true, false, 1000},
                 {"-1.50e2", true, true, 150},
                 {"100e-2", true, false, 1},
                 {"1.5", false, false, 0},
                 {"1e-1", false, false, 0},
                 {"0e99", true, false, 0},
                 {"0.0", true, false, 0},
                 {"1e101", false, false, 0},
                 {"18446744073709551615", true, false, UINT64_MAX},
                 {"18446744073709551616", false, false, 0},
                 {"1.8446744073709551615e19", true, false, UINT64_MAX}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool is_negative = false;
        uint64_t magnitude = 0;
        assert_int_equal(
            json_number_whole(bytes_from_text(cases[i].text), &is_negative, &magnitude),
            cases[i].is_good);
        if (cases[i].is_good) {
            assert_int_equal(is_negative, cases[i].is_negative);
            assert_int_equal(magnitude, cases[i].magnitude);
        }
    }
}

static void test_base64_goes_both_ways_for_every_length(void **state)
{
    (void)state;
    uint8_t data[50];
    for (size_t size = 0; size <= sizeof data; size++) {
        CLEANUP(buf) struct buf text = BUF_INIT;
        struct bytes back = {NULL, 0};
        for (size_t i = 0; i < size; i++) {
            data[i] = (uint8_t)(i * 37 + size);
        }
        base64_append(&text, bytes_make(data, size));
        assert_int_equal(buf_size(&text), (size + 2) / 3 * 4);
        assert_true(base64_parse(buf_bytes(&text), &arena, &back));
        assert_true(bytes_equal(back, bytes_make(data, size)));
        while (buf_size(&text) > 0 && buf_bytes(&text).data[buf_size(&text) - 1] == '=') {
            buf_truncate(&text, buf_size(&text) - 1);
        }
        assert_true(base64_parse(buf_bytes(&text), &arena, &back));
        assert_true(bytes_equal(back, bytes_make(data, size)));
    }
    struct bytes ignored = {NULL, 0};
    assert_false(base64_parse(BYTES_LITERAL("A==="), &arena, &ignored));
    assert_false(base64_parse(BYTES_LITERAL("=A=="), &arena, &ignored));
    assert_false(base64_parse(BYTES_LITERAL("AA=A"), &arena, &ignored));
    assert_false(base64_parse(BYTES_LITERAL("AAAAA"), &arena, &ignored));
}

int main(void)
{
#define JSON(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_answer_looks_as_from_etcd_s_gateway),
        cmocka_unit_test(test_what_is_at_its_default_is_left_out),
        cmocka_unit_test(test_enums_choices_and_texts),
        JSON(test_a_request_is_read_in_all_its_spellings),
        JSON(test_nested_lists_and_choices_are_read),
        JSON(test_strings_are_unescaped),
        JSON(test_nothing_is_an_empty_message),
        JSON(test_malformed_texts_are_refused_with_a_reason),
        JSON(test_depth_is_limited_whether_the_fields_are_known_or_not),
        JSON(test_whole_numbers_in_scientific_dress),
        JSON(test_base64_goes_both_ways_for_every_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
