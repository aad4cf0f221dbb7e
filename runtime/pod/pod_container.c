/* pod_container.c - one container of a pod: from an image and a request to a running kvshim. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/image/image.h"
#include "runtime/image/in_root.h"
#include "runtime/image/json.h"
#include "runtime/pod/pod.h"
#include "runtime/words/mount_root.h"
#include "runtime/words/shim_client.h"
#include "runtime/words/shim_spawn.h"
#include "runtime/words/spec.h"
#include "runtime/words/user_lookup.h"

struct making {
    const json_t *request;
    const char *directory;
    const char *sandbox;
    struct container container;
    json_t *config; /* Docker's, image and request merged */
    json_t *mounts; /* of the OCI configuration */
    int root_fd;
};

static json_t *texts_or(const json_t *list, const json_t *fallback)
{
    const json_t *chosen = json_array_size(list) > 0 ? list : fallback;
    return json_is_array(chosen) ? json_deep_copy(chosen) : json_array();
}

/* The image's variables, then the request's; the last of a name counts. */
static json_t *merge_env(const json_t *image, const json_t *wanted)
{
    json_t *merged = json_object();
    const json_t *const lists[] = {image, wanted};
    for (size_t i = 0; i < 2; i++) {
        for (size_t k = 0; k < json_array_size(lists[i]); k++) {
            const char *text = json_string_value(json_array_get(lists[i], k));
            size_t size = text == NULL ? 0 : strcspn(text, "=");
            if (size > 0 && text[size] == '=') {
                CLEANUP(free) char *name = mem_printf("%.*s", (int)size, text);
                json_object_set_new(merged, name, json_text(text));
            }
        }
    }
    json_t *env = json_array();
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(merged, name, value)
    {
        json_array_append(env, value);
    }
    json_decref(merged);
    return env;
}

/* Kubernetes' table of command and args against ENTRYPOINT and CMD. */
static void merge_config(struct making *making, const json_t *image)
{
    const json_t *request = making->request;
    const json_t *command = json_object_get(request, "command");
    const json_t *arguments = json_object_get(request, "args");
    const json_t *wanted = json_object_get(request, "config");
    bool has_command = json_array_size(command) > 0;
    const char *workdir = json_get_text(wanted, "WorkingDir", "");
    making->config = json_is_object(wanted) ? json_deep_copy(wanted) : json_object();
    json_object_set_new(making->config, "Entrypoint",
                        texts_or(command, json_object_get(image, "Entrypoint")));
    json_object_set_new(making->config, "Cmd",
                        texts_or(arguments, has_command ? NULL : json_object_get(image, "Cmd")));
    json_object_set_new(making->config, "Env",
                        merge_env(json_object_get(image, "Env"), json_object_get(wanted, "Env")));
    json_object_set_new(
        making->config, "WorkingDir",
        json_text(workdir[0] != '\0' ? workdir : json_get_text(image, "WorkingDir", "")));
    json_object_set_new(making->config, "User", json_text(json_get_text(image, "User", "")));
}

static int find_image(struct making *making, struct pod_answer *answer, struct err *err)
{
    CLEANUP(store) struct store store = {.root = NULL};
    CLEANUP(image) struct image image = {.layers = NULL};
    int status;
    if ((status = store_open(&store, NULL, err)) != 0 ||
        (status = image_find(&store, json_get_text(making->request, "image", ""), &image, err)) !=
            0 ||
        (status = image_read_config(&store, &image, err)) != 0) {
        return status;
    }
    const json_t *config = json_object_get(image.config, "config");
    merge_config(making, config);
    json_t *layers = json_array();
    for (uint32_t i = 0; i < image.layer_count; i++) {
        json_array_append_new(layers, json_text(image.layers[i]));
    }
    making->container.document = json_pack("{so sO sO}", "layers", layers, "Config", making->config,
                                           "HostConfig", json_object_get(making->request, "host"));
    if (making->container.document == NULL) {
        return err_set(err, ERR_INVALID, "the request has no host");
    }
    if (json_array_size(json_object_get(making->config, "Entrypoint")) +
            json_array_size(json_object_get(making->config, "Cmd")) ==
        0) {
        return err_set(err, ERR_INVALID, "no command specified");
    }
    answer->value = json_pack("{ss ss}", "imageId", image.id, "stopSignal",
                              json_get_text(config, "StopSignal", "SIGTERM"));
    return mount_root(&store, &making->container, &making->root_fd, err);
}

