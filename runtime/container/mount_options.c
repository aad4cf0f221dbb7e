#include "runtime/container/mount_options.h"

#include <string.h>
#include <sys/mount.h>

#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif

enum kind {
    SET,   /* an attribute on */
    CLEAR, /* off */
    ATIME, /* one of the exclusive access time modes */
    RSET,  /* the same for the whole tree */
    RCLEAR,
    RATIME,
    FLAG,        /* MOUNT_OPTION_ */
    PROPAGATION, /* MS_, MS_REC among it */
    SUPER,       /* a super block flag of this name */
    NOTHING,     /* understood; the kernel's default */
};

static const struct {
    const char *name;
    enum kind kind;
    uint64_t value;
} words[] = {
    {"async", NOTHING, 0},
    {"atime", CLEAR, MOUNT_ATTR_NOATIME},
    {"bind", FLAG, MOUNT_OPTION_BIND},
    {"copy-symlink", FLAG, MOUNT_OPTION_COPY_SYMLINK},
    {"defaults", NOTHING, 0},
    {"dest-nofollow", FLAG, MOUNT_OPTION_DEST_NOFOLLOW},
    {"dev", CLEAR, MOUNT_ATTR_NODEV},
    {"diratime", CLEAR, MOUNT_ATTR_NODIRATIME},
    {"dirsync", SUPER, 0},
    {"exec", CLEAR, MOUNT_ATTR_NOEXEC},
    {"idmap", FLAG, MOUNT_OPTION_IDMAP},
    {"iversion", NOTHING, 0},
    {"lazytime", SUPER, 0},
    {"loud", NOTHING, 0},
    {"mand", NOTHING, 0}, /* mandatory locks are gone since Linux 5.15 */
    {"noatime", ATIME, MOUNT_ATTR_NOATIME},
    {"nodev", SET, MOUNT_ATTR_NODEV},
    {"nodiratime", SET, MOUNT_ATTR_NODIRATIME},
    {"noexec", SET, MOUNT_ATTR_NOEXEC},
    {"noiversion", NOTHING, 0},
    {"nolazytime", NOTHING, 0},
    {"nomand", NOTHING, 0},
    {"norelatime", NOTHING, 0},
    {"nostrictatime", NOTHING, 0},
    {"nosuid", SET, MOUNT_ATTR_NOSUID},
    {"nosymfollow", SET, MOUNT_ATTR_NOSYMFOLLOW},
    {"private", PROPAGATION, MS_PRIVATE},
    {"ratime", RCLEAR, MOUNT_ATTR_NOATIME},
    {"rbind", FLAG, MOUNT_OPTION_RBIND},
    {"rdev", RCLEAR, MOUNT_ATTR_NODEV},
    {"rdiratime", RCLEAR, MOUNT_ATTR_NODIRATIME},
    {"relatime", ATIME, MOUNT_ATTR_RELATIME},
    {"remount", FLAG, MOUNT_OPTION_REMOUNT},
    {"rexec", RCLEAR, MOUNT_ATTR_NOEXEC},
    {"ridmap", FLAG, MOUNT_OPTION_RIDMAP},
    {"rnoatime", RATIME, MOUNT_ATTR_NOATIME},
    {"rnodev", RSET, MOUNT_ATTR_NODEV},
    {"rnodiratime", RSET, MOUNT_ATTR_NODIRATIME},
    {"rnoexec", RSET, MOUNT_ATTR_NOEXEC},
    {"rnorelatime", NOTHING, 0},
    {"rnostrictatime", NOTHING, 0},
    {"rnosuid", RSET, MOUNT_ATTR_NOSUID},
    {"rnosymfollow", RSET, MOUNT_ATTR_NOSYMFOLLOW},
    {"ro", SET, MOUNT_ATTR_RDONLY},
    {"rprivate", PROPAGATION, MS_PRIVATE | MS_REC},
    {"rrelatime", RATIME, MOUNT_ATTR_RELATIME},
    {"rro", RSET, MOUNT_ATTR_RDONLY},
    {"rrw", RCLEAR, MOUNT_ATTR_RDONLY},
    {"rshared", PROPAGATION, MS_SHARED | MS_REC},
    {"rslave", PROPAGATION, MS_SLAVE | MS_REC},
    {"rstrictatime", RATIME, MOUNT_ATTR_STRICTATIME},
    {"rsuid", RCLEAR, MOUNT_ATTR_NOSUID},
    {"rsymfollow", RCLEAR, MOUNT_ATTR_NOSYMFOLLOW},
    {"runbindable", PROPAGATION, MS_UNBINDABLE | MS_REC},
    {"rw", CLEAR, MOUNT_ATTR_RDONLY},
    {"shared", PROPAGATION, MS_SHARED},
    {"silent", NOTHING, 0},
    {"slave", PROPAGATION, MS_SLAVE},
    {"src-nofollow", FLAG, MOUNT_OPTION_SRC_NOFOLLOW},
    {"strictatime", ATIME, MOUNT_ATTR_STRICTATIME},
    {"suid", CLEAR, MOUNT_ATTR_NOSUID},
    {"symfollow", CLEAR, MOUNT_ATTR_NOSYMFOLLOW},
    {"sync", SUPER, 0},
    {"tmpcopyup", FLAG, MOUNT_OPTION_TMPCOPYUP},
    {"unbindable", PROPAGATION, MS_UNBINDABLE},
};

