#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "kvstore/kvctl/txn_text.h"

static void test_every_target_and_operator_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        Etcdserverpb__Compare__CompareTarget target;
        Etcdserverpb__Compare__CompareResult result;
        int64_t number;
    } cases[] = {
        {"mod(\"k\") > \"7\"", ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD,
         ETCDSERVERPB__COMPARE__COMPARE_RESULT__GREATER, 7},
        {"m(\"k\")<\"8\"", ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD,
         ETCDSERVERPB__COMPARE__COMPARE_RESULT__LESS, 8},
        {"create(\"k\") = \"-1\"", ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE,
         ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL, -1},
        {"c(\"k\") != \"0\"", ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE,
         ETCDSERVERPB__COMPARE__COMPARE_RESULT__NOT_EQUAL, 0},
        {"ver(`k`)  =  `3`", ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION,
         ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL, 3},
        {"version(\"k\") = \"3\"", ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION,
         ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL, 3},
        {"lease(\"k\") = \"ff\"", ETCDSERVERPB__COMPARE__COMPARE_TARGET__LEASE,
         ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL, 255},
    };
    CLEANUP(arena) struct arena arena = ARENA_INIT;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Etcdserverpb__Compare *compare;
        struct err err;
        assert_int_equal(txn_compare_parse(cases[i].line, &arena, &compare, &err), 0);
        assert_int_equal(compare->target, cases[i].target);
        assert_int_equal(compare->result, cases[i].result);
        assert_int_equal(compare->version, cases[i].number);
        assert_int_equal(compare->key.len, 1);
    }
}

static void test_values_keep_every_byte(void **state)
{
    (void)state;
    CLEANUP(arena) struct arena arena = ARENA_INIT;
    Etcdserverpb__Compare *compare;
    struct err err;
    assert_int_equal(
        txn_compare_parse("val(\"a\\x00(b)\") = \"\\\"v\\xff\"", &arena, &compare, &err), 0);
    assert_int_equal(compare->target_union_case, ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE);
    assert_int_equal(compare->key.len, 5);
    assert_memory_equal(compare->key.data, "a\0(b)", 5);
    assert_int_equal(compare->value.len, 3);
    assert_memory_equal(compare->value.data, "\"v\xff", 3);
}

static void test_malformed_comparisons_are_quoted_back(void **state)
{
    (void)state;
    static const char *const bad[] = {"mod",
                                      "mod(\"k\")",
                                      "mod(k) > \"0\"",
                                      "mod(\"k\" > \"0\"",
                                      "size(\"k\") = \"1\"",
                                      "mod(\"k\") ~ \"0\"",
                                      "mod(\"k\") > 0",
                                      "mod(\"k\") > \"x\"",
                                      "mod(\"k\") > \"0\" x",
                                      "lease(\"k\") = \"xyz\"",
                                      "(\"k\") = \"1\""};
    CLEANUP(arena) struct arena arena = ARENA_INIT;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        Etcdserverpb__Compare *compare = NULL;
        struct err err;
        assert_int_equal(txn_compare_parse(bad[i], &arena, &compare, &err), ERR_INVALID);
        assert_non_null(strstr(err.text, bad[i]));
        assert_null(compare);
    }
}

static void test_requests_take_the_flags_of_their_commands(void **state)
{
    (void)state;
    CLEANUP(arena) struct arena arena = ARENA_INIT;
    Etcdserverpb__RequestOp *op;
    struct err err;
    assert_int_equal(txn_request_parse("put --lease=1f key1 \"a value\"", &arena, &op, &err), 0);
    assert_int_equal(op->request_case, ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT);
    assert_int_equal(op->request_put->lease, 31);
    assert_memory_equal(op->request_put->value.data, "a value", 7);
    assert_int_equal(txn_request_parse("get foo --limit 3 --order=DESCEND", &arena, &op, &err), 0);
    assert_int_equal(op->request_range->limit, 3);
    assert_int_equal(txn_request_parse("del --prefix 'a b'", &arena, &op, &err), 0);
    assert_memory_equal(op->request_delete_range->range_end.data, "a c", 3);
}

static void test_bad_requests_say_which_kind_of_bad(void **state)
{
    (void)state;
    CLEANUP(arena) struct arena arena = ARENA_INIT;
    Etcdserverpb__RequestOp *op;
    struct err err;
    assert_int_equal(txn_request_parse("get", &arena, &op, &err), ERR_MALFORMED);
    assert_int_equal(txn_request_parse("watch foo", &arena, &op, &err), ERR_MALFORMED);
    assert_string_equal(err.text, "invalid txn request: watch foo");
    assert_int_equal(txn_request_parse("get foo --nope", &arena, &op, &err), ERR_MALFORMED);
    assert_int_equal(txn_request_parse("put foo", &arena, &op, &err), ERR_INVALID);
    assert_int_equal(txn_request_parse("get foo --order=up", &arena, &op, &err), ERR_UNSUPPORTED);
    assert_int_equal(txn_request_parse("put foo \"\\q\"", &arena, &op, &err), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_target_and_operator_is_read),
        cmocka_unit_test(test_values_keep_every_byte),
        cmocka_unit_test(test_malformed_comparisons_are_quoted_back),
        cmocka_unit_test(test_requests_take_the_flags_of_their_commands),
        cmocka_unit_test(test_bad_requests_say_which_kind_of_bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
