/* build_copy.c - COPY and ADD: from the context, from another stage, from a heredoc. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/build/build.h"
#include "runtime/image/extract.h"
#include "runtime/image/hash.h"
#include "runtime/image/in_root.h"
#include "runtime/image/json.h"
#include "runtime/words/copy_tree.h"
#include "runtime/words/user_lookup.h"

enum { SOURCES_MAX = 10000, DEPTH_MAX = 200 };

struct copy {
    struct build *build;
    struct build_stage *stage;
    const struct dockerfile_instruction *instruction;
    int source_fd;                    /* the context, or another stage's root */
    bool uses_ignore;                 /* of the context */
    const char *sources[SOURCES_MAX]; /* paths below source_fd, no leading slash */
    uint32_t source_count;
    const char *target; /* absolute */
    bool is_target_directory;
    bool has_patterns;
    struct copy_options owner;
    uint32_t mode; /* of --chmod */
    bool has_mode;
    struct hash *hash; /* of what is copied, for the key; NULL while copying */
};

static bool is_ignored(const struct copy *copy, const char *path)
{
    return copy->uses_ignore && ignore_matches(&copy->build->ignore, path);
}

/* ---- which files ---- */

/* "/a/./b/../c/" becomes "a/c"; ".." stops at the top. */
static const char *clean(struct arena *arena, const char *path)
{
    char *out = arena_alloc(arena, strlen(path) + 1);
    size_t size = 0;
    for (const char *at = path; *at != '\0';) {
        size_t run = strcspn(at, "/");
        if (run == 2 && memcmp(at, "..", 2) == 0) {
            while (size > 0 && out[--size] != '/') {
            }
        } else if (run > 0 && !(run == 1 && *at == '.')) {
            if (size > 0) {
                out[size++] = '/';
            }
            memcpy(out + size, at, run);
            size += run;
        }
        at += run + (at[run] == '/' ? 1 : 0);
    }
    out[size] = '\0';
    return out;
}

static int add_source(struct copy *copy, const char *path, struct err *err)
{
    if (copy->source_count == SOURCES_MAX) {
        return err_set(err, ERR_TOO_LARGE, "more than %d files match", SOURCES_MAX);
    }
    copy->sources[copy->source_count++] = arena_strdup(&copy->build->arena, path);
    return 0;
}

