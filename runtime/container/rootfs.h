/* rootfs.h - the container's file system tree, built by its first process in its new mount
 * namespace.
 *
 * The rootfs is cloned and attached; from then on everything is done through descriptors below it:
 * mounts are made detached, given their attributes, and only then attached to a target that openat2
 * found inside the root. Nothing trusts a path inside the container (containers.md 5.1, 5.2). */
#ifndef RUNTIME_CONTAINER_ROOTFS_H
#define RUNTIME_CONTAINER_ROOTFS_H

#include "runtime/container/cgroup.h"
#include "runtime/container/mount_options.h"
#include "runtime/container/spec.h"

struct rootfs {
    const struct spec *spec;
    const struct cgroup *cgroup;
    struct arena *arena;
    const char *path;   /* absolute path of the rootfs on the host */
    bool has_user_ns;   /* the container is not in the host's user namespace */
    bool is_privileged; /* kvrun itself runs with the host's capabilities */
    int *devices;       /* per device: a detached clone of a node, or -1; NULL: none */
    int *sources;       /* per mount: a detached tree made beforehand, or -1 */
    int tree;           /* a detached clone of the root made beforehand, or -1 */
    int root;           /* the attached root; -1 before rootfs_attach */
    bool is_dev_bound;  /* /dev is a bind mount: its owner fills it */
    int dev_readonly;   /* mount of /dev to be made read-only at the end; -1: none */
    int mask_directory; /* the shared empty directory for masked paths; -1: none yet */
};

/* In kvrun, before the container's process exists: what only the host's user namespace may do
 * (idmapped mounts; sources that the container's root could not reach). */
MUST_USE int rootfs_open_sources(struct rootfs *rootfs, struct err *err);

/* Nodes of linux.devices for a container that may not make them itself. */
MUST_USE int rootfs_open_devices(struct rootfs *rootfs, struct err *err);

/* In the container's process, in this order. */
MUST_USE int rootfs_attach(struct rootfs *rootfs, struct err *err);
MUST_USE int rootfs_mount_all(struct rootfs *rootfs, struct err *err);
MUST_USE int rootfs_make_devices(struct rootfs *rootfs, struct err *err);
MUST_USE int rootfs_protect(struct rootfs *rootfs,
                            struct err *err); /* masked and read-only paths */
/* Make the root the process's root; the host's tree is gone afterwards. */
MUST_USE int rootfs_enter(struct rootfs *rootfs, bool no_pivot, struct err *err);
/* Last: rootfs propagation, read-only root and /dev. */
MUST_USE int rootfs_seal(struct rootfs *rootfs, struct err *err);

/* For rootfs*.c alone. */
MUST_USE int rootfs_mount_cgroup(struct rootfs *rootfs, const struct spec_mount *mount,
                                 const struct mount_options *options, struct err *err);
MUST_USE int rootfs_attach_at(struct rootfs *rootfs, int mount, int target, const char *destination,
                              struct err *err);
MUST_USE int rootfs_new_tmpfs(const char *mode, const char *size, uint64_t attributes,
                              struct err *err);
/* A detached clone of one file or tree of the host. flags: AT_RECURSIVE, AT_SYMLINK_NOFOLLOW. */
MUST_USE int rootfs_clone_tree(int dir, const char *path, unsigned flags);
MUST_USE int rootfs_set_attributes(int mount, const struct mount_options *options);
MUST_USE int rootfs_copy_up(int from, int to, struct err *err);

/* idmap.c: the descriptor of a user namespace with these mappings. */
MUST_USE int idmap_open(const struct spec_id_mappings *uids, const struct spec_id_mappings *gids,
                        struct err *err);
/* Write the maps of a process that is in a new user namespace. setgroups is denied where it must
 * be. */
MUST_USE int idmap_write(pid_t pid, const struct spec_id_mappings *uids,
                         const struct spec_id_mappings *gids, struct err *err);

#endif
