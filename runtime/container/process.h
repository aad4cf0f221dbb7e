/* process.h - from a process of kvrun to the user's program: limits, user, capabilities, seccomp,
 * exec.
 *
 * The same for the container's first process and for `exec`. Called in this order by a process that
 * is in the container's namespaces already. Between the steps everything that is written is known
 * to be harmless to the host: the process is not dumpable until exec. */
#ifndef RUNTIME_CONTAINER_PROCESS_H
#define RUNTIME_CONTAINER_PROCESS_H

#include <sys/types.h>

#include "runtime/container/seccomp.h"
#include "runtime/container/spec.h"

struct process {
    const struct spec_process *spec;
    const struct seccomp_program *seccomp; /* NULL: none */
    struct arena *arena;
    char **env;             /* spec's and what is added (HOME) */
    const char *executable; /* path inside the container */
    uint64_t permitted;     /* final capabilities, those that can be granted */
    uint64_t effective;
    uint64_t inheritable;
    uint64_t ambient;
    bool keep_groups; /* supplementary groups stay as they are */
    bool has_own_cwd; /* the working directory could be entered before the user was changed */
};

/* Capabilities asked for that this process does not have and cannot give; 0: none. */
uint64_t process_missing_capabilities(const struct spec_process *spec);

/* The kernel raises only ambient capabilities that are inheritable and permitted: say so. */
void process_warn_ambient(const struct spec_process *spec);

/* Resource limits, scheduler, I/O priority, personality. What only a more privileged host could
 * grant (raising a hard limit) is a warning, as containers.md 0.6 says. */
MUST_USE int process_limit(const struct spec_process *spec,
                           const struct spec_personality *personality, struct err *err);
MUST_USE int process_set_memory_policy(const struct spec_memory_policy *policy, struct err *err);
MUST_USE int process_set_oom_score(const struct spec_process *spec, struct err *err);
/* process.execCPUAffinity: before the cgroup is entered, and after. Without a final one, and for a
 * container's first process, whatever the caller of kvrun was bound to does not come along. */
MUST_USE int process_set_initial_affinity(const struct spec_process *spec, struct err *err);
MUST_USE int process_set_final_affinity(const struct spec_process *spec, struct err *err);
void process_reset_affinity(void);
/* On behalf of a child in a user namespace, which may not raise them itself. */
void process_raise_limits_of(pid_t pid, const struct spec_process *spec);

/* Environment with HOME, and the executable by PATH, as the container sees them. The texts are what
 * podman looks for: "executable file not found", "no such file or directory", "permission denied".
 */
MUST_USE int process_resolve(struct process *process, struct err *err);
/* Bounding set, groups, ids, capabilities. Keeps CAP_SYS_ADMIN until process_exec when seccomp
 * needs it. */
MUST_USE int process_become_user(struct process *process, struct err *err);
/* Load seccomp; a listener's descriptor is returned (>= 0 only with has_notify), -1: none. */
MUST_USE int process_load_seccomp(struct process *process, int *ret_listener, struct err *err);
/* Final capabilities and execve: returns only on failure. */
MUST_USE int process_exec(struct process *process, struct err *err);

/* Label of a security module (AppArmor, SELinux) for the next exec. Opened while /proc is the
 * host's own (CVE-2019-16884), written later. A module that the kernel lacks is a warning. */
struct process_label {
    int fd; /* of /proc/self/attr/...; 0 or below: none */
    bool is_apparmor;
};
MUST_USE int process_open_label(const struct spec_process *spec, struct process_label *ret,
                                struct err *err);
MUST_USE int process_write_label(const struct spec_process *spec, struct process_label *label,
                                 struct err *err);

/* user.c: uid's home directory from /etc/passwd below root (-1: "/"); false: none there. */
bool user_find_home(int root, uint32_t uid, char *out, size_t size);
/* "name", "uid", "name:group", "uid:gid" by the container's files. ERR_INVALID, ERR_NOT_FOUND. */
struct user_identity {
    uint32_t uid;
    uint32_t gid;
};
MUST_USE int user_parse(int root, const char *text, struct user_identity *ret, struct err *err);

#endif
