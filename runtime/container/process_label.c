/* process_label.c - labels of Linux security modules (runtime-spec config.md, apparmorProfile and
 * selinuxLabel). */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/container/file.h"
#include "runtime/container/process.h"
#include "runtime/container/report.h"

static bool is_set(const char *text)
{
    return text != NULL && text[0] != 0;
}

static bool has_apparmor(void)
{
    char text[8];
    return file_read_text(AT_FDCWD, "/sys/module/apparmor/parameters/enabled", text, sizeof text) >
               0 &&
           text[0] == 'Y';
}

static bool has_selinux(void)
{
    struct statfs info;
    return statfs("/sys/fs/selinux", &info) == 0 && info.f_type == SELINUX_MAGIC;
}

static int open_attribute(const char *path, struct err *err)
{
    CLEANUP(close_fd) int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    struct statfs info;
    if (fd < 0) {
        return err_set_errno(err, errno, "open '%s'", path);
    }
    if (fstatfs(fd, &info) < 0 || info.f_type != PROC_SUPER_MAGIC) {
        return err_set(err, ERR_DENIED, "'%s' is not on procfs", path);
    }
    return TAKE_FD(fd);
}

int process_open_label(const struct spec_process *spec, struct process_label *ret, struct err *err)
{
    *ret = (struct process_label){.fd = -1};
    if (is_set(spec->apparmor_profile) && !has_apparmor()) {
        report_warning("process.apparmorProfile: this kernel has no AppArmor; ignored");
    } else if (is_set(spec->apparmor_profile)) {
        ret->is_apparmor = true;
        ret->fd = open_attribute("/proc/self/attr/apparmor/exec", err);
        if (ret->fd < 0) {
            ret->fd = open_attribute("/proc/self/attr/exec", err);
        }
        return ret->fd < 0 ? err_prefix(err, "process.apparmorProfile") : 0;
    }
    if (is_set(spec->selinux_label) && !has_selinux()) {
        report_warning("process.selinuxLabel: this kernel has no SELinux; ignored");
    } else if (is_set(spec->selinux_label)) {
        ret->fd = open_attribute("/proc/self/attr/exec", err);
        return ret->fd < 0 ? err_prefix(err, "process.selinuxLabel") : 0;
    }
    return 0;
}

int process_write_label(const struct spec_process *spec, struct process_label *label,
                        struct err *err)
{
    char text[1024];
    if (label->fd <= 0) {
        return 0;
    }
    int length = label->is_apparmor ? snprintf(text, sizeof text, "exec %s", spec->apparmor_profile)
                                    : snprintf(text, sizeof text, "%s", spec->selinux_label);
    int rc = length < 0 || (size_t)length >= sizeof text
                 ? -ENAMETOOLONG
                 : file_write_all(label->fd, text, (size_t)length);
    (void)close(label->fd); /* written or not, it is of no more use */
    label->fd = -1;
    return rc < 0 ? err_set_errno(err, -rc, "%s: '%.200s'",
                                  label->is_apparmor ? "process.apparmorProfile"
                                                     : "process.selinuxLabel",
                                  label->is_apparmor ? spec->apparmor_profile : spec->selinux_label)
                  : 0;
}
