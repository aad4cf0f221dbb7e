#include "kvstore/kvctl/restore_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/data_dir.h"
#include "kvstore/cluster/cluster.h"
#include "kvstore/kvctl/restore_internal.h"
#include "kvstore/kvctl/snapshot_file.h"
#include "kvstore/mvcc/mvcc_meta.h"
#include "kvstore/node/start.h"
#include "kvstore/server/peer_registry.h"
#include "raft/members.h"
#include "raft/wal/disk_real.h"
#include "raft/wal/wal.h"

/* kvd's own reading of these flags, so that both compute the same ids. */
static int compute_members(struct restoring *r, struct err *err)
{
    const struct restore_options *options = r->options;
    const char *const words[] = {
        "kvd",
        "--name",
        options->name,
        "--data-dir",
        options->data_dir,
        "--initial-cluster",
        options->initial_cluster,
        "--initial-cluster-token",
        options->initial_cluster_token,
        "--initial-advertise-peer-urls",
        options->initial_advertise_peer_urls,
        NULL,
    };
    char *no_environment[] = {NULL};
    int count = (int)(sizeof words / sizeof words[0]) - 1;
    /* config_load takes main's argv; it changes nothing in it. */
    int code = config_load(&r->config, count, (char **)(uintptr_t)words, no_environment, err);
    return code != 0 ? code : bootstrap_new_cluster(&r->config, &r->bootstrap, err);
}

/* Absent or empty; rename(2) replaces an empty directory. */
static int check_target(const char *path, struct err *err)
{
    if (rmdir(path) == 0 || errno == ENOENT) {
        return 0;
    }
    return err_set(err, errno == ENOTEMPTY || errno == EEXIST ? ERR_EXISTS : -errno,
                   "data-dir \"%s\" not empty or could not be read: %s", path, strerror(errno));
}

static int make_directories(struct restoring *r, struct err *err)
{
    const char *data_dir = r->options->data_dir;
    uint64_t log_id;
    r->part_dir = mem_printf("%s.part", data_dir);
    CLEANUP(free) char *member = mem_printf("%s/member", r->part_dir);
    r->store_dir = mem_printf("%s/store", member);
    const char *wal_dir = r->options->wal_dir;
    r->wal_dir = wal_dir != NULL ? mem_strdup(wal_dir) : mem_printf("%s/wal", member);
    int code = check_target(data_dir, err);
    code = code != 0 || wal_dir == NULL ? code : check_target(wal_dir, err);
    if (code == 0 && wal_dir != NULL && mkdir(wal_dir, 0700) < 0) {
        code = err_set_errno(err, errno, "make folder %s", wal_dir);
    }
    code = code != 0 ? code : check_target(r->part_dir, err);
    code = code != 0 ? code : data_dir_open(r->part_dir, &r->lock_fd, err);
    code = code != 0 ? code : data_dir_make(r->part_dir, "member", err);
    code = code != 0 ? code : data_dir_make(member, "wal", err);
    code = code != 0 ? code : data_dir_make(member, "store", err);
    return code != 0 ? code : log_id_open(member, /* is_new= */ true, &log_id, err);
}

