/* build_run.c - RUN: a command in the stage's files, through kvrun. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/build/build.h"
#include "runtime/image/in_root.h"
#include "runtime/image/json.h"
#include "runtime/network/network.h"
#include "runtime/words/container.h"
#include "runtime/words/name_files.h"
#include "runtime/words/spec.h"
#include "runtime/words/words.h"

enum { MOUNTS_MAX = 16 };

/* ---- what runs ---- */

static void add_shell(json_t *arguments, const json_t *config)
{
    const json_t *shell = json_object_get(config, "Shell");
    if (json_is_array(shell)) {
        json_array_extend(arguments, (json_t *)(uintptr_t)shell);
    } else {
        json_array_append_new(arguments, json_text("/bin/sh"));
        json_array_append_new(arguments, json_text("-c"));
    }
}

/* The shell form as it stands; a heredoc alone is its body, others go with their bodies to the
 * shell, which knows them itself. */
static json_t *make_arguments(const struct build_stage *stage,
                              const struct dockerfile_instruction *instruction)
{
    json_t *arguments = json_array();
    if (instruction->is_exec) {
        for (uint32_t i = 0; i < instruction->word_count; i++) {
            json_array_append_new(arguments, json_text(instruction->words[i]));
        }
        return arguments;
    }
    add_shell(arguments, build_config(stage));
    const struct dockerfile_heredoc *first = &instruction->heredocs[0];
    bool is_alone = instruction->heredoc_count == 1 && strncmp(instruction->text, "<<", 2) == 0 &&
                    strpbrk(instruction->text, " \t") == NULL;
    if (is_alone) {
        json_array_append_new(arguments, json_text(first->body));
        return arguments;
    }
    CLEANUP(buf) struct buf script = BUF_INIT;
    buf_append_text(&script, instruction->text);
    for (uint32_t i = 0; i < instruction->heredoc_count; i++) {
        buf_append_format(&script, "\n%s%s", instruction->heredocs[i].body,
                          instruction->heredocs[i].name);
    }
    json_array_append_new(arguments, json_text(buf_text(&script)));
    return arguments;
}

