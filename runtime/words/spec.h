/* spec.h - from a container's Config and HostConfig to the config.json of the OCI runtime. Pure,
 * but for the files of --security-opt seccomp=FILE and the devices of --device and --privileged. */
#ifndef RUNTIME_WORDS_SPEC_H
#define RUNTIME_WORDS_SPEC_H

#include <jansson.h>

#include "base/err.h"
#include "runtime/words/user_lookup.h"

struct spec_input {
    const char *id;
    const char *hostname;
    const char *root_path; /* where the root file system is mounted */
    const char *directory; /* the container's own: hosts, hostname, resolv.conf */
    const char *init_path; /* the small init of --init */
    const json_t *config;
    const json_t *host;
    const json_t *mounts; /* resolved: [{"type","source","destination","options":[…]}] */
    const struct user *user;
    const char *network_path; /* NULL: a new namespace; "": the host's; else one to join */
    const char *pid_path;     /* the same three */
    const char *ipc_path;
};

MUST_USE int spec_make(const struct spec_input *input, json_t **ret, struct err *err);

/* The process object of `exec`: the container's, with other arguments. NULLs keep what there is. */
struct spec_exec {
    const char *const *arguments;
    size_t argument_count;
    const char *const *env;
    size_t env_count;
    const char *workdir;
    const struct user *user; /* NULL: the container's */
    bool is_tty;
    bool is_privileged;
};
json_t *spec_make_exec(const json_t *container_spec, const struct spec_exec *exec);

/* spec_linux.c: memory, cpu and pids of a HostConfig as "linux.resources". */
json_t *spec_make_resources(const json_t *host);
/* spec_linux.c: the "linux" object. */
MUST_USE int spec_make_linux(const struct spec_input *input, const json_t *capabilities,
                             json_t **ret, struct err *err);

#endif
