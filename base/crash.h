/* crash.h - the last words of a daemon: a failed CHECK or a fatal signal writes one JSON line to
 * the log's descriptors and ends the process with EXIT_CRASHED, so that the service manager and the
 * operator see what happened without a core file.
 *
 *     {"level":"fatal","ts":"…Z","caller":"base/crash.c","msg":"crashed","signal":"SIGABRT",
 *      "check":"raft/log.c:12: index > 0","backtrace":["kvd+0x1234",…],"exit-code":79}
 *
 * Addresses of the program itself are written relative to it: `addr2line -e kvd 0x1234`. If core
 * files are wanted (RLIMIT_CORE is not 0), the signal is raised again afterwards and one is made.
 */
#ifndef BASE_CRASH_H
#define BASE_CRASH_H

enum { CRASH_OUTPUTS_MAX = 8 };

/* Process-wide, once, before threads exist. program: a short name, kept. fds: where lines of the
 * log go; copied, at most CRASH_OUTPUTS_MAX. Handles SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGABRT.
 */
void crash_install(const char *program, const int *fds, unsigned count);

#endif
