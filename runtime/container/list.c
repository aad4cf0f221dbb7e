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

/* For people one member a line, in a list all in one. */
struct layout {
    const char *separator;
    const char *colon;
    const char *end;
};
static const struct layout layout_lines = {"\n  ", ": ", "\n}"};
static const struct layout layout_compact = {"", ":", "}"};

static void append_member(struct buf *out, const struct layout *layout, const char *key,
                          const char *value)
{
    buf_append_format(out, ",%s\"%s\"%s", layout->separator, key, layout->colon);
    json_text_append_quoted(out, bytes_from_text(value == NULL ? "" : value));
}

static void append_annotations(struct buf *out, const struct layout *layout,
                               const struct text_map *annotations)
{
    if (annotations->count == 0) {
        return;
    }
    buf_append_format(out, ",%s\"annotations\"%s{", layout->separator, layout->colon);
    for (size_t i = 0; i < annotations->count; i++) {
        buf_append_text(out, i == 0 ? "" : ",");
        buf_append_text(out, layout->separator);
        json_text_append_quoted(out, bytes_from_text(annotations->items[i].name));
        buf_append_text(out, layout->colon);
        json_text_append_quoted(out, bytes_from_text(annotations->items[i].value));
    }
    buf_append_format(out, "%s}", layout->separator);
}

static void append_state(struct buf *out, const struct layout *layout, const struct state *state,
                         enum state_status status)
{
    bool has_ended = status == STATE_STOPPED;
    buf_append_format(out, "{%s\"ociVersion\"%s", layout->separator, layout->colon);
    json_text_append_quoted(out, bytes_from_text(state->oci_version));
    append_member(out, layout, "id", state->id);
    buf_append_format(out, ",%s\"pid\"%s%lld", layout->separator, layout->colon,
                      has_ended ? 0LL : (long long)state->pid);
    append_member(out, layout, "status", state_status_name(status));
    append_member(out, layout, "bundle", state->bundle);
    append_member(out, layout, "rootfs", state->rootfs);
    append_member(out, layout, "created", state->created);
    append_annotations(out, layout, &state->annotations);
    append_member(out, layout, "owner", state->owner == 0 ? "root" : "");
    buf_append_text(out, layout->end);
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
    if (!state.is_created && state.pid == 0) {
        /* It is just being made, and no hook runs yet that could be asking: what comes of it? */
        rc = state_lock(directory, err);
        if (rc < 0 || (rc = state_read(directory, options->arena, &state, err)) < 0) {
            return rc;
        }
    }
    append_state(out, &layout_lines, &state, state_status(directory, &state));
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
        append_state(listing->out, &layout_compact, state, status);
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
    if (count < 0 && (errno != ENOENT || options->is_root_given)) {
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

/* Start ps(1) with the caller's words; a pipe from its output. */
static FILE *start_ps(const struct text_list *arguments, struct arena *arena, pid_t *ret_pid)
{
    int ends[2];
    char **argv = arena_zalloc(arena, (arguments->count + 3) * sizeof *argv);
    argv[0] = (char *)(uintptr_t) "ps";
    argv[1] = (char *)(uintptr_t) "-ef";
    for (size_t i = 0; i < arguments->count; i++) {
        argv[i + 1] = arguments->items[i];
    }
    if (pipe2(ends, O_CLOEXEC) < 0) {
        return NULL;
    }
    *ret_pid = fork();
    if (*ret_pid == 0) {
        (void)dup2(ends[1], STDOUT_FILENO); /* both are open */
        (void)execvp(argv[0], argv);
        _exit(127);
    }
    (void)close(ends[1]); /* the child's */
    FILE *file = *ret_pid < 0 ? NULL : fdopen(ends[0], "r");
    if (file == NULL) {
        (void)close(ends[0]); /* only read */
    }
    return file;
}

/* In which column the title line has "PID"; -1: nowhere. */
static int find_pid_column(const char *titles)
{
    char copy[4096];
    (void)snprintf(copy, sizeof copy, "%s", titles);
    char *rest = copy;
    int column = 0;
    for (char *word = strsep(&rest, " \t\n"); word != NULL; word = strsep(&rest, " \t\n")) {
        if (strcmp(word, "PID") == 0) {
            return column;
        }
        column += word[0] != 0;
    }
    return -1;
}

static long nth_number(const char *line, int column)
{
    for (; column > 0; column--) {
        line += strspn(line, " \t");
        line += strcspn(line, " \t");
    }
    return strtol(line, NULL, 10);
}

/* ps knows all columns; its lines for the container's processes are passed on. */
static int append_table(struct arena *arena, const struct text_list *arguments,
                        const struct cgroup_pids *pids, struct buf *out, struct err *err)
{
    pid_t child = 0;
    FILE *ps = start_ps(arguments, arena, &child);
    if (ps == NULL) {
        return err_set_errno(err, errno, "run ps");
    }
    char line[4096];
    int column = -1;
    bool has_titles = false;
    while (fgets(line, sizeof line, ps) != NULL) {
        if (!has_titles) {
            column = find_pid_column(line);
        }
        if (!has_titles || (column >= 0 && is_listed(pids, nth_number(line, column)))) {
            buf_append_text(out, line);
        }
        has_titles = true;
    }
    (void)fclose(ps); /* only read */
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
    }
    return column >= 0 ? 0
                       : err_set(err, ERR_NOT_FOUND,
                                 "ps: not found, or without a PID column; use --format json");
}

int container_ps(const struct container_options *options, const char *id,
                 const struct text_list *arguments, bool is_json, struct buf *out, struct err *err)
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
        rc = append_table(options->arena, arguments, &pids, out, err);
    }
    mem_free(pids.items);
    container_close(&container);
    return rc;
}
