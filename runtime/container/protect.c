#include "runtime/container/protect.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/container/kernel.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

enum { SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

static bool is_protected(int self)
{
    struct statvfs info;
    int seals = fcntl(self, F_GET_SEALS);
    if (seals >= 0 && (seals & SEALS) == SEALS) {
        return true;
    }
    return fstatvfs(self, &info) == 0 && (info.f_flag & ST_RDONLY) != 0;
}

static int clone_readonly(int self)
{
    CLEANUP(close_fd)
    int clone = open_tree(self, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID};
    if (clone < 0 || mount_setattr(clone, "", AT_EMPTY_PATH, &attr, sizeof attr) < 0) {
        return -errno;
    }
    return TAKE_FD(clone);
}

static int copy_sealed(int self)
{
    struct stat info;
    CLEANUP(close_fd)
    int copy = memfd_create("kvrun", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
    if (copy < 0 && errno == EINVAL) {
        copy = memfd_create("kvrun", MFD_CLOEXEC | MFD_ALLOW_SEALING); /* before Linux 6.3 */
    }
    if (copy < 0 || fstat(self, &info) < 0) {
        return -errno;
    }
    off_t left = info.st_size;
    while (left > 0) {
        ssize_t count = sendfile(copy, self, NULL, (size_t)left);
        if (count <= 0) {
            return count < 0 ? -errno : -EIO;
        }
        left -= count;
    }
    return fcntl(copy, F_ADD_SEALS, SEALS) < 0 ? -errno : TAKE_FD(copy);
}

int protect_self(char **argv, struct err *err)
{
    CLEANUP(close_fd) int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (self < 0) {
        return err_set_errno(err, errno, "open /proc/self/exe");
    }
    if (is_protected(self)) {
        return 0;
    }
    CLEANUP(close_fd) int safe = clone_readonly(self);
    if (safe < 0) {
        safe = copy_sealed(self);
    }
    if (safe < 0) {
        return err_set_errno(err, -safe, "protect the program from the container");
    }
    /* AT_EMPTY_PATH: no path of the host is looked up again. */
    (void)syscall(SYS_execveat, safe, "", argv, environ, AT_EMPTY_PATH);
    return err_set_errno(err, errno, "run the protected program");
}
