#include "runtime/words/container.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/image/in_root.h"
#include "runtime/image/json.h"
#include "runtime/words/names.h"
#include "runtime/words/shim_client.h"

enum { DOCUMENT_SIZE_MAX = 8 << 20, ID_DIGITS_MIN = 1, NAME_TRIES_MAX = 50 };
static const char document_name[] = "container.json";
static const char state_name[] = "state.json";
static const char doomed_prefix[] = "gone.";

const char *container_status_text(enum container_status status)
{
    static const char *const texts[] = {
        [CONTAINER_CREATED] = "created", [CONTAINER_RUNNING] = "running",
        [CONTAINER_PAUSED] = "paused",   [CONTAINER_RESTARTING] = "restarting",
        [CONTAINER_EXITED] = "exited",   [CONTAINER_DEAD] = "dead",
    };
    return texts[status];
}

void container_close(struct container *container)
{
    if (container->directory != NULL) {
        cleanup_close_fd(&container->directory_fd);
    }
    mem_free(container->directory);
    json_decref(container->document);
    json_decref(container->state);
    *container = (struct container){.directory_fd = -1};
}

static int open_shared(const struct store *store, const char *name, int *ret_fd, struct err *err)
{
    if (mkdirat(store->root_fd, name, 0711) != 0 && errno != EEXIST) {
        return err_set_errno(err, errno, "create directory '%s/%s'", store->root, name);
    }
    *ret_fd = openat(store->root_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret_fd >= 0 ? 0 : err_set_errno(err, errno, "open '%s/%s'", store->root, name);
}

static void random_id(char out[CONTAINER_ID_SIZE + 1])
{
    uint8_t bytes[CONTAINER_ID_SIZE / 2];
    size_t done = 0;
    while (done < sizeof(bytes)) {
        ssize_t count = getrandom(bytes + done, sizeof(bytes) - done, 0);
        done += count > 0 ? (size_t)count : 0;
    }
    for (size_t i = 0; i < sizeof(bytes); i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    }
}

static bool is_name(const char *name)
{
    size_t size = strlen(name);
    if (size < 2 || size > CONTAINER_NAME_MAX || !isalnum((unsigned char)name[0])) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        if (!isalnum((unsigned char)name[i]) && strchr("_.-", name[i]) == NULL) {
            return false;
        }
    }
    return true;
}

int container_claim_name(const struct store *store, const char *name, const char *id,
                         struct err *err)
{
    CLEANUP(close_fd) int names_fd = -1;
    if (!is_name(name)) {
        return err_set(
            err, ERR_INVALID,
            "'%.140s' cannot be the name of a container (letters, digits, then also _ . -)", name);
    }
    int status = open_shared(store, "names", &names_fd, err);
    for (int attempt = 0; status == 0 && attempt < 3; attempt++) {
        if (symlinkat(id, names_fd, name) == 0) {
            return 0;
        }
        char owner[CONTAINER_ID_SIZE + 1] = "";
        char path[CONTAINER_ID_SIZE + 16];
        ssize_t size = readlinkat(names_fd, name, owner, sizeof(owner) - 1);
        if (errno != EEXIST && size < 0) {
            continue;
        }
        owner[size < 0 ? 0 : size] = '\0';
        (void)snprintf(path, sizeof(path), "containers/%s", owner);
        if (faccessat(store->root_fd, path, F_OK, 0) == 0) {
            return err_set(
                err, ERR_EXISTS,
                "the name %s is used by container %.12s; remove or rename that one first", name,
                owner);
        }
        (void)unlinkat(names_fd, name, 0); /* left over from a crash */
    }
    return status != 0 ? status : err_set(err, ERR_BUSY, "claim the name '%s'", name);
}

static int claim_any_name(const struct store *store, const char *id, char *out, struct err *err)
{
    int status = ERR_EXISTS;
    for (unsigned attempt = 0; status == ERR_EXISTS && attempt < NAME_TRIES_MAX; attempt++) {
        name_invent(id, attempt, out, CONTAINER_NAME_MAX + 1);
        status = container_claim_name(store, out, id, err);
    }
    return status;
}

