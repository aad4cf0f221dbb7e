/* kvctl-restore: run by `kvctl snapshot restore`, a program of its own because it links the storage
 * that no other command needs. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "kvstore/kvctl/command_table.h"
#include "kvstore/kvctl/global_flags.h"
#include "kvstore/kvctl/help.h"
#include "kvstore/kvctl/progress_bar.h"
#include "kvstore/kvctl/restore_command.h"
#include "kvstore/kvctl/restore_dir.h"

static void on_progress(void *context, uint64_t bytes)
{
    progress_bar_update(context, bytes, clock_monotonic_ms());
}

static uint64_t file_size(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? (uint64_t)status.st_size : 0;
}

/* NULL: the command does not know the flag, or it is empty. */
static const char *flag_or_null(const struct flag_set *flags, const char *name)
{
    const struct flag_value *value = flag_set_find((struct flag_set *)(uintptr_t)flags, name);
    return value == NULL || value->text == NULL || *value->text == '\0' ? NULL : value->text;
}

static void print_result(const struct restore_result *result, const char *data_dir)
{
    if (result->is_etcd) {
        printf("Taken from etcd: revision %lld, %llu key-values of all revisions, %llu leases, "
               "%u users, %u roles\n",
               (long long)result->revision, (unsigned long long)result->record_count,
               (unsigned long long)result->lease_count, result->user_count, result->role_count);
        printf("Its log added %llu entries after the database (%llu of them not known to be "
               "committed)%s\n",
               (unsigned long long)result->replayed_count,
               (unsigned long long)result->uncommitted_count,
               result->has_torn_tail ? "; it ends in an unfinished write, which is left out" : "");
    }
    printf("Member %llx of the new cluster %llx restored to %s, revision %lld\n",
           (unsigned long long)result->member_id, (unsigned long long)result->cluster_id, data_dir,
           (long long)result->revision);
}

static int run(const struct flag_set *flags, const char *file, struct arena *arena)
{
    struct restore_options options = {
        .file = file,
        .etcd_wal_dir = flag_or_null(flags, "etcd-wal-dir"),
        .wal_dir = flag_or_null(flags, "wal-dir"),
        .data_dir = flag_text(flags, "data-dir"),
        .name = flag_text(flags, "name"),
        .initial_cluster = flag_text(flags, "initial-cluster"),
        .initial_cluster_token = flag_text(flags, "initial-cluster-token"),
        .initial_advertise_peer_urls = flag_text(flags, "initial-advertise-peer-urls"),
        .skip_hash_check = flag_bool(flags, "skip-hash-check"),
        .bump_revision = flag_number(flags, "bump-revision"),
        .mark_compacted = flag_bool(flags, "mark-compacted"),
        .progress = on_progress,
    };
    if (options.bump_revision < 0 || (options.mark_compacted && options.bump_revision == 0)) {
        return command_fail(EXIT_CODE_BAD_ARGS, "--mark-compacted needs --bump-revision above 0");
    }
    if (*options.data_dir == '\0') {
        options.data_dir = arena_printf(arena, "%s.etcd", options.name);
    }
    struct progress_bar bar;
    struct restore_result result;
    struct err err;
    progress_bar_init(&bar, file_size(file), true, clock_monotonic_ms());
    options.context = &bar;
    int code = restore_data_dir(&options, &result, &err);
    progress_bar_finish(&bar);
    if (code < 0) {
        bool is_usage = code == ERR_INVALID || code == ERR_EXISTS;
        return command_fail(is_usage ? EXIT_CODE_BAD_ARGS : EXIT_CODE_IO, "%s", err.text);
    }
    print_result(&result, options.data_dir);
    return EXIT_CODE_OK;
}

/* Called with kvctl's own arguments: flags, "snapshot", "restore", the file, in any order. */
int main(int argc, char **argv)
{
    CLEANUP(arena) struct arena arena = ARENA_INIT;
    struct command_match match;
    command_table_match((const char *const *)argv + 1, argc - 1, global_flags, &arena, &match);
    if (match.command == NULL || match.command->run != restore_command_run) {
        return command_fail(EXIT_CODE_BAD_ARGS, "use: kvctl snapshot restore <file>");
    }
    struct flag_set flags;
    struct err err;
    const char *const *arguments;
    int count;
    flag_set_init(&flags);
    flag_set_add(&flags, match.command->flags);
    flag_set_add(&flags, global_flags);
    if (flag_set_parse(&flags, match.rest, match.rest_count, &arena, &arguments, &count, &err) <
        0) {
        return command_fail(EXIT_CODE_ERROR, "%s", err.text);
    }
    if (count != 1) {
        return command_fail(EXIT_CODE_BAD_ARGS, "%s requires exactly one argument",
                            match.command->path);
    }
    return run(&flags, arguments[0], &arena);
}
