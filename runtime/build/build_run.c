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

static int attach(const struct build *build, const char *id, const char *name,
                  const struct holder *holder, struct err *err)
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
        .owner = id,
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

static int start_kvrun(struct build *build, const char *id, const char *bundle, struct err *err)
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
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return err_set_errno(err, errno, "make a pipe");
    }
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        int null = open("/dev/null", O_RDONLY);
        (void)dup2(null, STDIN_FILENO);
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)dup2(ends[1], STDERR_FILENO);
        (void)execlp(program, "kvrun", "--root", root, "run", "--bundle", bundle, id, NULL);
        _exit(EXIT_NOT_FOUND);
    }
    int code = 0;
    (void)close(ends[1]);
    if (child > 0) {
        build_step_relay(build, ends[0]);
    }
    (void)close(ends[0]);
    while (child > 0 && waitpid(child, &code, 0) < 0 && errno == EINTR) {
    }
    if (child < 0) {
        return err_set_errno(err, errno, "start kvrun");
    }
    int exit_code = WIFEXITED(code) ? WEXITSTATUS(code) : 128 + WTERMSIG(code);
    return exit_code == 0 ? 0
                          : err_set(err, ERR_IO, "the command ended with exit code %d", exit_code);
}

struct run {
    struct build *build;
    struct build_stage *stage;
    const struct dockerfile_instruction *instruction;
    struct build_workspace *workspace;
    struct build_mounts mounts;
    char id[65]; /* names its container and its network lease */
};

static int write_bundle(struct run *run, const char *network_path, struct err *err)
{
    struct build *build = run->build;
    struct build_workspace *workspace = run->workspace;
    static const char *const always[] = {"/dev",       "/proc",         "/sys",
                                         "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"};
    CLEANUP(json) json_t *config = run_config(run->stage, run->instruction);
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
        .id = run->id,
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
    for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++) {
        build_mounts_note(&run->mounts, workspace, always[i]);
    }
    if ((status = build_mounts_open(build, run->stage, run->instruction, workspace, &run->mounts,
                                    mounts, json_object_get(config, "Env"), err)) != 0 ||
        (status = user_lookup(json_get_text(config, "User", ""), workspace->root_fd, NULL, 0, user,
                              err)) != 0 ||
        (status = name_files_write(build->store, &container, "build", err)) != 0 ||
        (status = spec_make(&input, &spec, err)) != 0) {
        return status;
    }
    json_write(spec, false, &text);
    return store_replace_file(workspace->directory_fd, "config.json", buf_bytes(&text), err);
}

static int run_in(struct build *build, struct build_stage *stage,
                  const struct dockerfile_instruction *instruction,
                  struct build_workspace *workspace, struct err *err)
{
    const char *flag = dockerfile_flag(instruction, "network");
    const char *network = flag != NULL && strcmp(flag, "default") != 0 ? flag
                          : build->options->network != NULL            ? build->options->network
                                                                       : "bridge";
    struct run run = {
        .build = build,
        .stage = stage,
        .instruction = instruction,
        .workspace = workspace,
        .mounts = {.made = json_array(), .pinned = json_array()},
    };
    struct holder holder = {.pid = 0};
    int status = 0;
    build_make_id(run.id);
    if (strcmp(network, "host") != 0) {
        status = hold_namespace(&holder, err);
        if (status == 0) {
            status = attach(build, run.id, network, &holder, err);
        }
    }
    if (status == 0) {
        status = write_bundle(&run, holder.path, err);
    }
    if (status == 0) {
        status = start_kvrun(build, run.id, workspace->directory, err);
    }
    if (holder.pid > 0) {
        struct err ignored;
        int detached = network_detach(build->store->root, run.id, &ignored);
        (void)detached; /* reconcile finds it */
    }
    release_namespace(&holder);
    build_mounts_close(&run.mounts, workspace);
    return status;
}

/* What a bind mount shows: the chain of the stage, or the content. */
static int add_mount_key(struct build *build, struct build_stage *stage, const char *text,
                         struct buf *out, struct err *err)
{
    const char *from = NULL;
    const char *path = ".";
    bool is_bind = true;
    char *rest = arena_strdup(&build->arena, text);
    for (char *field; (field = strsep(&rest, ",")) != NULL;) {
        is_bind &= strncmp(field, "type=", 5) != 0 || strcmp(field, "type=bind") == 0;
        from = strncmp(field, "from=", 5) == 0 ? field + 5 : from;
        path = strncmp(field, "source=", 7) == 0 ? field + 7 : path;
        path = strncmp(field, "src=", 4) == 0 ? field + 4 : path;
    }
    if (!is_bind) {
        return 0;
    }
    struct build_source source;
    char digest[REFERENCE_DIGEST_MAX + 1] = "";
    int status = build_source_open(build, stage, from, &source, err);
    if (status == 0 && source.key == NULL) {
        status = build_hash_path(build, stage, &source, path, digest, err);
    }
    buf_append_format(out, "%s %s ", source.key == NULL ? "" : source.key, digest);
    build_source_close(&source);
    return status;
}

/* What the result depends on: the command, its environment, user, directory, mounts. */
static int add_key(struct build *build, struct build_stage *stage,
                   const struct dockerfile_instruction *instruction, struct err *err)
{
    CLEANUP(json) json_t *config = run_config(stage, instruction);
    CLEANUP(buf) struct buf text = BUF_INIT;
    int status = 0;
    buf_append_text(&text, "RUN ");
    for (uint32_t i = 0; status == 0 && i < instruction->flag_count; i++) {
        buf_append_format(&text, "--%s ", instruction->flags[i]);
        if (strncmp(instruction->flags[i], "mount=", 6) == 0) {
            status = add_mount_key(build, stage, instruction->flags[i] + 6, &text, err);
        }
    }
    json_write(config, false, &text);
    build_key_add(stage, buf_bytes(&text));
    return status;
}

int build_run(struct build *build, struct build_stage *stage,
              const struct dockerfile_instruction *instruction, struct err *err)
{
    struct build_workspace workspace = {.directory = NULL};
    int status = add_key(build, stage, instruction, err);
    if (status == 0) {
        status = build_cache_use(build, stage, err);
    }
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
