/* list.c - state, list, ps: what there is. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json_text.h"
#include "runtime/container/container.h"
#include "runtime/container/file.h"

static void append_member(struct buf *out, const char *key, const char *value)
{
    buf_append_format(out, ",\n  \"%s\": ", key);
    json_text_append_quoted(out, bytes_from_text(value == NULL ? "" : value));
}

static void append_state(struct buf *out, const struct state *state, enum state_status status)
{
    bool has_ended = status == STATE_STOPPED;
    buf_append_text(out, "{\n  \"ociVersion\": ");
    json_text_append_quoted(out, bytes_from_text(state->oci_version));
    append_member(out, "id", state->id);
    buf_append_format(out, ",\n  \"pid\": %lld", has_ended ? 0LL : (long long)state->pid);
    append_member(out, "status", state_status_name(status));
    append_member(out, "bundle", state->bundle);
    append_member(out, "rootfs", state->rootfs);
    append_member(out, "created", state->created);
    if (state->annotations.count > 0) {
        buf_append_text(out, ",\n  \"annotations\": {");
        for (size_t i = 0; i < state->annotations.count; i++) {
            buf_append_text(out, i == 0 ? "\n    " : ",\n    ");
            json_text_append_quoted(out, bytes_from_text(state->annotations.items[i].name));
            buf_append_text(out, ": ");
            json_text_append_quoted(out, bytes_from_text(state->annotations.items[i].value));
        }
        buf_append_text(out, "\n  }");
    }
    append_member(out, "owner", state->owner == 0 ? "root" : "");
    buf_append_text(out, "\n}");
}

int container_print_state(const struct container_options *options, const char *id, struct buf *out,
                          struct err *err)
{
    int rc = state_check_id(id, err);
    if (rc < 0) {
        return rc;
    }
    CLEANUP(close_fd) int directory = state_open_directory(options->root, id, err);
    if (directory < 0) {
        return directory;
    }
    struct state state;
    rc = state_read(directory, options->arena, &state, err);
    if (rc < 0) {
        return rc;
    }
    append_state(out, &state, state_status(directory, &state));
    buf_append_text(out, "\n");
    return 0;
}

struct listing {
    bool is_json;
    bool is_quiet;
    size_t count;
    struct buf *out;
};

static void append_entry(struct listing *listing, int directory, const struct state *state)
{
    enum state_status status = state_status(directory, state);
    listing->count++;
    if (listing->is_quiet) {
        buf_append_format(listing->out, "%s\n", state->id);
    } else if (listing->is_json) {
        buf_append_text(listing->out, listing->count == 1 ? "" : ",");
        append_state(listing->out, state, status);
    } else {
        buf_append_format(listing->out, "%-20s %-10lld %-10s %-40s %-31s %s\n", state->id,
                          status == STATE_STOPPED ? 0LL : (long long)state->pid,
                          state_status_name(status), state->bundle, state->created,
                          state->owner == 0 ? "root" : "");
    }
}

static int compare_names(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

int container_list(const struct container_options *options, bool is_json, bool is_quiet,
                   struct buf *out, struct err *err)
{
    struct dirent **entries = NULL;
    int count = scandir(options->root, &entries, NULL, compare_names);
    if (count < 0 && errno != ENOENT) {
        return err_set_errno(err, errno, "list '%s'", options->root);
    }
    struct listing listing = {.is_json = is_json && !is_quiet, .is_quiet = is_quiet, .out = out};
    if (listing.is_json) {
        buf_append_text(out, "[");
    } else if (!is_quiet) {
        buf_append_format(out, "%-20s %-10s %-10s %-40s %-31s %s\n", "ID", "PID", "STATUS",
                          "BUNDLE", "CREATED", "OWNER");
    }
    for (int i = 0; i < count; i++) {
        struct state state;
        if (entries[i]->d_name[0] != '.' && state_check_id(entries[i]->d_name, NULL) == 0) {
            CLEANUP(close_fd)
            int directory = state_open_directory(options->root, entries[i]->d_name, NULL);
            /* One that is being made or removed is not listed. */
            if (directory >= 0 && state_read(directory, options->arena, &state, NULL) == 0) {
                append_entry(&listing, directory, &state);
            }
        }
        free(entries[i]);
    }
    free(entries);
    if (listing.is_json) {
        buf_append_text(out, "]\n");
    }
    return 0;
}

static bool is_listed(const struct cgroup_pids *pids, long pid)
{
    for (size_t i = 0; i < pids->count; i++) {
        if (pids->items[i] == pid) {
            return true;
        }
    }
    return false;
}

/* ps(1) knows all columns; its lines for the container's processes are passed on. */
static int append_table(const struct cgroup_pids *pids, struct buf *out, struct err *err)
{
    FILE *ps = popen("ps -ef", "re");
    if (ps == NULL) {
        return err_set_errno(err, errno, "run ps");
    }
    char line[4096];
    bool is_header = true;
    while (fgets(line, sizeof line, ps) != NULL) {
        char owner[64];
        long pid = 0;
        if (is_header || (sscanf(line, "%63s %18ld", owner, &pid) == 2 && is_listed(pids, pid))) {
            buf_append_text(out, line);
        }
        is_header = false;
    }
    return pclose(ps) != 0 && is_header
               ? err_set(err, ERR_NOT_FOUND, "ps: not found; use --format json")
               : 0;
}

int container_ps(const struct container_options *options, const char *id, bool is_json,
                 struct buf *out, struct err *err)
{
    struct container container;
    int rc = container_open(options, id, false, &container, err);
    if (rc < 0) {
        return rc;
    }
    struct cgroup_pids pids = {NULL, 0};
    rc = container.state.no_cgroup
             ? err_set(err, ERR_UNSUPPORTED, "ps: container '%s' has no cgroup", id)
             : cgroup_read_pids(&container.cgroup, &pids);
    if (rc == 0 && is_json) {
        buf_append_text(out, "[");
        for (size_t i = 0; i < pids.count; i++) {
            buf_append_format(out, "%s%d", i == 0 ? "" : ",", pids.items[i]);
        }
        buf_append_text(out, "]\n");
    } else if (rc == 0) {
        rc = append_table(&pids, out, err);
    }
    mem_free(pids.items);
    container_close(&container);
    return rc;
}