enum { WORD_COUNT = sizeof words / sizeof words[0] };

static void turn(uint64_t *on, uint64_t *off, uint64_t bits)
{
    *on |= bits;
    *off &= ~bits;
}

/* An access time mode replaces the one before; the kernel wants the whole field cleared for it. */
static void set_atime(uint64_t *set, uint64_t *clear, uint64_t mode)
{
    *set = (*set & ~(uint64_t)MOUNT_ATTR__ATIME) | mode;
    *clear |= MOUNT_ATTR__ATIME;
}

static void apply_word(struct mount_options *options, enum kind kind, uint64_t value,
                       const char *name)
{
    switch (kind) {
    case SET:
        turn(&options->set, &options->clear, value);
        return;
    case CLEAR:
        if (value == MOUNT_ATTR_NOATIME) {
            set_atime(&options->set, &options->clear, MOUNT_ATTR_RELATIME);
            return;
        }
        turn(&options->clear, &options->set, value);
        return;
    case ATIME:
        set_atime(&options->set, &options->clear, value);
        return;
    case RSET:
        turn(&options->rset, &options->rclear, value);
        return;
    case RCLEAR:
        if (value == MOUNT_ATTR_NOATIME) {
            set_atime(&options->rset, &options->rclear, MOUNT_ATTR_RELATIME);
            return;
        }
        turn(&options->rclear, &options->rset, value);
        return;
    case RATIME:
        set_atime(&options->rset, &options->rclear, value);
        return;
    case FLAG:
        options->flags |= (unsigned)value;
        return;
    case PROPAGATION:
        options->propagation = value & ~(uint64_t)MS_REC;
        options->is_propagation_recursive = (value & MS_REC) != 0;
        return;
    case SUPER:
        options->super.items[options->super.count++] = (char *)(uintptr_t)name;
        return;
    case NOTHING:
        return;
    }
}

static int find_word(const char *name)
{
    int low = 0;
    int high = WORD_COUNT;
    while (low < high) {
        int middle = (low + high) / 2;
        int order = strcmp(name, words[middle].name);
        if (order == 0) {
            return middle;
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return -1;
}

void mount_options_parse(struct arena *arena, const struct text_list *list,
                         struct mount_options *ret)
{
    struct mount_options options = {.flags = 0};
    options.super.items = arena_zalloc(arena, (list->count + 1) * sizeof(char *));
    options.data.items = arena_zalloc(arena, (list->count + 1) * sizeof(char *));
    for (size_t i = 0; i < list->count; i++) {
        const char *name = list->items[i];
        /* crun's spelling "idmap=uids=...;gids=..." is still an idmapped mount. */
        if (strncmp(name, "idmap=", 6) == 0) {
            options.flags |= MOUNT_OPTION_IDMAP;
            options.data.items[options.data.count++] = list->items[i];
            continue;
        }
        int at = find_word(name);
        if (at >= 0) {
            apply_word(&options, words[at].kind, words[at].value, words[at].name);
        } else if (name[0] != 0) {
            options.data.items[options.data.count++] = list->items[i];
        }
    }
    *ret = options;
}

const char *mount_options_name(size_t index)
{
    return index < WORD_COUNT ? words[index].name : NULL;
}
