#include "kvstore/kvctl/restore_command.h"

#include <string.h>

#include "base/arena.h"
#include "kvstore/kvctl/sibling.h"

/* What both commands know; after them comes what only one of them knows. */
#define TARGET_FLAGS                                                                               \
    {.name = "data-dir", .type = FLAG_TEXT, .help = "directory to make (default <name>.etcd)"},    \
        {.name = "wal-dir",                                                                        \
         .type = FLAG_TEXT,                                                                        \
         .help = "directory to make for the log (default: inside the data directory)"},            \
        {.name = "name", .type = FLAG_TEXT, .initial = "default", .help = "name of this member"},  \
        {.name = "initial-cluster",                                                                \
         .type = FLAG_TEXT,                                                                        \
         .initial = "default=http://localhost:2380",                                               \
         .help = "name=peer URL of every member of the new cluster, comma separated"},             \
        {.name = "initial-cluster-token",                                                          \
         .type = FLAG_TEXT,                                                                        \
         .initial = "etcd-cluster",                                                                \
         .help = "keeps clusters apart that were made with the same URLs"},                        \
        {.name = "initial-advertise-peer-urls",                                                    \
         .type = FLAG_TEXT,                                                                        \
         .initial = "http://localhost:2380",                                                       \
         .help = "this member's peer URLs"},                                                       \
        {.name = "skip-hash-check",                                                                \
         .type = FLAG_BOOL,                                                                        \
         .help = "the file has no SHA-256 at its end (copied from a data directory)"},             \
        {.name = "bump-revision",                                                                  \
         .type = FLAG_NUMBER,                                                                      \
         .initial = "0",                                                                           \
         .help = "add this to the revision, so that it never goes back for clients"},              \
    {                                                                                              \
        .name = "mark-compacted", .type = FLAG_BOOL,                                               \
        .help = "end watches of older revisions (with --bump-revision)"                            \
    }

const struct flag restore_snapshot_flags[] = {
    TARGET_FLAGS,
    {.name = NULL},
};

const struct flag restore_migrate_flags[] = {
    TARGET_FLAGS,
    {.name = "etcd-wal-dir", .type = FLAG_TEXT, .help = "etcd's --wal-dir, if it had one"},
    {.name = NULL},
};

int restore_command_run(struct invocation *inv)
{
    char **words = arena_zalloc(inv->arena, ((size_t)inv->raw_count + 4) * sizeof *words);
    char *path = arena_strdup(inv->arena, inv->command->path);
    char *space = strchr(path, ' ');
    *space = '\0';
    words[0] = arena_strdup(inv->arena, "kvctl");
    words[1] = path;
    words[2] = space + 1;
    for (int i = 0; i < inv->raw_count; i++) {
        words[i + 3] = arena_strdup(inv->arena, inv->raw[i]);
    }
    return sibling_exec("kvctl-restore", words);
}
