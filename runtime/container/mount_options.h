/* mount_options.h - the option strings of a mount entry, as attributes for the mount API. Pure.
 *
 * Words: runtime-spec config.md "Linux mount options", and the recursive r* ones. A word that is
 * none of them is data for the file system. */
#ifndef RUNTIME_CONTAINER_MOUNT_OPTIONS_H
#define RUNTIME_CONTAINER_MOUNT_OPTIONS_H

#include "runtime/container/spec.h"

enum mount_option_flag {
    MOUNT_OPTION_BIND = 1 << 0,
    MOUNT_OPTION_RBIND = 1 << 1,
    MOUNT_OPTION_REMOUNT = 1 << 2,
    MOUNT_OPTION_IDMAP = 1 << 3,
    MOUNT_OPTION_RIDMAP = 1 << 4,
    MOUNT_OPTION_TMPCOPYUP = 1 << 5,
    MOUNT_OPTION_COPY_SYMLINK = 1 << 6,
    MOUNT_OPTION_DEST_NOFOLLOW = 1 << 7,
    MOUNT_OPTION_SRC_NOFOLLOW = 1 << 8,
};

struct mount_options {
    unsigned flags;        /* MOUNT_OPTION_ */
    uint64_t set, clear;   /* MOUNT_ATTR_ of the mount itself */
    uint64_t rset, rclear; /* MOUNT_ATTR_ of everything below, too */
    uint64_t propagation;  /* MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE; 0: unsaid */
    bool is_propagation_recursive;
    struct text_list super; /* flags of the super block: "sync", "ro" ... */
    struct text_list data;  /* for the file system: "size=64k", "gid=5" */
};

void mount_options_parse(struct arena *arena, const struct text_list *words,
                         struct mount_options *ret);

/* The words that are understood, sorted, for `features`; NULL past the last. */
const char *mount_options_name(size_t index);

#endif
