/* kvpod - sandboxes and containers of pods for the node agent; see pod.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/image/json.h"
#include "runtime/pod/pod.h"

enum { REQUEST_SIZE_MAX = 8 << 20 };

static const struct {
    const char *name;
    pod_command *run;
} commands[] = {
    {"network-set", pod_network_set},           {"sandbox-create", pod_sandbox_create},
    {"sandbox-remove", pod_sandbox_remove},     {"container-create", pod_container_create},
    {"container-remove", pod_container_remove}, {"image-list", pod_image_list},
    {"image-inspect", pod_image_inspect},       {"image-remove", pod_image_remove},
};

int pod_path(const json_t *request, const char *key, const char **ret, struct err *err)
{
    const char *path = json_get_text(request, key, "");
    if (path[0] != '/' || strstr(path, "/../") != NULL) {
        return err_set(err, ERR_INVALID, "%s: '%.200s' is no absolute path", key, path);
    }
    *ret = path;
    return 0;
}

int pod_make_directory(const char *path, struct err *err)
{
    CLEANUP(free) char *copy = mem_strdup(path);
    for (char *at = copy + 1;; at++) {
        if (*at != '/' && *at != '\0') {
            continue;
        }
        const char saved = *at;
        *at = '\0';
        if (mkdir(copy, 0755) != 0 && errno != EEXIST) {
            return err_set_errno(err, errno, "create '%s'", copy);
        }
        if (saved == '\0') {
            return 0;
        }
        *at = saved;
    }
}

static int read_request(json_t **ret, struct err *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    for (;;) {
        ssize_t count = read(STDIN_FILENO, buf_reserve(&text, 65536), 65536);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return err_set_errno(err, errno, "read the request");
        }
        if (count == 0) {
            return json_parse(buf_bytes(&text), "the request", ret, err);
        }
        buf_commit(&text, (size_t)count);
        if (buf_size(&text) > REQUEST_SIZE_MAX) {
            return err_set(err, ERR_TOO_LARGE, "the request is larger than %d bytes",
                           REQUEST_SIZE_MAX);
        }
    }
}

static int run(size_t index)
{
    CLEANUP(json) json_t *request = NULL;
    CLEANUP(buf) struct buf text = BUF_INIT;
    struct pod_answer answer = {.value = NULL, .reason = "CreateContainerError"};
    struct err err = {.code = 0};
    int status = read_request(&request, &err);
    if (status == 0) {
        status = commands[index].run(request, &answer, &err);
    }
    if (status != 0) {
        json_decref(answer.value);
        answer.value = json_pack("{s{ss so}}", "error", "reason", answer.reason, "message",
                                 json_text(err.text));
    } else if (answer.value == NULL) {
        answer.value = json_object();
    }
    json_write(answer.value, false, &text);
    json_decref(answer.value);
    printf("%s\n", buf_text(&text));
    return status == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    (void)umask(022);
    for (size_t i = 0; argc == 2 && i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            return run(i);
        }
    }
    fprintf(stderr, "Usage: kvpod COMMAND <REQUEST.json; COMMAND is one of");
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        fprintf(stderr, " %s", commands[i].name);
    }
    fprintf(stderr, "\n");
    return EXIT_FAILURE;
}
