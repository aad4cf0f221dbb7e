/* build_copy.c - COPY and ADD: from the context, from elsewhere, from a heredoc, from the net. */
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
#include "runtime/build/build_copy.h"
#include "runtime/image/in_root.h"
#include "runtime/image/json.h"
#include "runtime/image/stream.h"
#include "runtime/words/user_lookup.h"

bool copy_is_left_out(const struct copy *copy, const char *path)
{
    return (copy->source.uses_ignore && ignore_matches(&copy->build->ignore, path)) ||
           (copy->exclude.count > 0 && ignore_matches(&copy->exclude, path));
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
    if (copy->source_count == COPY_SOURCES_MAX) {
        return err_set(err, ERR_TOO_LARGE, "more than %d files match", COPY_SOURCES_MAX);
    }
    copy->sources[copy->source_count++] = (struct copy_source){
        .path = arena_strdup(&copy->build->arena, path),
        .fd = -1,
    };
    return 0;
}

/* Paths below a directory that match a pattern; matched directories are not entered. */
static int find_matches(struct copy *copy, int fd, const char *path, const char *pattern, int depth,
                        struct err *err)
{
    int listing = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = listing < 0 ? NULL : fdopendir(listing);
    if (directory == NULL || depth > COPY_DEPTH_MAX) {
        if (directory != NULL) {
            (void)closedir(directory);
        }
        return err_set_errno(err, depth > COPY_DEPTH_MAX ? ELOOP : errno, "list '%s'", path);
    }
    int status = 0;
    for (struct dirent *entry; status == 0 && (entry = readdir(directory)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        CLEANUP(free)
        char *child = mem_printf("%s%s%s", path, path[0] == '\0' ? "" : "/", entry->d_name);
        if (glob_match(pattern, child)) {
            status = copy_is_left_out(copy, child) ? 0 : add_source(copy, child, err);
        } else {
            CLEANUP(close_fd)
            int inner = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            status = inner < 0 ? 0 : find_matches(copy, inner, child, pattern, depth + 1, err);
        }
    }
    (void)closedir(directory);
    return status;
}

/* --checksum=sha256:… of what was downloaded last. */
static int check_sum(struct copy *copy, struct err *err)
{
    const char *wanted = dockerfile_flag(copy->instruction, "checksum");
    const struct copy_source *source = &copy->sources[copy->source_count - 1];
    char digest[REFERENCE_DIGEST_MAX + 1];
    struct stat about;
    if (wanted == NULL) {
        return 0;
    }
    if (fstat(source->fd, &about) != 0) {
        return err_set_errno(err, errno, "read a download");
    }
    struct hash *hash = hash_new();
    CLEANUP(stream)
    struct stream *stream = stream_new_hash(stream_new_file(source->fd, 0, about.st_size), hash);
    int status = stream_drain(stream, err);
    hash_finish(hash, digest);
    hash_free(hash);
    return status == 0 && strcmp(digest, wanted) != 0
               ? err_set(err, ERR_CORRUPT, "--checksum: the download is %s", digest)
               : status;
}

/* The last part of the path of a URL is the file's name. */
static int add_url(struct copy *copy, const char *url, struct err *err)
{
    const char *path = strstr(url, "://") + 3;
    char *name = arena_strdup(&copy->build->arena, path);
    name[strcspn(name, "?#")] = '\0';
    const char *slash = strrchr(name, '/');
    bool is_git = strncmp(url, "git://", 6) == 0 ||
                  (strlen(name) > 4 && strcmp(name + strlen(name) - 4, ".git") == 0);
    if (is_git) {
        return err_set(err, ERR_UNSUPPORTED, "'%.100s': git is not supported; fetch it with RUN",
                       url);
    }
    if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0) {
        return err_set(err, ERR_UNSUPPORTED, "'%.100s': only http and https are supported", url);
    }
    if ((slash == NULL || slash[1] == '\0') && copy->is_target_directory && !copy->unpacks) {
        return err_set(err, ERR_INVALID, "'%.100s': the URL names no file; name one as target",
                       url);
    }
    int status = add_source(copy, slash == NULL ? "" : slash + 1, err);
    if (status == 0) {
        struct copy_source *source = &copy->sources[copy->source_count - 1];
        status = build_fetch(copy->build, url, &source->fd, &source->mtime_s, err);
    }
    return status == 0 ? check_sum(copy, err) : status;
}

