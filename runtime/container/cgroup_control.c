/* cgroup_control.c - limits, freezing, killing and removing of a cgroup that exists. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "runtime/container/cgroup.h"
#include "runtime/container/cgroup_devices.h"
#include "runtime/container/file.h"
#include "runtime/container/report.h"

enum { FREEZE_TRIES = 2000, REMOVE_TIMEOUT_MS = 10000 };

static void sleep_us(long us)
{
    struct timespec pause = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    (void)nanosleep(&pause, NULL); /* waking early is harmless: callers loop */
}

static int explain_write(const struct cgroup *cgroup, int dir, const struct cgroup_write *write,
                         int rc, struct err *err)
{
    if (rc == -EBUSY && strcmp(write->file, "memory.limit_in_bytes") == 0) {
        char usage[32] = "?";
        char peak[32] = "?";
        if (file_read_text(dir, "memory.usage_in_bytes", usage, sizeof usage) < 0 ||
            file_read_text(dir, "memory.max_usage_in_bytes", peak, sizeof peak) < 0) {
            return err_set_errno(err, -rc, "linux.resources.%s: write %s", write->field,
                                 write->file);
        }
        return err_set(err, rc,
                       "linux.resources.memory.limit: unable to set memory limit to %s "
                       "(current usage: %s, peak usage: %s)",
                       write->value, usage, peak);
    }
    return err_set_errno(err, -rc, "linux.resources.%s: write '%s' to %s of cgroup '%s'",
                         write->field, write->value, write->file, cgroup->path);
}

static int write_one(const struct cgroup *cgroup, const struct cgroup_write *write, bool is_v2,
                     struct err *err)
{
    int dir = write->controller == CGROUP_ANY
                  ? cgroup_v2_dir(cgroup)
                  : cgroup_controller_dir(cgroup, write->controller, NULL);
    if (dir < 0) {
        bool is_optional = (write->flags & CGROUP_WRITE_OPTIONAL) != 0;
        return is_optional ? 0
                           : err_set(err, ERR_UNSUPPORTED,
                                     "linux.resources.%s: the %s cgroup controller is not "
                                     "available on this host",
                                     write->field,
                                     write->controller == CGROUP_ANY
                                         ? "version 2"
                                         : cgroup_controller_name(write->controller, is_v2));
    }
    int rc = file_write(dir, write->file, write->value);
    if (rc == -ENOENT && (write->flags & CGROUP_WRITE_OPTIONAL) != 0) {
        report_debug("no %s in this kernel; linux.resources.%s passed over", write->file,
                     write->field);
        return 0;
    }
    if (rc == -EINVAL && strstr(write->file, "rsvd") != NULL) {
        return 0;
    }
    return rc < 0 ? explain_write(cgroup, dir, write, rc, err) : 0;
}

