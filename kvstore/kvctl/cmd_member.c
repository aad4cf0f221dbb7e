/* member list, add, remove, update, promote. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "kvstore/kvctl/command_table.h"
#include "kvstore/kvctl/go_text.h"
#include "kvstore/kvctl/session.h"

static int parse_member(const struct invocation *inv, uint64_t *ret)
{
    if (inv->argument_count != 1) {
        return command_fail(EXIT_CODE_BAD_ARGS, "member ID is not provided");
    }
    struct err err;
    if (go_text_parse_u64(inv->arguments[0], 16, ret, &err) < 0) {
        return command_fail(EXIT_CODE_BAD_ARGS, "bad member ID arg (%s), expecting ID in Hex",
                            err.text);
    }
    return EXIT_CODE_OK;
}

/* --peer-urls as protobuf-c wants it. */
static int parse_urls(struct invocation *inv, char ***ret, size_t *ret_count)
{
    const char *text = flag_text(&inv->flags, "peer-urls");
    if (*text == '\0') {
        return command_fail(EXIT_CODE_BAD_ARGS, "member peer urls not provided");
    }
    char **urls = arena_alloc(inv->arena, (strlen(text) + 1) * sizeof *urls);
    size_t count = 0;
    for (bool is_more = true; is_more;) {
        size_t size = strcspn(text, ",");
        urls[count++] = arena_text(inv->arena, bytes_make(text, size));
        is_more = text[size] == ',';
        text += size + is_more;
    }
    *ret = urls;
    *ret_count = count;
    return EXIT_CODE_OK;
}

static int check_name(const struct invocation *inv)
{
    if (inv->argument_count == 1) {
        return EXIT_CODE_OK;
    }
    if (inv->argument_count < 1) {
        return command_fail(EXIT_CODE_BAD_ARGS, "member name not provided");
    }
    CLEANUP(buf) struct buf text = BUF_INIT;
    buf_append_text(&text, "too many arguments");
    for (int i = 0; i < inv->argument_count; i++) {
        if (strncasecmp(inv->arguments[i], "http", 4) == 0) {
            buf_append_format(&text, ", did you mean --peer-urls=%s", inv->arguments[i]);
        }
    }
    return command_fail(EXIT_CODE_BAD_ARGS, "%s", buf_text(&text));
}

/* What the new member must be started with. */
static void print_settings(const struct invocation *inv,
                           const Etcdserverpb__MemberAddResponse *response)
{
    CLEANUP(buf) struct buf cluster = BUF_INIT;
    const char *new_name = inv->arguments[0];
    for (size_t i = 0; i < response->n_members; i++) {
        const Etcdserverpb__Member *member = response->members[i];
        bool is_new = response->member != NULL && member->id == response->member->id;
        for (size_t k = 0; k < member->n_peerurls; k++) {
            buf_append_format(&cluster, "%s%s=%s", buf_size(&cluster) == 0 ? "" : ",",
                              is_new ? new_name : member->name, member->peerurls[k]);
        }
    }
    CLEANUP(buf) struct buf text = BUF_INIT;
    buf_append_text(&text, "\nETCD_NAME=");
    go_text_append_quoted(&text, bytes_from_text(new_name));
    buf_append_text(&text, "\nETCD_INITIAL_CLUSTER=");
    go_text_append_quoted(&text, buf_bytes(&cluster));
    buf_append_text(&text, "\nETCD_INITIAL_ADVERTISE_PEER_URLS=");
    go_text_append_quoted(&text, bytes_from_text(flag_text(&inv->flags, "peer-urls")));
    buf_append_text(&text, "\nETCD_INITIAL_CLUSTER_STATE=\"existing\"\n");
    (void)fputs(buf_text(&text), stdout);
}

static int run_add(struct invocation *inv)
{
    Etcdserverpb__MemberAddRequest request = ETCDSERVERPB__MEMBER_ADD_REQUEST__INIT;
    int code = check_name(inv);
    if (code == EXIT_CODE_OK) {
        code = parse_urls(inv, &request.peerurls, &request.n_peerurls);
    }
    if (code != EXIT_CODE_OK) {
        return code;
    }
    request.islearner = flag_bool(&inv->flags, "learner");
    CLEANUP(answer) struct answer answer = {0};
    code = session_call(inv, &kv_member_add, &request.base, &answer);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    struct err err;
    int result = print_member_add(&inv->session->printer, answer.message, &err);
    code = session_show(inv, result, &err);
    if (code == EXIT_CODE_OK && inv->session->printer.format == OUTPUT_SIMPLE) {
        print_settings(inv, answer.message);
    }
    return code;
}