static int find_source(struct copy *copy, const char *text, struct err *err)
{
    const char *path = clean(&copy->build->arena, text);
    uint32_t before = copy->source_count;
    if (copy->instruction->kind == DOCKERFILE_ADD && strstr(text, "://") != NULL) {
        return add_url(copy, text, err);
    }
    if (!glob_is_pattern(path)) {
        CLEANUP(close_fd) int fd = in_root_open(copy->source.fd, path, O_PATH | O_NOFOLLOW, 0);
        if (fd < 0 || (path[0] != '\0' && copy_is_left_out(copy, path))) {
            return err_set(err, ERR_NOT_FOUND, "'%.200s' is not in the %s", text,
                           copy->source.uses_ignore
                               ? "build context (or .dockerignore leaves it out)"
                               : "files it is copied from");
        }
        return add_source(copy, path, err);
    }
    int status = find_matches(copy, copy->source.fd, "", path, 0, err);
    if (status == 0 && copy->source_count == before) {
        status = err_set(err, ERR_NOT_FOUND, "no file matches '%.200s'", text);
    }
    return status;
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
            copy_hash_text(copy, heredoc->name, body, 0);
            continue;
        }
        bool is_inside = copy->is_target_directory || copy_is_directory(root_fd, copy->target);
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
        mode_t mode = 0644;
        if (copy->mode != NULL && copy_mode_apply(copy->mode, 0644, false, &mode) != 0) {
            return err_set(err, ERR_MALFORMED, "--chmod: '%.40s' is no mode", copy->mode);
        }
        if (fd < 0 || write(fd, body, size) != (ssize_t)size ||
            fchown(fd, copy->owner.uid, copy->owner.gid) != 0 || fchmod(fd, mode) != 0) {
            return err_set_errno(err, status < 0 ? -status : errno, "write '%s'", target);
        }
    }
    return 0;
}

/* ---- the instruction ---- */

static int read_exclude(struct copy *copy, const char *pattern)
{
    struct ignore *exclude = &copy->exclude;
    if (exclude->rules == NULL) {
        exclude->rules =
            arena_alloc(&copy->build->arena, COPY_EXCLUDES_MAX * sizeof(*exclude->rules));
    }
    if (exclude->count < COPY_EXCLUDES_MAX) {
        exclude->rules[exclude->count++] =
            (struct ignore_rule){.pattern = clean(&copy->build->arena, pattern)};
    }
    return 0;
}

