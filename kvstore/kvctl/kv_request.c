#include "kvstore/kvctl/kv_request.h"

#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "kvstore/client/key_range.h"
#include "kvstore/kvctl/go_text.h"

const struct flag get_flags[] = {
    {.name = "consistency",
     .type = FLAG_TEXT,
     .initial = "l",
     .choices = "l s",
     .help = "Linearizable(l) or Serializable(s)"},
    {.name = "order",
     .type = FLAG_TEXT,
     .choices = "ASCEND DESCEND",
     .help = "Order of results; ASCEND or DESCEND (ASCEND by default)"},
    {.name = "sort-by",
     .type = FLAG_TEXT,
     .choices = "CREATE KEY MODIFY VALUE VERSION",
     .help = "Sort target; CREATE, KEY, MODIFY, VALUE, or VERSION"},
    {.name = "limit", .type = FLAG_NUMBER, .help = "Maximum number of results"},
    {.name = "prefix", .type = FLAG_BOOL, .help = "Get keys with matching prefix"},
    {.name = "from-key",
     .type = FLAG_BOOL,
     .help = "Get keys that are greater than or equal to the given key using byte compare"},
    {.name = "rev", .type = FLAG_NUMBER, .help = "Specify the kv revision"},
    {.name = "keys-only", .type = FLAG_BOOL, .help = "Get only the keys"},
    {.name = "count-only", .type = FLAG_BOOL, .help = "Get only the count"},
    {.name = "print-value-only",
     .type = FLAG_BOOL,
     .help = "Only write values when using the \"simple\" output format"},
    {.name = "min-create-rev", .type = FLAG_NUMBER, .help = "Minimum create revision"},
    {.name = "max-create-rev", .type = FLAG_NUMBER, .help = "Maximum create revision"},
    {.name = "min-mod-rev", .type = FLAG_NUMBER, .help = "Minimum modification revision"},
    {.name = "max-mod-rev", .type = FLAG_NUMBER, .help = "Maximum modification revision"},
    {.name = NULL},
};

const struct flag put_flags[] = {
    {.name = "lease",
     .type = FLAG_TEXT,
     .initial = "0",
     .help = "lease ID (in hexadecimal) to attach to the key"},
    {.name = "prev-kv",
     .type = FLAG_BOOL,
     .help = "return the previous key-value pair before modification"},
    {.name = "ignore-value", .type = FLAG_BOOL, .help = "updates the key using its current value"},
    {.name = "ignore-lease", .type = FLAG_BOOL, .help = "updates the key using its current lease"},
    {.name = NULL},
};

const struct flag del_flags[] = {
    {.name = "prefix", .type = FLAG_BOOL, .help = "delete keys with matching prefix"},
    {.name = "prev-kv", .type = FLAG_BOOL, .help = "return deleted key-value pairs"},
    {.name = "from-key",
     .type = FLAG_BOOL,
     .help = "delete keys that are greater than or equal to the given key using byte compare"},
    {.name = "range", .type = FLAG_BOOL, .help = "delete range of keys without delay"},
    {.name = NULL},
};

static ProtobufCBinaryData binary(const char *text, size_t size)
{
    /* protobuf-c has no const; requests are only read. */
    return (ProtobufCBinaryData){size, (uint8_t *)(uintptr_t)text};
}

/* key and range_end from the arguments with --prefix and --from-key. An empty key with either means
 * every key. */
static void set_range(const struct flag_set *flags, const char *const *arguments, int count,
                      struct arena *arena, ProtobufCBinaryData *ret_key,
                      ProtobufCBinaryData *ret_end)
{
    *ret_key = binary(arguments[0], strlen(arguments[0]));
    if (count > 1) {
        *ret_end = binary(arguments[1], strlen(arguments[1]));
    }
    bool is_prefix = flag_bool(flags, "prefix");
    bool is_from_key = flag_bool(flags, "from-key");
    if (!is_prefix && !is_from_key) {
        return;
    }
    if (ret_key->len == 0) {
        *ret_key = binary("", 1);
    } else if (is_prefix) {
        CLEANUP(buf) struct buf end = BUF_INIT;
        key_range_append_prefix_end(&end, bytes_make(ret_key->data, ret_key->len));
        struct bytes bytes = buf_bytes(&end);
        *ret_end = (ProtobufCBinaryData){bytes.size, arena_dup(arena, bytes.data, bytes.size)};
        return;
    }
    *ret_end = binary("", 1);
}

static int check_range(const struct flag_set *flags, int count, struct err *err)
{
    bool is_prefix = flag_bool(flags, "prefix");
    bool is_from_key = flag_bool(flags, "from-key");
    if (is_prefix && is_from_key) {
        return err_set(err, ERR_INVALID,
                       "`--prefix` and `--from-key` cannot be set at the same time, choose one");
    }
    if (count > 1 && (is_prefix || is_from_key)) {
        return err_set(err, ERR_INVALID,
                       "too many arguments, only accept one argument when `--prefix` or "
                       "`--from-key` is set");
    }
    return 0;
}

static int set_order(const struct flag_set *flags, Etcdserverpb__RangeRequest *request,
                     struct err *err)
{
    const char *order = flag_text(flags, "order");
    if (strcasecmp(order, "ASCEND") == 0) {
        request->sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__ASCEND;
    } else if (strcasecmp(order, "DESCEND") == 0) {
        request->sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND;
    } else if (*order != '\0') {
        return err_set(err, ERR_UNSUPPORTED, "bad sort order %s", order);
    }
    static const char *const targets[] = {"KEY", "VERSION", "CREATE", "MODIFY", "VALUE"};
    const char *target = flag_text(flags, "sort-by");
    int found = *target == '\0' ? 0 : -1;
    for (int i = 0; i < 5; i++) {
        found = strcasecmp(target, targets[i]) == 0 ? i : found;
    }
    if (found < 0) {
        return err_set(err, ERR_UNSUPPORTED, "bad sort target %s", target);
    }
    request->sort_target = (Etcdserverpb__RangeRequest__SortTarget)found;
    /* The server's own order is by key: asking for that costs it a push-down of the limit. */
    if (found == 0 && request->sort_order == ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__ASCEND) {
        request->sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__NONE;
    }
    return 0;
}

