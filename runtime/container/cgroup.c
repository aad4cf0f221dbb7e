#include "runtime/container/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/container/file.h"

#define CGROUP_MOUNT "/sys/fs/cgroup"

void cgroup_init(struct cgroup *cgroup)
{
    memset(cgroup, 0, sizeof *cgroup);
}

void cgroup_deinit(struct cgroup *cgroup)
{
    for (size_t i = 0; i < cgroup->count; i++) {
        (void)close(cgroup->items[i].root); /* directories: nothing can be lost */
        if (cgroup->items[i].dir >= 0) {
            (void)close(cgroup->items[i].dir);
        }
    }
    cgroup_init(cgroup);
}

static int open_checked(const char *name, long magic)
{
    char path[128];
    (void)snprintf(path, sizeof path, CGROUP_MOUNT "%s%s", name[0] == 0 ? "" : "/", name);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct statfs info;
    if (fd < 0 || (fstatfs(fd, &info) == 0 && info.f_type == magic)) {
        return fd;
    }
    (void)close(fd);
    return -1;
}

static uint32_t parse_controllers(const char *list, const char *separators)
{
    uint32_t mask = 0;
    while (*list != 0) {
        size_t size = strcspn(list, separators);
        int number = cgroup_controller_number(list, size);
        mask |= number >= 0 ? CGROUP_BIT(number) : 0;
        list += size;
        list += strspn(list, separators);
    }
    return mask;
}

static void add_hierarchy(struct cgroup *cgroup, const char *name, uint32_t controllers, bool is_v2,
                          int root)
{
    if (cgroup->count == CGROUP_HIERARCHIES_MAX) {
        (void)close(root);
        return;
    }
    struct cgroup_hierarchy *item = &cgroup->items[cgroup->count++];
    *item = (struct cgroup_hierarchy){
        .controllers = controllers, .is_v2 = is_v2, .root = root, .dir = -1};
    (void)snprintf(item->name, sizeof item->name, "%s", name);
}

static void add_v2(struct cgroup *cgroup, const char *name, int root)
{
    char controllers[256] = "";
    if (file_read_text(root, "cgroup.controllers", controllers, sizeof controllers) < 0) {
        controllers[0] = 0; /* a hierarchy without controllers still groups processes */
    }
    add_hierarchy(cgroup, name, parse_controllers(controllers, " \n"), true, root);
}

/* One line of /proc/self/cgroup: "4:memory:/path", "9:name=systemd:/", "0::/". */
static void add_line(struct cgroup *cgroup, char *line)
{
    char *first = strchr(line, ':');
    char *second = first == NULL ? NULL : strchr(first + 1, ':');
    if (second == NULL) {
        return;
    }
    *second = 0;
    const char *list = first + 1;
    if (list[0] == 0) {
        int root = open_checked("unified", CGROUP2_SUPER_MAGIC);
        if (root >= 0) {
            add_v2(cgroup, "unified", root);
        }
        return;
    }
    const char *name = strncmp(list, "name=", 5) == 0 ? list + 5 : list;
    int root = open_checked(name, CGROUP_SUPER_MAGIC);
    if (root >= 0) {
        add_hierarchy(cgroup, name, parse_controllers(list, ","), false, root);
    }
}

int cgroup_detect(struct cgroup *cgroup, struct err *err)
{
    cgroup_init(cgroup);
    int root = open_checked("", CGROUP2_SUPER_MAGIC);
    if (root >= 0) {
        cgroup->is_v2_only = true;
        add_v2(cgroup, "", root);
        return 0;
    }
    char text[8192];
    int length = file_read_text(AT_FDCWD, "/proc/self/cgroup", text, sizeof text);
    if (length == -ENOENT) {
        return 0;
    }
    if (length < 0) {
        return err_set_errno(err, -length, "read /proc/self/cgroup");
    }
    char *rest = text;
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        add_line(cgroup, line);
    }
    return 0;
}

/* Version 1 refuses processes in a cpuset without cpus and mems; a new one starts with none. */
static int inherit_cpuset(int parent, int child, bool is_new)
{
    static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
    for (size_t i = 0; i < 2; i++) {
        char value[4096];
        /* One that somebody else made and left empty takes no processes either. */
        if (!is_new && file_read_text(child, files[i], value, sizeof value) > 0 && value[0] != 0 &&
            value[0] != '\n') {
            continue;
        }
        int rc = file_read_text(parent, files[i], value, sizeof value);
        if (rc < 0 || (rc = file_write(child, files[i], value)) < 0) {
            return rc;
        }
    }
    return 0;
}

/* Let the children of dir use the controllers. What cannot be enabled is found when a limit needs
 * it. */
