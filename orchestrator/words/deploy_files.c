/* deploy_files.c - a Compose project on the cluster: kvcompose, which this program does not link,
 * makes objects of it; here they are applied and their roll-out followed. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "orchestrator/objects/tree.h"
#include "orchestrator/words/manifest.h"
#include "orchestrator/words/workload_words.h"

static void find_beside(const char *program, char *out, size_t room)
{
    char self[PATH_MAX] = "";
    ssize_t size = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash = size > 0 ? strrchr(self, '/') : NULL;
    (void)snprintf(out, room, "%.*s%s", slash == NULL ? 0 : (int)(slash - self) + 1, self, program);
}

static void run_compose(const struct arguments *arguments, int output)
{
    char path[PATH_MAX + 64];
    const char *words[2 * FILES_MAX + 8] = {"kvcompose"};
    size_t count = 1;
    for (size_t i = 0; i < arguments->file_count; i++) {
        words[count++] = "-f";
        words[count++] = arguments->files[i];
    }
    words[count++] = "convert";
    words[count++] = "--format";
    words[count++] = "kubernetes";
    find_beside("kvcompose", path, sizeof(path));
    (void)dup2(output, STDOUT_FILENO);
    (void)execvp(path, (char *const *)(uintptr_t)words);
    fprintf(stderr, "run %s: %s\n", path, strerror(errno));
    _exit(127);
}

/* Its output becomes our standard input. */
static int read_compose(const struct arguments *arguments, json_t *objects, struct err *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return err_set_errno(err, errno, "make a pipe");
    }
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        run_compose(arguments, ends[1]);
    }
    (void)close(ends[1]);
    int result = child > 0 && dup2(ends[0], STDIN_FILENO) >= 0
                     ? manifest_read("-", objects, err)
                     : err_set_errno(err, errno, "start kvcompose");
    (void)close(ends[0]);
    int code = 0;
    while (child > 0 && waitpid(child, &code, 0) < 0 && errno == EINTR) {
    }
    if (child > 0 && (!WIFEXITED(code) || WEXITSTATUS(code) != 0)) {
        return err_set(err, ERR_INVALID, "the Compose file cannot be deployed");
    }
    return result;
}

static int follow(struct invocation *in, const json_t *object, struct err *err)
{
    struct resource resource;
    int result = resource_of_object(&in->cluster, object, &resource, err);
    if (result == 0) {
        printf("waiting for %s\n", resource.name);
        result = rollout_wait(in, &resource, err);
    }
    return result;
}

int deploy_files(struct invocation *in, struct err *err)
{
    const struct arguments *arguments = in->arguments;
    CLEANUP(json) json_t *objects = json_array();
    bool is_manifest = arguments->file_count == 1 && strcmp(arguments->files[0], "-") == 0;
    int result =
        is_manifest ? manifest_read("-", objects, err) : read_compose(arguments, objects, err);
    if (result == 0) {
        result = apply_objects(in, objects, err);
    }
    for (size_t i = 0; result == 0 && !arguments->no_wait && i < json_array_size(objects); i++) {
        const json_t *object = json_array_get(objects, i);
        if (tree_has_text(object, "kind", "Deployment") ||
            tree_has_text(object, "kind", "DaemonSet")) {
            result = follow(in, object, err);
        }
    }
    return result;
}