/* ---- who it runs as ---- */

static void add_group(struct user *user, uint32_t group)
{
    for (uint32_t i = 0; i < user->group_count; i++) {
        if (user->groups[i] == group) {
            return;
        }
    }
    if (user->group_count < USER_GROUPS_MAX) {
        user->groups[user->group_count++] = group;
    }
}

static int find_user(const struct making *making, struct user *user, struct err *err)
{
    const json_t *request = making->request;
    const json_t *uid = json_object_get(request, "runAsUser");
    const json_t *gid = json_object_get(request, "runAsGroup");
    const char *image_user = json_get_text(making->config, "User", "");
    char text[300];
    (void)snprintf(text, sizeof(text), "%.250s", image_user);
    if (json_is_integer(uid)) {
        (void)snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(uid));
    }
    int status = user_lookup(text, making->root_fd, NULL, 0, user, err);
    if (status != 0) {
        return status;
    }
    if (json_is_integer(gid)) {
        user->gid = (uint32_t)json_integer_value(gid);
    }
    const json_t *groups = json_object_get(request, "groups");
    for (size_t i = 0; i < json_array_size(groups); i++) {
        add_group(user, (uint32_t)json_integer_value(json_array_get(groups, i)));
    }
    if (json_get_flag(request, "runAsNonRoot") && user->uid == 0) {
        return err_set(err, ERR_DENIED, "%s",
                       json_is_integer(uid)
                           ? "container's runAsUser breaks non-root policy"
                           : "container has runAsNonRoot and image will run as root");
    }
    if (json_get_flag(request, "runAsNonRoot") && !json_is_integer(uid) && image_user[0] != '\0' &&
        strspn(image_user, "0123456789:") != strlen(image_user)) {
        return err_set(err, ERR_DENIED,
                       "container has runAsNonRoot and image has non-numeric user (%.100s), cannot "
                       "verify user is non-root",
                       image_user);
    }
    return 0;
}

/* ---- mounts ---- */

/* What lies at subPath below source, which a container may write to: opened without leaving
 * source, then bound under a name of our own in this mount namespace, which kvshim and kvrun
 * inherit. So nobody can exchange a part of the path for a link in between. */
static int bind_sub_path(const struct making *making, const char *source, const char *sub_path,
                         size_t index, char **ret, struct err *err)
{
    CLEANUP(close_fd) int root = open(source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) {
        return err_set_errno(err, errno, "open '%s'", source);
    }
    int fd_or_error = in_root_open(root, sub_path, O_PATH, 0);
    if (fd_or_error == -ENOENT) {
        int made = in_root_make_directories(root, sub_path, 0750);
        fd_or_error = made != 0 ? made : in_root_open(root, sub_path, O_PATH, 0);
    }
    CLEANUP(close_fd) int fd = fd_or_error;
    struct stat about;
    if (fd < 0 || fstat(fd, &about) != 0) {
        return err_set_errno(err, fd < 0 ? -fd : errno, "failed to prepare subPath '%s'", sub_path);
    }
    CLEANUP(free) char *target = mem_printf("%s/subpath-%zu", making->directory, index);
    int made = S_ISDIR(about.st_mode) ? mkdir(target, 0700) : mknod(target, S_IFREG | 0600, 0);
    char from[40];
    (void)snprintf(from, sizeof(from), "/proc/self/fd/%d", fd);
    if ((made != 0 && errno != EEXIST) || mount(from, target, NULL, MS_BIND | MS_REC, NULL) != 0) {
        return err_set_errno(err, errno, "bind subPath '%s'", sub_path);
    }
    *ret = TAKE_PTR(target);
    return 0;
}

static int depth_of(const char *path)
{
    int depth = 0;
    for (; *path != '\0'; path++) {
        depth += *path == '/' && path[1] != '\0' && path[1] != '/';
    }
    return depth;
}

/* Parents before what lies in them. */
static void insert_mount(json_t *list, json_t *take_mount)
{
    int depth = depth_of(json_get_text(take_mount, "destination", "/"));
    size_t place = json_array_size(list);
    while (place > 0 &&
           depth_of(json_get_text(json_array_get(list, place - 1), "destination", "/")) > depth) {
        place--;
    }
    json_array_insert_new(list, place, take_mount);
}

