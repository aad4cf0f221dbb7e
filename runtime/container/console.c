#include "runtime/container/console.h"

#include <errno.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <termios.h>

#include "base/cleanup.h"
#include "runtime/container/file.h"
#include "runtime/container/kernel.h"
#include "runtime/container/rootfs.h"
#include "runtime/container/sync.h"
#include "runtime/container/target.h"

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

int console_connect(const char *path, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        return err_set(err, -ENAMETOOLONG, "--console-socket: path is longer than %zu bytes",
                       sizeof address.sun_path - 1);
    }
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    CLEANUP(close_fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        return err_set_errno(err, errno, "--console-socket: connect to '%s'", path);
    }
    return TAKE_FD(fd);
}

/* The master comes from the container's own devpts and the slave from the master itself: no path
 * that the container could have swapped is opened (CVE-2025-52565). */
static int open_pair(int root, int *ret_slave, struct err *err)
{
    CLEANUP(close_fd)
    int master = kernel_openat2(
        root < 0 ? AT_FDCWD : root, root < 0 ? "/dev/pts/ptmx" : "dev/pts/ptmx", O_RDWR | O_NOCTTY,
        0, root < 0 ? RESOLVE_NO_MAGICLINKS : RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
    struct statfs info;
    if (master < 0) {
        return err_set_errno(err, -master, "process.terminal: open /dev/pts/ptmx in the container");
    }
    if (fstatfs(master, &info) < 0 || info.f_type != DEVPTS_SUPER_MAGIC) {
        return err_set(err, ERR_DENIED, "process.terminal: /dev/pts of the container is no devpts");
    }
    int unlock = 0;
    if (ioctl(master, TIOCSPTLCK, &unlock) < 0) {
        return err_set_errno(err, errno, "process.terminal: unlock");
    }
    int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0) {
        return err_set_errno(err, errno, "process.terminal: open the slave");
    }
    *ret_slave = slave;
    return TAKE_FD(master);
}

static int bind_console(int root, int slave, struct err *err)
{
    CLEANUP(close_fd) int target = target_make(root, "/dev/console", false, TARGET_NO_FOLLOW, err);
    if (target < 0) {
        return target;
    }
    struct stat info;
    if (fstat(target, &info) < 0 || S_ISLNK(info.st_mode)) {
        return err_set(err, ERR_DENIED, "process.terminal: /dev/console is a link");
    }
    CLEANUP(close_fd) int clone = rootfs_clone_tree(slave, "", 0);
    int rc = clone < 0
                 ? clone
                 : kernel_result(move_mount(clone, "", target, "",
                                            MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
    return rc < 0 ? err_set_errno(err, -rc, "process.terminal: mount /dev/console") : 0;
}

/* Else a "\n" would become "\r\n" twice, and once where standard output is no terminal. */
static void keep_line_ends(int terminal)
{
    struct termios termios;
    if (tcgetattr(terminal, &termios) == 0) {
        termios.c_oflag &= ~(tcflag_t)ONLCR;
        (void)tcsetattr(terminal, TCSANOW, &termios); /* without it output has "\r" at its ends */
    }
}

int console_open(int root, const struct spec_process *process, int socket, unsigned flags,
                 struct err *err)
{
    CLEANUP(close_fd) int slave = -1;
    CLEANUP(close_fd) int master = open_pair(root, &slave, err);
    if (master < 0) {
        return master;
    }
    if (process->console_size.width != 0 || process->console_size.height != 0) {
        struct winsize size = {.ws_col = (unsigned short)process->console_size.width,
                               .ws_row = (unsigned short)process->console_size.height};
        (void)ioctl(master, TIOCSWINSZ, &size); /* only a wish */
    }
    if ((flags & CONSOLE_FORWARDED) != 0) {
        keep_line_ends(slave);
    }
    if ((flags & CONSOLE_MOUNT) != 0) {
        int rc = bind_console(root, slave, err);
        if (rc < 0) {
            return rc;
        }
    }
    unsigned number = 0;
    char name[32] = "/dev/ptmx";
    if (ioctl(master, TIOCGPTN, &number) == 0) {
        (void)snprintf(name, sizeof name, "/dev/pts/%u", number);
    }
    int rc = sync_send_fd(socket, master, name, strlen(name));
    if (rc < 0) {
        return err_set_errno(err, -rc, "--console-socket: send the terminal");
    }
    if (fchown(slave, process->user.uid, (gid_t)-1) < 0 && errno != EPERM && errno != EINVAL) {
        return err_set_errno(err, errno, "process.terminal: owner of the terminal");
    }
    if (dup2(slave, 0) < 0 || dup2(slave, 1) < 0 || dup2(slave, 2) < 0) {
        return err_set_errno(err, errno, "process.terminal: standard streams");
    }
    return ioctl(0, TIOCSCTTY, 0) < 0
               ? err_set_errno(err, errno, "process.terminal: controlling terminal")
               : 0;
}

static void copy_size(int master)
{
    struct winsize size;
    if (ioctl(0, TIOCGWINSZ, &size) == 0) {
        (void)ioctl(master, TIOCSWINSZ, &size); /* only a wish */
    }
}

/* false at the end of the source. */
static bool copy_once(int from, int to)
{
    char data[4096];
    ssize_t size = read(from, data, sizeof data);
    if (size < 0) {
        return errno == EINTR || errno == EAGAIN;
    }
    return size > 0 && file_write_all(to, data, (size_t)size) == 0;
}

static void forward_loop(int master, int pidfd, int signals)
{
    struct pollfd fds[4] = {{.fd = master, .events = POLLIN},
                            {.fd = 0, .events = POLLIN},
                            {.fd = signals, .events = POLLIN},
                            {.fd = pidfd, .events = POLLIN}};
    bool has_ended = false;
    for (;;) {
        if (poll(fds, 4, has_ended ? 0 : -1) < 0 && errno != EINTR) {
            return;
        }
        if (fds[2].revents != 0) {
            struct signalfd_siginfo info;
            err_ignore((int)read(signals, &info, sizeof info)); /* only SIGWINCH comes here */
            copy_size(master);
        }
        if (fds[1].revents != 0 && !copy_once(0, master)) {
            fds[1].fd = -1;
            char end = 4; /* ^D */
            err_ignore(file_write_all(master, &end, 1));
        }
        bool has_output = (fds[0].revents & POLLIN) != 0;
        if (fds[0].revents != 0 && !copy_once(master, 1)) {
            return;
        }
        if (has_ended && !has_output) {
            return;
        }
        has_ended |= fds[3].revents != 0;
        fds[3].fd = has_ended ? -1 : fds[3].fd;
    }
}

void console_forward(int master, int pidfd)
{
    struct termios before;
    bool is_terminal = tcgetattr(0, &before) == 0;
    if (is_terminal) {
        struct termios raw = before;
        cfmakeraw(&raw);
        raw.c_oflag |= before.c_oflag & OPOST; /* ends of lines are this terminal's business */
        (void)tcsetattr(0, TCSANOW, &raw);     /* without it typing is clumsy, not wrong */
        copy_size(master);
    }
    sigset_t mask;
    (void)sigemptyset(&mask);
    (void)sigaddset(&mask, SIGWINCH);
    (void)sigprocmask(SIG_BLOCK, &mask, NULL);
    CLEANUP(close_fd) int signals = signalfd(-1, &mask, SFD_CLOEXEC);
    forward_loop(master, pidfd, signals);
    if (is_terminal) {
        (void)tcsetattr(0, TCSANOW, &before); /* as found */
    }
}
