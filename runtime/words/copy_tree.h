/* copy_tree.h - copy files with owner, mode, times and attributes, by descriptors only: no link on
 * the way is followed. */
#ifndef RUNTIME_WORDS_COPY_TREE_H
#define RUNTIME_WORDS_COPY_TREE_H

#include <stdbool.h>

#include "base/err.h"

struct copy_options {
    bool has_owner; /* give everything to uid and gid; else keep the owner */
    unsigned uid;
    unsigned gid;
};

/* Copy the contents of one directory into another; what is there already is replaced, directories
 * are merged. */
MUST_USE int copy_directory(int source_fd, int target_fd, const struct copy_options *options,
                            struct err *err);
/* Copy one entry under another name. */
MUST_USE int copy_entry(int source_fd, const char *source_name, int target_fd,
                        const char *target_name, const struct copy_options *options,
                        struct err *err);

#endif