static void enable_controllers(int dir, uint32_t controllers)
{
    char wanted[256] = "";
    for (int i = 0; i < CGROUP_CONTROLLER_COUNT; i++) {
        if ((controllers & CGROUP_BIT(i)) != 0) {
            size_t used = strlen(wanted);
            (void)snprintf(wanted + used, sizeof wanted - used, "+%s ",
                           cgroup_controller_name((enum cgroup_controller)i, true));
        }
    }
    if (wanted[0] == 0 || file_write(dir, "cgroup.subtree_control", wanted) == 0) {
        return;
    }
    char *rest = wanted;
    for (char *one = strsep(&rest, " "); one != NULL; one = strsep(&rest, " ")) {
        if (one[0] != 0) {
            err_ignore(
                file_write(dir, "cgroup.subtree_control", one)); /* one by one, as many as go */
        }
    }
}

/* mkdir each component below the root and open the last. Counts those that existed before. */
static int make_path(struct cgroup_hierarchy *item, const char *path, bool enable)
{
    char copy[CGROUP_PATH_SIZE];
    (void)snprintf(copy, sizeof copy, "%s", path + 1);
    CLEANUP(close_fd) int parent = -1;
    item->existing = 0;
    char *rest = copy;
    for (char *part = strsep(&rest, "/"); part != NULL; part = strsep(&rest, "/")) {
        int at = parent < 0 ? item->root : parent;
        if (enable) {
            enable_controllers(at, item->controllers);
        }
        bool is_new = mkdirat(at, part, 0755) == 0;
        if (!is_new && errno != EEXIST) {
            return -errno;
        }
        item->existing += is_new ? 0 : 1;
        int child = openat(at, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (child < 0) {
            return -errno;
        }
        if (!item->is_v2 && (item->controllers & CGROUP_BIT(CGROUP_CPUSET)) != 0) {
            int rc = inherit_cpuset(at, child, is_new);
            if (rc < 0) {
                (void)close(child);
                return rc;
            }
        }
        if (parent >= 0) {
            (void)close(parent);
        }
        parent = child;
    }
    item->dir = TAKE_FD(parent);
    return 0;
}

static unsigned count_components(const char *path)
{
    unsigned count = 0;
    for (; *path != 0; path++) {
        count += *path == '/';
    }
    return count;
}

/* A leaf that was there already may belong to someone: use it only when it is empty and thawed. */
static int check_reused(const struct cgroup_hierarchy *item, const char *path, struct err *err)
{
    char text[64];
    if (item->existing == count_components(path) &&
        file_read_text(item->dir, "cgroup.procs", text, sizeof text) > 0) {
        return err_set(
            err, ERR_EXISTS,
            "linux.cgroupsPath: container's cgroup is not empty: '%s' has processes (%s)", path,
            item->name);
    }
    /* What is new all the way from the root cannot be frozen. */
    bool has_freezer =
        item->existing > 0 && !item->is_v2 && (item->controllers & CGROUP_BIT(CGROUP_FREEZER)) != 0;
    if (has_freezer && file_read_text(item->dir, "freezer.state", text, sizeof text) > 0 &&
        strcmp(text, "THAWED") != 0) {
        return err_set(err, ERR_BUSY,
                       "linux.cgroupsPath: container's cgroup unexpectedly frozen: '%s'", path);
    }
    if (item->is_v2 && item->existing > 0) {
        char events[256];
        if (file_read_text(item->dir, "cgroup.events", events, sizeof events) > 0 &&
            strstr(events, "frozen 1") != NULL) {
            return err_set(err, ERR_BUSY,
                           "linux.cgroupsPath: container's cgroup unexpectedly frozen: '%s'", path);
        }
    }
    return 0;
}

static void remove_created(struct cgroup_hierarchy *item, const char *path, unsigned depth)
{
    char copy[CGROUP_PATH_SIZE];
    (void)snprintf(copy, sizeof copy, "%s", path);
    for (unsigned i = 0; i < depth; i++) {
        char *slash = strrchr(copy, '/');
        if (slash == NULL || unlinkat(item->root, copy + 1, AT_REMOVEDIR) < 0) {
            return; /* in use by others: theirs to remove */
        }
        *slash = 0;
        if (slash == copy) {
            return;
        }
    }
}

static void undo_create(struct cgroup *cgroup, size_t last)
{
    unsigned components = count_components(cgroup->path);
    for (size_t i = 0; i <= last && i < cgroup->count; i++) {
        struct cgroup_hierarchy *item = &cgroup->items[i];
        if (components > item->existing) {
            remove_created(item, cgroup->path, components - item->existing);
        }
    }
}

int cgroup_create(struct cgroup *cgroup, const char *path, bool needs_v2_controllers,
                  struct err *err)
{
    (void)snprintf(cgroup->path, sizeof cgroup->path, "%s", path);
    for (size_t i = 0; i < cgroup->count; i++) {
        struct cgroup_hierarchy *item = &cgroup->items[i];
        int rc = make_path(item, path, item->is_v2 && needs_v2_controllers);
        if (rc < 0) {
            err_set_errno(err, -rc, "create cgroup '%s' (%s)", path,
                          item->name[0] == 0 ? "version 2" : item->name);
            undo_create(cgroup, i);
            return rc;
        }
        rc = check_reused(item, path, err);
        if (rc < 0) {
            undo_create(cgroup, i);
            return rc;
        }
    }
    return 0;
}

int cgroup_open(struct cgroup *cgroup, const char *path, struct err *err)
{
    (void)snprintf(cgroup->path, sizeof cgroup->path, "%s", path);
    for (size_t i = 0; i < cgroup->count; i++) {
        struct cgroup_hierarchy *item = &cgroup->items[i];
        item->dir = openat(item->root, path + 1, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (item->dir < 0 && errno != ENOENT) {
            return err_set_errno(err, errno, "open cgroup '%s' (%s)", path, item->name);
        }
    }
    return 0;
}

unsigned cgroup_created_depth(const struct cgroup *cgroup)
{
    unsigned depth = 0;
    unsigned components = count_components(cgroup->path);
    for (size_t i = 0; i < cgroup->count; i++) {
        unsigned made = components - cgroup->items[i].existing;
        depth = made > depth ? made : depth;
    }
    return depth;
}

int cgroup_v2_dir(const struct cgroup *cgroup)
{
    for (size_t i = 0; i < cgroup->count; i++) {
        if (cgroup->items[i].is_v2) {
            return cgroup->items[i].dir;
        }
    }
    return -1;
}

int cgroup_open_v2_of(const struct cgroup *cgroup, pid_t pid)
{
    char path[64];
    char text[8192];
    (void)snprintf(path, sizeof path, "/proc/%d/cgroup", pid);
    int rc = file_read_text(AT_FDCWD, path, text, sizeof text);
    char *line = rc < 0 ? NULL : strncmp(text, "0::/", 4) == 0 ? text : strstr(text, "\n0::/");
    if (line == NULL) {
        return rc < 0 ? rc : -ENOENT;
    }
    line = strchr(line, '/') + 1;
    line[strcspn(line, "\n")] = 0;
    for (size_t i = 0; i < cgroup->count; i++) {
        if (cgroup->items[i].is_v2) {
            int fd = openat(cgroup->items[i].root, line[0] == 0 ? "." : line,
                            O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            return fd < 0 ? -errno : fd;
        }
    }
    return -ENOENT;
}

int cgroup_controller_dir(const struct cgroup *cgroup, enum cgroup_controller controller,
                          bool *ret_is_v2)
{
    for (size_t i = 0; i < cgroup->count; i++) {
        const struct cgroup_hierarchy *item = &cgroup->items[i];
        if ((item->controllers & CGROUP_BIT(controller)) != 0 && item->dir >= 0) {
            if (ret_is_v2 != NULL) {
                *ret_is_v2 = item->is_v2;
            }
            return item->dir;
        }
    }
    return -1;
}

int cgroup_join_prepare(const struct cgroup *cgroup, struct cgroup_join *join, struct err *err)
{
    join->count = 0;
    join->v2_dir = cgroup_v2_dir(cgroup);
    for (size_t i = 0; i < cgroup->count; i++) {
        const struct cgroup_hierarchy *item = &cgroup->items[i];
        if (item->is_v2 || item->dir < 0) {
            continue;
        }
        int fd = openat(item->dir, "tasks", O_WRONLY | O_CLOEXEC);
        if (fd < 0) {
            int rc =
                err_set_errno(err, errno, "open cgroup '%s/tasks' (%s)", cgroup->path, item->name);
            cgroup_join_close(join);
            return rc;
        }
        join->tasks[join->count++] = fd;
    }
    return 0;
}

int cgroup_join_enter(struct cgroup_join *join, struct err *err)
{
    for (size_t i = 0; i < join->count; i++) {
        /* "0" is the writer itself: with a single thread the kernel needs no grace period. */
        if (write(join->tasks[i], "0", 1) < 0) {
            return err_set_errno(err, errno, "enter the container's cgroup");
        }
    }
    cgroup_join_close(join);
    return 0;
}

void cgroup_join_close(struct cgroup_join *join)
{
    for (size_t i = 0; i < join->count; i++) {
        (void)close(join->tasks[i]); /* nothing is buffered */
    }
    join->count = 0;
}
