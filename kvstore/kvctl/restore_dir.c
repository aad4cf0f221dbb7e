#include "kvstore/kvctl/restore_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/byte_order.h"
#include "base/cleanup.h"
#include "base/data_dir.h"
#include "kvstore/backend/lmdb.h"
#include "kvstore/cluster/cluster.h"
#include "kvstore/kvctl/snapshot_file.h"
#include "kvstore/node/start.h"
#include "kvstore/server/bootstrap.h"
#include "kvstore/server/peer_registry.h"
#include "kvstore/state/kv_snapshot.h"
#include "kvstore/state/snapshot_format.h"
#include "raft/members.h"
#include "raft/wal/disk_real.h"
#include "raft/wal/wal.h"

/* Everything of one restore, freed in reverse whatever happened. */
struct restoring {
    const struct restore_options *options;
    struct config config;
    struct bootstrap bootstrap;
    char *part_dir;
    char *store_dir;
    char *wal_dir;
    int lock_fd;
    struct backend *backend;
    FILE *file;
    struct kv_snapshot_reader *reader;
    struct raft_snapshot_meta meta;
    uint64_t old_cluster_id;
    uint64_t read_bytes;
};

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
    r->wal_dir = mem_printf("%s/wal", member);
    int code = check_target(data_dir, err);
    code = code != 0 ? code : check_target(r->part_dir, err);
    code = code != 0 ? code : data_dir_open(r->part_dir, &r->lock_fd, err);
    code = code != 0 ? code : data_dir_make(r->part_dir, "member", err);
    code = code != 0 ? code : data_dir_make(member, "wal", err);
    code = code != 0 ? code : data_dir_make(member, "store", err);
    return code != 0 ? code : log_id_open(member, /* is_new= */ true, &log_id, err);
}

static int check_file(const struct restore_options *options, struct err *err)
{
    struct snapshot_status status;
    if (options->skip_hash_check) {
        return 0;
    }
    int code = snapshot_file_check(options->file, &status, err);
    if (code == 0 && strcmp(status.format, "etcd") == 0) {
        return err_set(err, ERR_UNSUPPORTED,
                       "%s is a database file of etcd: restore it with etcdutl, or move the keys "
                       "with kvctl make-mirror",
                       options->file);
    }
    return code;
}

/* Exactly size bytes of the file to the reader. */
static int feed(struct restoring *r, const uint8_t *data, size_t size, struct err *err)
{
    r->read_bytes += size;
    if (r->options->progress != NULL) {
        r->options->progress(r->options->context, r->read_bytes);
    }
    return kv_snapshot_reader_feed(r->reader, bytes_make(data, size), err);
}

static int read_exactly(struct restoring *r, uint8_t *data, size_t size, struct err *err)
{
    if (fread(data, 1, size, r->file) == size) {
        return 0;
    }
    return ferror(r->file) ? err_set_errno(err, errno, "read %s", r->options->file)
                           : err_set(err, ERR_CORRUPT, "%s ends in the middle", r->options->file);
}

static int write_batches(struct restoring *r, struct err *err)
{
    int code = 0;
    for (struct backend_batch *batch = kv_snapshot_reader_take_batch(r->reader);
         batch != NULL && code == 0; batch = kv_snapshot_reader_take_batch(r->reader)) {
        code = backend_restore_write(r->backend, &batch, 1, err);
        backend_batch_free(batch);
    }
    return code;
}

/* Frame by frame, because after the trailer comes padding that is no part of the stream. */
static int copy_frames(struct restoring *r, struct err *err)
{
    CLEANUP(buf) struct buf frame = BUF_INIT;
    uint8_t magic[SNAPSHOT_MAGIC_SIZE];
    int code = read_exactly(r, magic, sizeof magic, err);
    code = code != 0 ? code : feed(r, magic, sizeof magic, err);
    while (code == 0 && !kv_snapshot_reader_is_complete(r->reader)) {
        buf_clear(&frame);
        uint8_t *head = buf_reserve(&frame, SNAPSHOT_FRAME_HEAD);
        code = read_exactly(r, head, SNAPSHOT_FRAME_HEAD, err);
        uint32_t size = code == 0 ? (uint32_t)load_le(head, 4) : 0;
        if (code == 0 && size > KV_SNAPSHOT_FRAME_MAX) {
            code = err_set(err, ERR_CORRUPT, "%s has a record of %u bytes", r->options->file, size);
        }
        if (code != 0) {
            break;
        }
        buf_commit(&frame, SNAPSHOT_FRAME_HEAD);
        code = read_exactly(r, buf_reserve(&frame, size), size, err);
        buf_commit(&frame, code == 0 ? size : 0);
        code = code != 0 ? code : feed(r, buf_bytes(&frame).data, buf_size(&frame), err);
        code = code != 0 ? code : write_batches(r, err);
    }
    return code;
}

static int copy_store(struct restoring *r, struct err *err)
{
    const struct backend_lmdb_options lmdb = {.directory = r->store_dir};
    int code = backend_lmdb_open(&lmdb, &r->backend, err);
    if (code != 0) {
        return code;
    }
    r->file = fopen(r->options->file, "rbe");
    if (r->file == NULL) {
        return err_set_errno(err, errno, "open %s", r->options->file);
    }
    r->reader = kv_snapshot_reader_new(0);
    code = backend_restore_start(r->backend, err);
    code = code != 0 ? code : copy_frames(r, err);
    if (code != 0) {
        backend_restore_cancel(r->backend);
        return code;
    }
    const struct kv_snapshot_header *header = kv_snapshot_reader_header(r->reader);
    r->meta.last =
        (struct raft_position){.index = header->applied.index, .term = header->applied.term};
    r->old_cluster_id = header->cluster_id;
    code = backend_restore_finish(r->backend, err);
    return code != 0 ? code : backend_renew(r->backend, err);
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
    int code = 0;
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
    code = code != 0 ? code : check_file(r->options, err);
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
        *ret = (struct restore_result){
            .cluster_id = r->bootstrap.cluster_id,
            .member_id = r->bootstrap.member_id,
            .old_cluster_id = r->old_cluster_id,
            .applied_index = r->meta.last.index,
            .size_bytes = r->read_bytes,
        };
    }
    kv_snapshot_reader_free(r->reader);
    if (r->file != NULL) {
        (void)fclose(r->file); /* only read */
    }
    backend_close(r->backend);
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
