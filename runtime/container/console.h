/* console.h - the container's terminal. */
#ifndef RUNTIME_CONTAINER_CONSOLE_H
#define RUNTIME_CONTAINER_CONSOLE_H

#include "runtime/container/spec.h"

/* Connect to --console-socket. The descriptor or -errno. */
MUST_USE int console_connect(const char *path, struct err *err);

/* In the container's process: a new terminal from the devpts below root (-1: "/"), its master sent
 * over the socket, its slave as standard streams and controlling terminal. flags: console_flag.
 * Call after setsid. */
enum console_flag {
    CONSOLE_MOUNT = 1,     /* also bind it to /dev/console */
    CONSOLE_FORWARDED = 2, /* for console_forward: line ends are the outer terminal's business */
};
MUST_USE int console_open(int root, const struct spec_process *process, int socket, unsigned flags,
                          struct err *err);

/* In kvrun's foreground: copy between our standard streams and the master until the process of
 * pidfd has ended. Our own terminal is raw meanwhile. */
void console_forward(int master, int pidfd);

#endif