/* ENV, and ARGs that are in effect; ENV wins. */
static json_t *make_env(const struct build_stage *stage)
{
    json_t *env = json_array();
    json_t *own = json_object_get(build_config(stage), "Env");
    const char *name = NULL;
    json_t *value = NULL;
    json_array_extend(env, own);
    json_object_foreach(stage->arguments, name, value)
    {
        size_t size = strlen(name);
        bool is_set = false;
        for (size_t i = 0; i < json_array_size(own); i++) {
            const char *text = json_string_value(json_array_get(own, i));
            is_set |= text != NULL && strncmp(text, name, size) == 0 && text[size] == '=';
        }
        if (!is_set && json_is_string(value)) {
            CLEANUP(free) char *text = mem_printf("%s=%s", name, json_string_value(value));
            json_array_append_new(env, json_text(text));
        }
    }
    bool has_path = false;
    for (size_t i = 0; i < json_array_size(env); i++) {
        has_path |= strncmp(json_string_value(json_array_get(env, i)), "PATH=", 5) == 0;
    }
    if (!has_path) {
        json_array_append_new(
            env, json_text("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
    }
    return env;
}

/* ---- --mount ---- */

/* Names of caches come from Dockerfiles: only their hash becomes a path (CVE-2024-9675). */
static int cache_path(const struct build *build, const char *id, char *out, struct err *err)
{
    struct build_stage hashed = {.key = "cache"};
    build_key_add(&hashed, bytes_from_text(id));
    (void)snprintf(out, PATH_MAX, "%s/build/mounts", build->store->root);
    if (mkdir(out, 0700) != 0 && errno != EEXIST) {
        return err_set_errno(err, errno, "create '%s'", out);
    }
    (void)snprintf(out, PATH_MAX, "%s/build/mounts/%.64s", build->store->root,
                   digest_hex(hashed.key));
    if (mkdir(out, 0755) != 0 && errno != EEXIST) {
        return err_set_errno(err, errno, "create '%s'", out);
    }
    return 0;
}

struct run_mount {
    const char *type, *target, *id, *size;
};

static int add_mount(const struct build *build, const char *text, json_t *mounts, struct err *err)
{
    struct run_mount mount = {.type = "bind"};
    CLEANUP(free) char *copy = mem_strdup(text);
    char *rest = copy;
    for (char *field; (field = strsep(&rest, ",")) != NULL;) {
        char *value = strchr(field, '=');
        if (value != NULL) {
            *value++ = '\0';
        }
        if (strcmp(field, "type") == 0 && value != NULL) {
            mount.type = value;
        } else if ((strcmp(field, "target") == 0 || strcmp(field, "dst") == 0 ||
                    strcmp(field, "destination") == 0) &&
                   value != NULL) {
            mount.target = value;
        } else if (strcmp(field, "id") == 0) {
            mount.id = value;
        } else if (strcmp(field, "size") == 0) {
            mount.size = value;
        } else if (strcmp(field, "sharing") != 0 && strcmp(field, "mode") != 0) {
            return err_set(err, ERR_UNSUPPORTED, "--mount: '%.40s' is not supported", field);
        }
    }
    if (mount.target == NULL || mount.target[0] != '/') {
        return err_set(err, ERR_INVALID, "--mount needs an absolute target");
    }
    if (strcmp(mount.type, "tmpfs") == 0) {
        CLEANUP(free) char *size = mem_printf("size=%s", mount.size == NULL ? "0" : mount.size);
        json_array_append_new(mounts, json_pack("{ss ss ss s[sss]}", "destination", mount.target,
                                                "type", "tmpfs", "source", "tmpfs", "options",
                                                "nosuid", "nodev", size));
        return 0;
    }
    if (strcmp(mount.type, "cache") == 0) {
        char path[PATH_MAX];
        int status = cache_path(build, mount.id == NULL ? mount.target : mount.id, path, err);
        if (status == 0) {
            json_array_append_new(mounts, json_pack("{ss ss ss s[sss]}", "destination",
                                                    mount.target, "type", "bind", "source", path,
                                                    "options", "rbind", "rprivate", "rw"));
        }
        return status;
    }
    return err_set(err, ERR_UNSUPPORTED,
                   "--mount=type=%.40s is not supported (cache and tmpfs are)", mount.type);
}

static int make_mounts(const struct build *build, const struct dockerfile_instruction *instruction,
                       json_t *mounts, struct err *err)
{
    for (uint32_t i = 0; i < instruction->flag_count; i++) {
        const char *flag = instruction->flags[i];
        int status = 0;
        if (strncmp(flag, "mount=", 6) == 0) {
            status = add_mount(build, flag + 6, mounts, err);
        } else if (strncmp(flag, "network=", 8) != 0 && strncmp(flag, "security=", 9) != 0) {
            status = err_set(err, ERR_UNSUPPORTED, "--%.60s is not supported", flag);
        }
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

/* ---- network ---- */

/* A process that does nothing but keep a network namespace. */
struct holder {
    pid_t pid;
    char path[64];
};

static int hold_namespace(struct holder *holder, struct err *err)
{
    int ready[2];
    char byte = 0;
    if (pipe2(ready, O_CLOEXEC) != 0) {
        return err_set_errno(err, errno, "make a pipe");
    }
    holder->pid = fork();
    if (holder->pid == 0) {
        if (unshare(CLONE_NEWNET) == 0 && write(ready[1], "x", 1) == 1) {
            for (;;) {
                (void)pause();
            }
        }
        _exit(1);
    }
    (void)close(ready[1]);
    bool is_ready = holder->pid > 0 && read(ready[0], &byte, 1) == 1;
    (void)close(ready[0]);
    (void)snprintf(holder->path, sizeof(holder->path), "/proc/%d/ns/net", (int)holder->pid);
    return is_ready ? 0 : err_set(err, ERR_IO, "make a network namespace");
}

static void release_namespace(struct holder *holder)
{
    if (holder->pid > 0) {
        (void)kill(holder->pid, SIGKILL);
        while (waitpid(holder->pid, NULL, 0) < 0 && errno == EINTR) {
        }
        holder->pid = 0;
    }
}

static int attach(const struct build *build, const char *name, const struct holder *holder,
                  struct err *err)
{
    struct network network = {.mtu = 0};
    CLEANUP(close_fd) int netns_fd = open(holder->path, O_RDONLY | O_CLOEXEC);
    if (netns_fd < 0) {
        return err_set_errno(err, errno, "open '%s'", holder->path);
    }
    if (strcmp(name, "none") == 0) {
        return network_set_loopback_up(netns_fd, err);
    }
    struct network_attachment attachment = {
        .owner = build->id,
        .netns_fd = netns_fd,
        .interface = "eth0",
        .sets_default_route = true,
    };
    int status = network_find(build->store->root, name, &network, err);
    if (status == 0) {
        status = network_attach(build->store->root, &network, &attachment, err);
    }
    network_deinit(&network);
    return status;
}

/* ---- the run ---- */

static json_t *run_config(const struct build_stage *stage,
                          const struct dockerfile_instruction *instruction)
{
    const json_t *config = build_config(stage);
    return json_pack("{so s[] so ss ss sb}", "Entrypoint", make_arguments(stage, instruction),
                     "Cmd", "Env", make_env(stage), "User", json_get_text(config, "User", ""),
                     "WorkingDir", json_get_text(config, "WorkingDir", ""), "Tty", 0);
}

static int start_kvrun(const struct build *build, const char *bundle, struct err *err)
{
    char program[PATH_MAX];
    char run[PATH_MAX];
    char root[PATH_MAX + 8];
    int status = container_run_directory(run, err);
    if (status != 0) {
        return status;
    }
    find_sibling("kvrun", program);
    (void)snprintf(root, sizeof(root), "%s/kvrun", run);
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        int null = open("/dev/null", O_RDONLY);
        (void)dup2(null, STDIN_FILENO);
        if (build->options->is_quiet) {
            (void)dup2(STDERR_FILENO, STDOUT_FILENO);
        }
        (void)execlp(program, "kvrun", "--root", root, "run", "--bundle", bundle, build->id, NULL);
        _exit(EXIT_NOT_FOUND);
    }
    int code = 0;
    while (child > 0 && waitpid(child, &code, 0) < 0 && errno == EINTR) {
    }
    if (child < 0) {
        return err_set_errno(err, errno, "start kvrun");
    }
    int exit_code = WIFEXITED(code) ? WEXITSTATUS(code) : 128 + WTERMSIG(code);
    return exit_code == 0 ? 0
                          : err_set(err, ERR_IO, "the command ended with exit code %d", exit_code);
}

static int write_bundle(struct build *build, struct build_stage *stage,
                        const struct dockerfile_instruction *instruction,
                        struct build_workspace *workspace, const char *network_path,
                        struct err *err)
{
    CLEANUP(json) json_t *config = run_config(stage, instruction);
    CLEANUP(json)
    json_t *host = json_pack("{ss}", "NetworkMode", network_path[0] == '\0' ? "host" : "bridge");
    CLEANUP(json) json_t *mounts = json_array();
    CLEANUP(json) json_t *spec = NULL;
    CLEANUP(json) json_t *state = json_object();
    CLEANUP(json)
    json_t *document =
        json_pack("{sO sO ss}", "Config", config, "HostConfig", host, "Name", "build");
    CLEANUP(free) char *root_path = mem_printf("%s/merged", workspace->directory);
    CLEANUP(free) struct user *user = mem_zalloc(sizeof(*user));
    CLEANUP(buf) struct buf text = BUF_INIT;
    struct container container = {
        .directory = workspace->directory,
        .directory_fd = workspace->directory_fd,
        .document = document,
        .state = state,
    };
    const struct spec_input input = {
        .id = build->id,
        .hostname = "build",
        .root_path = root_path,
        .directory = workspace->directory,
        .init_path = "",
        .config = config,
        .host = host,
        .mounts = mounts,
        .user = user,
        .network_path = network_path,
    };
    int status;
    if ((status = make_mounts(build, instruction, mounts, err)) != 0 ||
        (status = user_lookup(json_get_text(config, "User", ""), workspace->root_fd, NULL, 0, user,
                              err)) != 0 ||
        (status = name_files_write(build->store, &container, "build", err)) != 0 ||
        (status = spec_make(&input, &spec, err)) != 0) {
        return status;
    }
    json_write(spec, false, &text);
    return store_replace_file(workspace->directory_fd, "config.json", buf_bytes(&text), err);
}

/* Files that were made only to mount something on them. */
static void remove_stubs(const struct build_workspace *workspace)
{
    static const char *const stubs[] = {"resolv.conf", "hosts", "hostname"};
    CLEANUP(close_fd)
    int etc = openat(workspace->directory_fd, "upper/etc",
                     O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    for (size_t i = 0; etc >= 0 && i < sizeof(stubs) / sizeof(stubs[0]); i++) {
        struct stat about;
        if (fstatat(etc, stubs[i], &about, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(about.st_mode) &&
            about.st_size == 0) {
            (void)unlinkat(etc, stubs[i], 0);
        }
    }
}

static int run_in(struct build *build, struct build_stage *stage,
                  const struct dockerfile_instruction *instruction,
                  struct build_workspace *workspace, struct err *err)
{
    const char *flag = dockerfile_flag(instruction, "network");
    const char *network = flag != NULL && strcmp(flag, "default") != 0 ? flag
                          : build->options->network != NULL            ? build->options->network
                                                                       : "bridge";
    struct holder holder = {.pid = 0};
    int status = 0;
    if (strcmp(network, "host") != 0) {
        status = hold_namespace(&holder, err);
        if (status == 0) {
            status = attach(build, network, &holder, err);
        }
    }
    if (status == 0) {
        status = write_bundle(build, stage, instruction, workspace, holder.path, err);
    }
    if (status == 0) {
        status = start_kvrun(build, workspace->directory, err);
    }
    if (holder.pid > 0) {
        struct err ignored;
        int detached = network_detach(build->store->root, build->id, &ignored);
        (void)detached; /* reconcile finds it */
    }
    release_namespace(&holder);
    if (status == 0) {
        remove_stubs(workspace);
    }
    return status;
}

/* What the result depends on: the command, its environment, user, directory, mounts. */
static void add_key(struct build_stage *stage, const struct dockerfile_instruction *instruction)
{
    CLEANUP(json) json_t *config = run_config(stage, instruction);
    CLEANUP(buf) struct buf text = BUF_INIT;
    buf_append_text(&text, "RUN ");
    for (uint32_t i = 0; i < instruction->flag_count; i++) {
        buf_append_format(&text, "--%s ", instruction->flags[i]);
    }
    json_write(config, false, &text);
    build_key_add(stage, buf_bytes(&text));
}

int build_run(struct build *build, struct build_stage *stage,
              const struct dockerfile_instruction *instruction, struct err *err)
{
    struct build_workspace workspace = {.directory = NULL};
    add_key(stage, instruction);
    int status = build_cache_use(build, stage, err);
    if (status != 0) {
        return status < 0 ? status : 0;
    }
    status = build_workspace_open(build, stage, &workspace, err);
    if (status == 0) {
        status = run_in(build, stage, instruction, &workspace, err);
    }
    if (status == 0) {
        status = build_workspace_commit(build, stage, &workspace, err);
    }
    if (status == 0) {
        build_cache_add(build, stage);
    }
    build_workspace_close(&workspace);
    return status;
}
