#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "kvstore/kvctl/kv_request.h"

struct line {
    struct flag_set flags;
    const char *const *arguments;
    int count;
    struct arena arena;
    struct err err;
};

static void parse(struct line *line, const struct flag *flags, const char *const *words, int count)
{
    arena_init(&line->arena);
    flag_set_init(&line->flags);
    flag_set_add(&line->flags, flags);
    assert_int_equal(flag_set_parse(&line->flags, words, count, &line->arena, &line->arguments,
                                    &line->count, &line->err),
                     0);
}

static int build_get(struct line *line, Etcdserverpb__RangeRequest **ret)
{
    return get_request_build(&line->flags, line->arguments, line->count, &line->arena, ret,
                             &line->err);
}

#define GET(line, request, ...)                                                                    \
    ({                                                                                             \
        const char *const words_[] = {__VA_ARGS__};                                                \
        parse(line, get_flags, words_, (int)(sizeof words_ / sizeof words_[0]));                   \
        build_get(line, request);                                                                  \
    })

static void test_ranges_of_get(void **state)
{
    (void)state;
    static const struct {
        const char *words[2];
        const char *key;
        size_t key_size;
        const char *end;
        size_t end_size;
    } cases[] = {
        {{"foo", "--hidden-none"}, "foo", 3, "", 0}, {{"--prefix", "foo"}, "foo", 3, "fop", 3},
        {{"--from-key", "foo"}, "foo", 3, "", 1},    {{"--prefix", ""}, "", 1, "", 1},
        {{"--from-key", ""}, "", 1, "", 1},          {{"foo", "goo"}, "foo", 3, "goo", 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct line line;
        Etcdserverpb__RangeRequest *request;
        parse(&line, get_flags, cases[i].words, i == 0 ? 1 : 2);
        assert_int_equal(build_get(&line, &request), 0);
        assert_int_equal(request->key.len, cases[i].key_size);
        assert_memory_equal(request->key.data, cases[i].key, cases[i].key_size);
        assert_int_equal(request->range_end.len, cases[i].end_size);
        assert_memory_equal(request->range_end.data, cases[i].end, cases[i].end_size);
        arena_deinit(&line.arena);
    }
}

static void test_options_of_get_reach_the_request(void **state)
{
    (void)state;
    struct line line;
    Etcdserverpb__RangeRequest *request;
    assert_int_equal(GET(&line, &request, "k", "--rev=9", "--limit=2", "--sort-by=modify",
                         "--order=descend", "--consistency=s", "--keys-only", "--min-mod-rev=1",
                         "--max-mod-rev=8", "--min-create-rev=2", "--max-create-rev=3"),
                     0);
    assert_int_equal(request->revision, 9);
    assert_int_equal(request->limit, 2);
    assert_int_equal(request->sort_target, ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__MOD);
    assert_int_equal(request->sort_order, ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND);
    assert_true(request->serializable);
    assert_true(request->keys_only);
    assert_int_equal(request->min_mod_revision, 1);
    assert_int_equal(request->max_create_revision, 3);
    arena_deinit(&line.arena);
    assert_int_equal(GET(&line, &request, "k", "--order=ASCEND"), 0);
    assert_int_equal(request->sort_order, ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__NONE);
    arena_deinit(&line.arena);
}

static void test_contradictions_of_get_are_refused(void **state)
{
    (void)state;
    struct line line;
    Etcdserverpb__RangeRequest *request;
    assert_int_equal(GET(&line, &request, "--prefix"), ERR_INVALID);
    arena_deinit(&line.arena);
    assert_int_equal(GET(&line, &request, "a", "--prefix", "--from-key"), ERR_INVALID);
    arena_deinit(&line.arena);
    assert_int_equal(GET(&line, &request, "a", "b", "--prefix"), ERR_INVALID);
    arena_deinit(&line.arena);
    assert_int_equal(GET(&line, &request, "a", "--keys-only", "--count-only"), ERR_INVALID);
    arena_deinit(&line.arena);
    assert_int_equal(GET(&line, &request, "a", "--sort-by=size"), ERR_UNSUPPORTED);
    assert_string_equal(line.err.text, "bad sort target size");
    arena_deinit(&line.arena);
    assert_int_equal(GET(&line, &request, "a", "--consistency=x"), ERR_UNSUPPORTED);
    arena_deinit(&line.arena);
    assert_int_equal(GET(&line, &request, "a", "--min-mod-rev=5", "--max-mod-rev=4"),
                     ERR_UNSUPPORTED);
    arena_deinit(&line.arena);
}

static void test_put_takes_its_value_from_one_place(void **state)
{
    (void)state;
    struct line line;
    Etcdserverpb__PutRequest *request;
    const char *const words[] = {"k", "v", "--lease=abc", "--prev-kv"};
    const struct bytes none = {NULL, 0};
    parse(&line, put_flags, words, 4);
    assert_int_equal(put_request_build(&line.flags, line.arguments, line.count, none, &line.arena,
                                       &request, &line.err),
                     0);
    assert_int_equal(request->lease, 0xabc);
    assert_true(request->prev_kv);
    assert_int_equal(put_request_build(&line.flags, line.arguments, 1, BYTES_LITERAL("in\0put"),
                                       &line.arena, &request, &line.err),
                     0);
    assert_int_equal(request->value.len, 6);
    assert_int_equal(
        put_request_build(&line.flags, line.arguments, 1, none, &line.arena, &request, &line.err),
        ERR_INVALID);
    arena_deinit(&line.arena);
    const char *const ignoring[] = {"k", "v", "--ignore-value"};
    parse(&line, put_flags, ignoring, 3);
    assert_int_equal(
        put_request_build(&line.flags, line.arguments, 2, none, &line.arena, &request, &line.err),
        ERR_INVALID);
    assert_int_equal(
        put_request_build(&line.flags, line.arguments, 1, none, &line.arena, &request, &line.err),
        0);
    assert_true(request->ignore_value);
    arena_deinit(&line.arena);
    const char *const bad_lease[] = {"k", "v", "--lease=xyz"};
    parse(&line, put_flags, bad_lease, 3);
    assert_int_equal(
        put_request_build(&line.flags, line.arguments, 2, none, &line.arena, &request, &line.err),
        ERR_INVALID);
    assert_string_equal(line.err.text, "bad lease ID (strconv.ParseInt: parsing \"xyz\": invalid "
                                       "syntax), expecting ID in Hex");
    arena_deinit(&line.arena);
}

static void test_del_warns_only_before_a_range_without_the_flag(void **state)
{
    (void)state;
    struct line line;
    Etcdserverpb__DeleteRangeRequest *request;
    bool is_range;
    const char *const two[] = {"a", "b"};
    parse(&line, del_flags, two, 2);
    assert_int_equal(del_request_build(&line.flags, line.arguments, line.count, &line.arena,
                                       &request, &is_range, &line.err),
                     0);
    assert_true(is_range);
    arena_deinit(&line.arena);
    const char *const sure[] = {"a", "b", "--range", "--prev-kv"};
    parse(&line, del_flags, sure, 4);
    assert_int_equal(del_request_build(&line.flags, line.arguments, line.count, &line.arena,
                                       &request, &is_range, &line.err),
                     0);
    assert_false(is_range);
    assert_true(request->prev_kv);
    assert_int_equal(del_request_build(&line.flags, line.arguments, 0, &line.arena, &request,
                                       &is_range, &line.err),
                     ERR_INVALID);
    arena_deinit(&line.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranges_of_get),
        cmocka_unit_test(test_options_of_get_reach_the_request),
        cmocka_unit_test(test_contradictions_of_get_are_refused),
        cmocka_unit_test(test_put_takes_its_value_from_one_place),
        cmocka_unit_test(test_del_warns_only_before_a_range_without_the_flag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
