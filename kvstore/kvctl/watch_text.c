#include "kvstore/kvctl/watch_text.h"

#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "kvstore/client/key_range.h"
#include "kvstore/kvctl/global_flags.h"

const struct flag watch_flags[] = {
    {.name = "interactive",
     .letter = 'i',
     .type = FLAG_BOOL,
     .help = "read lines \"watch ...\" and \"progress\" from standard input"},
    {.name = "prefix", .type = FLAG_BOOL, .help = "Watch on a prefix if prefix is set"},
    {.name = "rev", .type = FLAG_NUMBER, .help = "Revision to start watching"},
    {.name = "prev-kv",
     .type = FLAG_BOOL,
     .help = "get the previous key-value pair before the event happens"},
    {.name = "progress-notify",
     .type = FLAG_BOOL,
     .help = "get periodic watch progress notification from server"},
    {.name = NULL},
};

static int set_keys(struct watch_request *request, const struct flag_set *flags,
                    const char *const *keys, int count, struct arena *arena, struct err *err)
{
    struct kv_watch_options *options = &request->options;
    bool is_prefix = flag_bool(flags, "prefix");
    if (count < 1 || count > 2) {
        return err_set(err, ERR_INVALID, "bad number of arguments");
    }
    options->key = bytes_from_text(keys[0]);
    if (count == 2) {
        if (is_prefix) {
            return err_set(err, ERR_INVALID, "`range_end` and `--prefix` are mutually exclusive");
        }
        options->range_end = bytes_from_text(keys[1]);
    }
    if (is_prefix && options->key.size == 0) {
        options->range_end = key_range_everything_after;
    } else if (is_prefix) {
        CLEANUP(buf) struct buf end = BUF_INIT;
        key_range_append_prefix_end(&end, options->key);
        struct bytes bytes = buf_bytes(&end);
        options->range_end = bytes_make(arena_dup(arena, bytes.data, bytes.size), bytes.size);
    }
    options->start_revision = flag_number(flags, "rev");
    options->prev_kv = flag_bool(flags, "prev-kv");
    options->progress_notify = flag_bool(flags, "progress-notify");
    return 0;
}

int watch_request_build(const char *const *words, int count, const char *key_default,
                        const char *end_default, const struct flag_set *flags, struct arena *arena,
                        struct watch_request *ret, struct err *err)
{
    *ret = (struct watch_request){.command = NULL};
    int separator = 0;
    while (separator < count && strcmp(words[separator], "--") != 0) {
        separator += 1;
    }
    if (separator == count - 1) {
        return err_set(err, ERR_INVALID,
                       "bad number of arguments (found separator --, but no commands)");
    }
    if (separator < count) {
        const char **command = arena_zalloc(arena, (size_t)(count - separator) * sizeof *command);
        memcpy(command, words + separator + 1, (size_t)(count - separator - 1) * sizeof *command);
        ret->command = command;
    }
    struct flag_set own;
    flag_set_init(&own);
    flag_set_add(&own, watch_flags);
    if (flags != NULL) {
        flag_set_add(&own, global_flags); /* they may stand between the words, too */
    }
    const char *const *keys;
    int key_count;
    int result = flag_set_parse(&own, words, separator, arena, &keys, &key_count, err);
    if (result < 0) {
        return ERR_INVALID;
    }
    if (key_default != NULL && key_count > 0) {
        return err_set(err, ERR_INVALID,
                       "bad number of arguments (found conflicting environment key)");
    }
    const char *defaults[2] = {key_default, end_default};
    if (key_default != NULL) {
        keys = defaults;
        key_count = end_default != NULL ? 2 : 1;
    }
    return set_keys(ret, flags != NULL ? flags : &own, keys, key_count, arena, err);
}
