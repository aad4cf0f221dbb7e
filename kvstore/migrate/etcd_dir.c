#include "kvstore/migrate/etcd_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "kvstore/migrate/etcd_store.h"
#include "kvstore/migrate/raft_snapshot.h"

/* An empty file maps to no bytes. path is taken over. */
static int map_file(char *path, struct etcd_file *ret, struct err *err)
{
    struct etcd_file file = {.path = path, .fd = open(path, O_RDONLY | O_CLOEXEC)};
    struct stat status;
    *ret = file;
    if (file.fd < 0 || fstat(file.fd, &status) < 0) {
        return err_set_errno(err, errno, "open %s", path);
    }
    if (!S_ISREG(status.st_mode)) {
        return err_set(err, ERR_INVALID, "%s is not a file", path);
    }
    if (status.st_size == 0) {
        return 0;
    }
    void *data = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file.fd, 0);
    if (data == MAP_FAILED) {
        return err_set_errno(err, errno, "map %s", path);
    }
    ret->bytes = bytes_make(data, (size_t)status.st_size);
    return 0;
}

static void unmap_file(struct etcd_file *file)
{
    if (file->bytes.size > 0) {
        (void)munmap((void *)(uintptr_t)file->bytes.data, file->bytes.size);
    }
    if (file->path != NULL && file->fd >= 0) {
        (void)close(file->fd);
    }
    mem_free(file->path);
    *file = (struct etcd_file){.fd = -1};
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void free_names(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mem_free(names[i]);
    }
    mem_free(names);
}

/* Names of the form <16 hex>-<16 hex><suffix>, sorted, which is the order of their numbers. */
static int list_names(const char *path, const char *suffix, char ***ret_names, size_t *ret_count,
                      struct err *err)
{
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return err_set_errno(err, errno, "read folder %s", path);
    }
    char **names = NULL;
    size_t count = 0;
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        const char *name = entry->d_name;
        if (strlen(name) == 33 + strlen(suffix) && name[16] == '-' &&
            strcmp(name + 33, suffix) == 0) {
            names = mem_reallocarray(names, count + 1, sizeof *names);
            names[count++] = mem_strdup(name);
        }
    }
    (void)closedir(dir);
    if (count > 0) {
        qsort(names, count, sizeof *names, compare_text);
    }
    *ret_names = names;
    *ret_count = count;
    return 0;
}

/* The newest snapshot file that is whole; none is fine. */
static int find_snapshot(const char *folder, struct raft_snapshot_file *ret, struct err *err)
{
    char **names = NULL;
    size_t count = 0;
    int code = list_names(folder, ".snap", &names, &count, err);
    *ret = (struct raft_snapshot_file){0};
    for (size_t i = count; code == 0 && ret->index == 0 && i > 0; i--) {
        struct etcd_file file;
        code = map_file(mem_printf("%s/%s", folder, names[i - 1]), &file, err);
        if (code == 0) {
            err_ignore(raft_snapshot_read(file.bytes, ret, NULL)); /* then an older one */
        }
        unmap_file(&file);
    }
    free_names(names, count);
    return code;
}

static int read_logs(struct etcd_dir *dir, const char *folder, struct err *err)
{
    char **names = NULL;
    size_t count = 0;
    int code = list_names(folder, ".wal", &names, &count, err);
    if (code != 0) {
        return code;
    }
    dir->logs = mem_calloc(count + 1, sizeof *dir->logs);
    uint64_t expected = 0;
    for (size_t i = 0; code == 0 && i < count; i++) {
        uint64_t number = strtoull(names[i], NULL, 16);
        if (i > 0 && number != expected) {
            code = err_set(err, ERR_CORRUPT, "%s: file %" PRIu64 " of the log is missing", folder,
                           expected);
            break;
        }
        expected = number + 1;
        struct etcd_file *file = &dir->logs[dir->log_count++];
        code = map_file(mem_printf("%s/%s", folder, names[i]), file, err);
        if (code == 0) {
            code = etcd_wal_add_file(&dir->wal, file->bytes, i + 1 == count, file->path, err);
        }
    }
    free_names(names, count);
    if (code == 0 && count == 0) {
        code = err_set(err, ERR_NOT_FOUND, "%s holds no write-ahead log of etcd", folder);
    }
    dir->has_wal = code == 0;
    return code;
}

