#include "runtime/container/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json_text.h"
#include "runtime/container/cgroup.h"
#include "runtime/container/file.h"

enum { ID_SIZE_MAX = 1024, STATE_SIZE_MAX = 16 << 20 };

const char *state_default_root(struct arena *arena)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    if (geteuid() != 0 && runtime != NULL && runtime[0] == '/') {
        return arena_printf(arena, "%s/kvrun", runtime);
    }
    return geteuid() == 0 ? "/run/kvrun" : arena_printf(arena, "/tmp/kvrun-%u", geteuid());
}

int state_check_id(const char *id, struct err *err)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.";
    size_t size = strlen(id);
    if (size == 0 || size > ID_SIZE_MAX || strspn(id, allowed) != size || id[0] == '.') {
        return err_set(err, ERR_INVALID,
                       "invalid container ID format: invalid character in container ID '%.100s'",
                       id);
    }
    return 0;
}

int state_make_directory(const char *root, const char *id, struct err *err)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s", root, id);
    for (int i = 0; i < 2; i++) {
        if (mkdir(path, 0700) == 0) {
            int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            return fd < 0 ? err_set_errno(err, errno, "open '%s'", path) : fd;
        }
        if (errno == EEXIST) {
            return err_set(err, ERR_EXISTS, "container with given ID already exists: '%s'", id);
        }
        int rc = errno == ENOENT ? file_make_directories(root, 0700) : -errno;
        if (rc < 0) {
            return err_set_errno(err, -rc, "make the state directory '%s'", path);
        }
    }
    return err_set_errno(err, errno, "make the state directory '%s'", path);
}

int state_open_directory(const char *root, const char *id, struct err *err)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s", root, id);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        return err_set(err, ERR_NOT_FOUND, "container does not exist: '%s'", id);
    }
    return fd < 0 ? err_set_errno(err, errno, "open the state directory '%s'", path) : fd;
}

int state_lock(int directory, struct err *err)
{
    while (flock(directory, LOCK_EX) < 0) {
        if (errno != EINTR) {
            return err_set_errno(err, errno, "lock the container's state");
        }
    }
    return 0;
}

static void append_text_member(struct buf *out, const char *key, const char *value)
{
    buf_append_format(out, ",\"%s\":", key);
    json_text_append_quoted(out, bytes_from_text(value == NULL ? "" : value));
}

static void append_annotations(struct buf *out, const struct text_map *map)
{
    buf_append_text(out, ",\"annotations\":{");
    for (size_t i = 0; i < map->count; i++) {
        buf_append_text(out, i == 0 ? "" : ",");
        json_text_append_quoted(out, bytes_from_text(map->items[i].name));
        buf_append_text(out, ":");
        json_text_append_quoted(out, bytes_from_text(map->items[i].value));
    }
    buf_append_text(out, "}");
}

int state_write(int directory, const struct state *state, struct err *err)
{
    CLEANUP(buf) struct buf out = BUF_INIT;
    buf_append_text(&out, "{\"id\":");
    json_text_append_quoted(&out, bytes_from_text(state->id));
    append_text_member(&out, "ociVersion", state->oci_version);
    append_text_member(&out, "bundle", state->bundle);
    append_text_member(&out, "rootfs", state->rootfs);
    append_text_member(&out, "created", state->created);
    append_text_member(&out, "cgroupPath", state->cgroup_path);
    buf_append_format(&out,
                      ",\"cgroupDepth\":%lld,\"pid\":%lld,\"startTime\":%llu,\"owner\":%lld,"
                      "\"isCreated\":%s,\"noCgroup\":%s",
                      (long long)state->cgroup_depth, (long long)state->pid,
                      (unsigned long long)state->start_time, (long long)state->owner,
                      state->is_created ? "true" : "false", state->no_cgroup ? "true" : "false");
    append_annotations(&out, &state->annotations);
    buf_append_text(&out, "}\n");
    int rc = file_replace(directory, "state.json", buf_bytes(&out), 0600);
    return rc < 0 ? err_set_errno(err, -rc, "write state.json") : 0;
}