static int run_plan(const struct cgroup *cgroup, const struct cgroup_plan *plan, bool is_v2,
                    struct err *err)
{
    for (size_t i = 0; i < plan->count; i++) {
        const struct cgroup_write *write = &plan->items[i];
        int rc = write_one(cgroup, write, is_v2, err);
        bool may_swap =
            (write->flags & CGROUP_WRITE_PAIR) != 0 && i + 1 < plan->count && rc != -EBUSY;
        if (rc < 0 && may_swap) {
            /* The other one of the pair first, then this again. */
            rc = write_one(cgroup, &plan->items[i + 1], is_v2, err);
            rc = rc < 0 ? rc : write_one(cgroup, write, is_v2, err);
            i++;
        }
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

static int apply_devices(const struct cgroup *cgroup, const struct spec_resources *resources,
                         struct err *err)
{
    if (resources->devices.count == 0) {
        return 0;
    }
    int dir = cgroup_controller_dir(cgroup, CGROUP_DEVICES, NULL);
    if (dir >= 0) {
        return cgroup_devices_write_v1(dir, &resources->devices, err);
    }
    dir = cgroup_v2_dir(cgroup);
    return dir < 0 ? 0 : cgroup_devices_attach_v2(dir, &resources->devices, err);
}

int cgroup_apply(struct cgroup *cgroup, const struct spec_resources *resources, struct err *err)
{
    CLEANUP(arena) struct arena arena = ARENA_INIT;
    struct cgroup_plan v1 = {.arena = &arena};
    struct cgroup_plan v2 = {.arena = &arena};
    uint32_t v1_mask = 0;
    uint32_t v2_mask = 0;
    for (size_t i = 0; i < cgroup->count; i++) {
        *(cgroup->items[i].is_v2 ? &v2_mask : &v1_mask) |= cgroup->items[i].controllers;
    }
    if (resources->unified.count > 0 && !cgroup->is_v2_only && v1_mask != 0) {
        return err_set(err, ERR_UNSUPPORTED,
                       "linux.resources.unified: invalid configuration: cannot use unified on "
                       "cgroup v1");
    }
    int rc = 0;
    if (cgroup->is_v2_only) {
        rc = cgroup_plan_v2(resources, v2_mask, &v2, err);
    } else {
        rc = cgroup_plan_v1(resources, v1_mask, &v1, err);
        /* Hybrid: what version 1 lacks may be in version 2 (hugetlb, say). */
        struct cgroup_plan all = {.arena = &arena};
        if (rc == 0 && v2_mask != 0) {
            rc = cgroup_plan_v2(resources, v2_mask, &all, err);
        }
        v2.items = all.items;
        for (size_t i = 0; rc == 0 && i < all.count; i++) {
            enum cgroup_controller controller = all.items[i].controller;
            if (controller != CGROUP_ANY && (v2_mask & CGROUP_BIT(controller)) != 0) {
                v2.items[v2.count++] = all.items[i];
            }
        }
        size_t kept = 0;
        for (size_t i = 0; rc == 0 && i < v1.count; i++) {
            if ((v2_mask & CGROUP_BIT(v1.items[i].controller)) == 0) {
                v1.items[kept++] = v1.items[i];
            }
        }
        v1.count = kept;
    }
    if (rc < 0 || (rc = run_plan(cgroup, &v1, false, err)) < 0 ||
        (rc = run_plan(cgroup, &v2, true, err)) < 0) {
        return rc;
    }
    return apply_devices(cgroup, resources, err);
}

static int freeze_v1(int dir, bool freeze, struct err *err)
{
    const char *wanted = freeze ? "FROZEN" : "THAWED";
    for (int i = 0; i < FREEZE_TRIES; i++) {
        int rc = file_write(dir, "freezer.state", wanted);
        if (rc < 0) {
            return err_set_errno(err, -rc, "write freezer.state");
        }
        char state[32];
        rc = file_read_text(dir, "freezer.state", state, sizeof state);
        if (rc < 0) {
            return err_set_errno(err, -rc, "read freezer.state");
        }
        if (strcmp(state, wanted) == 0) {
            return 0;
        }
        /* A fork in flight can keep it FREEZING; a short thaw lets it through (kernel freezer doc).
         */
        if (i % 50 == 49 && freeze) {
            err_ignore(file_write(dir, "freezer.state", "THAWED")); /* the next write decides */
        }
        sleep_us(i < 20 ? 100 : 1000);
    }
    err_ignore(file_write(dir, "freezer.state", "THAWED")); /* never leave it half frozen */
    return err_set(err, ERR_TIMEOUT, "the container's processes do not freeze");
}

static int freeze_v2(int dir, bool freeze, struct err *err)
{
    int rc = file_write(dir, "cgroup.freeze", freeze ? "1" : "0");
    if (rc < 0) {
        return err_set_errno(err, -rc, "write cgroup.freeze");
    }
    const char *wanted = freeze ? "frozen 1" : "frozen 0";
    for (int i = 0; i < FREEZE_TRIES; i++) {
        char events[256];
        rc = file_read_text(dir, "cgroup.events", events, sizeof events);
        if (rc < 0) {
            return err_set_errno(err, -rc, "read cgroup.events");
        }
        if (strstr(events, wanted) != NULL) {
            return 0;
        }
        sleep_us(i < 20 ? 100 : 1000);
    }
    return err_set(err, ERR_TIMEOUT, "the container's processes do not freeze");
}

int cgroup_freeze(const struct cgroup *cgroup, bool freeze, struct err *err)
{
    int dir = cgroup_controller_dir(cgroup, CGROUP_FREEZER, NULL);
    if (dir >= 0) {
        return freeze_v1(dir, freeze, err);
    }
    dir = cgroup_v2_dir(cgroup);
    if (dir < 0) {
        return err_set(err, ERR_UNSUPPORTED, "no cgroup to freeze: the container has none");
    }
    return freeze_v2(dir, freeze, err);
}

bool cgroup_is_frozen(const struct cgroup *cgroup)
{
    char text[256];
    int dir = cgroup_controller_dir(cgroup, CGROUP_FREEZER, NULL);
    if (dir >= 0) {
        return file_read_text(dir, "freezer.state", text, sizeof text) > 0 &&
               strcmp(text, "THAWED") != 0;
    }
    dir = cgroup_v2_dir(cgroup);
    return dir >= 0 && file_read_text(dir, "cgroup.events", text, sizeof text) > 0 &&
           strstr(text, "frozen 1") != NULL;
}

static int read_pids_below(int dir, struct cgroup_pids *pids, unsigned depth)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    int rc = file_read(dir, "cgroup.procs", 64 << 20, &text);
    if (rc < 0) {
        return rc == -ENODEV || rc == -EOPNOTSUPP ? 0 : rc; /* removed meanwhile; threaded */
    }
    const char *at = buf_text(&text);
    while (*at != 0) {
        char *end = NULL;
        long pid = strtol(at, &end, 10);
        if (end == at) {
            break;
        }
        if (pid > 0) {
            pids->items = mem_reallocarray(pids->items, pids->count + 1, sizeof *pids->items);
            pids->items[pids->count++] = (pid_t)pid;
        }
        at = end + (*end == '\n');
    }
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = copy < 0 ? NULL : fdopendir(copy);
    if (stream == NULL) {
        return copy < 0 && errno == ENOENT ? 0 : -errno;
    }
    for (struct dirent *entry = readdir(stream); entry != NULL && rc == 0 && depth < 32;
         entry = readdir(stream)) {
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.') {
            continue;
        }
        CLEANUP(close_fd)
        int child = openat(dir, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        rc = child < 0 ? 0 : read_pids_below(child, pids, depth + 1);
    }
    (void)closedir(stream); /* only read from */
    return rc;
}

/* The hierarchy to ask who is in the container: a process is in all of them. */
static int any_dir(const struct cgroup *cgroup)
{
    int dir = cgroup_v2_dir(cgroup);
    for (size_t i = 0; i < cgroup->count && dir < 0; i++) {
        dir = cgroup->items[i].dir;
    }
    return dir;
}

int cgroup_read_pids(const struct cgroup *cgroup, struct cgroup_pids *ret)
{
    struct cgroup_pids pids = {NULL, 0};
    int dir = any_dir(cgroup);
    int rc = dir < 0 ? 0 : read_pids_below(dir, &pids, 0);
    if (rc < 0) {
        mem_free(pids.items);
        return rc;
    }
    *ret = pids;
    return 0;
}

static int signal_pids(const struct cgroup *cgroup, int signal)
{
    struct cgroup_pids pids = {NULL, 0};
    int rc = cgroup_read_pids(cgroup, &pids);
    for (size_t i = 0; rc == 0 && i < pids.count; i++) {
        (void)kill(pids.items[i], signal); /* one that ended meanwhile is what we want */
    }
    mem_free(pids.items);
    return rc;
}

int cgroup_kill(const struct cgroup *cgroup, int signal)
{
    int v2 = cgroup_v2_dir(cgroup);
    if (signal == SIGKILL && v2 >= 0 && file_write(v2, "cgroup.kill", "1") == 0) {
        return 0;
    }
    if (signal != SIGKILL) {
        return signal_pids(cgroup, signal);
    }
    /* Frozen processes cannot fork away from the list that is being walked. */
    int frozen = cgroup_freeze(cgroup, true, NULL);
    int rc = signal_pids(cgroup, signal);
    if (frozen == 0) {
        int thawed = cgroup_freeze(cgroup, false, NULL);
        rc = rc < 0 ? rc : thawed;
    }
    return rc;
}

/* Directories below first; true when all are gone. */
static bool remove_below(int parent, const char *name, unsigned depth)
{
    if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT) {
        return true;
    }
    int dir = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *stream = dir < 0 ? NULL : fdopendir(dir);
    if (stream == NULL || depth > 32) {
        return false;
    }
    for (struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream)) {
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.') {
            (void)remove_below(dirfd(stream), entry->d_name, depth + 1); /* seen by our own rmdir */
        }
    }
    (void)closedir(stream); /* only read from */
    return unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT;
}

