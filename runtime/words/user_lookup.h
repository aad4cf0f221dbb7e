/* user_lookup.h - who "user:group" is, by the container's own /etc/passwd and /etc/group. */
#ifndef RUNTIME_WORDS_USER_LOOKUP_H
#define RUNTIME_WORDS_USER_LOOKUP_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

enum { USER_GROUPS_MAX = 256 };

struct user {
    uint32_t uid;
    uint32_t gid;
    uint32_t groups[USER_GROUPS_MAX]; /* supplementary */
    uint32_t group_count;
    char home[256]; /* "/" when unknown */
};

/* image-spec config.md "User": user, uid, user:group, uid:gid, uid:group, user:gid. Numbers are
 * strict decimals below 2^32 - 1. Without a group the user's own from passwd, and the supplementary
 * groups that list him. extra: names or numbers of --group-add. Pure. */
MUST_USE int user_resolve(const char *text, struct bytes passwd, struct bytes group,
                          const char *const *extra, size_t extra_count, struct user *ret,
                          struct err *err);

/* The same with the files of a root file system; read in-root, regular files of bounded size. */
MUST_USE int user_lookup(const char *text, int root_fd, const char *const *extra,
                         size_t extra_count, struct user *ret, struct err *err);

#endif
