/* shim.h - how to start a kvshim, and what it leaves on disk.
 *
 *     kvshim --id ID --bundle DIR --socket PATH --exit-file PATH [options]
 *
 *     --root DIR               kvrun's state directory (default as kvrun: /run/kvrun)
 *     --runtime PATH           the kvrun to call (default: kvrun beside this program, then in PATH)
 *     --runtime-arg ARG        a global argument for each call of kvrun; may be repeated
 *     --log PATH               the container's output, CRI format; none: output goes only to
 * attached clients
 *     --log-max-size BYTES     rotate above this size (default 10 MiB; 0: never)
 *     --log-max-files N        how many files in all, PATH, PATH.1, ... (default 3)
 *     --pid-file PATH          the container's pid, as kvrun create --pid-file
 *     --stdin                  standard input is a pipe that attached clients may write to; else
 * /dev/null
 *     --stdin-once             close it when the first attached client that gave input goes away
 *     --console-size WxH       first size of the terminal (config.json says whether there is one)
 *     --start                  also start the container, after create
 *     --delete                 delete the container by itself as soon as it has stopped (docker run
 * --rm)
 *     --no-new-keyring --no-pivot --preserve-fds N   handed to kvrun create
 *
 * The program that was started returns when the container is created (or, with --start, started):
 * exit code 0 and one line on standard output, {"pid":1234,"shimPid":1233}; or exit code 1, one
 * clear line on standard error, and nothing left behind. By then the real shim is another process
 * in a session of its own, with standard streams on /dev/null; it is a subreaper and parent of the
 * container's first process. It keeps no other descriptor of its caller.
 *
 * The socket (mode 0600, directory made by the caller; at most 107 bytes of path) speaks
 * shim.proto. After a restart the caller adopts a running shim by connecting to its socket again. A
 * refused connection means that the shim died or the machine restarted: look at the exit file, then
 * `kvrun delete --force ID`.
 *
 * The exit file appears atomically when the container's first process has ended; one JSON line:
 *     {"id":"web","pid":1234,"exitCode":137,"signal":9,"oomKilled":true,
 *      "startedAt":"2026-01-02T03:04:05.123456789Z","finishedAt":"..."}
 * exitCode is 128 + signal when killed. It stays when the container is deleted: the caller removes
 * it.
 *
 * The shim ends after ShimDeleteRequest (or by itself with --delete, when all who wait have been
 * answered). It does not end when the container stops, so that wait, state and attach after the end
 * are answered.
 *
 * Nothing is lost on the way: while an attached client is slow the process's output waits in its
 * pipe, and while the process does not read its input the client waits. A client that takes nothing
 * at all for SHIM_STALL_MAX_MS is dropped, so that it cannot hold up the container for ever.
 *
 * Log lines (CRI): 2026-01-02T03:04:05.123456789Z stdout F text; F a full line, P a part of one
 * (longer than 16 KiB, or the end of the stream without a newline). */
#ifndef RUNTIME_CONTAINER_SHIM_H
#define RUNTIME_CONTAINER_SHIM_H

enum {
    SHIM_FRAME_SIZE_MAX = 1 << 20,      /* bytes of one message, without its 4 length bytes */
    SHIM_HOLD_SIZE = 256 << 10,         /* bytes that wait: from here on nothing more is read */
    SHIM_RELEASE_SIZE = 64 << 10,       /* bytes that wait: from here on it goes on */
    SHIM_STALL_MAX_MS = 30000,          /* a client that takes nothing for so long is dropped */
    SHIM_CLIENT_BACKLOG_MAX = 8 << 20,  /* bytes that wait for a client, whatever happens */
    SHIM_CLIENTS_MAX = 256,             /* connections at a time; more are closed at once */
    SHIM_EXECS_MAX = 1024,              /* running exec'ed processes */
    SHIM_EXEC_ID_SIZE_MAX = 64,         /* bytes */
    SHIM_LOG_LINE_SIZE_MAX = 16 * 1024, /* bytes of text in one log line */
    SHIM_LOG_SIZE_DEFAULT = 10 << 20,   /* bytes */
    SHIM_LOG_FILES_DEFAULT = 3,
};

#endif
