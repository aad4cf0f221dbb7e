#include "runtime/image/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "runtime/image/in_root.h"
#include "runtime/image/reference.h"

static char *default_root(void)
{
    const char *chosen = getenv("CORACLE_ROOT");
    if (chosen != NULL && chosen[0] != '\0') {
        return mem_strdup(chosen);
    }
    if (geteuid() == 0) {
        return mem_strdup("/var/lib/coracle");
    }
    const char *data = getenv("XDG_DATA_HOME");
    if (data != NULL && data[0] == '/') {
        return mem_printf("%s/coracle", data);
    }
    const char *home = getenv("HOME");
    return mem_printf("%s/.local/share/coracle", home == NULL ? "" : home);
}

/* mkdir -p of an absolute or relative path of the user's own. */
static int make_root(const char *path, struct err *err)
{
    CLEANUP(free) char *prefix = mem_strdup(path);
    for (char *at = prefix + 1;; at++) {
        if (*at != '/' && *at != '\0') {
            continue;
        }
        char kept = *at;
        *at = '\0';
        if (mkdir(prefix, 0711) != 0 && errno != EEXIST) {
            return err_set_errno(err, errno, "create directory '%s'", prefix);
        }
        *at = kept;
        if (kept == '\0') {
            return 0;
        }
    }
}

static int open_directory(int parent_fd, const char *name, int *ret_fd, struct err *err)
{
    if (mkdirat(parent_fd, name, 0700) != 0 && errno != EEXIST) {
        return err_set_errno(err, errno, "create directory '%s' in the image store", name);
    }
    *ret_fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret_fd >= 0 ? 0 : err_set_errno(err, errno, "open '%s' in the image store", name);
}

static int write_layout(const struct store *store, struct err *err)
{
    if (faccessat(store->oci_fd, "oci-layout", F_OK, 0) == 0) {
        return 0;
    }
    return store_write_file(store->oci_fd, "oci-layout",
                            BYTES_LITERAL("{\"imageLayoutVersion\":\"1.0.0\"}\n"), err);
}

int store_open(struct store *store, const char *root, struct err *err)
{
    *store = (struct store){
        .root = root == NULL ? default_root() : mem_strdup(root),
        .root_fd = -1,
        .oci_fd = -1,
        .blobs_fd = -1,
        .ingest_fd = -1,
        .images_fd = -1,
        .layers_fd = -1,
        .unsynced_fd = -1,
        .is_root = geteuid() == 0,
    };
    int status = make_root(store->root, err);
    if (status == 0) {
        store->root_fd = open(store->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        status = store->root_fd >= 0 ? 0 : err_set_errno(err, errno, "open '%s'", store->root);
    }
    int algorithms_fd = -1;
    if (status != 0 || (status = open_directory(store->root_fd, "oci", &store->oci_fd, err)) != 0 ||
        (status = open_directory(store->oci_fd, "blobs", &algorithms_fd, err)) != 0 ||
        (status = open_directory(algorithms_fd, "sha256", &store->blobs_fd, err)) != 0 ||
        (status = open_directory(store->oci_fd, "ingest", &store->ingest_fd, err)) != 0 ||
        (status = open_directory(store->root_fd, "images", &store->images_fd, err)) != 0 ||
        (status = open_directory(store->root_fd, "layers", &store->layers_fd, err)) != 0 ||
        (status = open_directory(store->root_fd, "unsynced", &store->unsynced_fd, err)) != 0) {
        cleanup_close_fd(&algorithms_fd);
        store_close(store);
        return status;
    }
    (void)close(algorithms_fd);
    status = write_layout(store, err);
    if (status != 0) {
        store_close(store);
    }
    return status;
}

void store_close(struct store *store)
{
    int *fds[] = {&store->root_fd,   &store->oci_fd,    &store->blobs_fd,   &store->ingest_fd,
                  &store->images_fd, &store->layers_fd, &store->unsynced_fd};
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        if (store->root != NULL) {
            cleanup_close_fd(fds[i]);
        }
        *fds[i] = -1;
    }
    mem_free(store->root);
    store->root = NULL;
}

int store_lock(const struct store *store, enum store_lock_mode mode, int *ret_fd, struct err *err)
{
    CLEANUP(close_fd)
    int fd = openat(store->root_fd, "store.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return err_set_errno(err, errno, "open the lock of the image store");
    }
    int operation = mode == STORE_LOCK_SHARED ? LOCK_SH : LOCK_EX;
    if (mode == STORE_LOCK_TRY_EXCLUSIVE) {
        operation |= LOCK_NB;
    }
    while (flock(fd, operation) != 0) {
        if (errno == EWOULDBLOCK) {
            return err_set(err, ERR_BUSY, "the image store is in use by another process");
        }
        if (errno != EINTR) {
            return err_set_errno(err, errno, "lock the image store");
        }
    }
    *ret_fd = TAKE_FD(fd);
    return 0;
}

bool store_has_blob(const struct store *store, const char *digest)
{
    return digest_is_valid(digest) &&
           faccessat(store->blobs_fd, digest_hex(digest), F_OK, 0) == 0 &&
           !store_is_lost(store, STORE_KIND_BLOB, store->blobs_fd, digest_hex(digest));
}