static int read_flags(struct copy *copy, struct err *err)
{
    static const char *const known[] = {"from=",      "chown=",    "link",        "link=true",
                                        "link=false", "checksum=", "keep-git-dir"};
    const struct expand expand = build_expand(copy->build, copy->stage);
    for (uint32_t i = 0; i < copy->instruction->flag_count; i++) {
        const char *flag = copy->instruction->flags[i];
        mode_t ignored = 0;
        bool is_known = false;
        for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++) {
            size_t size = strlen(known[k]);
            is_known |= known[k][size - 1] == '=' ? strncmp(flag, known[k], size) == 0
                                                  : strcmp(flag, known[k]) == 0;
        }
        int status = 0;
        if (strncmp(flag, "chmod=", 6) == 0) {
            status = expand_text(&expand, flag + 6, &copy->mode, err);
            if (status == 0 && copy_mode_apply(copy->mode, 0, false, &ignored) != 0) {
                status = err_set(err, ERR_MALFORMED, "--chmod: '%.40s' is no mode", copy->mode);
            }
        } else if (strncmp(flag, "exclude=", 8) == 0) {
            status = read_exclude(copy, flag + 8);
        } else if (strcmp(flag, "parents") == 0 || strcmp(flag, "parents=true") == 0) {
            copy->has_parents = true;
        } else if (strcmp(flag, "unpack") == 0 || strcmp(flag, "unpack=true") == 0) {
            copy->unpacks = true;
        } else if (!is_known) {
            status = err_set(err, ERR_UNSUPPORTED, "--%.60s is not supported", flag);
        }
        if (status != 0) {
            return status;
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

static int add_key(struct copy *copy, struct err *err)
{
    char digest[REFERENCE_DIGEST_MAX + 1];
    copy->hash = hash_new();
    int status = 0;
    copy_hash_text(copy, copy->target, copy->instruction->text, copy->is_target_directory);
    for (uint32_t i = 0; i < copy->instruction->flag_count; i++) {
        copy_hash_text(copy, "flag", copy->instruction->flags[i], 0);
    }
    if (copy->source.key != NULL) {
        copy_hash_text(copy, "from", copy->source.key, 0); /* the other stage's key says it all */
    } else {
        for (uint32_t i = 0; status == 0 && i < copy->source_count; i++) {
            status = copy_one_source(copy, &copy->sources[i], -1, err);
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
        copy->has_owner = true;
        copy->owner.uid = user->uid;
        copy->owner.gid = user->gid;
    }
    for (uint32_t i = 0; status == 0 && i < copy->source_count; i++) {
        status = copy_one_source(copy, &copy->sources[i], root_fd, err);
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

static void close_copy(struct copy *copy)
{
    for (uint32_t i = 0; i < copy->source_count; i++) {
        cleanup_close_fd(&copy->sources[i].fd);
    }
    build_source_close(&copy->source);
    mem_free(copy);
}

int build_copy(struct build *build, struct build_stage *stage,
               const struct dockerfile_instruction *instruction, struct err *err)
{
    struct copy *copy = mem_zalloc(sizeof(*copy));
    const char *from = dockerfile_flag(instruction, "from");
    copy->build = build;
    copy->stage = stage;
    copy->instruction = instruction;
    int status = 0;
    if (from != NULL) {
        const struct expand expand = build_expand(build, stage);
        status = expand_text(&expand, from, &from, err);
    }
    copy->source.fd = -1;
    if (status == 0) {
        status = build_source_open(build, stage, from, &copy->source, err);
    }
    if (status == 0) {
        status = plan(copy, err);
    }
    if (status == 0) {
        status = add_key(copy, err);
    }
    if (status == 0) {
        status = build_cache_use(build, stage, err);
        status = status == 0 ? copy_to_layer(copy, err) : status < 0 ? status : 0;
    }
    close_copy(copy);
    return status;
}

int build_hash_path(struct build *build, const struct build_stage *stage,
                    struct build_source *source, const char *path, char *digest, struct err *err)
{
    static const struct dockerfile_instruction none = {.kind = DOCKERFILE_RUN};
    struct copy *copy = mem_zalloc(sizeof(*copy));
    copy->build = build;
    copy->stage = (struct build_stage *)(uintptr_t)stage;
    copy->instruction = &none;
    copy->source = *source;
    copy->hash = hash_new();
    const struct copy_source one = {.path = clean(&build->arena, path), .fd = -1};
    int status = copy_one_source(copy, &one, -1, err);
    hash_finish(copy->hash, digest);
    hash_free(copy->hash);
    mem_free(copy);
    return status;
}

/* What WORKDIR has to make belongs to the user that is set. */
static int make_owned(const struct build_stage *stage, int root_fd, const char *path,
                      struct err *err)
{
    CLEANUP(free) struct user *user = mem_zalloc(sizeof(*user));
    CLEANUP(free) char *part = mem_strdup(path);
    const char *name = json_get_text(build_config(stage), "User", "");
    int status = user_lookup(name, root_fd, NULL, 0, user, err);
    for (char *at = part + 1; status == 0; at++) {
        if (*at != '/' && *at != '\0') {
            continue;
        }
        char kept = *at;
        *at = '\0';
        bool is_new = !copy_is_directory(root_fd, part);
        int made = is_new ? in_root_make_directories(root_fd, part, 0755) : 0;
        CLEANUP(close_fd)
        int fd = made != 0 ? made : in_root_open(root_fd, part, O_RDONLY | O_DIRECTORY, 0);
        if (fd < 0 || (is_new && fchown(fd, user->uid, user->gid) != 0)) {
            return err_set_errno(err, fd < 0 ? -fd : errno, "make '%s'", path);
        }
        if (kept == '\0') {
            break;
        }
        *at = kept;
    }
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
    if (status == 0 && !copy_is_directory(workspace.root_fd, path)) {
        status = make_owned(stage, workspace.root_fd, path, err);
        if (status == 0) {
            status = build_workspace_commit(build, stage, &workspace, err);
        }
        if (status == 0) {
            build_cache_add(build, stage);
        }
    }
    build_workspace_close(&workspace);
    return status;
}
