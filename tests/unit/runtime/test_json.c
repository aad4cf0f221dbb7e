#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "runtime/container/json/fields.h"

static int parse(struct arena *arena, const char *text, struct json_value **ret, struct err *err)
{
    return json_parse(arena, bytes_from_text(text), ret, err);
}

static void test_a_document_comes_back_as_it_was(void **state)
{
    (void)state;
    static const char text[] =
        "{\"a\":[1,-2.5e3,true,false,null],\"b\":{\"c\":\"d\\\"\\\\\\n\\u00e9\\ud83d\\ude00\"}}";
    struct arena arena = ARENA_INIT;
    struct json_value *document = NULL;
    struct err err;
    assert_int_equal(parse(&arena, text, &document, &err), 0);
    const struct json_value *c = json_find(json_find(document, "b"), "c");
    assert_string_equal(c->text, "d\"\\\n\xc3\xa9\xf0\x9f\x98\x80");
    struct buf out = BUF_INIT;
    json_append(&out, document);
    struct json_value *again = NULL;
    assert_int_equal(json_parse(&arena, buf_bytes(&out), &again, &err), 0);
    assert_int_equal(json_find(again, "a")->count, 5);
    buf_deinit(&out);
    arena_deinit(&arena);
}

static void test_what_is_no_json_is_refused_with_its_place(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "{",
                                      "[1,]",
                                      "{\"a\":1,}",
                                      "{a:1}",
                                      "[01]",
                                      "[1.]",
                                      "[1e]",
                                      "[-]",
                                      "\"\\x\"",
                                      "\"\\u12\"",
                                      "\"\x01\"",
                                      "nul",
                                      "[1] 2",
                                      "\"a",
                                      "\"\\u0000\"",
                                      "\"\xff\"",
                                      "\"\xc0\x80\"",
                                      "\"\xed\xa0\x80\"",
                                      "{\"a\" 1}",
                                      "[1 2]",
                                      "{\"a\":}",
                                      "\"\xf4\x90\x80\x80\"",
                                      "+1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct arena arena = ARENA_INIT;
        struct json_value *document = NULL;
        struct err err = {.code = 0};
        assert_int_equal(parse(&arena, bad[i], &document, &err), ERR_MALFORMED);
        assert_non_null(strstr(err.text, "line 1, column"));
        assert_null(document);
        arena_deinit(&arena);
    }
}

static void test_nesting_is_limited(void **state)
{
    (void)state;
    char text[2 * JSON_DEPTH_MAX + 8];
    struct arena arena = ARENA_INIT;
    struct json_value *document = NULL;
    struct err err;
    memset(text, '[', JSON_DEPTH_MAX);
    memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    text[2 * JSON_DEPTH_MAX] = 0;
    assert_int_equal(parse(&arena, text, &document, &err), 0);
    memset(text, '[', JSON_DEPTH_MAX + 2);
    memset(text + JSON_DEPTH_MAX + 2, ']', JSON_DEPTH_MAX + 2);
    text[2 * JSON_DEPTH_MAX + 4] = 0;
    assert_int_equal(parse(&arena, text, &document, &err), ERR_MALFORMED);
    arena_deinit(&arena);
}

static void test_the_last_of_two_members_counts(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    struct json_value *document = NULL;
    int64_t number = 0;
    assert_int_equal(parse(&arena, "{\"a\":1,\"a\":2}", &document, NULL), 0);
    assert_true(json_get_i64(json_find(document, "a"), &number));
    assert_int_equal(number, 2);
    arena_deinit(&arena);
}

