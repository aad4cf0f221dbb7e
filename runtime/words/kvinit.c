/* kvinit - the small init of `run --init`: starts one program, forwards signals to it, reaps every
 * orphan, and ends as it ended. Linked statically: it runs in any image. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127, EXIT_SIGNAL_BASE = 128 };

static int wait_and_forward(pid_t child, const sigset_t *all)
{
    for (;;) {
        siginfo_t info;
        if (sigwaitinfo(all, &info) < 0) {
            continue;
        }
        if (info.si_signo != SIGCHLD) {
            (void)kill(-child, info.si_signo); /* its process group; it may just have ended */
            continue;
        }
        for (;;) {
            int status = 0;
            pid_t ended = waitpid(-1, &status, WNOHANG);
            if (ended <= 0) {
                break;
            }
            if (ended == child) {
                return WIFEXITED(status) ? WEXITSTATUS(status)
                                         : EXIT_SIGNAL_BASE + WTERMSIG(status);
            }
        }
    }
}

int main(int argc, char **argv)
{
    sigset_t all;
    sigset_t before;
    int first = argc > 1 && strcmp(argv[1], "--") == 0 ? 2 : 1;
    if (first >= argc) {
        fprintf(stderr, "kvinit: no program to start\n");
        return EXIT_NOT_EXECUTABLE;
    }
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    (void)sigprocmask(SIG_BLOCK, &all, &before);
    pid_t child = fork();
    if (child == 0) {
        (void)setpgid(0, 0);
        (void)signal(SIGTTOU, SIG_IGN);
        (void)tcsetpgrp(STDIN_FILENO, getpid()); /* fails without a terminal, which is fine */
        (void)signal(SIGTTOU, SIG_DFL);
        (void)sigprocmask(SIG_SETMASK, &before, NULL);
        (void)execvp(argv[first], argv + first);
        int code = errno == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
        fprintf(stderr, "kvinit: %s: %s\n", argv[first], strerror(errno));
        _exit(code);
    }
    if (child < 0) {
        fprintf(stderr, "kvinit: fork: %s\n", strerror(errno));
        return EXIT_NOT_EXECUTABLE;
    }
    return wait_and_forward(child, &all);
}
