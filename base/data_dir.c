#include "base/data_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"

static int sync_path(const char *path, struct err *err)
{
    CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return err_set_errno(err, errno, "open directory '%s'", path);
    }
    if (fsync(fd) != 0) {
        return err_set_errno(err, errno, "sync directory '%s'", path);
    }
    return 0;
}

/* mkdir and sync of the directory that holds the new name. */
static int make_one(const char *path, struct err *err)
{
    if (mkdir(path, 0700) != 0) {
        return errno == EEXIST ? 0 : err_set_errno(err, errno, "make directory '%s'", path);
    }
    CLEANUP(free) char *parent = mem_strdup(path);
    char *slash = strrchr(parent, '/');
    if (slash == NULL) {
        return sync_path(".", err);
    }
    *(slash == parent ? slash + 1 : slash) = '\0';
    return sync_path(parent, err);
}

static int make_all(const char *path, struct err *err)
{
    CLEANUP(free) char *partial = mem_strdup(path);
    for (char *slash = partial; *slash != '\0' && (slash = strchr(slash + 1, '/')) != NULL;) {
        *slash = '\0';
        int rc = make_one(partial, err);
        *slash = '/';
        if (rc != 0) {
            return rc;
        }
    }
    return make_one(partial, err);
}

int data_dir_check_file_system(const char *path, struct err *err)
{
    static const struct {
        uint32_t magic;
        const char *name;
    } refused[] = {{0x6969, "NFS"},      {0x517b, "SMB"},      {0xff534d42, "CIFS"},
                   {0xfe534d42, "SMB2"}, {0x01021997, "9p"},   {0x00c36400, "Ceph"},
                   {0x5346414f, "AFS"},  {0x73757245, "Coda"}, {0x564c, "NCP"}};
    struct statfs info;
    if (statfs(path, &info) != 0) {
        return err_set_errno(err, errno, "statfs '%s'", path);
    }
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        if ((uint32_t)info.f_type == refused[i].magic) {
            return err_set(err, ERR_UNSUPPORTED, "'%s' is on a network file system (%s)", path,
                           refused[i].name);
        }
    }
    return 0;
}

static int make_private(int fd, const char *path, struct err *err)
{
    struct stat status;
    if (fstat(fd, &status) != 0) {
        return err_set_errno(err, errno, "stat '%s'", path);
    }
    if (status.st_uid != geteuid()) {
        return err_set(err, ERR_DENIED, "data directory '%s' belongs to user %u", path,
                       (unsigned)status.st_uid);
    }
    /* Like a fresh one, also when somebody made it before with a wider mode. */
    if ((status.st_mode & 07777) != 0700 && fchmod(fd, 0700) != 0) {
        return err_set_errno(err, errno, "make data directory '%s' private", path);
    }
    return 0;
}

int data_dir_open(const char *path, int *ret_fd, struct err *err)
{
    int rc = make_all(path, err);
    if (rc != 0) {
        return rc;
    }
    CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return err_set_errno(err, errno, "open data directory '%s'", path);
    }
    rc = make_private(fd, path, err);
    if (rc != 0) {
        return rc;
    }
    rc = data_dir_check_file_system(path, err);
    if (rc != 0) {
        return rc;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) {
            return err_set(err, ERR_LOCKED, "data directory '%s' is used by another process", path);
        }
        return err_set_errno(err, errno, "lock data directory '%s'", path);
    }
    *ret_fd = TAKE_FD(fd);
    return 0;
}

void data_dir_close(int fd)
{
    if (fd >= 0) {
        (void)close(fd); /* the lock goes with the last descriptor */
    }
}

int data_dir_make(const char *parent_path, const char *name, struct err *err)
{
    CLEANUP(free) char *path = mem_printf("%s/%s", parent_path, name);
    return make_one(path, err);
}
