/* extract_entry.h - the parts of an extraction. Internal to extract*.c. */
#ifndef RUNTIME_IMAGE_EXTRACT_ENTRY_H
#define RUNTIME_IMAGE_EXTRACT_ENTRY_H

#include <limits.h>

#include "base/buf.h"
#include "runtime/image/extract.h"
#include "runtime/image/tar.h"

struct extract {
    int root_fd;
    const struct extract_options *options;
    struct extract_result result;
    /* The directory of the last entry, because entries come in runs. */
    char parent_path[TAR_PATH_MAX];
    int parent_fd;          /* -1: none */
    struct buf directories; /* struct directory_attributes and path, applied in the end */
};

struct directory_attributes {
    uint32_t mode;
    uint32_t mtime_ns;
    int64_t mtime_s;
    size_t path_size; /* with its NUL */
};

/* Where an entry goes. */
struct extract_place {
    int parent_fd; /* borrowed from the extract */
    char name[NAME_MAX + 1];
    const char *path; /* cleaned */
};

/* The cached parent may no longer be what its path says. */
void extract_forget_parent(struct extract *extract);

/* Remove what has the entry's name; ENOENT is fine. 0 or -errno. */
MUST_USE int extract_clear_place(const struct extract_place *place);

/* extract_whiteout.c: 1: the entry was a whiteout and is done; 0: not one; negative. */
MUST_USE int extract_whiteout(struct extract *extract, const struct extract_place *place,
                              struct err *err);
bool extract_is_whiteout(int parent_fd, const char *name);
/* Hide what lower layers have in this directory. 0 or -errno. */
MUST_USE int extract_set_opaque(const struct extract *extract, int parent_fd, const char *name);

/* extract_attributes.c: owner, mode, attributes and times. */
MUST_USE int extract_apply_to_fd(struct extract *extract, int fd, const struct tar_entry *entry,
                                 struct err *err);
MUST_USE int extract_apply_to_name(struct extract *extract, const struct extract_place *place,
                                   const struct tar_entry *entry, struct err *err);
void extract_remember_directory(struct extract *extract, const char *path,
                                const struct tar_entry *entry);
MUST_USE int extract_finish_directories(struct extract *extract, struct err *err);

#endif