static bool is_directory(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* What is it, and is it whole? */
static int check_file(struct restoring *r, struct err *err)
{
    const struct restore_options *options = r->options;
    struct snapshot_status status;
    if (is_directory(options->file)) {
        return etcd_dir_open(options->file, options->etcd_wal_dir, &r->etcd, err);
    }
    int code = options->skip_hash_check ? snapshot_file_probe(options->file, &status, err)
                                        : snapshot_file_check(options->file, &status, err);
    if (code != 0 || strcmp(status.format, "etcd") != 0) {
        return code;
    }
    return etcd_dir_open(options->file, NULL, &r->etcd, err);
}

static int copy_store(struct restoring *r, struct err *err)
{
    const struct backend_lmdb_options lmdb = {.directory = r->store_dir};
    int code = backend_lmdb_open(&lmdb, &r->backend, err);
    code = code != 0 ? code : backend_restore_start(r->backend, err);
    if (code != 0) {
        return code;
    }
    code = r->etcd != NULL ? restore_from_etcd(r, err) : restore_from_image(r, err);
    if (code != 0) {
        backend_restore_cancel(r->backend);
        return code;
    }
    code = backend_restore_finish(r->backend, err);
    code = code != 0 ? code : backend_renew(r->backend, err);
    return code != 0 || r->etcd == NULL ? code : restore_replay_etcd(r, err);
}

/* --bump-revision and --mark-compacted. */
static int set_revision(struct restoring *r, struct backend_batch *batch, struct err *err)
{
    const struct restore_options *options = r->options;
    r->result.revision = 1;
    int code = mvcc_meta_get_i64(r->backend, MVCC_META_REVISION, &r->result.revision, err);
    if (code != 0 || options->bump_revision == 0) {
        return code;
    }
    if (options->bump_revision > INT64_MAX / 2 - r->result.revision) {
        return err_set(err, ERR_INVALID, "--bump-revision is too large");
    }
    r->result.revision += options->bump_revision;
    mvcc_meta_put_i64(batch, MVCC_META_REVISION, r->result.revision);
    if (options->mark_compacted) {
        mvcc_meta_put_i64(batch, MVCC_META_COMPACT, r->result.revision);
    }
    return 0;
}

/* The new cluster's members in place of the old one's. */
static int replace_members(struct restoring *r, struct err *err)
{
    struct backend_batch *batch = backend_batch_new(UINT64_MAX);
    struct cluster *cluster = cluster_new();
    static const char *const old[] = {"member/", "removed/", "alarm/"};
    for (size_t i = 0; i < sizeof old / sizeof old[0]; i++) {
        backend_batch_meta_delete_prefix(batch, bytes_from_text(old[i]));
    }
    int code = set_revision(r, batch, err);
    for (unsigned i = 0; code == 0 && i < r->bootstrap.member_count; i++) {
        const struct bootstrap_member *from = &r->bootstrap.members[i];
        struct cluster_member member = {.id = from->id, .name = mem_strdup(from->name)};
        for (unsigned k = 0; k < from->peer_urls.count; k++) {
            member.peer_urls.url[member.peer_urls.count++] =
                mem_strdup(from->peer_urls.url[k].text);
        }
        cluster_add_initial(cluster, &member, batch);
        cluster_member_deinit(&member);
        code = raft_members_put(&r->meta.members, from->id, /* voter= */ true);
    }
    cluster_free(cluster);
    struct backend_position durable;
    if (code == 0) {
        start_add_installed(batch, &r->meta);
        backend_batch_set_applied(batch, (struct backend_position){.index = r->meta.last.index,
                                                                   .term = r->meta.last.term});
        code = backend_commit(r->backend, &batch, 1, err);
    }
    backend_batch_free(batch);
    code = code != 0 ? code : backend_sync(r->backend, &durable, err);
    return code != 0 ? code : backend_renew(r->backend, err);
}

/* A log that begins behind the backup, for the member that the cluster line names. It is opened as
 * an empty one: a store that has entries but no log is what wal_open is there to refuse. */
static int make_log(const struct restoring *r, struct err *err)
{
    struct disk *disk = NULL;
    struct wal *wal = NULL;
    struct wal_recovered recovered;
    int code = disk_real_open(r->wal_dir, NULL, &disk, err);
    if (code != 0) {
        return code;
    }
    const struct wal_options options = {
        .disk = disk,
        .is_created = true,
        .cluster_id = r->bootstrap.cluster_id,
        .member_id = r->bootstrap.member_id,
    };
    code = wal_open(&options, &wal, &recovered, err);
    if (code == 0) {
        wal_recovered_deinit(&recovered);
        const struct raft_hard_state state = {.term = r->meta.last.term,
                                              .commit = r->meta.last.index};
        struct wal_batch *batch = wal_batch_new(0, &state, &r->meta, NULL, 0);
        code = wal_append(wal, &batch, 1, err);
        wal_batch_free(batch);
    }
    wal_close(wal);
    disk_real_close(disk);
    return code;
}

static int sync_parent(const char *path, struct err *err)
{
    CLEANUP(free) char *copy = mem_strdup(path);
    const char *parent = dirname(copy);
    CLEANUP(close_fd) int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0) {
        return err_set_errno(err, errno, "sync folder %s", parent);
    }
    return 0;
}

static int restore(struct restoring *r, struct err *err)
{
    const char *data_dir = r->options->data_dir;
    int code = compute_members(r, err);
    code = code != 0 ? code : check_file(r, err);
    code = code != 0 ? code : make_directories(r, err);
    code = code != 0 ? code : copy_store(r, err);
    code = code != 0 ? code : replace_members(r, err);
    code = code != 0 ? code : make_log(r, err);
    if (code != 0) {
        return code;
    }
    backend_close(TAKE_PTR(r->backend));
    if (rename(r->part_dir, data_dir) < 0) {
        return err_set_errno(err, errno, "rename %s to %s", r->part_dir, data_dir);
    }
    return sync_parent(data_dir, err);
}

int restore_data_dir(const struct restore_options *options, struct restore_result *ret,
                     struct err *err)
{
    struct restoring *r = mem_zalloc(sizeof *r);
    r->options = options;
    r->lock_fd = -1;
    int code = restore(r, err);
    if (code == 0) {
        r->result.cluster_id = r->bootstrap.cluster_id;
        r->result.member_id = r->bootstrap.member_id;
        r->result.old_cluster_id = r->old_cluster_id;
        r->result.applied_index = r->meta.last.index;
        r->result.size_bytes = r->read_bytes;
        *ret = r->result;
    }
    backend_close(r->backend);
    etcd_dir_close(r->etcd);
    if (r->lock_fd >= 0) {
        data_dir_close(r->lock_fd);
    }
    mem_free(r->part_dir);
    mem_free(r->store_dir);
    mem_free(r->wal_dir);
    config_deinit(&r->config);
    mem_free(r);
    return code;
}
