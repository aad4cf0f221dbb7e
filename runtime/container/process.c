#include "runtime/container/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/container/caps.h"
#include "runtime/container/kernel.h"
#include "runtime/container/report.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define BIT(number) (UINT64_C(1) << (number))

static int get_caps(struct __user_cap_data_struct data[2])
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    return kernel_result(syscall(SYS_capget, &header, data));
}

static int set_caps(uint64_t effective, uint64_t permitted, uint64_t inheritable)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct data[2] = {
        {.effective = (uint32_t)effective,
         .permitted = (uint32_t)permitted,
         .inheritable = (uint32_t)inheritable},
        {.effective = (uint32_t)(effective >> 32),
         .permitted = (uint32_t)(permitted >> 32),
         .inheritable = (uint32_t)(inheritable >> 32)},
    };
    return kernel_result(syscall(SYS_capset, &header, data));
}

static uint64_t own_permitted(void)
{
    struct __user_cap_data_struct data[2];
    if (get_caps(data) < 0) {
        return 0;
    }
    return data[0].permitted | (uint64_t)data[1].permitted << 32;
}

uint64_t process_missing_capabilities(const struct spec_process *spec)
{
    const struct spec_capabilities *caps = &spec->capabilities;
    uint64_t wanted = caps->bounding | caps->permitted | caps->effective;
    return wanted & ~own_permitted();
}

void process_warn_ambient(const struct spec_process *spec)
{
    const struct spec_capabilities *caps = &spec->capabilities;
    uint64_t refused = caps->ambient & ~(caps->inheritable & caps->permitted);
    for (unsigned number = 0; number < CAPS_COUNT; number++) {
        if ((refused & BIT(number)) != 0) {
            report_warning("can't raise ambient capability %s: operation not permitted",
                           caps_name(number));
        }
    }
}

static const char *find_env(char *const *env, const char *name)
{
    size_t length = strlen(name);
    for (; env != NULL && *env != NULL; env++) {
        if (strncmp(*env, name, length) == 0 && (*env)[length] == '=') {
            return *env + length + 1;
        }
    }
    return NULL;
}

/* Each variable once, with the value that came last. Returns how many there are. */
static size_t copy_env(const struct text_list *env, char **items)
{
    size_t count = 0;
    for (size_t i = 0; i < env->count; i++) {
        size_t length = strcspn(env->items[i], "=") + 1;
        size_t at = 0;
        while (at < count && strncmp(items[at], env->items[i], length) != 0) {
            at++;
        }
        items[at] = env->items[i];
        count += at == count;
    }
    return count;
}

static void make_env(struct process *process)
{
    const struct text_list *env = &process->spec->env;
    char **items = arena_zalloc(process->arena, (env->count + 2) * sizeof *items);
    size_t count = copy_env(env, items);
    const char *old = find_env(items, "HOME");
    char home[4096];
    if (old == NULL || old[0] == 0) {
        bool found = user_find_home(-1, process->spec->user.uid, home, sizeof home);
        char *text = arena_printf(process->arena, "HOME=%s", found ? home : "/");
        size_t at = 0;
        while (at < count && strncmp(items[at], "HOME=", 5) != 0) {
            at++;
        }
        items[at] = text;
    }
    process->env = items;
}