static int resolve_mounts(struct making *making, struct err *err)
{
    const json_t *wanted = json_object_get(making->request, "mounts");
    making->mounts = json_array();
    for (size_t i = 0; i < json_array_size(wanted); i++) {
        const json_t *mount = json_array_get(wanted, i);
        const char *sub_path = json_get_text(mount, "subPath", "");
        const char *source = NULL;
        CLEANUP(free) char *bound = NULL;
        int status = pod_path(mount, "source", &source, err);
        if (status == 0 && sub_path[0] != '\0') {
            status = bind_sub_path(making, source, sub_path, i, &bound, err);
        }
        struct stat about;
        if (status == 0 && bound == NULL && stat(source, &about) != 0) {
            status = err_set_errno(err, errno, "mount '%s'", source);
        }
        if (status != 0) {
            return status;
        }
        insert_mount(making->mounts,
                     json_pack("{ss ss ss s[sss]}", "destination",
                               json_get_text(mount, "destination", ""), "type", "bind", "source",
                               bound != NULL ? bound : source, "options", "rbind",
                               json_get_text(mount, "propagation", "rprivate"),
                               json_get_flag(mount, "readOnly") ? "ro" : "rw"));
    }
    return 0;
}

/* The containers of a pod share /dev/shm. */
static void share_shm(const struct making *making, json_t *spec)
{
    json_t *mounts = json_object_get(spec, "mounts");
    if (json_get_flag(making->request, "hostIpc")) {
        return;
    }
    for (size_t i = 0; i < json_array_size(mounts); i++) {
        json_t *mount = json_array_get(mounts, i);
        if (strcmp(json_get_text(mount, "destination", ""), "/dev/shm") == 0 &&
            strcmp(json_get_text(mount, "type", ""), "bind") == 0) {
            CLEANUP(free) char *source = mem_printf("%s/shm", making->sandbox);
            json_object_set_new(mount, "source", json_text(source));
            return;
        }
    }
}

static int write_spec(const struct making *making, const struct user *user, struct err *err)
{
    const json_t *request = making->request;
    CLEANUP(free) char *network = mem_printf("%s/ns/net", making->sandbox);
    CLEANUP(free) char *ipc = mem_printf("%s/ns/ipc", making->sandbox);
    CLEANUP(free) char *etc = mem_printf("%s/etc", making->sandbox);
    CLEANUP(free) char *root = mem_printf("%s/merged", making->directory);
    const char *pid = json_get_text(request, "pid", "");
    const struct spec_input input = {
        .id = making->container.id,
        .hostname = json_get_text(request, "hostname", ""),
        .root_path = root,
        .directory = etc,
        .init_path = "",
        .config = making->config,
        .host = json_object_get(request, "host"),
        .mounts = making->mounts,
        .user = user,
        .network_path = json_get_flag(request, "hostNetwork") ? "" : network,
        .pid_path = json_get_flag(request, "hostPid") ? ""
                    : pid[0] != '\0'                  ? pid
                                                      : NULL,
        .ipc_path = json_get_flag(request, "hostIpc") ? "" : ipc,
    };
    CLEANUP(json) json_t *spec = NULL;
    CLEANUP(buf) struct buf text = BUF_INIT;
    int status = spec_make(&input, &spec, err);
    if (status != 0) {
        return status;
    }
    share_shm(making, spec);
    const char *proc_mount = json_get_text(request, "procMount", "");
    if (strcmp(proc_mount, "Unmasked") == 0) {
        json_object_del(json_object_get(spec, "linux"), "maskedPaths");
        json_object_del(json_object_get(spec, "linux"), "readonlyPaths");
    }
    json_write(spec, false, &text);
    return store_replace_file(making->container.directory_fd, "config.json", buf_bytes(&text), err);
}

/* ---- running ---- */