int store_blob_open(const struct store *store, const char *digest, int *ret_fd, int64_t *ret_size,
                    struct err *err)
{
    if (!digest_is_valid(digest)) {
        return err_set(err, ERR_INVALID, "invalid digest '%.80s'", digest);
    }
    (void)store_is_lost(store, STORE_KIND_BLOB, store->blobs_fd, digest_hex(digest));
    CLEANUP(close_fd)
    int fd = openat(store->blobs_fd, digest_hex(digest), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT) {
        return err_set(err, ERR_NOT_FOUND, "blob %s is not in the image store", digest);
    }
    struct stat about;
    if (fd < 0 || fstat(fd, &about) != 0) {
        return err_set_errno(err, errno, "open blob %s", digest);
    }
    if (ret_size != NULL) {
        *ret_size = about.st_size;
    }
    *ret_fd = TAKE_FD(fd);
    return 0;
}

int store_blob_read(const struct store *store, const char *digest, size_t size_max, struct buf *out,
                    struct err *err)
{
    CLEANUP(close_fd) int fd = -1;
    int64_t size = 0;
    int status = store_blob_open(store, digest, &fd, &size, err);
    if (status != 0) {
        return status;
    }
    if (size > (int64_t)size_max) {
        return err_set(err, ERR_TOO_LARGE, "blob %s has %lld bytes, more than %zu", digest,
                       (long long)size, size_max);
    }
    size_t left = (size_t)size;
    while (left > 0) {
        ssize_t count = read(fd, buf_reserve(out, left), left);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            return err_set_errno(err, count == 0 ? EIO : errno, "read blob %s", digest);
        }
        buf_commit(out, (size_t)count);
        left -= (size_t)count;
    }
    return 0;
}

/* File systems without O_TMPFILE: a named file that loses its name at once would not do, because
 * linkat refuses files without any link; such names start with "tmp." and the collector clears
 * them.
 */
static int open_named(const struct store *store, struct err *err)
{
    for (unsigned attempt = 0; attempt < 1000; attempt++) {
        char name[64];
        (void)snprintf(name, sizeof(name), "tmp.%d.%u", (int)getpid(), attempt);
        int fd = openat(store->ingest_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd >= 0 || errno != EEXIST) {
            return fd >= 0 ? fd : err_set_errno(err, errno, "create a file in the image store");
        }
    }
    return err_set(err, -EEXIST, "create a file in the image store");
}

int store_ingest_open(const struct store *store, int *ret_fd, struct err *err)
{
    int fd = openat(store->ingest_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
        fd = open_named(store, err);
        if (fd < 0) {
            return fd;
        }
    }
    if (fd < 0) {
        return err_set_errno(err, errno, "create a file in the image store '%s'", store->root);
    }
    *ret_fd = fd;
    return 0;
}

int store_ingest_commit(const struct store *store, int fd, const char *digest, struct err *err)
{
    CHECK(digest_is_valid(digest));
    int status = store_mark_unsynced(store, STORE_KIND_BLOB, digest_hex(digest), err);
    if (status != 0) {
        return status;
    }
    char self[64];
    (void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
    if (linkat(AT_FDCWD, self, store->blobs_fd, digest_hex(digest), AT_SYMLINK_FOLLOW) != 0 &&
        errno != EEXIST) {
        return err_set_errno(err, errno, "store blob %s", digest);
    }
    return 0;
}

bool store_has_layer(const struct store *store, const char *chain_hex)
{
    return faccessat(store->layers_fd, chain_hex, F_OK, 0) == 0 &&
           !store_is_lost(store, STORE_KIND_LAYER, store->layers_fd, chain_hex);
}

static int write_all(int fd, struct bytes content)
{
    size_t done = 0;
    while (done < content.size) {
        ssize_t count = write(fd, content.data + done, content.size - done);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return -errno;
        }
        done += (size_t)count;
    }
    return 0;
}

static int replace_file(int directory_fd, const char *name, struct bytes content, bool is_durable,
                        struct err *err)
{
    char temporary[300];
    (void)snprintf(temporary, sizeof(temporary), ".%.200s.%d.tmp", name, (int)getpid());
    CLEANUP(close_fd)
    int fd = openat(directory_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return err_set_errno(err, errno, "create '%s'", temporary);
    }
    int status = write_all(fd, content);
    if (status == 0 && ((is_durable && fsync(fd) != 0) ||
                        renameat(directory_fd, temporary, directory_fd, name) != 0 ||
                        (is_durable && fsync(directory_fd) != 0))) {
        status = -errno;
    }
    if (status != 0) {
        (void)unlinkat(directory_fd, temporary, 0);
        return err_set_errno(err, -status, "write '%s'", name);
    }
    return 0;
}

int store_write_file(int directory_fd, const char *name, struct bytes content, struct err *err)
{
    return replace_file(directory_fd, name, content, true, err);
}

int store_replace_file(int directory_fd, const char *name, struct bytes content, struct err *err)
{
    return replace_file(directory_fd, name, content, false, err);
}