static int set_revisions(const struct flag_set *flags, Etcdserverpb__RangeRequest *request,
                         struct err *err)
{
    int64_t rev = flag_number(flags, "rev");
    request->revision = rev > 0 ? rev : 0;
    request->limit = flag_number(flags, "limit");
    request->min_create_revision = flag_number(flags, "min-create-rev");
    request->max_create_revision = flag_number(flags, "max-create-rev");
    request->min_mod_revision = flag_number(flags, "min-mod-rev");
    request->max_mod_revision = flag_number(flags, "max-mod-rev");
    if (request->max_create_revision > 0 &&
        request->min_create_revision > request->max_create_revision) {
        return err_set(err, ERR_UNSUPPORTED, "getMinCreateRev(=%lld) > getMaxCreateRev(=%lld)",
                       (long long)request->min_create_revision,
                       (long long)request->max_create_revision);
    }
    if (request->max_mod_revision > 0 && request->min_mod_revision > request->max_mod_revision) {
        return err_set(err, ERR_UNSUPPORTED, "getMinModRev(=%lld) > getMaxModRev(=%lld)",
                       (long long)request->min_mod_revision, (long long)request->max_mod_revision);
    }
    return 0;
}

int get_request_build(const struct flag_set *flags, const char *const *arguments, int count,
                      struct arena *arena, Etcdserverpb__RangeRequest **ret, struct err *err)
{
    if (count == 0 || count > 2) {
        return err_set(
            err, ERR_INVALID,
            "get command needs one argument as key and an optional argument as range_end");
    }
    if (check_range(flags, count, err) < 0) {
        return ERR_INVALID;
    }
    if (flag_bool(flags, "keys-only") && flag_bool(flags, "count-only")) {
        return err_set(
            err, ERR_INVALID,
            "`--keys-only` and `--count-only` cannot be set at the same time, choose one");
    }
    Etcdserverpb__RangeRequest *request = arena_alloc(arena, sizeof *request);
    etcdserverpb__range_request__init(request);
    const char *consistency = flag_text(flags, "consistency");
    if (strcmp(consistency, "s") != 0 && strcmp(consistency, "l") != 0) {
        return err_set(err, ERR_UNSUPPORTED, "unknown consistency flag \"%s\"", consistency);
    }
    request->serializable = consistency[0] == 's';
    request->keys_only = flag_bool(flags, "keys-only");
    request->count_only = flag_bool(flags, "count-only");
    set_range(flags, arguments, count, arena, &request->key, &request->range_end);
    int result = set_order(flags, request, err);
    if (result == 0) {
        result = set_revisions(flags, request, err);
    }
    if (result == 0) {
        *ret = request;
    }
    return result;
}

int put_request_build(const struct flag_set *flags, const char *const *arguments, int count,
                      struct bytes value, struct arena *arena, Etcdserverpb__PutRequest **ret,
                      struct err *err)
{
    bool ignore_value = flag_bool(flags, "ignore-value");
    if (ignore_value && count > 1) {
        return err_set(err, ERR_INVALID,
                       "put command needs only 1 argument when 'ignore-value' is set");
    }
    if (count == 0 || count > 2 || (count == 1 && value.data == NULL && !ignore_value)) {
        return err_set(err, ERR_INVALID,
                       "put command needs 1 argument and input from stdin or 2 arguments");
    }
    int64_t lease;
    struct err reason;
    if (go_text_parse_i64(flag_text(flags, "lease"), 16, &lease, &reason) < 0) {
        return err_set(err, ERR_INVALID, "bad lease ID (%s), expecting ID in Hex", reason.text);
    }
    Etcdserverpb__PutRequest *request = arena_alloc(arena, sizeof *request);
    etcdserverpb__put_request__init(request);
    request->key = binary(arguments[0], strlen(arguments[0]));
    if (count > 1) {
        request->value = binary(arguments[1], strlen(arguments[1]));
    } else if (!ignore_value) {
        request->value = (ProtobufCBinaryData){value.size, (uint8_t *)(uintptr_t)value.data};
    }
    request->lease = lease;
    request->prev_kv = flag_bool(flags, "prev-kv");
    request->ignore_value = ignore_value;
    request->ignore_lease = flag_bool(flags, "ignore-lease");
    *ret = request;
    return 0;
}

int del_request_build(const struct flag_set *flags, const char *const *arguments, int count,
                      struct arena *arena, Etcdserverpb__DeleteRangeRequest **ret,
                      bool *ret_is_range, struct err *err)
{
    if (count == 0 || count > 2) {
        return err_set(
            err, ERR_INVALID,
            "del command needs one argument as key and an optional argument as range_end");
    }
    if (check_range(flags, count, err) < 0) {
        return ERR_INVALID;
    }
    Etcdserverpb__DeleteRangeRequest *request = arena_alloc(arena, sizeof *request);
    etcdserverpb__delete_range_request__init(request);
    set_range(flags, arguments, count, arena, &request->key, &request->range_end);
    request->prev_kv = flag_bool(flags, "prev-kv");
    *ret = request;
    *ret_is_range = count > 1 && !flag_bool(flags, "range");
    return 0;
}