static const struct field state_fields[] = {
    FIELD(struct state, id, "id", FIELD_TEXT),
    FIELD(struct state, oci_version, "ociVersion", FIELD_TEXT),
    FIELD(struct state, bundle, "bundle", FIELD_TEXT),
    FIELD(struct state, rootfs, "rootfs", FIELD_TEXT),
    FIELD(struct state, created, "created", FIELD_TEXT),
    FIELD(struct state, cgroup_path, "cgroupPath", FIELD_TEXT),
    FIELD(struct state, cgroup_depth, "cgroupDepth", FIELD_I64),
    FIELD(struct state, pid, "pid", FIELD_I64),
    FIELD(struct state, start_time, "startTime", FIELD_U64),
    FIELD(struct state, owner, "owner", FIELD_I64),
    FIELD(struct state, is_created, "isCreated", FIELD_BOOL),
    FIELD(struct state, no_cgroup, "noCgroup", FIELD_BOOL),
    FIELD(struct state, annotations, "annotations", FIELD_TEXT_MAP),
    FIELD_END,
};

int state_read(int directory, struct arena *arena, struct state *ret, struct err *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    int rc = file_read(directory, "state.json", STATE_SIZE_MAX, &text);
    if (rc < 0) {
        return err_set_errno(err, -rc, "read state.json");
    }
    struct json_value *document = NULL;
    struct state state = {.id = ""};
    rc = json_parse(arena, buf_bytes(&text), &document, err);
    if (rc < 0 || fields_read(arena, document, state_fields, &state, err) < 0) {
        return err_prefix(err, "state.json");
    }
    *ret = state;
    return 0;
}

int state_read_config(int directory, struct arena *arena, struct spec *ret, struct err *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    int rc = file_read(directory, "config.json", JSON_SIZE_MAX, &text);
    if (rc < 0) {
        return err_set_errno(err, -rc, "read the saved config.json");
    }
    return spec_parse(arena, buf_bytes(&text), ret, err);
}

int state_remove(const char *root, const char *id)
{
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    int rc = file_remove_tree(fd, id);
    (void)close(fd); /* a directory */
    return rc;
}

uint64_t state_process_start_time(pid_t pid)
{
    char path[64];
    char text[1024];
    (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (file_read_text(AT_FDCWD, path, text, sizeof text) <= 0) {
        return 0;
    }
    /* The name in field 2 may contain anything, also ") ": count from the last parenthesis. */
    const char *at = strrchr(text, ')');
    if (at == NULL || at[1] == 0 || at[2] == 'Z' || at[2] == 'X') {
        return 0;
    }
    at += 2;
    for (int field = 3; field < 22; field++) {
        at = strchr(at, ' ');
        if (at == NULL) {
            return 0;
        }
        at++;
    }
    return strtoull(at, NULL, 10);
}

int state_open_process(const struct state *state)
{
    if (state->pid <= 0) {
        return -ESRCH;
    }
    CLEANUP(close_fd) int pidfd = pidfd_open((pid_t)state->pid, 0);
    if (pidfd < 0) {
        return -errno;
    }
    /* Compared after the pidfd is open: from here on it cannot become another process. */
    return state_process_start_time((pid_t)state->pid) == state->start_time ? TAKE_FD(pidfd)
                                                                            : -ESRCH;
}

static bool is_paused(const struct state *state)
{
    struct cgroup cgroup;
    if (state->no_cgroup || cgroup_detect(&cgroup, NULL) < 0) {
        return false;
    }
    bool frozen = cgroup_open(&cgroup, state->cgroup_path, NULL) == 0 && cgroup_is_frozen(&cgroup);
    cgroup_deinit(&cgroup);
    return frozen;
}

enum state_status state_status(int directory, const struct state *state)
{
    if (!state->is_created) {
        return state->pid == 0 || state_process_start_time((pid_t)state->pid) == state->start_time
                   ? STATE_CREATING
                   : STATE_STOPPED;
    }
    if (state_process_start_time((pid_t)state->pid) != state->start_time) {
        return STATE_STOPPED;
    }
    if (faccessat(directory, "start", F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        return STATE_CREATED;
    }
    return is_paused(state) ? STATE_PAUSED : STATE_RUNNING;
}

const char *state_status_name(enum state_status status)
{
    static const char *const names[] = {"creating", "created", "running", "paused", "stopped"};
    return names[status];
}

void state_append_public(struct buf *out, const struct spec *spec, const char *id,
                         const char *status, pid_t pid, const char *bundle)
{
    buf_append_text(out, "{\"ociVersion\":");
    json_text_append_quoted(out, bytes_from_text(spec->oci_version));
    append_text_member(out, "id", id);
    append_text_member(out, "status", status);
    if (pid > 0) {
        buf_append_format(out, ",\"pid\":%d", pid);
    }
    append_text_member(out, "bundle", bundle);
    append_annotations(out, &spec->annotations);
    buf_append_text(out, "}");
}
