#include "kvstore/kvctl/txn_text.h"

#include <string.h>

#include "base/cleanup.h"
#include "kvstore/kvctl/argify.h"
#include "kvstore/kvctl/go_text.h"
#include "kvstore/kvctl/kv_request.h"

static void skip_spaces(struct bytes *text)
{
    while (text->size > 0 && (text->data[0] == ' ' || text->data[0] == '\t')) {
        *text = bytes_make(text->data + 1, text->size - 1);
    }
}

static bool take_literal(struct bytes *text, const char *literal)
{
    size_t size = strlen(literal);
    if (!bytes_has_prefix(*text, bytes_make(literal, size))) {
        return false;
    }
    *text = bytes_make(text->data + size, text->size - size);
    return true;
}

static bool take_operator(struct bytes *text, Etcdserverpb__Compare__CompareResult *ret)
{
    static const struct {
        const char *text;
        Etcdserverpb__Compare__CompareResult result;
    } operators[] = {
        {"!=", ETCDSERVERPB__COMPARE__COMPARE_RESULT__NOT_EQUAL},
        {"=", ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL},
        {">", ETCDSERVERPB__COMPARE__COMPARE_RESULT__GREATER},
        {"<", ETCDSERVERPB__COMPARE__COMPARE_RESULT__LESS},
    };
    for (size_t i = 0; i < 4; i++) {
        if (take_literal(text, operators[i].text)) {
            *ret = operators[i].result;
            return true;
        }
    }
    return false;
}

static int set_target(Etcdserverpb__Compare *compare, struct bytes target, const char *line,
                      const char *value, struct err *err)
{
    static const struct {
        const char *name;
        Etcdserverpb__Compare__CompareTarget target;
        Etcdserverpb__Compare__TargetUnionCase which;
        int base;
    } targets[] = {
        {"ver", ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION,
         ETCDSERVERPB__COMPARE__TARGET_UNION_VERSION, 10},
        {"version", ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION,
         ETCDSERVERPB__COMPARE__TARGET_UNION_VERSION, 10},
        {"c", ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE,
         ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION, 10},
        {"create", ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE,
         ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION, 10},
        {"m", ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD,
         ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION, 10},
        {"mod", ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD,
         ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION, 10},
        {"lease", ETCDSERVERPB__COMPARE__COMPARE_TARGET__LEASE,
         ETCDSERVERPB__COMPARE__TARGET_UNION_LEASE, 16},
        {"val", ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE,
         ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE, 0},
        {"value", ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE,
         ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE, 0},
    };
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        if (!bytes_equal(target, bytes_from_text(targets[i].name))) {
            continue;
        }
        compare->target = targets[i].target;
        compare->target_union_case = targets[i].which;
        /* All numbers of the union lie at the same place. */
        if (targets[i].base != 0 &&
            go_text_parse_i64(value, targets[i].base, &compare->version, NULL) < 0) {
            return err_set(err, ERR_INVALID, "invalid txn compare request: %s", line);
        }
        return 0;
    }
    return err_set(err, ERR_INVALID, "malformed comparison: %s (unknown target %.*s)", line,
                   (int)target.size, (const char *)target.data);
}

static ProtobufCBinaryData dup_binary(struct arena *arena, struct bytes bytes)
{
    return (ProtobufCBinaryData){bytes.size, arena_dup(arena, bytes.data, bytes.size)};
}