/* Paths below a directory that match a pattern; matched directories are not entered. */
static int find_matches(struct copy *copy, int fd, const char *path, const char *pattern, int depth,
                        struct err *err)
{
    int listing = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = listing < 0 ? NULL : fdopendir(listing);
    if (directory == NULL || depth > DEPTH_MAX) {
        if (directory != NULL) {
            (void)closedir(directory);
        }
        return err_set_errno(err, depth > DEPTH_MAX ? ELOOP : errno, "list '%s'", path);
    }
    int status = 0;
    for (struct dirent *entry; status == 0 && (entry = readdir(directory)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        CLEANUP(free)
        char *child = mem_printf("%s%s%s", path, path[0] == '\0' ? "" : "/", entry->d_name);
        if (glob_match(pattern, child)) {
            status = is_ignored(copy, child) ? 0 : add_source(copy, child, err);
        } else {
            CLEANUP(close_fd)
            int inner = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            status = inner < 0 ? 0 : find_matches(copy, inner, child, pattern, depth + 1, err);
        }
    }
    (void)closedir(directory);
    return status;
}

static int find_source(struct copy *copy, const char *text, struct err *err)
{
    const char *path = clean(&copy->build->arena, text);
    uint32_t before = copy->source_count;
    if (strstr(text, "://") != NULL) {
        return err_set(err, ERR_UNSUPPORTED, "'%.100s': URLs are not supported; fetch it with RUN",
                       text);
    }
    if (!glob_is_pattern(path)) {
        CLEANUP(close_fd) int fd = in_root_open(copy->source_fd, path, O_PATH | O_NOFOLLOW, 0);
        if (fd < 0 || (path[0] != '\0' && is_ignored(copy, path))) {
            return err_set(err, ERR_NOT_FOUND, "'%.200s' is not in the %s", text,
                           copy->uses_ignore ? "build context (or .dockerignore leaves it out)"
                                             : "files it is copied from");
        }
        return add_source(copy, path, err);
    }
    copy->has_patterns = true;
    int status = find_matches(copy, copy->source_fd, "", path, 0, err);
    if (status == 0 && copy->source_count == before) {
        status = err_set(err, ERR_NOT_FOUND, "no file matches '%.200s'", text);
    }
    return status;
}

/* ---- copying, or hashing what would be copied ---- */

static int visit_directory(struct copy *copy, int source_fd, int target_fd, const char *path,
                           int depth, struct err *err);

/* With the NULs, so that "ab" "c" is not "a" "bc". */
static void hash_text(struct copy *copy, const char *what, const char *text, unsigned value)
{
    hash_update(copy->hash, bytes_make(what, strlen(what) + 1));
    hash_update(copy->hash, bytes_make(text, strlen(text) + 1));
    hash_update(copy->hash, bytes_make(&value, sizeof(value)));
}

static int hash_file(struct copy *copy, int source_fd, const char *name, int64_t size,
                     struct err *err)
{
    CLEANUP(close_fd) int fd = openat(source_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return err_set_errno(err, errno, "open '%s'", name);
    }
    CLEANUP(stream)
    struct stream *stream = stream_new_hash(stream_new_file(fd, 0, size), copy->hash);
    return stream_drain(stream, err);
}

static int apply_mode(const struct copy *copy, int target_fd, const char *name, mode_t type,
                      struct err *err)
{
    if (copy->has_mode && !S_ISLNK(type) && fchmodat(target_fd, name, copy->mode, 0) != 0) {
        return err_set_errno(err, errno, "set the mode of '%s'", name);
    }
    return 0;
}

/* target_fd is -1 while hashing. */
static int visit(struct copy *copy, int source_fd, const char *name, int target_fd,
                 const char *target_name, const char *path, int depth, struct err *err)
{
    struct stat about;
    if (depth > DEPTH_MAX || fstatat(source_fd, name, &about, AT_SYMLINK_NOFOLLOW) != 0) {
        return err_set_errno(err, depth > DEPTH_MAX ? ELOOP : errno, "'%s'", path);
    }
    if (copy->hash != NULL) {
        char link[PATH_MAX] = "";
        hash_text(copy, target_name, path, about.st_mode);
        if (S_ISREG(about.st_mode)) {
            return hash_file(copy, source_fd, name, about.st_size, err);
        }
        if (S_ISLNK(about.st_mode) && readlinkat(source_fd, name, link, sizeof(link) - 1) > 0) {
            hash_text(copy, "link", link, 0);
        }
    }
    if (!S_ISDIR(about.st_mode)) {
        int status = copy->hash != NULL
                         ? 0
                         : copy_entry(source_fd, name, target_fd, target_name, &copy->owner, err);
        return status != 0 || copy->hash != NULL
                   ? status
                   : apply_mode(copy, target_fd, target_name, about.st_mode, err);
    }
    CLEANUP(close_fd)
    int from = openat(source_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    CLEANUP(close_fd) int to = -1;
    if (from < 0) {
        return err_set_errno(err, errno, "open '%s'", path);
    }
    if (copy->hash == NULL) {
        if (mkdirat(target_fd, target_name, 0755) != 0 && errno != EEXIST) {
            return err_set_errno(err, errno, "create '%s'", target_name);
        }
        to = openat(target_fd, target_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (to < 0 || fchmod(to, copy->has_mode ? copy->mode : about.st_mode & 07777) != 0 ||
            (copy->owner.has_owner && fchown(to, copy->owner.uid, copy->owner.gid) != 0)) {
            return err_set_errno(err, errno, "create '%s'", target_name);
        }
    }
    return visit_directory(copy, from, to, path, depth, err);
}

static int compare_names(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int visit_directory(struct copy *copy, int source_fd, int target_fd, const char *path,
                           int depth, struct err *err)
{
    struct dirent **entries = NULL;
    int count = scandirat(source_fd, ".", &entries, NULL, compare_names);
    if (count < 0) {
        return err_set_errno(err, errno, "list '%s'", path);
    }
    int status = 0;
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        CLEANUP(free) char *child = mem_printf("%s%s%s", path, path[0] == '\0' ? "" : "/", name);
        bool is_wanted = strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
        if (status == 0 && is_wanted && !is_ignored(copy, child)) {
            status = visit(copy, source_fd, name, target_fd, name, child, depth + 1, err);
        }
        free(entries[i]);
    }
    free(entries);
    return status;
}

static bool is_directory(int fd, const char *path)
{
    CLEANUP(close_fd) int directory = in_root_open(fd, path, O_RDONLY | O_DIRECTORY, 0);
    return directory >= 0;
}

/* A local archive by its content; ADD unpacks it. */
static bool is_archive(int fd)
{
    uint8_t magic[262];
    ssize_t size = pread(fd, magic, sizeof(magic), 0);
    bool is_compressed =
        size >= 4 &&
        ((magic[0] == 0x1f && magic[1] == 0x8b) ||
         (magic[0] == 0x28 && magic[1] == 0xb5 && magic[2] == 0x2f && magic[3] == 0xfd));
    return is_compressed ||
           (size == (ssize_t)sizeof(magic) && memcmp(magic + 257, "ustar", 5) == 0);
}

/* 1: it was an archive and is unpacked. */
static int try_unpack(struct copy *copy, const char *source, int root_fd, struct err *err)
{
    CLEANUP(close_fd) int fd = in_root_open(copy->source_fd, source, O_RDONLY | O_NONBLOCK, 0);
    struct stat about;
    if (copy->instruction->kind != DOCKERFILE_ADD || fd < 0 || fstat(fd, &about) != 0 ||
        !S_ISREG(about.st_mode) || !is_archive(fd)) {
        return 0;
    }
    int status = in_root_make_directories(root_fd, copy->target, 0755);
    CLEANUP(close_fd)
    int target =
        status != 0 ? status : in_root_open(root_fd, copy->target, O_RDONLY | O_DIRECTORY, 0);
    if (target < 0) {
        return err_set_errno(err, -target, "open '%s'", copy->target);
    }
    const struct extract_options options = {.keeps_owner = geteuid() == 0};
    struct extract_result result;
    CLEANUP(stream)
    struct stream *stream =
        stream_new_decompress(stream_new_file(fd, 0, about.st_size), EXTRACT_BYTES_MAX);
    status = extract_tar(stream, target, &options, &result, err);
    return status == 0 ? 1 : status;
}

static int copy_source(struct copy *copy, const char *source, int root_fd, struct err *err)
{
    int status = copy->hash != NULL ? 0 : try_unpack(copy, source, root_fd, err);
    if (status != 0) {
        return status < 0 ? status : 0;
    }
    /* A directory gives its contents, a file goes under its own or the target's name. */
    if (source[0] == '\0' || is_directory(copy->source_fd, source)) {
        CLEANUP(close_fd)
        int from = in_root_open(copy->source_fd, source, O_RDONLY | O_DIRECTORY, 0);
        CLEANUP(close_fd) int to = -1;
        if (from >= 0 && copy->hash == NULL) {
            int made = in_root_make_directories(root_fd, copy->target, 0755);
            to = made != 0 ? made : in_root_open(root_fd, copy->target, O_RDONLY | O_DIRECTORY, 0);
            if (to < 0) {
                return err_set_errno(err, -to, "open '%s'", copy->target);
            }
        }
        return from < 0 ? err_set_errno(err, -from, "open '%s'", source)
                        : visit_directory(copy, from, to, source, 0, err);
    }
    char name[NAME_MAX + 1];
    char target_name[NAME_MAX + 1];
    CLEANUP(close_fd)
    int from = in_root_open_parent(copy->source_fd, source, false, name, sizeof(name));
    if (from < 0) {
        return err_set_errno(err, -from, "open '%s'", source);
    }
    if (copy->hash != NULL) {
        return visit(copy, from, name, -1, name, source, 0, err);
    }
    bool is_inside = copy->is_target_directory || is_directory(root_fd, copy->target);
    CLEANUP(free)
    char *target = mem_printf("%s%s%s", copy->target, is_inside ? "/" : "", is_inside ? name : "");
    CLEANUP(close_fd)
    int to = in_root_open_parent(root_fd, target, true, target_name, sizeof(target_name));
    return to < 0 ? err_set_errno(err, -to, "open the directory of '%s'", target)
                  : visit(copy, from, name, to, target_name, source, 0, err);
}

/* ---- heredocs ---- */

static int write_heredocs(struct copy *copy, int root_fd, struct err *err)
{
    const struct expand expand = build_expand(copy->build, copy->stage);
    for (uint32_t i = 0; i < copy->instruction->heredoc_count; i++) {
        const struct dockerfile_heredoc *heredoc = &copy->instruction->heredocs[i];
        const char *body = heredoc->body;
        int status = heredoc->expands ? expand_body(&expand, heredoc->body, &body, err) : 0;
        if (status != 0) {
            return status;
        }
        if (copy->hash != NULL) {
            hash_text(copy, heredoc->name, body, 0);
            continue;
        }
        bool is_inside = copy->is_target_directory || is_directory(root_fd, copy->target);
        CLEANUP(free)
        char *target = mem_printf("%s%s%s", copy->target, is_inside ? "/" : "",
                                  is_inside ? heredoc->name : "");
        char name[NAME_MAX + 1];
        CLEANUP(close_fd)
        int parent = in_root_open_parent(root_fd, target, true, name, sizeof(name));
        status = parent < 0 ? parent : in_root_remove(parent, name);
        CLEANUP(close_fd)
        int fd =
            status < 0 ? -1 : openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        size_t size = strlen(body);
        if (fd < 0 || write(fd, body, size) != (ssize_t)size ||
            fchmod(fd, copy->has_mode ? copy->mode : 0644) != 0 ||
            fchown(fd, copy->owner.uid, copy->owner.gid) != 0) {
            return err_set_errno(err, status < 0 ? -status : errno, "write '%s'", target);
        }
    }
    return 0;
}

/* ---- the instruction ---- */

static int read_flags(struct copy *copy, struct err *err)
{
    for (uint32_t i = 0; i < copy->instruction->flag_count; i++) {
        const char *flag = copy->instruction->flags[i];
        if (strncmp(flag, "chmod=", 6) == 0) {
            char *end = NULL;
            unsigned long mode = strtoul(flag + 6, &end, 8);
            if (flag[6] == '\0' || *end != '\0' || mode > 07777) {
                return err_set(err, ERR_UNSUPPORTED, "--chmod: '%.40s' is not an octal mode",
                               flag + 6);
            }
            copy->mode = (uint32_t)mode;
            copy->has_mode = true;
        } else if (strncmp(flag, "from=", 5) != 0 && strncmp(flag, "chown=", 6) != 0 &&
                   strcmp(flag, "link") != 0 && strcmp(flag, "link=true") != 0) {
            return err_set(err, ERR_UNSUPPORTED, "--%.60s is not supported", flag);
        }
    }
    return 0;
}

static int read_words(struct copy *copy, const char **words, uint32_t *ret_count, struct err *err)
{
    const struct dockerfile_instruction *instruction = copy->instruction;
    const struct expand expand = build_expand(copy->build, copy->stage);
    int status = 0;
    *ret_count = instruction->word_count;
    if (!instruction->is_exec) {
        status =
            expand_words(&expand, instruction->text, words, DOCKERFILE_WORDS_MAX, ret_count, err);
    }
    for (uint32_t i = 0; status == 0 && instruction->is_exec && i < instruction->word_count; i++) {
        status = expand_text(&expand, instruction->words[i], &words[i], err);
    }
    if (status == 0 && *ret_count < 2) {
        status = err_set(err, ERR_MALFORMED, "needs a source and a target");
    }
    return status;
}

static int plan(struct copy *copy, struct err *err)
{
    const char *words[DOCKERFILE_WORDS_MAX];
    uint32_t count = 0;
    int status = read_flags(copy, err);
    if (status == 0) {
        status = read_words(copy, words, &count, err);
    }
    if (status != 0) {
        return status;
    }
    const char *target = words[count - 1];
    const char *workdir = json_get_text(build_config(copy->stage), "WorkingDir", "/");
    size_t size = strlen(target);
    bool is_dot = strcmp(target, ".") == 0 || (size >= 2 && strcmp(target + size - 2, "/.") == 0);
    copy->is_target_directory = is_dot || (size > 0 && target[size - 1] == '/');
    copy->target = arena_printf(
        &copy->build->arena, "/%s",
        clean(&copy->build->arena,
              target[0] == '/' ? target
                               : arena_printf(&copy->build->arena, "%s/%s", workdir, target)));
    for (uint32_t i = 0; status == 0 && i + 1 < count; i++) {
        status = strncmp(words[i], "<<", 2) == 0 ? 0 : find_source(copy, words[i], err);
    }
    if (status == 0 && (copy->source_count + copy->instruction->heredoc_count > 1) &&
        !copy->is_target_directory) {
        status = err_set(err, ERR_MALFORMED, "several sources: the target must end in /");
    }
    return status;
}

static int add_key(struct copy *copy, const char *from_key, struct err *err)
{
    char digest[REFERENCE_DIGEST_MAX + 1];
    copy->hash = hash_new();
    int status = 0;
    hash_text(copy, copy->target, copy->instruction->text, copy->is_target_directory);
    for (uint32_t i = 0; i < copy->instruction->flag_count; i++) {
        hash_text(copy, "flag", copy->instruction->flags[i], 0);
    }
    if (from_key != NULL) {
        hash_text(copy, "from", from_key, 0); /* the other stage's key says it all */
    } else {
        for (uint32_t i = 0; status == 0 && i < copy->source_count; i++) {
            status = copy_source(copy, copy->sources[i], -1, err);
        }
    }
    if (status == 0) {
        status = write_heredocs(copy, -1, err);
    }
    hash_finish(copy->hash, digest);
    hash_free(copy->hash);
    copy->hash = NULL;
    CLEANUP(free)
    char *text = mem_printf("%s %s", dockerfile_kind_name(copy->instruction->kind), digest);
    build_key_add(copy->stage, bytes_from_text(text));
    return status;
}

static int copy_all(struct copy *copy, int root_fd, struct err *err)
{
    const char *owner = dockerfile_flag(copy->instruction, "chown");
    CLEANUP(free) struct user *user = mem_zalloc(sizeof(*user));
    copy->owner = (struct copy_options){.has_owner = true};
    int status = 0;
    if (owner != NULL) {
        const struct expand expand = build_expand(copy->build, copy->stage);
        status = expand_text(&expand, owner, &owner, err);
        if (status == 0) {
            status = user_lookup(owner, root_fd, NULL, 0, user, err);
        }
        copy->owner.uid = user->uid;
        copy->owner.gid = user->gid;
    }
    for (uint32_t i = 0; status == 0 && i < copy->source_count; i++) {
        status = copy_source(copy, copy->sources[i], root_fd, err);
    }
    return status == 0 ? write_heredocs(copy, root_fd, err) : status;
}

static int copy_to_layer(struct copy *copy, struct err *err)
{
    struct build_workspace workspace = {.directory = NULL};
    int status = build_workspace_open(copy->build, copy->stage, &workspace, err);
    if (status == 0) {
        status = copy_all(copy, workspace.root_fd, err);
    }
    if (status == 0) {
        status = build_workspace_commit(copy->build, copy->stage, &workspace, err);
    }
    if (status == 0) {
        build_cache_add(copy->build, copy->stage);
    }
    build_workspace_close(&workspace);
    return status;
}

/* --from=STAGE: its files are mounted like its own next step's. */
static int open_other(struct copy *copy, const char *from, struct build_workspace *other,
                      const char **ret_key, struct err *err)
{
    struct build_stage *stage = build_find_stage(copy->build, from, copy->build->stage_count);
    if (stage == NULL || !stage->is_built || stage == copy->stage) {
        return err_set(err, ERR_UNSUPPORTED, "--from=%.60s is not an earlier stage", from);
    }
    *ret_key = stage->key;
    int status = build_workspace_open(copy->build, stage, other, err);
    if (status == 0) {
        copy->source_fd = other->root_fd;
        copy->uses_ignore = false;
    }
    return status;
}

int build_copy(struct build *build, struct build_stage *stage,
               const struct dockerfile_instruction *instruction, struct err *err)
{
    struct copy *copy = mem_zalloc(sizeof(*copy));
    struct build_workspace other = {.directory = NULL};
    const char *from = dockerfile_flag(instruction, "from");
    const char *from_key = NULL;
    copy->build = build;
    copy->stage = stage;
    copy->instruction = instruction;
    copy->source_fd = build->options->context_fd;
    copy->uses_ignore = true;
    int status = from == NULL ? 0 : open_other(copy, from, &other, &from_key, err);
    if (status == 0) {
        status = plan(copy, err);
    }
    if (status == 0) {
        status = add_key(copy, from_key, err);
    }
    if (status == 0) {
        status = build_cache_use(build, stage, err);
        status = status == 0 ? copy_to_layer(copy, err) : status < 0 ? status : 0;
    }
    build_workspace_close(&other);
    mem_free(copy);
    return status;
}

int build_make_workdir(struct build *build, struct build_stage *stage, struct err *err)
{
    struct build_workspace workspace = {.directory = NULL};
    const char *path = json_get_text(build_config(stage), "WorkingDir", "/");
    CLEANUP(free) char *text = mem_printf("WORKDIR %s", path);
    build_key_add(stage, bytes_from_text(text));
    int status = build_cache_use(build, stage, err);
    if (status != 0) {
        return status < 0 ? status : 0;
    }
    status = build_workspace_open(build, stage, &workspace, err);
    if (status == 0 && !is_directory(workspace.root_fd, path)) {
        int made = in_root_make_directories(workspace.root_fd, path, 0755);
        status = made != 0 ? err_set_errno(err, -made, "make '%s'", path)
                           : build_workspace_commit(build, stage, &workspace, err);
        if (status == 0) {
            build_cache_add(build, stage);
        }
    }
    build_workspace_close(&workspace);
    return status;
}