static void test_numbers_keep_their_range(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    struct json_value *d = NULL;
    int64_t i = 0;
    uint64_t u = 0;
    assert_int_equal(parse(&arena,
                           "[9223372036854775807,9223372036854775808,18446744073709551615,"
                           "18446744073709551616,-1,1.0,1e2]",
                           &d, NULL),
                     0);
    const struct json_value *v = d->first;
    assert_true(json_get_i64(v, &i) && i == INT64_MAX);
    v = v->next;
    assert_false(json_get_i64(v, &i));
    assert_true(json_get_u64(v, &u));
    v = v->next;
    assert_true(json_get_u64(v, &u) && u == UINT64_MAX);
    v = v->next;
    assert_false(json_get_u64(v, &u));
    v = v->next;
    assert_true(json_get_i64(v, &i) && i == -1);
    assert_false(json_get_u64(v, &u));
    v = v->next;
    assert_false(json_get_i64(v, &i));
    v = v->next;
    assert_false(json_get_i64(v, &i));
    arena_deinit(&arena);
}

struct inner {
    const char *name;
    uint32_t small;
};

struct outer {
    struct {
        struct inner *items;
        size_t count;
    } list;
    struct text_list words;
    struct maybe_bool flag;
};

static const struct field inner_fields[] = {
    FIELD(struct inner, name, "name", FIELD_TEXT),
    FIELD(struct inner, small, "small", FIELD_U32),
    FIELD_END,
};

static const struct field outer_fields[] = {
    FIELD_OF(struct outer, list, "list", FIELD_LIST, inner_fields, struct inner),
    FIELD(struct outer, words, "words", FIELD_TEXT_LIST),
    FIELD(struct outer, flag, "flag", FIELD_MAYBE_BOOL),
    FIELD_END,
};

static int read_outer(struct arena *arena, const char *text, struct outer *out, struct err *err)
{
    struct json_value *document = NULL;
    assert_int_equal(parse(arena, text, &document, err), 0);
    return fields_read(arena, document, outer_fields, out, err);
}

static void test_tables_fill_structs(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    struct outer out = {.flag = {false, false}};
    struct err err;
    assert_int_equal(read_outer(&arena,
                                "{\"list\":[{\"name\":\"x\",\"small\":7,\"new\":[]},{}],"
                                "\"words\":[\"a\",\"b\"],\"flag\":null,\"other\":1}",
                                &out, &err),
                     0);
    assert_int_equal(out.list.count, 2);
    assert_string_equal(out.list.items[0].name, "x");
    assert_int_equal(out.list.items[0].small, 7);
    assert_null(out.list.items[1].name);
    assert_int_equal(out.words.count, 2);
    assert_null(out.words.items[2]);
    assert_false(out.flag.is_set);
    arena_deinit(&arena);
}

static void test_a_wrong_type_names_the_path(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *error;
    } cases[] = {
        {"{\"list\":[{},{\"name\":3}]}", "list[1].name: expected a string, got a number"},
        {"{\"list\":[{\"small\":4294967296}]}",
         "list[0].small: 4294967296 is not an integer from 0 to 4294967295"},
        {"{\"list\":[{\"small\":-1}]}", "list[0].small: -1 is not an integer from 0 to 4294967295"},
        {"{\"list\":{}}", "list: expected an array, got an object"},
        {"{\"words\":[\"a\",null]}", "words[1]: expected a string, got null"},
        {"{\"flag\":\"yes\"}", "flag: expected a boolean, got a string"},
        {"[]", "document: expected an object, got an array"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena arena = ARENA_INIT;
        struct outer out = {.flag = {false, false}};
        struct err err;
        assert_int_equal(read_outer(&arena, cases[i].text, &out, &err), ERR_INVALID);
        assert_string_equal(err.text, cases[i].error);
        arena_deinit(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_document_comes_back_as_it_was),
        cmocka_unit_test(test_what_is_no_json_is_refused_with_its_place),
        cmocka_unit_test(test_nesting_is_limited),
        cmocka_unit_test(test_the_last_of_two_members_counts),
        cmocka_unit_test(test_numbers_keep_their_range),
        cmocka_unit_test(test_tables_fill_structs),
        cmocka_unit_test(test_a_wrong_type_names_the_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
