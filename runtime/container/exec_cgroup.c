/* exec_cgroup.c - `exec --cgroup`: groups that the container has made below its own. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/container/container.h"

/* "cpu,memory:PATH" is for those hierarchies of version 1, "PATH" for all. */
struct sub_cgroup {
    const char *path;
    bool is_for_all;
    uint32_t controllers; /* CGROUP_BIT */
    bool has_systemd;     /* the hierarchy without a controller */
};

static int parse_sub_cgroup(struct arena *arena, const char *text, struct sub_cgroup *ret,
                            struct err *err)
{
    const char *colon = strchr(text, ':');
    *ret =
        (struct sub_cgroup){.path = colon == NULL ? text : colon + 1, .is_for_all = colon == NULL};
    if (colon == NULL) {
        return 0;
    }
    char *rest = arena_printf(arena, "%.*s", (int)(colon - text), text);
    for (char *name = strsep(&rest, ","); name != NULL; name = strsep(&rest, ",")) {
        int controller = cgroup_controller_number(name, strlen(name));
        if (strcmp(name, "name=systemd") == 0) {
            ret->has_systemd = true;
        } else if (controller < 0) {
            return err_set(err, ERR_INVALID, "--cgroup: unknown controller %s", name);
        } else {
            ret->controllers |= CGROUP_BIT(controller);
        }
    }
    return 0;
}

static bool is_meant(const struct sub_cgroup *sub, const struct cgroup_hierarchy *item)
{
    return sub->is_for_all || (!item->is_v2 && (item->controllers & sub->controllers) != 0) ||
           (sub->has_systemd && strcmp(item->name, "systemd") == 0);
}

int container_enter_sub_cgroup(struct container *container, const char *text, struct err *err)
{
    char path[CGROUP_PATH_SIZE];
    char full[CGROUP_PATH_SIZE * 2];
    struct sub_cgroup sub;
    int rc = parse_sub_cgroup(container->options->arena, text, &sub, err);
    if (rc < 0) {
        return rc;
    }
    (void)snprintf(full, sizeof full, "%s/%s", container->state.cgroup_path, sub.path);
    if (cgroup_path_choose(full, "", path, sizeof path, err) < 0) {
        return err_set(err, ERR_INVALID,
                       "--cgroup: bad sub cgroup path: %s: `..` components are not allowed",
                       sub.path);
    }
    /* Where the container has made no such group, the process stays in the container's own. */
    bool is_found = false;
    struct cgroup *cgroup = &container->cgroup;
    for (size_t i = 0; i < cgroup->count; i++) {
        struct cgroup_hierarchy *item = &cgroup->items[i];
        int fd = is_meant(&sub, item)
                     ? openat(item->root, path + 1, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                     : -1;
        if (fd >= 0) {
            (void)close(item->dir); /* a directory */
            item->dir = fd;
            is_found = true;
        }
    }
    return is_found ? 0
                    : err_set(err, ERR_NOT_FOUND,
                              "--cgroup: adding pid to '%s': no such file or directory", path);
}
