#include "raft/wal/disk_real.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

enum { BOUNCE_BYTES = 1 << 20 };

struct disk_real {
    struct disk base;
    int directory;
    bool is_unsafe_no_sync;
    uint8_t *bounce; /* on a page: what the kernel takes directly; NULL: not needed yet */
};

static struct disk_real *real_of(struct disk *disk)
{
    return (struct disk_real *)(void *)disk;
}

static int open_file(struct disk *disk, const char *name, bool is_created, disk_file *ret_file)
{
    int flags = O_RDWR | O_CLOEXEC | (is_created ? O_CREAT | O_EXCL : 0);
    int fd = openat(real_of(disk)->directory, name, flags, 0600);
    if (fd < 0) {
        return -errno;
    }
    /* After a failed sync the page cache may show what the medium does not have (R5): flush what is
     * dirty and drop the rest, so that recovery reads the medium. Best effort. */
    if (!is_created && !real_of(disk)->is_unsafe_no_sync) {
        if (fdatasync(fd) != 0) {
            int code = -errno;
            (void)close(fd);
            return code;
        }
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    }
    *ret_file = fd;
    return 0;
}

static void close_file(struct disk *disk, disk_file file)
{
    (void)disk;
    (void)close(file); /* everything that matters was synced */
}

static int write_plainly(disk_file file, const void *data, size_t size, uint64_t offset)
{
    const char *from = data;
    while (size > 0) {
        ssize_t written = pwrite(file, from, size, (off_t)offset);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return written == 0 ? -EIO : -errno;
        }
        from += written;
        size -= (size_t)written;
        offset += (uint64_t)written;
    }
    return 0;
}

static bool is_direct(disk_file file)
{
    int flags = fcntl(file, F_GETFL);
    return flags >= 0 && (flags & O_DIRECT) != 0;
}

static void set_direct(disk_file file, bool is_wanted)
{
    int flags = fcntl(file, F_GETFL);
    if (flags >= 0) {
        /* A file system that refuses has its cache used, which is as safe and a little slower. */
        (void)fcntl(file, F_SETFL, is_wanted ? flags | O_DIRECT : flags & ~O_DIRECT);
    }
}

static void write_directly(struct disk *disk, disk_file file)
{
    if (!real_of(disk)->is_unsafe_no_sync) {
        set_direct(file, true);
    }
}

/* Whole pages, through a buffer that lies on a page. */
static int write_pages(struct disk_real *real, disk_file file, const uint8_t *data, size_t size,
                       uint64_t offset)
{
    if (real->bounce == NULL) {
        real->bounce = mem_alloc_pages(BOUNCE_BYTES);
    }
    while (size > 0) {
        size_t part = size < BOUNCE_BYTES ? size : BOUNCE_BYTES;
        size_t padded = (part + DISK_PAGE_BYTES - 1) / DISK_PAGE_BYTES * DISK_PAGE_BYTES;
        memcpy(real->bounce, data, part);
        memset(real->bounce + part, 0, padded - part);
        int rc = write_plainly(file, real->bounce, padded, offset);
        if (rc != 0) {
            return rc;
        }
        data += part;
        size -= part;
        offset += part;
    }
    return 0;
}

static int write_file(struct disk *disk, disk_file file, const void *data, size_t size,
                      uint64_t offset)
{
    if (is_direct(file)) {
        int rc = offset % DISK_PAGE_BYTES == 0
                     ? write_pages(real_of(disk), file, data, size, offset)
                     : -EINVAL;
        if (rc != -EINVAL) {
            return rc;
        }
        set_direct(file, false); /* this medium wants other alignments */
    }
    return write_plainly(file, data, size, offset);
}

static int read_file(struct disk *disk, disk_file file, void *data, size_t size, uint64_t offset)
{
    (void)disk;
    char *to = data;
    while (size > 0) {
        ssize_t got = pread(file, to, size, (off_t)offset);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return got == 0 ? -EIO : -errno;
        }
        to += got;
        size -= (size_t)got;
        offset += (uint64_t)got;
    }
    return 0;
}

static int size_of_file(struct disk *disk, disk_file file, uint64_t *ret_size)
{
    (void)disk;
    struct stat status;
    if (fstat(file, &status) != 0) {
        return -errno;
    }
    *ret_size = (uint64_t)status.st_size;
    return 0;
}

static int allocate(struct disk *disk, disk_file file, uint64_t size)
{
    (void)disk;
    int rc;
    do {
        rc = fallocate(file, 0, 0, (off_t)size);
    } while (rc != 0 && errno == EINTR);
    if (rc != 0 && errno == EOPNOTSUPP) {
        /* Copy-on-write file systems reserve nothing; posix_fallocate writes what it can. */
        rc = posix_fallocate(file, 0, (off_t)size);
        return -rc;
    }
    return rc == 0 ? 0 : -errno;
}

static int sync_file(struct disk *disk, disk_file file)
{
    /* Not even after EINTR: what the first call could not write is gone from the cache. */
    return real_of(disk)->is_unsafe_no_sync || fdatasync(file) == 0 ? 0 : -errno;
}

static int sync_directory(struct disk *disk)
{
    const struct disk_real *real = real_of(disk);
    return real->is_unsafe_no_sync || fsync(real->directory) == 0 ? 0 : -errno;
}

static int rename_file(struct disk *disk, const char *from, const char *to)
{
    int directory = real_of(disk)->directory;
    return renameat(directory, from, directory, to) == 0 ? 0 : -errno;
}

static int unlink_file(struct disk *disk, const char *name)
{
    return unlinkat(real_of(disk)->directory, name, 0) == 0 ? 0 : -errno;
}

static int list(struct disk *disk, disk_list_entry *entry, void *context)
{
    int fd = openat(real_of(disk)->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    DIR *directory = fdopendir(fd);
    if (directory == NULL) {
        int code = -errno;
        (void)close(fd);
        return code;
    }
    struct dirent *item;
    for (errno = 0; (item = readdir(directory)) != NULL; errno = 0) {
        if (item->d_name[0] != '.') {
            entry(context, item->d_name);
        }
    }
    int code = -errno;
    (void)closedir(directory);
    return code;
}

static const struct disk_operations operations = {
    .open = open_file,
    .close = close_file,
    .write = write_file,
    .read = read_file,
    .size = size_of_file,
    .allocate = allocate,
    .write_directly = write_directly,
    .sync = sync_file,
    .sync_directory = sync_directory,
    .rename = rename_file,
    .unlink = unlink_file,
    .list = list,
};

int disk_real_open(const char *directory, const struct disk_real_options *options,
                   struct disk **ret_disk, struct err *err)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return err_set_errno(err, errno, "open directory '%s'", directory);
    }
    struct disk_real *real = mem_zalloc(sizeof *real);
    real->base.operations = &operations;
    real->directory = fd;
    real->is_unsafe_no_sync = options != NULL && options->is_unsafe_no_sync;
    *ret_disk = &real->base;
    return 0;
}

void disk_real_close(struct disk *disk)
{
    if (disk == NULL) {
        return;
    }
    (void)close(real_of(disk)->directory);
    mem_free(real_of(disk)->bounce);
    mem_free(disk);
}