static int open_container(const struct store *store, const char *id, struct container *out,
                          struct err *err)
{
    *out = (struct container){.directory_fd = -1};
    (void)snprintf(out->id, sizeof(out->id), "%s", id);
    out->directory = mem_printf("%s/containers/%s", store->root, id);
    out->directory_fd = open(out->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (out->directory_fd < 0) {
        int saved = errno;
        container_close(out);
        return err_set_errno(err, saved, "open container %.12s", id);
    }
    return 0;
}

int container_new(const struct store *store, const char *name, struct container *ret,
                  struct err *err)
{
    CLEANUP(close_fd) int containers_fd = -1;
    char id[CONTAINER_ID_SIZE + 1];
    char chosen[CONTAINER_NAME_MAX + 1];
    int status = open_shared(store, "containers", &containers_fd, err);
    if (status != 0) {
        return status;
    }
    random_id(id);
    /* The directory first: a name whose directory is missing counts as left over. */
    if (mkdirat(containers_fd, id, 0711) != 0) {
        return err_set_errno(err, errno, "create a directory for the container");
    }
    if (name != NULL) {
        (void)snprintf(chosen, sizeof(chosen), "%s", name);
        status = container_claim_name(store, name, id, err);
    } else {
        status = claim_any_name(store, id, chosen, err);
    }
    if (status == 0) {
        status = open_container(store, id, ret, err);
    }
    if (status != 0) {
        (void)unlinkat(containers_fd, id, AT_REMOVEDIR);
        return status;
    }
    ret->document = json_pack("{ss ss}", "Id", id, "Name", chosen);
    ret->state = json_pack("{ss}", "Status", "created");
    return 0;
}

static int write_json(const struct container *container, const char *name, const json_t *value,
                      bool is_durable, struct err *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    json_write(value, false, &text);
    return is_durable ? store_write_file(container->directory_fd, name, buf_bytes(&text), err)
                      : store_replace_file(container->directory_fd, name, buf_bytes(&text), err);
}

int container_write_document(const struct container *container, bool is_durable, struct err *err)
{
    return write_json(container, document_name, container->document, is_durable, err);
}

int container_write_state(const struct container *container, struct err *err)
{
    return write_json(container, state_name, container->state, false, err);
}

static int read_json(const struct container *container, const char *name, json_t **ret,
                     struct err *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    int status = in_root_read_file(container->directory_fd, name, DOCUMENT_SIZE_MAX, &text);
    if (status != 0) {
        return err_set(err, status, "read '%s' of container %.12s: %s", name, container->id,
                       err_text(status));
    }
    return json_parse(buf_bytes(&text), name, ret, err);
}

int container_read_state(struct container *container, struct err *err)
{
    json_t *state = NULL;
    int status = read_json(container, state_name, &state, err);
    if (status == 0) {
        json_decref(container->state);
        container->state = state;
    }
    return status;
}

/* A directory whose documents are missing or damaged is a container, too: a dead one. */
static int load(const struct store *store, const char *id, struct container *out, struct err *err)
{
    int status = open_container(store, id, out, err);
    if (status != 0) {
        return status;
    }
    if (read_json(out, document_name, &out->document, NULL) != 0) {
        out->document = json_pack("{ss ss}", "Id", id, "Name", "");
        out->state = json_pack("{ss}", "Status", "dead");
        return 0;
    }
    if (read_json(out, state_name, &out->state, NULL) != 0) {
        out->state = json_pack("{ss}", "Status", "created");
    }
    return 0;
}

static bool is_id(const char *text)
{
    return strlen(text) == CONTAINER_ID_SIZE &&
           strspn(text, "0123456789abcdef") == CONTAINER_ID_SIZE;
}

/* 1: *id is the only container whose id starts so. */
static int find_by_digits(const struct store *store, const char *text, char *id, struct err *err)
{
    size_t size = strlen(text);
    if (size < ID_DIGITS_MIN || size > CONTAINER_ID_SIZE ||
        strspn(text, "0123456789abcdef") != size) {
        return 0;
    }
    CLEANUP(close_fd)
    int fd = openat(store->root_fd, "containers", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(TAKE_FD(fd));
    int matches = 0;
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        if (is_id(entry->d_name) && strncmp(entry->d_name, text, size) == 0) {
            (void)snprintf(id, CONTAINER_ID_SIZE + 1, "%.64s", entry->d_name);
            matches++;
        }
    }
    if (directory != NULL) {
        (void)closedir(directory);
    }
    if (matches > 1) {
        return err_set(err, ERR_INVALID, "'%s' is the start of %d container ids", text, matches);
    }
    return matches;
}

int container_find(const struct store *store, const char *text, struct container *ret,
                   struct err *err)
{
    char id[CONTAINER_ID_SIZE + 1] = "";
    char path[CONTAINER_NAME_MAX + 16];
    if (is_name(text)) {
        (void)snprintf(path, sizeof(path), "names/%s", text);
        ssize_t size = readlinkat(store->root_fd, path, id, sizeof(id) - 1);
        id[size < 0 ? 0 : size] = '\0';
        if (is_id(id) && load(store, id, ret, err) == 0) {
            return 0;
        }
    }
    int status = find_by_digits(store, text, id, err);
    if (status < 0) {
        return status;
    }
    return status > 0 ? load(store, id, ret, err)
                      : err_set(err, ERR_NOT_FOUND, "no such container: %s", text);
}

struct listed {
    char id[CONTAINER_ID_SIZE + 1];
    struct timespec made;
};

static int compare_newest(const void *a, const void *b)
{
    const struct listed *one = a;
    const struct listed *two = b;
    if (one->made.tv_sec != two->made.tv_sec) {
        return one->made.tv_sec < two->made.tv_sec ? 1 : -1;
    }
    return (one->made.tv_nsec < two->made.tv_nsec) - (one->made.tv_nsec > two->made.tv_nsec);
}

int container_list(const struct store *store,
                   int (*visit)(struct container *container, void *context), void *context,
                   struct err *err)
{
    int fd = -1;
    int status = open_shared(store, "containers", &fd, err);
    DIR *directory = status != 0 ? NULL : fdopendir(fd);
    if (directory == NULL) {
        return status != 0 ? status : err_set_errno(err, errno, "list the containers");
    }
    struct listed *items = NULL;
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        struct stat about;
        char path[CONTAINER_ID_SIZE + 32];
        if (!is_id(entry->d_name)) {
            continue;
        }
        (void)snprintf(path, sizeof(path), "%.64s/%s", entry->d_name, document_name);
        if (fstatat(fd, path, &about, 0) != 0 && fstatat(fd, entry->d_name, &about, 0) != 0) {
            continue;
        }
        items = mem_reallocarray(items, count + 1, sizeof(*items));
        (void)snprintf(items[count].id, sizeof(items[count].id), "%.64s", entry->d_name);
        items[count++].made = about.st_mtim;
    }
    (void)closedir(directory);
    if (count > 0) {
        qsort(items, count, sizeof(*items), compare_newest);
    }
    for (size_t i = 0; status == 0 && i < count; i++) {
        CLEANUP(container) struct container container = {.directory_fd = -1};
        if (load(store, items[i].id, &container, NULL) == 0) { /* else it went away meanwhile */
            status = visit(&container, context);
        }
    }
    mem_free(items);
    return status;
}

