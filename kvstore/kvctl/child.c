#include "kvstore/kvctl/child.h"

#include <errno.h>
#include <spawn.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

static size_t count_texts(const char *const *texts)
{
    size_t count = 0;
    while (texts[count] != NULL) {
        count += 1;
    }
    return count;
}

int child_run(const char *const *words, const char *const *extra, int *ret_status, struct err *err)
{
    const char *const *inherited = (const char *const *)environ;
    size_t inherited_count = count_texts(inherited);
    size_t extra_count = count_texts(extra);
    CLEANUP(free)
    const char **environment = mem_calloc(inherited_count + extra_count + 1, sizeof *environment);
    memcpy(environment, inherited, inherited_count * sizeof *environment);
    memcpy(environment + inherited_count, extra, extra_count * sizeof *environment);
    pid_t pid;
    /* posix_spawnp has no const either; it changes nothing. */
    int failed = posix_spawnp(&pid, words[0], NULL, NULL, (char *const *)(uintptr_t)words,
                              (char *const *)(uintptr_t)environment);
    if (failed != 0) {
        return err_set_errno(err, failed, "run \"%s\"", words[0]);
    }
    int status;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return err_set_errno(err, errno, "wait for \"%s\"", words[0]);
        }
    }
    *ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return 0;
}
