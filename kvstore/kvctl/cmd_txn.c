/* txn: three lists of lines on standard input, each ended by an empty line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "kvstore/kvctl/command_table.h"
#include "kvstore/kvctl/session.h"
#include "kvstore/kvctl/txn_text.h"

enum { LINES_MAX = 10000 };

/* One line without the space around it. */
static int read_line(struct arena *arena, const char **ret)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size = getline(&line, &capacity, stdin);
    if (size <= 0 || line[size - 1] != '\n') {
        free(line);
        return command_fail(EXIT_CODE_INVALID_INPUT,
                            "EOF (each of the three parts ends with an empty line)");
    }
    static const char spaces[] = " \t\r\n\v\f";
    char *begin = line + strspn(line, spaces);
    size_t length = strlen(begin);
    while (length > 0 && strchr(spaces, begin[length - 1]) != NULL) {
        length -= 1;
    }
    *ret = arena_text(arena, bytes_make(begin, length));
    free(line);
    return EXIT_CODE_OK;
}

static int parse_failed(int result, const struct err *err)
{
    enum command_exit code = result == ERR_UNSUPPORTED ? EXIT_CODE_BAD_FEATURE : EXIT_CODE_BAD_ARGS;
    return command_fail(result == ERR_MALFORMED ? EXIT_CODE_INVALID_INPUT : code, "%s", err->text);
}

static int parse_compare(const char *line, struct arena *arena, void **ret)
{
    struct err err;
    Etcdserverpb__Compare *compare;
    if (txn_compare_parse(line, arena, &compare, &err) < 0) {
        return command_fail(EXIT_CODE_INVALID_INPUT, "%s", err.text);
    }
    *ret = compare;
    return EXIT_CODE_OK;
}

static int parse_request(const char *line, struct arena *arena, void **ret)
{
    struct err err;
    Etcdserverpb__RequestOp *request;
    int result = txn_request_parse(line, arena, &request, &err);
    if (result < 0) {
        return parse_failed(result, &err);
    }
    *ret = request;
    return EXIT_CODE_OK;
}

static int read_part(struct invocation *inv, const char *prompt,
                     int (*parse)(const char *, struct arena *, void **), void ***ret,
                     size_t *ret_count)
{
    if (flag_bool(&inv->flags, "interactive")) {
        printf("%s\n", prompt);
        (void)fflush(stdout);
    }
    void **items = NULL;
    size_t count = 0;
    for (;;) {
        const char *line = "";
        int code = read_line(inv->arena, &line);
        if (code == EXIT_CODE_OK && *line == '\0') {
            break;
        }
        if (code == EXIT_CODE_OK && count == LINES_MAX) {
            code = command_fail(EXIT_CODE_INVALID_INPUT, "more than %d lines", LINES_MAX);
        }
        if (code == EXIT_CODE_OK) {
            items = mem_reallocarray(items, count + 1, sizeof *items);
            code = parse(line, inv->arena, &items[count]);
        }
        if (code != EXIT_CODE_OK) {
            mem_free(items);
            return code;
        }
        count += 1;
    }
    *ret = arena_dup(inv->arena, items, count * sizeof *items);
    *ret_count = count;
    mem_free(items);
    return EXIT_CODE_OK;
}

static int run_txn(struct invocation *inv)
{
    if (inv->argument_count != 0) {
        return command_fail(EXIT_CODE_BAD_ARGS, "txn command does not accept argument");
    }
    Etcdserverpb__TxnRequest request = ETCDSERVERPB__TXN_REQUEST__INIT;
    int code = session_open(inv);
    if (code == EXIT_CODE_OK) {
        code = read_part(inv, "compares:", parse_compare, (void ***)&request.compare,
                         &request.n_compare);
    }
    if (code == EXIT_CODE_OK) {
        code = read_part(inv, "success requests (get, put, del):", parse_request,
                         (void ***)&request.success, &request.n_success);
    }
    if (code == EXIT_CODE_OK) {
        code = read_part(inv, "failure requests (get, put, del):", parse_request,
                         (void ***)&request.failure, &request.n_failure);
    }
    if (code != EXIT_CODE_OK) {
        return code;
    }
    CLEANUP(answer) struct answer answer = {0};
    code = session_call(inv, &kv_txn, &request.base, &answer);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    struct err err;
    int result = print_txn(&inv->session->printer, answer.message, &err);
    return session_show(inv, result, &err);
}

static const struct flag txn_flags[] = {
    {.name = "interactive", .letter = 'i', .type = FLAG_BOOL, .help = "ask for each part"},
    {.name = NULL},
};

const struct command txn_commands[] = {
    {
        .path = "txn",
        .group = "keys",
        .summary = "Compare and change several keys at once",
        .flags = txn_flags,
        .run = run_txn,
        .examples = "$ kvctl txn <<'END'\n"
                    "mod(\"key1\") > \"0\"\n"
                    "\n"
                    "put key1 \"overwritten\"\n"
                    "\n"
                    "put key1 \"created\"\n"
                    "put key2 \"as well\"\n"
                    "\n"
                    "END\n"
                    "$ kvctl txn -i",
        .more =
            "Three lists are read from standard input, each ended by an empty line: conditions,\n"
            "requests if all of them hold, requests if one does not.\n"
            "  condition  TARGET(\"key\") OPERATOR \"value\"\n"
            "  TARGET     value, create, mod, version or lease; OPERATOR  =  !=  <  >\n"
            "  request    get, put or del with their flags",
    },
    {.path = NULL},
};
