/* watch_text.h - the arguments of watch: keys before "--", a command after it. Pure. */
#ifndef KVSTORE_KVCTL_WATCH_TEXT_H
#define KVSTORE_KVCTL_WATCH_TEXT_H

#include "kvstore/client/watch.h"
#include "kvstore/kvctl/flag.h"

extern const struct flag watch_flags[];

struct watch_request {
    struct kv_watch_options options; /* borrows the words */
    const char *const *command;      /* ended by NULL; NULL: none */
};

/* words: what follows "watch", flags included. key_default and end_default stand for missing
 * arguments (KVCTL_WATCH_KEY, KVCTL_WATCH_RANGE_END); NULL: none. flags, if not NULL, has those of
 * the command line already; else they are parsed from words. ERR_INVALID: bad arguments. */
MUST_USE int watch_request_build(const char *const *words, int count, const char *key_default,
                                 const char *end_default, const struct flag_set *flags,
                                 struct arena *arena, struct watch_request *ret, struct err *err);

#endif