static bool try_remove(struct cgroup *cgroup)
{
    bool is_gone = true;
    for (size_t i = 0; i < cgroup->count; i++) {
        struct cgroup_hierarchy *item = &cgroup->items[i];
        if (item->dir < 0) {
            continue;
        }
        if (!remove_below(item->root, cgroup->path + 1, 0)) {
            is_gone = false;
            continue;
        }
        (void)close(item->dir); /* a directory that is gone */
        item->dir = -1;
    }
    return is_gone;
}

int cgroup_remove(struct cgroup *cgroup, unsigned created_depth, struct err *err)
{
    uint64_t deadline = 0;
    long pause_us = 200;
    while (!try_remove(cgroup)) {
        uint64_t now = clock_monotonic_ms();
        deadline = deadline == 0 ? now + REMOVE_TIMEOUT_MS : deadline;
        if (now > deadline) {
            return err_set(err, -EBUSY, "remove cgroup '%s': processes in it do not end",
                           cgroup->path);
        }
        err_ignore(cgroup_kill(cgroup, SIGKILL)); /* the next try shows whether it helped */
        sleep_us(pause_us);
        pause_us = pause_us < 20000 ? pause_us * 2 : pause_us;
    }
    char parent[CGROUP_PATH_SIZE];
    (void)snprintf(parent, sizeof parent, "%s", cgroup->path);
    for (unsigned i = 1; i < created_depth; i++) {
        char *slash = strrchr(parent, '/');
        if (slash == NULL || slash == parent) {
            break;
        }
        *slash = 0;
        for (size_t j = 0; j < cgroup->count; j++) {
            /* Parents that we made go when they are empty; others in them keep them. */
            (void)unlinkat(cgroup->items[j].root, parent + 1, AT_REMOVEDIR);
        }
    }
    return 0;
}

uint64_t cgroup_oom_kills(const struct cgroup *cgroup)
{
    bool is_v2 = false;
    int dir = cgroup_controller_dir(cgroup, CGROUP_MEMORY, &is_v2);
    char text[512];
    if (dir < 0 || file_read_text(dir, is_v2 ? "memory.events" : "memory.oom_control", text,
                                  sizeof text) < 0) {
        return 0;
    }
    const char *place = strstr(text, "oom_kill ");
    return place == NULL ? 0 : strtoull(place + 9, NULL, 10);
}
