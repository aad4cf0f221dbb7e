/* build_mount.c - RUN --mount: bind, cache, tmpfs, secret. Nothing of a mount gets into a layer. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/build/build.h"
#include "runtime/image/in_root.h"
#include "runtime/image/json.h"

struct run_mount {
    const char *type, *target, *id, *size, *from, *source, *sharing, *env;
    bool is_read_only, is_writable, is_required;
    int64_t mode; /* -1: by default */
    uint32_t uid, gid;
};

struct opening {
    struct build *build;
    struct build_stage *stage;
    const struct build_workspace *workspace;
    struct build_mounts *mounts;
    json_t *spec;
    json_t *env;
    struct err *err;
};

/* ---- the text ---- */

static bool is_true(const char *value)
{
    return value == NULL || strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
}

static int set_field(struct run_mount *mount, const char *name, const char *value, struct err *err)
{
    const struct {
        const char *name;
        const char **target;
    } texts[] = {
        {"type", &mount->type},          {"target", &mount->target}, {"dst", &mount->target},
        {"destination", &mount->target}, {"id", &mount->id},         {"size", &mount->size},
        {"from", &mount->from},          {"source", &mount->source}, {"src", &mount->source},
        {"sharing", &mount->sharing},    {"env", &mount->env},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (strcmp(texts[i].name, name) == 0 && value != NULL) {
            *texts[i].target = value;
            return 0;
        }
    }
    if (strcmp(name, "readonly") == 0 || strcmp(name, "ro") == 0) {
        mount->is_read_only = is_true(value);
    } else if (strcmp(name, "rw") == 0 || strcmp(name, "readwrite") == 0) {
        mount->is_writable = is_true(value);
    } else if (strcmp(name, "required") == 0) {
        mount->is_required = is_true(value);
    } else if (strcmp(name, "mode") == 0 && value != NULL) {
        mount->mode = strtol(value, NULL, 8);
    } else if (strcmp(name, "uid") == 0 && value != NULL) {
        mount->uid = (uint32_t)strtoul(value, NULL, 10);
    } else if (strcmp(name, "gid") == 0 && value != NULL) {
        mount->gid = (uint32_t)strtoul(value, NULL, 10);
    } else {
        return err_set(err, ERR_MALFORMED, "--mount: unknown field '%.40s'", name);
    }
    return 0;
}