static int run_remove(struct invocation *inv)
{
    Etcdserverpb__MemberRemoveRequest request = ETCDSERVERPB__MEMBER_REMOVE_REQUEST__INIT;
    int code = parse_member(inv, &request.id);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    CLEANUP(answer) struct answer answer = {0};
    code = session_call(inv, &kv_member_remove, &request.base, &answer);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    struct err err;
    int result = print_member_remove(&inv->session->printer, request.id, answer.message, &err);
    return session_show(inv, result, &err);
}

static int run_update(struct invocation *inv)
{
    Etcdserverpb__MemberUpdateRequest request = ETCDSERVERPB__MEMBER_UPDATE_REQUEST__INIT;
    int code = parse_member(inv, &request.id);
    if (code == EXIT_CODE_OK) {
        code = parse_urls(inv, &request.peerurls, &request.n_peerurls);
    }
    if (code != EXIT_CODE_OK) {
        return code;
    }
    CLEANUP(answer) struct answer answer = {0};
    code = session_call(inv, &kv_member_update, &request.base, &answer);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    struct err err;
    int result = print_member_update(&inv->session->printer, request.id, answer.message, &err);
    return session_show(inv, result, &err);
}

static int run_promote(struct invocation *inv)
{
    Etcdserverpb__MemberPromoteRequest request = ETCDSERVERPB__MEMBER_PROMOTE_REQUEST__INIT;
    int code = parse_member(inv, &request.id);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    CLEANUP(answer) struct answer answer = {0};
    code = session_call(inv, &kv_member_promote, &request.base, &answer);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    struct err err;
    int result = print_member_promote(&inv->session->printer, request.id, answer.message, &err);
    return session_show(inv, result, &err);
}

static int run_list(struct invocation *inv)
{
    Etcdserverpb__MemberListRequest request = ETCDSERVERPB__MEMBER_LIST_REQUEST__INIT;
    const char *consistency = flag_text(&inv->flags, "consistency");
    if (strcmp(consistency, "l") != 0 && strcmp(consistency, "s") != 0) {
        return command_fail(EXIT_CODE_BAD_FEATURE, "unknown consistency flag \"%s\"", consistency);
    }
    request.linearizable = consistency[0] == 'l';
    CLEANUP(answer) struct answer answer = {0};
    int code = session_call(inv, &kv_member_list, &request.base, &answer);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    struct err err;
    int result = print_member_list(&inv->session->printer, answer.message, &err);
    return session_show(inv, result, &err);
}

static const struct flag list_flags[] = {
    {.name = "consistency",
     .type = FLAG_TEXT,
     .initial = "l",
     .choices = "l s",
     .help = "Linearizable(l) or Serializable(s)"},
    {.name = NULL},
};
static const struct flag add_flags[] = {
    {.name = "peer-urls", .type = FLAG_TEXT, .help = "comma separated peer URLs of the new member"},
    {.name = "learner", .type = FLAG_BOOL, .help = "add it without a vote; promote it later"},
    {.name = NULL},
};
static const struct flag update_flags[] = {
    {.name = "peer-urls", .type = FLAG_TEXT, .help = "comma separated peer URLs of the member"},
    {.name = NULL},
};

const struct command member_commands[] = {
    {
        .path = "member list",
        .group = "cluster",
        .summary = "List the members",
        .flags = list_flags,
        .run = run_list,
        .has_table = true,
        .examples = "$ kvctl member list -w table",
    },
    {
        .path = "member add",
        .group = "cluster",
        .summary = "Add a member",
        .arguments = "<name>",
        .flags = add_flags,
        .run = run_add,
        .examples = "$ kvctl member add four --learner --peer-urls=http://10.0.0.4:2380",
    },
    {
        .path = "member remove",
        .group = "cluster",
        .summary = "Remove a member",
        .arguments = "<member>",
        .run = run_remove,
        .examples = "$ kvctl member remove 8211f1d0f64f3269",
    },
    {
        .path = "member update",
        .group = "cluster",
        .summary = "Change a member's peer URLs",
        .arguments = "<member>",
        .flags = update_flags,
        .run = run_update,
        .examples = "$ kvctl member update 8211f1d0f64f3269 --peer-urls=http://10.0.0.5:2380",
    },
    {
        .path = "member promote",
        .group = "cluster",
        .summary = "Give a learner its vote",
        .arguments = "<member>",
        .run = run_promote,
        .examples = "$ kvctl member promote 8211f1d0f64f3269",
    },
    {.path = NULL},
};
