/* get, put, del, compaction. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "kvstore/kvctl/command_table.h"
#include "kvstore/kvctl/go_text.h"
#include "kvstore/kvctl/kv_request.h"
#include "kvstore/kvctl/session.h"

enum { VALUE_BYTES_MAX = 512 << 20, DEL_WARNING_S = 2 };

static int fail_build(int result, const struct err *err)
{
    return command_fail(result == ERR_UNSUPPORTED ? EXIT_CODE_BAD_FEATURE : EXIT_CODE_BAD_ARGS,
                        "%s", err->text);
}

static int check_get_output(struct invocation *inv)
{
    int code = session_open(inv);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    enum output_format format = inv->session->printer.format;
    if (flag_bool(&inv->flags, "count-only") && format != OUTPUT_FIELDS && format != OUTPUT_JSON) {
        return command_fail(EXIT_CODE_BAD_ARGS, "--count-only is only for `--write-out=fields`");
    }
    if (flag_bool(&inv->flags, "print-value-only") && format != OUTPUT_SIMPLE) {
        return command_fail(EXIT_CODE_BAD_ARGS,
                            "print-value-only is only for `--write-out=simple`");
    }
    inv->session->printer.is_value_only = flag_bool(&inv->flags, "print-value-only");
    return EXIT_CODE_OK;
}

static int run_get(struct invocation *inv)
{
    struct err err;
    Etcdserverpb__RangeRequest *request;
    int result = get_request_build(&inv->flags, inv->arguments, inv->argument_count, inv->arena,
                                   &request, &err);
    if (result < 0) {
        return fail_build(result, &err);
    }
    int code = check_get_output(inv);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    CLEANUP(answer) struct answer answer = {0};
    code = session_call(inv, &kv_range, &request->base, &answer);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    result = print_range(&inv->session->printer, answer.message, &err);
    return session_show(inv, result, &err);
}

/* All of standard input; nothing at all counts as no value. */
static int read_value(struct buf *value)
{
    for (;;) {
        uint8_t *room = buf_reserve(value, 65536);
        ssize_t size = read(STDIN_FILENO, room, 65536);
        if (size < 0 && errno == EINTR) {
            continue;
        }
        if (size < 0) {
            return command_fail(EXIT_CODE_IO, "read the value from standard input: %s",
                                strerror(errno));
        }
        if (size == 0) {
            return EXIT_CODE_OK;
        }
        buf_commit(value, (size_t)size);
        if (buf_size(value) > VALUE_BYTES_MAX) {
            return command_fail(EXIT_CODE_BAD_ARGS, "the value on standard input is too large");
        }
    }
}

static int run_put(struct invocation *inv)
{
    CLEANUP(buf) struct buf value = BUF_INIT;
    int code = EXIT_CODE_OK;
    if (inv->argument_count == 1 && !flag_bool(&inv->flags, "ignore-value")) {
        code = read_value(&value);
    }
    if (code != EXIT_CODE_OK) {
        return code;
    }
    struct err err;
    Etcdserverpb__PutRequest *request;
    struct bytes bytes = buf_size(&value) == 0 ? (struct bytes){NULL, 0} : buf_bytes(&value);
    int result = put_request_build(&inv->flags, inv->arguments, inv->argument_count, bytes,
                                   inv->arena, &request, &err);
    if (result < 0) {
        return fail_build(result, &err);
    }
    CLEANUP(answer) struct answer answer = {0};
    code = session_call(inv, &kv_put, &request->base, &answer);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    result = print_put(&inv->session->printer, answer.message, &err);
    return session_show(inv, result, &err);
}