static int parse(const char *text, struct arena *arena, struct run_mount *mount, struct err *err)
{
    *mount = (struct run_mount){.type = "bind", .mode = -1};
    char *rest = arena_strdup(arena, text);
    for (char *field; (field = strsep(&rest, ",")) != NULL;) {
        char *value = strchr(field, '=');
        if (value != NULL) {
            *value++ = '\0';
        }
        int status = set_field(mount, field, value, err);
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

/* ---- mount points ---- */

void build_mounts_note(struct build_mounts *mounts, const struct build_workspace *workspace,
                       const char *path)
{
    CLEANUP(free) char *part = mem_strdup(path);
    for (char *at = part + 1; *at != '\0'; at++) {
        if (*at != '/' && at[1] != '\0') {
            continue;
        }
        char kept = *at == '/' ? '/' : '\0';
        if (kept == '/') {
            *at = '\0';
        }
        CLEANUP(close_fd) int fd = in_root_open(workspace->root_fd, part, O_PATH, 0);
        if (fd < 0) {
            json_array_append_new(mounts->made, json_text(part));
        }
        if (kept == '/') {
            *at = '/';
        }
    }
}

/* From the deepest up; only what is still empty, and only in this step's own layer. */
static void remove_made(const struct build_mounts *mounts, const struct build_workspace *workspace)
{
    CLEANUP(close_fd)
    int upper = openat(workspace->directory_fd, "upper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = json_array_size(mounts->made); upper >= 0 && i > 0; i--) {
        const char *path = json_string_value(json_array_get(mounts->made, i - 1));
        char name[NAME_MAX + 1];
        struct stat about;
        CLEANUP(close_fd) int parent = in_root_open_parent(upper, path, false, name, sizeof(name));
        if (parent < 0 || fstatat(parent, name, &about, AT_SYMLINK_NOFOLLOW) != 0) {
            continue;
        }
        if (S_ISDIR(about.st_mode)) {
            (void)unlinkat(parent, name,
                           AT_REMOVEDIR); /* fails when the command put things there */
        } else if (S_ISREG(about.st_mode) && about.st_size == 0) {
            (void)unlinkat(parent, name, 0);
        }
    }
}

/* ---- kinds ---- */

static int hold(struct opening *opening, int fd, const char *what)
{
    struct build_mounts *mounts = opening->mounts;
    if (fd < 0 || mounts->fd_count == BUILD_MOUNTS_MAX) {
        int saved = fd < 0 ? -fd : EMFILE;
        cleanup_close_fd(&fd);
        return err_set_errno(opening->err, saved, "--mount: open '%.200s'", what);
    }
    mounts->fds[mounts->fd_count++] = fd;
    return 0;
}

static void add_bind(struct opening *opening, const char *source, const char *target,
                     bool is_read_only)
{
    build_mounts_note(opening->mounts, opening->workspace, target);
    json_array_append_new(opening->spec,
                          json_pack("{ss ss ss s[sss]}", "destination", target, "type", "bind",
                                    "source", source, "options", "rbind", "rprivate",
                                    is_read_only ? "ro" : "rw"));
}

/* What is written to a writable bind mount is thrown away: an overlay over it. */
static int add_overlay(struct opening *opening, const char *source, const char *target)
{
    size_t number = opening->mounts->fd_count;
    CLEANUP(free)
    char *upper = mem_printf("%s/bind%zu", opening->workspace->directory, number);
    CLEANUP(free) char *work = mem_printf("%s/work%zu", opening->workspace->directory, number);
    if (mkdir(upper, 0755) != 0 || mkdir(work, 0755) != 0) {
        return err_set_errno(opening->err, errno, "make a writable mount");
    }
    CLEANUP(free) char *lower_option = mem_printf("lowerdir=%s", source);
    CLEANUP(free) char *upper_option = mem_printf("upperdir=%s", upper);
    CLEANUP(free) char *work_option = mem_printf("workdir=%s", work);
    build_mounts_note(opening->mounts, opening->workspace, target);
    json_array_append_new(opening->spec,
                          json_pack("{ss ss ss s[sss]}", "destination", target, "type", "overlay",
                                    "source", "overlay", "options", lower_option, upper_option,
                                    work_option));
    return 0;
}

static int open_source(struct opening *opening, const struct run_mount *mount,
                       struct build_source **ret)
{
    struct build_mounts *mounts = opening->mounts;
    struct build_source *source = mem_zalloc(sizeof(*source));
    int status =
        build_source_open(opening->build, opening->stage, mount->from, source, opening->err);
    if (status != 0) {
        build_source_close(source);
        mem_free(source);
        return status;
    }
    mounts->sources[mounts->source_count++] = source;
    *ret = source;
    return 0;
}

/* Mounted by descriptor at a place of ours: a name could be changed to lead elsewhere, and kvrun
 * can only take along what is in this mount namespace. */
static int pin(struct opening *opening, int fd, bool is_directory, char **ret)
{
    char from[64];
    CLEANUP(free)
    char *place = mem_printf("%s/pin%zu", opening->workspace->directory, opening->mounts->fd_count);
    (void)snprintf(from, sizeof(from), "/proc/self/fd/%d", fd);
    CLEANUP(close_fd)
    int made = is_directory ? mkdir(place, 0700)
                            : open(place, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if ((is_directory && made != 0) || made < 0 ||
        mount(from, place, NULL, MS_BIND | MS_REC, NULL) != 0) {
        made = is_directory ? -1 : made;
        return err_set_errno(opening->err, errno, "--mount: bind");
    }
    made = is_directory ? -1 : made;
    json_array_append_new(opening->mounts->pinned, json_text(place));
    *ret = TAKE_PTR(place);
    return 0;
}

static int mount_bind(struct opening *opening, const struct run_mount *wanted)
{
    struct build_source *source = NULL;
    struct stat about;
    CLEANUP(free) char *path = NULL;
    const char *inside = wanted->source == NULL ? "." : wanted->source;
    int status = open_source(opening, wanted, &source);
    if (status != 0) {
        return status;
    }
    int fd = in_root_open(source->fd, inside, O_PATH, 0);
    status = hold(opening, fd, inside);
    if (status == 0 && fstat(fd, &about) != 0) {
        status = err_set_errno(opening->err, errno, "--mount: '%.200s'", inside);
    }
    if (status == 0) {
        status = pin(opening, fd, S_ISDIR(about.st_mode), &path);
    }
    if (status != 0) {
        return status;
    }
    if (wanted->is_writable && S_ISDIR(about.st_mode)) {
        return add_overlay(opening, path, wanted->target);
    }
    add_bind(opening, path, wanted->target, true);
    return 0;
}

/* Names of caches come from Dockerfiles: only their hash becomes a path (CVE-2024-9675). */
static int open_cache(struct opening *opening, const struct run_mount *mount, char *out)
{
    struct build_stage hashed = {.key = "cache"};
    const struct build *build = opening->build;
    build_key_add(&hashed, bytes_from_text(mount->id == NULL ? mount->target : mount->id));
    (void)snprintf(out, PATH_MAX, "%s/build/mounts", build->store->root);
    if (mkdir(out, 0700) != 0 && errno != EEXIST) {
        return err_set_errno(opening->err, errno, "create '%s'", out);
    }
    (void)snprintf(out, PATH_MAX, "%s/build/mounts/%.64s", build->store->root,
                   digest_hex(hashed.key));
    if (mkdir(out, 0755) == 0) {
        mode_t mode = mount->mode < 0 ? 0755 : (mode_t)mount->mode;
        if (chmod(out, mode) != 0 || chown(out, mount->uid, mount->gid) != 0) {
            return err_set_errno(opening->err, errno, "set up '%s'", out);
        }
    } else if (errno != EEXIST) {
        return err_set_errno(opening->err, errno, "create '%s'", out);
    }
    return 0;
}

static int mount_cache(struct opening *opening, const struct run_mount *mount)
{
    char path[PATH_MAX];
    const char *sharing = mount->sharing == NULL ? "shared" : mount->sharing;
    if (strcmp(sharing, "private") == 0) {
        CLEANUP(free)
        char *own = mem_printf("%s/cache%zu", opening->workspace->directory,
                               json_array_size(opening->spec));
        if (mkdir(own, 0755) != 0) {
            return err_set_errno(opening->err, errno, "create '%s'", own);
        }
        add_bind(opening, own, mount->target, mount->is_read_only);
        return 0;
    }
    int status = open_cache(opening, mount, path);
    if (status == 0 && strcmp(sharing, "locked") == 0) {
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        while (fd >= 0 && flock(fd, LOCK_EX) != 0 && errno == EINTR) {
        }
        status = hold(opening, fd < 0 ? -errno : fd, path);
    }
    if (status == 0) {
        add_bind(opening, path, mount->target, mount->is_read_only);
    }
    return status;
}

/* A secret's bytes: of a file, or of a variable of ours. */
static int read_secret(struct opening *opening, const json_t *secret, struct buf *out)
{
    enum { SECRET_SIZE_MAX = 1 << 20 };
    const char *variable = json_get_text(secret, "env", NULL);
    const char *path = json_get_text(secret, "file", "");
    if (variable != NULL) {
        const char *value = getenv(variable);
        buf_append_text(out, value == NULL ? "" : value);
        return value != NULL ? 0
                             : err_set(opening->err, ERR_NOT_FOUND,
                                       "--secret: the variable %s is not set", variable);
    }
    CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    for (;;) {
        ssize_t count = fd < 0 ? -1 : read(fd, buf_reserve(out, 4096), 4096);
        if (count < 0) {
            return err_set_errno(opening->err, errno, "--secret: read '%s'", path);
        }
        if (count == 0) {
            return 0;
        }
        buf_commit(out, (size_t)count);
        if (buf_size(out) > SECRET_SIZE_MAX) {
            return err_set(opening->err, ERR_TOO_LARGE, "--secret: '%s' is too large", path);
        }
    }
}

static int mount_secret(struct opening *opening, const struct run_mount *mount)
{
    const char *id = mount->id != NULL ? mount->id : mount->target == NULL ? "" : mount->target;
    const char *slash = strrchr(id, '/');
    id = mount->id == NULL && slash != NULL ? slash + 1 : id;
    const json_t *secret = json_object_get(opening->build->options->secrets, id);
    CLEANUP(buf) struct buf content = BUF_INIT;
    if (secret == NULL) {
        return mount->is_required
                   ? err_set(opening->err, ERR_NOT_FOUND,
                             "the secret '%.60s' is required; give it with --secret", id)
                   : 0;
    }
    int status = read_secret(opening, secret, &content);
    if (status != 0) {
        return status;
    }
    if (mount->env != NULL) {
        CLEANUP(free) char *text = mem_printf("%s=%s", mount->env, buf_text(&content));
        json_array_append_new(opening->env, json_text(text));
        if (mount->target == NULL) {
            return 0;
        }
    }
    CLEANUP(free)
    char *path =
        mem_printf("%s/secret%zu", opening->workspace->directory, json_array_size(opening->spec));
    CLEANUP(free)
    char *target =
        mount->target != NULL ? mem_strdup(mount->target) : mem_printf("/run/secrets/%s", id);
    CLEANUP(close_fd) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    mode_t mode = mount->mode < 0 ? 0400 : (mode_t)mount->mode;
    if (fd < 0 ||
        write(fd, buf_bytes(&content).data, buf_size(&content)) != (ssize_t)buf_size(&content) ||
        fchown(fd, mount->uid, mount->gid) != 0 || fchmod(fd, mode) != 0) {
        return err_set_errno(opening->err, errno, "write a secret");
    }
    add_bind(opening, path, target, true);
    return 0;
}

static int mount_tmpfs(struct opening *opening, const struct run_mount *mount)
{
    CLEANUP(free) char *size = mem_printf("size=%s", mount->size == NULL ? "0" : mount->size);
    build_mounts_note(opening->mounts, opening->workspace, mount->target);
    json_array_append_new(opening->spec, json_pack("{ss ss ss s[sss]}", "destination",
                                                   mount->target, "type", "tmpfs", "source",
                                                   "tmpfs", "options", "nosuid", "nodev", size));
    return 0;
}

static int add_mount(struct opening *opening, const char *text)
{
    struct run_mount mount;
    const struct expand expand = build_expand(opening->build, opening->stage);
    int status = expand_text(&expand, text, &text, opening->err);
    if (status == 0) {
        status = parse(text, &opening->build->arena, &mount, opening->err);
    }
    if (status != 0) {
        return status;
    }
    if (strcmp(mount.type, "secret") == 0) {
        return mount_secret(opening, &mount);
    }
    if (strcmp(mount.type, "ssh") == 0) {
        return err_set(opening->err, ERR_UNSUPPORTED, "--mount=type=ssh is not supported");
    }
    if (mount.target == NULL) {
        return err_set(opening->err, ERR_INVALID, "--mount needs a target");
    }
    if (mount.target[0] != '/') {
        mount.target = arena_printf(&opening->build->arena, "%s/%s",
                                    json_get_text(build_config(opening->stage), "WorkingDir", ""),
                                    mount.target);
        mount.target = mount.target[0] == '/'
                           ? mount.target
                           : arena_printf(&opening->build->arena, "/%s", mount.target);
    }
    return strcmp(mount.type, "tmpfs") == 0   ? mount_tmpfs(opening, &mount)
           : strcmp(mount.type, "cache") == 0 ? mount_cache(opening, &mount)
           : strcmp(mount.type, "bind") == 0
               ? mount_bind(opening, &mount)
               : err_set(opening->err, ERR_MALFORMED, "--mount: unknown type '%.40s'", mount.type);
}

int build_mounts_open(struct build *build, struct build_stage *stage,
                      const struct dockerfile_instruction *instruction,
                      const struct build_workspace *workspace, struct build_mounts *mounts,
                      json_t *spec, json_t *env, struct err *err)
{
    struct opening opening = {
        .build = build,
        .stage = stage,
        .workspace = workspace,
        .mounts = mounts,
        .spec = spec,
        .env = env,
        .err = err,
    };
    for (uint32_t i = 0; i < instruction->flag_count; i++) {
        const char *flag = instruction->flags[i];
        int status = 0;
        if (strncmp(flag, "mount=", 6) == 0) {
            status = add_mount(&opening, flag + 6);
        } else if (strncmp(flag, "network=", 8) != 0 && strncmp(flag, "security=", 9) != 0) {
            status = err_set(err, ERR_UNSUPPORTED, "--%.60s is not supported", flag);
        }
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

void build_mounts_close(struct build_mounts *mounts, const struct build_workspace *workspace)
{
    remove_made(mounts, workspace);
    for (size_t i = json_array_size(mounts->pinned); i > 0; i--) {
        (void)umount2(json_string_value(json_array_get(mounts->pinned, i - 1)), MNT_DETACH);
    }
    json_decref(mounts->pinned);
    for (size_t i = 0; i < mounts->fd_count; i++) {
        cleanup_close_fd(&mounts->fds[i]);
    }
    for (size_t i = 0; i < mounts->source_count; i++) {
        build_source_close(mounts->sources[i]);
        mem_free(mounts->sources[i]);
    }
    json_decref(mounts->made);
    *mounts = (struct build_mounts){.made = NULL};
}