int container_lock(const struct container *container, int *ret_fd, struct err *err)
{
    /* The directory itself: a file in it could be made while the directory is being removed. */
    CLEANUP(close_fd)
    int fd = openat(container->directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat about;
    if (fd < 0 && errno != ENOENT) {
        return err_set_errno(err, errno, "open container %.12s", container->id);
    }
    while (fd >= 0 && flock(fd, LOCK_EX) != 0) {
        if (errno != EINTR) {
            return err_set_errno(err, errno, "lock container %.12s", container->id);
        }
    }
    if (fd < 0 || fstat(fd, &about) != 0 || about.st_nlink == 0) {
        return err_set(err, ERR_NOT_FOUND, "container %.12s has been removed", container->id);
    }
    *ret_fd = TAKE_FD(fd);
    return 0;
}

const char *container_name(const struct container *container)
{
    return json_get_text(container->document, "Name", "");
}

const json_t *container_config(const struct container *container)
{
    return json_object_get(container->document, "Config");
}

const json_t *container_host(const struct container *container)
{
    return json_object_get(container->document, "HostConfig");
}

pid_t container_pid(const struct container *container)
{
    return (pid_t)json_get_integer(container->state, "Pid", 0);
}

/* Field 22 of /proc/PID/stat; the name in parentheses may hold anything. */
int64_t container_start_ticks(pid_t pid)
{
    char path[40];
    char text[1024];
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    CLEANUP(close_fd) int fd = pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (size <= 0) {
        return 0;
    }
    text[size] = '\0';
    const char *at = strrchr(text, ')');
    char state = 0;
    long long ticks = 0;
    if (at == NULL || sscanf(at + 1,
                             " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
                             "%*d %*d %lld",
                             &state, &ticks) != 2) {
        return 0;
    }
    return state == 'Z' || state == 'X' ? 0 : ticks;
}

bool container_is_process(pid_t pid, int64_t start_ticks)
{
    int64_t now = container_start_ticks(pid);
    return now != 0 && now == start_ticks;
}

/* The process may be gone before its shim has written how it ended: the shim answers after that. */
static int read_exit(const struct container *container, json_t **ret)
{
    enum { SHIM_WAIT_MS = 60000 };
    char path[PATH_MAX];
    struct shim_client client;
    int code = 0;
    if (read_json(container, "exit.json", ret, NULL) == 0) {
        return 0;
    }
    if (container_socket_path(container, path, NULL) == 0 &&
        shim_client_open(&client, path, NULL) == 0) {
        int ignored = shim_client_wait(&client, SHIM_WAIT_MS, &code, NULL);
        (void)ignored; /* a shim that went away meanwhile has written the file before */
        shim_client_close(&client);
    }
    return read_json(container, "exit.json", ret, NULL);
}

static void take_exit(struct container *container)
{
    CLEANUP(json) json_t *ended = NULL;
    json_t *state = container->state;
    if (read_exit(container, &ended) == 0) {
        json_object_set_new(state, "ExitCode",
                            json_integer(json_get_integer(ended, "exitCode", 255)));
        json_object_set_new(state, "OOMKilled", json_boolean(json_get_flag(ended, "oomKilled")));
        json_object_set_new(state, "FinishedAt", json_text(json_get_text(ended, "finishedAt", "")));
    } else {
        /* Its shim died with it: the machine stopped, or both were killed. */
        json_object_set_new(state, "ExitCode", json_integer(255));
    }
    json_object_set_new(state, "Pid", json_integer(0));
    json_object_set_new(state, "Status", json_text("exited"));
    json_object_set_new(state, "HasJustEnded", json_true()); /* until lifecycle_finish */
}

enum container_status container_refresh(struct container *container)
{
    const char *status = json_get_text(container->state, "Status", "dead");
    bool is_alive = strcmp(status, "running") == 0 || strcmp(status, "paused") == 0;
    if (is_alive && !container_is_process(container_pid(container),
                                          json_get_integer(container->state, "StartTicks", 0))) {
        take_exit(container);
        return CONTAINER_EXITED;
    }
    for (int i = CONTAINER_CREATED; i <= CONTAINER_DEAD; i++) {
        if (strcmp(status, container_status_text((enum container_status)i)) == 0) {
            return (enum container_status)i;
        }
    }
    return CONTAINER_DEAD;
}

int container_remove_files(const struct store *store, const struct container *container,
                           struct err *err)
{
    CLEANUP(close_fd) int containers_fd = -1;
    CLEANUP(close_fd) int names_fd = -1;
    int status;
    if ((status = open_shared(store, "containers", &containers_fd, err)) != 0 ||
        (status = open_shared(store, "names", &names_fd, err)) != 0) {
        return status;
    }
    /* Under another name first: nobody shall see half a container. */
    char doomed[CONTAINER_ID_SIZE + sizeof(doomed_prefix)];
    (void)snprintf(doomed, sizeof(doomed), "%s%s", doomed_prefix, container->id);
    if (renameat(containers_fd, container->id, containers_fd, doomed) != 0 && errno != ENOENT) {
        return err_set_errno(err, errno, "remove the files of container %.12s", container->id);
    }
    const char *name = container_name(container);
    char owner[CONTAINER_ID_SIZE + 1] = "";
    ssize_t size = name[0] == '\0' ? -1 : readlinkat(names_fd, name, owner, sizeof(owner) - 1);
    if (size > 0 && strcmp(owner, container->id) == 0) {
        (void)unlinkat(names_fd, name, 0); /* another claim finds it left over */
    }
    status = in_root_remove(containers_fd, doomed);
    return status == 0
               ? 0
               : err_set_errno(err, -status, "remove the files of container %.12s", container->id);
}

/* Unless whoever began is at it still: it holds the container's lock. */
static void sweep_one(int containers_fd, const char *name)
{
    CLEANUP(close_fd)
    int fd = openat(containers_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) {
        int ignored = in_root_remove(containers_fd, name);
        (void)ignored; /* the next sweep finds the rest */
    }
}

void container_sweep(const struct store *store)
{
    int fd = -1;
    DIR *directory = open_shared(store, "containers", &fd, NULL) != 0 ? NULL : fdopendir(fd);
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        if (strncmp(entry->d_name, doomed_prefix, strlen(doomed_prefix)) == 0) {
            sweep_one(fd, entry->d_name);
        }
    }
    if (directory != NULL) {
        (void)closedir(directory);
    }
}

int container_run_directory(char *out, struct err *err)
{
    const char *chosen = getenv("CORACLE_RUN");
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    if (chosen != NULL && chosen[0] == '/') {
        (void)snprintf(out, PATH_MAX, "%s", chosen);
    } else if (geteuid() == 0) {
        (void)snprintf(out, PATH_MAX, "/run/coracle");
    } else {
        (void)snprintf(out, PATH_MAX, "%s/coracle", runtime == NULL ? "/tmp" : runtime);
    }
    if (mkdir(out, 0700) != 0 && errno != EEXIST) {
        return err_set_errno(err, errno, "create directory '%s'", out);
    }
    return 0;
}

int container_socket_path(const struct container *container, char *out, struct err *err)
{
    char directory[PATH_MAX];
    int status = container_run_directory(directory, err);
    if (status == 0) {
        enum { SOCKET_PATH_MAX = 107 };
        int size = snprintf(out, PATH_MAX, "%s/%.24s.sock", directory, container->id);
        if (size < 0 || size > SOCKET_PATH_MAX) {
            return err_set(err, ERR_INVALID, "'%s' is too long for a socket; set CORACLE_RUN", out);
        }
    }
    return status;
}