static void warn_before_range(const struct invocation *inv)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    buf_append_text(&text, "Warning: Keys between ");
    go_text_append_quoted(&text, bytes_from_text(inv->arguments[0]));
    buf_append_text(&text, " and ");
    go_text_append_quoted(&text, bytes_from_text(inv->arguments[1]));
    buf_append_format(&text,
                      " will be deleted. Please interrupt the command within next %d seconds to "
                      "cancel. You can provide `--range` flag to avoid the delay.\n",
                      DEL_WARNING_S);
    (void)fputs(buf_text(&text), stderr);
    (void)sleep(DEL_WARNING_S);
}

static int run_del(struct invocation *inv)
{
    struct err err;
    Etcdserverpb__DeleteRangeRequest *request;
    bool is_range;
    int result = del_request_build(&inv->flags, inv->arguments, inv->argument_count, inv->arena,
                                   &request, &is_range, &err);
    if (result < 0) {
        return fail_build(result, &err);
    }
    if (is_range) {
        warn_before_range(inv);
    }
    CLEANUP(answer) struct answer answer = {0};
    int code = session_call(inv, &kv_delete_range, &request->base, &answer);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    result = print_delete(&inv->session->printer, answer.message, &err);
    return session_show(inv, result, &err);
}

static int run_compaction(struct invocation *inv)
{
    if (inv->argument_count != 1) {
        return command_fail(EXIT_CODE_BAD_ARGS, "compaction command needs 1 argument");
    }
    struct err err;
    Etcdserverpb__CompactionRequest request = ETCDSERVERPB__COMPACTION_REQUEST__INIT;
    if (go_text_parse_i64(inv->arguments[0], 10, &request.revision, &err) < 0) {
        return command_fail(EXIT_CODE_ERROR, "%s", err.text);
    }
    request.physical = flag_bool(&inv->flags, "physical");
    CLEANUP(answer) struct answer answer = {0};
    int code = session_call(inv, &kv_compact, &request.base, &answer);
    if (code == EXIT_CODE_OK) {
        printf("compacted revision %lld\n", (long long)request.revision);
    }
    return code;
}

static const struct flag compaction_flags[] = {
    {.name = "physical",
     .type = FLAG_BOOL,
     .help = "wait for compaction to physically remove all old revisions"},
    {.name = NULL},
};

const struct command kv_commands[] = {
    {
        .path = "get",
        .group = "keys",
        .summary = "Get a key or a range of keys",
        .arguments = "<key> [range_end]",
        .flags = get_flags,
        .run = run_get,
        .examples = "$ kvctl get greeting\n"
                    "$ kvctl get --prefix /jobs/ --keys-only\n"
                    "$ kvctl get a m                          # keys from a up to, not with, m\n"
                    "$ kvctl get greeting --rev 4 -w json",
    },
    {
        .path = "put",
        .group = "keys",
        .summary = "Put a value under a key",
        .arguments = "<key> [value]",
        .flags = put_flags,
        .run = run_put,
        .examples = "$ kvctl put greeting hello\n"
                    "$ kvctl put report < report.txt          # the value comes from a file\n"
                    "$ kvctl put --lease=694d81417acd4f04 session alive\n"
                    "$ kvctl put -- key -value                # a value with a leading dash",
    },
    {
        .path = "del",
        .group = "keys",
        .summary = "Delete a key or a range of keys",
        .arguments = "<key> [range_end]",
        .flags = del_flags,
        .run = run_del,
        .examples = "$ kvctl del greeting\n"
                    "$ kvctl del --prefix /jobs/ --prev-kv\n"
                    "$ kvctl del --range a m",
    },
    {
        .path = "compaction",
        .group = "keys",
        .summary = "Forget the history up to a revision",
        .arguments = "<revision>",
        .flags = compaction_flags,
        .run = run_compaction,
        .examples = "$ kvctl compaction 1234\n"
                    "$ kvctl compaction --physical 1234",
    },
    {
        .path = "compact",
        .group = "keys",
        .summary = "Same as compaction",
        .arguments = "<revision>",
        .flags = compaction_flags,
        .run = run_compaction,
        .is_hidden = true,
    },
    {.path = NULL},
};
