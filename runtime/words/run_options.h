/* run_options.h - the options of run and create, and what they come to: the Config and HostConfig
 * objects of docker inspect. */
#ifndef RUNTIME_WORDS_RUN_OPTIONS_H
#define RUNTIME_WORDS_RUN_OPTIONS_H

#include <jansson.h>

#include "base/err.h"
#include "runtime/words/options.h"

struct run_options {
    bool is_detached, is_interactive, is_tty, is_removed, has_init, is_privileged, is_read_only;
    bool publishes_all, is_quiet, is_oom_kill_disabled, no_healthcheck;
    const char *name, *user, *workdir, *entrypoint, *hostname, *domainname, *network, *restart;
    const char *memory, *memory_swap, *memory_reservation, *cpus, *cpu_shares, *cpu_quota;
    const char *cpu_period, *cpuset_cpus, *cpuset_mems, *pids_limit, *shm_size, *stop_signal;
    const char *stop_timeout, *pull, *platform, *pid, *ipc, *uts, *cidfile, *ip, *oom_score_adj;
    const char *cgroup_parent, *log_driver, *log_file_size, *log_files, *detach_keys;
    struct text_list env, env_file, publish, volume, mount, tmpfs, cap_add, cap_drop, security_opt;
    struct text_list label, label_file, ulimit, sysctl, device, add_host, dns, dns_search;
    struct text_list dns_option, network_alias, group_add, expose, log_opt, attach;
};

void run_options_deinit(struct run_options *options);

/* Parse argv of `run` or `create`: options, IMAGE, COMMAND. operands: image, then the command. */
MUST_USE int run_options_parse(const struct command *command, int argc, char **argv,
                               struct run_options *options, struct text_list *operands,
                               struct err *err);

/* The Config object: the image's configuration ("config" of its document, borrowed, may be NULL)
 * with the options on top. Reads the files of --env-file and --label-file and, for `-e NAME`, the
 * environment. */
MUST_USE int run_config_merge(const struct run_options *options, const json_t *image_config,
                              const char *const *command, size_t command_size, json_t **ret,
                              struct err *err);
/* The HostConfig object. Pure; refuses what makes no sense. */
MUST_USE int run_host_config(const struct run_options *options, json_t **ret, struct err *err);

static inline void cleanup_run_options(struct run_options *options)
{
    run_options_deinit(options);
}

#endif