static int open_database(struct etcd_dir *dir, char *path, struct err *err)
{
    unmap_file(&dir->database);
    int code = map_file(path, &dir->database, err);
    if (code != 0) {
        return code;
    }
    if (flock(dir->database.fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
        return err_set(err, ERR_LOCKED,
                       "etcd is running on %s: stop it, or take a snapshot, or use kvctl migrate "
                       "live",
                       path);
    }
    uint64_t term = 0;
    code = bbolt_init(&dir->db, dir->database.bytes, err);
    code =
        code != 0 ? code : etcd_store_read_position(&dir->db, &dir->consistent_index, &term, err);
    dir->term = term == 0 ? 1 : term;
    return code != 0 ? err_prefix(err, "%s", path) : 0;
}

/* Does the log go on where the database ends? Which term was that? */
static int check_position(struct etcd_dir *dir, const struct raft_snapshot_file *snapshot,
                          const char *path, struct err *err)
{
    const struct etcd_wal *wal = &dir->wal;
    if (snapshot->index > 0 && snapshot->index <= dir->consistent_index &&
        snapshot->term > dir->term) {
        dir->term = snapshot->term;
    }
    if (wal->count == 0) {
        return 0;
    }
    uint64_t first = wal->entries[0].index;
    uint64_t last = wal->entries[wal->count - 1].index;
    if (first > dir->consistent_index + 1) {
        return err_set(err, ERR_CORRUPT,
                       "%s: the database ends at entry %" PRIu64 ", the log begins at %" PRIu64,
                       path, dir->consistent_index, first);
    }
    if (dir->consistent_index >= first && dir->consistent_index <= last) {
        dir->term = wal->entries[dir->consistent_index - first].term;
    }
    return 0;
}

static int open_directory(struct etcd_dir *dir, const char *path, const char *wal_dir,
                          struct err *err)
{
    CLEANUP(free) char *snap_dir = mem_printf("%s/member/snap", path);
    CLEANUP(free)
    char *log_dir = wal_dir != NULL ? mem_strdup(wal_dir) : mem_printf("%s/member/wal", path);
    struct raft_snapshot_file snapshot;
    int code = open_database(dir, mem_printf("%s/db", snap_dir), err);
    code = code != 0 ? code : find_snapshot(snap_dir, &snapshot, err);
    if (code == 0 && snapshot.index > dir->consistent_index) {
        /* It came from the leader, and etcd stopped before it took the place of the database. */
        code = open_database(dir, mem_printf("%s/%016" PRIx64 ".snap.db", snap_dir, snapshot.index),
                             err);
    }
    code = code != 0 ? code : read_logs(dir, log_dir, err);
    return code != 0 ? code : check_position(dir, &snapshot, path, err);
}

int etcd_dir_open(const char *path, const char *wal_dir, struct etcd_dir **ret, struct err *err)
{
    struct stat status;
    if (stat(path, &status) < 0) {
        return err_set_errno(err, errno, "open %s", path);
    }
    struct etcd_dir *dir = mem_zalloc(sizeof *dir);
    dir->database.fd = -1;
    etcd_wal_init(&dir->wal);
    int code = S_ISDIR(status.st_mode) ? open_directory(dir, path, wal_dir, err)
                                       : open_database(dir, mem_strdup(path), err);
    if (code != 0) {
        etcd_dir_close(dir);
        return code;
    }
    *ret = dir;
    return 0;
}

void etcd_dir_close(struct etcd_dir *dir)
{
    if (dir == NULL) {
        return;
    }
    etcd_wal_deinit(&dir->wal);
    for (size_t i = 0; i < dir->log_count; i++) {
        unmap_file(&dir->logs[i]);
    }
    mem_free(dir->logs);
    unmap_file(&dir->database);
    mem_free(dir);
}