static int start(const struct making *making, struct pod_answer *answer, struct err *err)
{
    const struct lifecycle_options options = {.keeps_input_open = false};
    pid_t pid = 0;
    pid_t shim_pid = 0;
    char socket_path[PATH_MAX];
    struct shim_client client;
    answer->reason = "StartError";
    int status = shim_spawn(&making->container, &options, &pid, &shim_pid, err);
    if (status == 0 &&
        (status = container_socket_path(&making->container, socket_path, err)) == 0 &&
        (status = shim_client_open(&client, socket_path, err)) == 0) {
        status = shim_client_start(&client, err);
        if (status != 0) {
            int ignored = shim_client_delete(&client, true, NULL);
            (void)ignored; /* then the runtime is asked itself */
        }
        shim_client_close(&client);
    }
    if (status != 0) {
        shim_force_delete(&making->container);
        return status;
    }
    json_object_set_new(answer->value, "pid", json_integer(pid));
    json_object_set_new(answer->value, "shimPid", json_integer(shim_pid));
    return 0;
}

static int make_workdir(const struct making *making, struct err *err)
{
    const char *path = json_get_text(making->config, "WorkingDir", "");
    int status = path[0] == '\0' ? 0 : in_root_make_directories(making->root_fd, path, 0755);
    return status == 0 ? 0 : err_set_errno(err, -status, "make the working directory '%s'", path);
}

static int create(struct making *making, struct pod_answer *answer, struct err *err)
{
    CLEANUP(free) struct user *user = mem_zalloc(sizeof(*user));
    int status;
    if ((status = mount_root_isolate(err)) != 0 ||
        (status = find_image(making, answer, err)) != 0) {
        return status;
    }
    answer->reason = "CreateContainerConfigError";
    if ((status = find_user(making, user, err)) != 0 ||
        (status = resolve_mounts(making, err)) != 0) {
        return status;
    }
    answer->reason = "CreateContainerError";
    if ((status = make_workdir(making, err)) != 0 ||
        (status = write_spec(making, user, err)) != 0) {
        return status;
    }
    (void)unlinkat(making->container.directory_fd, "exit.json", 0); /* of an attempt before */
    return start(making, answer, err);
}

static int open_container(const json_t *request, struct container *container, struct err *err)
{
    const char *directory = NULL;
    const char *id = json_get_text(request, "id", "");
    int status = pod_path(request, "directory", &directory, err);
    if (status != 0) {
        return status;
    }
    if (strlen(id) != CONTAINER_ID_SIZE || strspn(id, "0123456789abcdef") != CONTAINER_ID_SIZE) {
        return err_set(err, ERR_INVALID, "id: '%.80s' is not 64 hexadecimal digits", id);
    }
    (void)snprintf(container->id, sizeof(container->id), "%s", id);
    container->directory = mem_strdup(directory);
    container->directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (container->directory_fd < 0) {
        return err_set_errno(err, errno, "open '%s'", directory);
    }
    /* An agent that was killed and came back may remove what its first kvpod still makes. */
    return flock(container->directory_fd, LOCK_EX) == 0
               ? 0
               : err_set_errno(err, errno, "lock '%s'", directory);
}

int pod_container_create(const json_t *request, struct pod_answer *answer, struct err *err)
{
    struct making making = {.request = request, .root_fd = -1};
    making.container.directory_fd = -1;
    int status;
    if ((status = pod_path(request, "directory", &making.directory, err)) == 0 &&
        (status = pod_path(request, "sandbox", &making.sandbox, err)) == 0 &&
        (status = pod_make_directory(making.directory, err)) == 0 &&
        (status = open_container(request, &making.container, err)) == 0) {
        status = create(&making, answer, err);
    }
    if (making.root_fd >= 0) {
        (void)close(making.root_fd);
    }
    json_decref(making.config);
    json_decref(making.mounts);
    container_close(&making.container);
    return status;
}

int pod_container_remove(const json_t *request, struct pod_answer *answer, struct err *err)
{
    static const char *const files[] = {"upper", "work", "merged"};
    CLEANUP(container) struct container container = {.directory_fd = -1};
    (void)answer;
    int status = open_container(request, &container, err);
    if (status == -ENOENT) {
        return 0;
    }
    if (status != 0) {
        return status;
    }
    shim_force_delete(&container);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        status = in_root_remove(container.directory_fd, files[i]);
        if (status != 0) {
            return err_set_errno(err, -status, "remove '%s/%s'", container.directory, files[i]);
        }
    }
    return 0;
}
