#include "kvstore/kvctl/migrate_live.h"

#include <stdio.h>

#include "base/cleanup.h"
#include "kvstore/kvctl/migrate_command.h"

const struct flag migrate_live_flags[] = {
    {.name = "once", .type = FLAG_BOOL, .help = "end when the target has caught up"},
    {.name = "finish",
     .type = FLAG_BOOL,
     .help = "catch up, compare both sides, remove the mark: the cut-over"},
    {.name = "no-auth", .type = FLAG_BOOL, .help = "leave users and roles behind"},
    {.name = "passwords-file",
     .type = FLAG_TEXT,
     .help = "lines \"user:password\" for the users that are copied"},
    {.name = "from-cert", .type = FLAG_TEXT, .help = "certificate to show to etcd"},
    {.name = "from-key", .type = FLAG_TEXT, .help = "its key"},
    {.name = "from-cacert", .type = FLAG_TEXT, .help = "authorities to trust there"},
    {.name = "from-insecure-transport",
     .type = FLAG_BOOL,
     .initial = "true",
     .help = "no TLS to etcd"},
    {.name = "from-user", .type = FLAG_TEXT, .help = "username[:password] there"},
    {.name = "from-password", .type = FLAG_TEXT, .help = "password there"},
    {.name = NULL},
};

/* The source is a second invocation: the same flags, with the --from- ones in their places. */
static void make_source(struct live *live)
{
    static const char *const names[] = {"cert", "key",     "cacert", "insecure-transport",
                                        "user", "password"};
    struct invocation *inv = live->target;
    live->source = *inv;
    live->source.session = NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *from = arena_printf(inv->arena, "from-%s", names[i]);
        const struct flag_value *source = flag_set_find(&inv->flags, from);
        struct flag_value *target = flag_set_find(&live->source.flags, names[i]);
        target->text = source->text;
        target->is_set = source->is_set;
    }
    flag_set_find(&live->source.flags, "endpoints")->text = inv->arguments[0];
}

/* Who the source is, and which revision it has. */
static int look_at_source(struct live *live, int64_t *ret_revision)
{
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    uint8_t zero = 0;
    request.key = (ProtobufCBinaryData){1, &zero};
    CLEANUP(answer) struct answer answer = {0};
    int code = session_call(&live->source, &kv_range, &request.base, &answer);
    if (code == EXIT_CODE_OK) {
        const Etcdserverpb__RangeResponse *found = answer.message;
        live->source_cluster = found->header->cluster_id;
        *ret_revision = found->header->revision;
    }
    return code;
}

static int catch_up(struct live *live)
{
    int64_t revision = 0;
    int code = look_at_source(live, &revision);
    if (code == EXIT_CODE_OK && live->revision < revision) {
        code = live_follow(live, revision);
    }
    if (code == EXIT_CODE_OK && live->revision < revision) {
        /* The last revisions changed no key that is left to see; leases granted do not count. */
        code = live_mark_write(live, true, revision);
    }
    if (code == EXIT_CODE_OK) {
        printf("The target holds revision %lld of the source\n", (long long)live->revision);
        (void)fflush(stdout);
    }
    return code;
}

static int run(struct live *live)
{
    const struct flag_set *flags = &live->target->flags;
    int64_t revision = 0;
    int code = session_connect(live->target);
    code = code != EXIT_CODE_OK ? code : session_connect(&live->source);
    code = code != EXIT_CODE_OK ? code : look_at_source(live, &revision);
    code = code != EXIT_CODE_OK ? code : live_mark_read(live);
    if (code == EXIT_CODE_OK && !flag_bool(flags, "no-auth") && !live->is_copied) {
        code = live_auth_copy(live);
    }
    code = code != EXIT_CODE_OK ? code : live_leases_copy(live);
    if (code == EXIT_CODE_OK && !live->is_copied) {
        code = live_copy(live);
    }
    code = code != EXIT_CODE_OK ? code : catch_up(live);
    if (code != EXIT_CODE_OK || flag_bool(flags, "once")) {
        return code;
    }
    if (!flag_bool(flags, "finish")) {
        return live_follow(live, 0);
    }
    code = live_verify(live);
    code = code != EXIT_CODE_OK ? code : live_mark_remove(live);
    if (code == EXIT_CODE_OK) {
        printf("Finished: clients may use the target\n");
    }
    return code;
}

int migrate_live_run(struct invocation *inv)
{
    if (inv->argument_count != 1) {
        return command_fail(EXIT_CODE_BAD_ARGS, "migrate live takes one argument: the endpoints of "
                                                "etcd");
    }
    if (flag_bool(&inv->flags, "once") && flag_bool(&inv->flags, "finish")) {
        return command_fail(EXIT_CODE_BAD_ARGS, "--once or --finish, not both");
    }
    struct live live = {.target = inv};
    u64_map_init(&live.leases);
    make_source(&live);
    int code = run(&live);
    live_leases_close(&live);
    session_close(&live.source);
    return code;
}