int txn_compare_parse(const char *line, struct arena *arena, Etcdserverpb__Compare **ret,
                      struct err *err)
{
    const char *parenthesis = strchr(line, '(');
    if (parenthesis == NULL) {
        return err_set(err, ERR_INVALID, "malformed comparison: %s", line);
    }
    struct bytes target = bytes_make(line, (size_t)(parenthesis - line));
    struct bytes rest = bytes_from_text(parenthesis + 1);
    CLEANUP(buf) struct buf key = BUF_INIT;
    CLEANUP(buf) struct buf value = BUF_INIT;
    Etcdserverpb__Compare *compare = arena_alloc(arena, sizeof *compare);
    etcdserverpb__compare__init(compare);
    skip_spaces(&rest);
    bool is_well_formed = go_text_unquote(&rest, &key) == 0;
    skip_spaces(&rest);
    is_well_formed = is_well_formed && take_literal(&rest, ")");
    skip_spaces(&rest);
    is_well_formed = is_well_formed && take_operator(&rest, &compare->result);
    skip_spaces(&rest);
    is_well_formed = is_well_formed && go_text_unquote(&rest, &value) == 0;
    skip_spaces(&rest);
    if (!is_well_formed || rest.size != 0) {
        return err_set(err, ERR_INVALID,
                       "malformed comparison: %s (expected TARGET(\"key\") OPERATOR \"value\")",
                       line);
    }
    int result = set_target(compare, target, line, buf_text(&value), err);
    if (result < 0) {
        return result;
    }
    compare->key = dup_binary(arena, buf_bytes(&key));
    if (compare->target_union_case == ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE) {
        compare->value = dup_binary(arena, buf_bytes(&value));
    }
    *ret = compare;
    return 0;
}

/* The flags and arguments of one request line. */
struct request_line {
    struct flag_set flags;
    const char *const *arguments;
    int count;
};

static int parse_words(struct request_line *parsed, const struct flag *flags,
                       const char *const *words, int count, struct arena *arena, const char *line,
                       struct err *err)
{
    flag_set_init(&parsed->flags);
    flag_set_add(&parsed->flags, flags);
    if (flag_set_parse(&parsed->flags, words, count, arena, &parsed->arguments, &parsed->count,
                       NULL) < 0) {
        return err_set(err, ERR_MALFORMED, "invalid txn request: %s", line);
    }
    return 0;
}

static int parse_get(struct request_line *parsed, struct arena *arena, Etcdserverpb__RequestOp *op,
                     struct err *err)
{
    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    return get_request_build(&parsed->flags, parsed->arguments, parsed->count, arena,
                             &op->request_range, err);
}

static int parse_put(struct request_line *parsed, struct arena *arena, Etcdserverpb__RequestOp *op,
                     struct err *err)
{
    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    return put_request_build(&parsed->flags, parsed->arguments, parsed->count,
                             (struct bytes){NULL, 0}, arena, &op->request_put, err);
}

static int parse_del(struct request_line *parsed, struct arena *arena, Etcdserverpb__RequestOp *op,
                     struct err *err)
{
    bool is_range; /* what is written into a transaction needs no second thought */
    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
    return del_request_build(&parsed->flags, parsed->arguments, parsed->count, arena,
                             &op->request_delete_range, &is_range, err);
}

int txn_request_parse(const char *line, struct arena *arena, Etcdserverpb__RequestOp **ret,
                      struct err *err)
{
    static const struct {
        const char *word;
        const struct flag *flags;
        int (*parse)(struct request_line *, struct arena *, Etcdserverpb__RequestOp *,
                     struct err *);
    } requests[] = {
        {"get", get_flags, parse_get},
        {"put", put_flags, parse_put},
        {"del", del_flags, parse_del},
    };
    const char *const *words;
    int count;
    int result = argify(line, arena, &words, &count, err);
    if (result < 0) {
        return result;
    }
    if (count < 2) {
        return err_set(err, ERR_MALFORMED, "invalid txn compare request: %s", line);
    }
    for (size_t i = 0; i < 3; i++) {
        if (strcmp(words[0], requests[i].word) != 0) {
            continue;
        }
        struct request_line parsed;
        Etcdserverpb__RequestOp *op = arena_alloc(arena, sizeof *op);
        etcdserverpb__request_op__init(op);
        result = parse_words(&parsed, requests[i].flags, words + 1, count - 1, arena, line, err);
        if (result == 0) {
            result = requests[i].parse(&parsed, arena, op, err);
        }
        if (result == 0) {
            *ret = op;
        }
        return result;
    }
    return err_set(err, ERR_MALFORMED, "invalid txn request: %s", line);
}