/* 0: can be executed; else why not. */
static int check_executable(const char *path)
{
    struct stat info;
    if (stat(path, &info) < 0) {
        return -errno;
    }
    if (S_ISDIR(info.st_mode)) {
        return -EISDIR;
    }
    return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

static int search_path(struct process *process, const char *name, struct err *err)
{
    const char *path = find_env(process->env, "PATH");
    path = path == NULL ? DEFAULT_PATH : path;
    int worst = -ENOENT;
    while (*path != 0) {
        size_t length = strcspn(path, ":");
        char *candidate = arena_printf(process->arena, "%.*s%s%s", (int)length, path,
                                       length == 0 ? "./" : "/", name);
        int rc = check_executable(candidate);
        if (rc == 0) {
            process->executable = candidate;
            return 0;
        }
        worst = rc == -EACCES ? rc : worst;
        path += length;
        path += *path == ':';
    }
    if (worst == -EACCES) {
        return err_set(err, -EACCES, "exec: \"%s\": permission denied", name);
    }
    return err_set(err, -ENOENT, "exec: \"%s\": executable file not found in $PATH", name);
}

/* In the words that engines look for in a runtime's last line; they are Go's, in lower case. */
static const char *reason(int rc)
{
    return rc == -ENOENT    ? "no such file or directory"
           : rc == -ENOTDIR ? "not a directory"
           : rc == -EACCES  ? "permission denied"
           : rc == -EPERM   ? "operation not permitted"
                            : err_text(rc);
}

int process_resolve(struct process *process, struct err *err)
{
    make_env(process);
    const char *name = process->spec->args.items[0];
    if (name[0] == 0) {
        return err_set(err, -ENOENT, "exec: \"\": executable file not found in $PATH");
    }
    process->has_own_cwd = chdir(process->spec->cwd) == 0;
    int why = errno;
    if (!process->has_own_cwd && why != EACCES) {
        return err_set(err, -why, "process.cwd: chdir to cwd ('%s'): %s", process->spec->cwd,
                       reason(-why));
    }
    if (strchr(name, '/') == NULL) {
        return search_path(process, name, err);
    }
    int rc = check_executable(name);
    if (rc == -ENOENT || rc == -ENOTDIR) {
        return err_set(err, rc, "exec: \"%s\": stat %s: %s", name, name, reason(rc));
    }
    if (rc == -EISDIR) {
        return err_set(err, -EACCES, "exec: \"%s\": is a directory: permission denied", name);
    }
    process->executable = name;
    return rc < 0 ? err_set(err, rc, "exec: \"%s\": %s", name, reason(rc)) : 0;
}

/* A process behind `/proc/self/fd/N` or outside its root shows an unreachable cwd (CVE-2024-21626).
 */
static int check_cwd(const struct spec_process *spec, struct err *err)
{
    char cwd[4096];
    long length = syscall(SYS_getcwd, cwd, sizeof cwd);
    if (length < 0 && errno != ENOENT) {
        return err_set_errno(err, errno, "process.cwd: '%s'", spec->cwd);
    }
    if (length < 0 || cwd[0] != '/') {
        return err_set(err, ERR_DENIED,
                       "process.cwd: current working directory is outside of container mount "
                       "namespace root ('%s')",
                       spec->cwd);
    }
    return 0;
}

static int drop_bounding(uint64_t keep, struct err *err)
{
    for (int number = 0; number < 64; number++) {
        if ((keep & BIT(number)) != 0) {
            continue;
        }
        if (prctl(PR_CAPBSET_DROP, number, 0, 0, 0) < 0) {
            if (errno == EINVAL) {
                return 0; /* past the kernel's last capability */
            }
            return err_set_errno(err, errno, "process.capabilities.bounding: drop %s",
                                 caps_name((unsigned)number));
        }
    }
    return 0;
}

static int change_ids(const struct spec_user *user, bool keep_groups, struct err *err)
{
    if (!keep_groups && setgroups(user->additional_gid_count, user->additional_gids) < 0) {
        /* Denied in a user namespace of one id, where there are no other groups anyway. */
        if (errno != EPERM || user->additional_gid_count > 0) {
            return err_set_errno(err, errno, "process.user.additionalGids: setgroups");
        }
    }
    if (setresgid(user->gid, user->gid, user->gid) < 0) {
        return err_set_errno(err, errno, "process.user.gid: setgid %u", user->gid);
    }
    if (setresuid(user->uid, user->uid, user->uid) < 0) {
        return err_set_errno(err, errno, "process.user.uid: setuid %u", user->uid);
    }
    return 0;
}

static void choose_capabilities(struct process *process)
{
    const struct spec_capabilities *caps = &process->spec->capabilities;
    uint64_t own = own_permitted();
    process->permitted = caps->permitted & own;
    process->effective = caps->effective & process->permitted;
    process->inheritable = caps->inheritable & own;
    process->ambient = caps->ambient & process->permitted & process->inheritable;
}

int process_become_user(struct process *process, struct err *err)
{
    const struct spec_process *spec = process->spec;
    choose_capabilities(process);
    int rc = drop_bounding(spec->capabilities.bounding, err);
    if (rc < 0) {
        return rc;
    }
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0) {
        return err_set_errno(err, errno, "keep capabilities");
    }
    if ((rc = change_ids(&spec->user, process->keep_groups, err)) < 0) {
        return rc;
    }
    (void)umask(spec->user.umask.is_set ? (mode_t)spec->user.umask.value : 022);
    /* The change of user made the process dumpable again. */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
        return err_set_errno(err, errno, "PR_SET_DUMPABLE");
    }
    /* Without no_new_privs only CAP_SYS_ADMIN may load a filter: it is kept till then. */
    uint64_t extra = process->seccomp != NULL && !spec->no_new_privileges
                         ? BIT(CAP_SYS_ADMIN) & own_permitted()
                         : 0;
    rc = set_caps(process->effective | extra, process->permitted | extra, process->inheritable);
    if (rc < 0) {
        return err_set_errno(err, -rc, "process.capabilities: capset");
    }
    if (!process->has_own_cwd && chdir(spec->cwd) < 0) {
        return err_set(err, -errno, "process.cwd: chdir to cwd ('%s'): %s", spec->cwd,
                       reason(-errno));
    }
    if ((rc = check_cwd(spec, err)) < 0) {
        return rc;
    }
    rc = check_executable(process->executable);
    return rc < 0 ? err_set(err, rc, "exec: \"%s\": %s", spec->args.items[0], reason(rc)) : 0;
}

int process_load_seccomp(struct process *process, int *ret_listener, struct err *err)
{
    *ret_listener = -1;
    if (process->spec->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        return err_set_errno(err, errno, "process.noNewPrivileges");
    }
    if (process->seccomp == NULL) {
        return 0;
    }
    int rc = seccomp_load(process->seccomp);
    if (rc < 0) {
        return err_set_errno(err, -rc, "linux.seccomp: load the filter");
    }
    *ret_listener = process->seccomp->has_notify ? rc : -1;
    return 0;
}

static int raise_ambient(uint64_t ambient, struct err *err)
{
    for (int number = 0; ambient != 0 && number < CAPS_COUNT; number++) {
        if ((ambient & BIT(number)) != 0 &&
            prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0) < 0) {
            return err_set_errno(err, errno, "process.capabilities.ambient: raise %s",
                                 caps_name((unsigned)number));
        }
    }
    return 0;
}

int process_exec(struct process *process, struct err *err)
{
    int rc = 0;
    if (process->seccomp != NULL && !process->spec->no_new_privileges) {
        rc = set_caps(process->effective, process->permitted, process->inheritable);
        if (rc < 0) {
            return err_set_errno(err, -rc, "process.capabilities: capset");
        }
    }
    if ((rc = raise_ambient(process->ambient, err)) < 0) {
        return rc;
    }
    execve(process->executable, process->spec->args.items, process->env);
    return err_set(err, -errno, "exec %s: %s", process->executable, reason(-errno));
}
