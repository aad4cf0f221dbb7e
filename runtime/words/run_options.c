#include "runtime/words/run_options.h"

#include <stddef.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

#define FIELD(name) offsetof(struct run_options, name)

/* letter, name, kind, field, placeholder, help */
static const struct {
    char letter;
    const char *name;
    enum option_kind kind;
    size_t field;
    const char *placeholder;
    const char *help;
} table[] = {
    {'d', "detach", OPTION_FLAG, FIELD(is_detached), NULL, "Run in the background, print the id"},
    {'i', "interactive", OPTION_FLAG, FIELD(is_interactive), NULL, "Keep standard input open"},
    {'t', "tty", OPTION_FLAG, FIELD(is_tty), NULL, "Give the process a terminal"},
    {0, "rm", OPTION_FLAG, FIELD(is_removed), NULL, "Remove the container when it ends"},
    {0, "name", OPTION_TEXT, FIELD(name), "NAME", "Name of the container"},
    {'e', "env", OPTION_LIST, FIELD(env), "NAME=VALUE", "Set an environment variable"},
    {0, "env-file", OPTION_LIST, FIELD(env_file), "FILE", "Read environment variables"},
    {'p', "publish", OPTION_LIST, FIELD(publish), "[IP:]HOST:PORT", "Publish a port"},
    {'P', "publish-all", OPTION_FLAG, FIELD(publishes_all), NULL, "Publish all exposed ports"},
    {0, "expose", OPTION_LIST, FIELD(expose), "PORT", "Expose a port"},
    {'v', "volume", OPTION_LIST, FIELD(volume), "SRC:DST[:ro]", "Mount a directory or a volume"},
    {0, "mount", OPTION_LIST, FIELD(mount), "OPTIONS", "Mount, spelled out (type=bind,source=…)"},
    {0, "tmpfs", OPTION_LIST, FIELD(tmpfs), "PATH[:OPTIONS]", "Mount an empty tmpfs"},
    {0, "read-only", OPTION_FLAG, FIELD(is_read_only), NULL, "Root file system read-only"},
    {'u', "user", OPTION_TEXT, FIELD(user), "USER[:GROUP]", "User name or number"},
    {0, "group-add", OPTION_LIST, FIELD(group_add), "GROUP", "Another group"},
    {'w', "workdir", OPTION_TEXT, FIELD(workdir), "DIR", "Working directory"},
    {0, "entrypoint", OPTION_TEXT, FIELD(entrypoint), "PROGRAM", "Instead of the image's"},
    {'h', "hostname", OPTION_TEXT, FIELD(hostname), "NAME", "Host name"},
    {0, "domainname", OPTION_TEXT, FIELD(domainname), "NAME", "NIS domain name"},
    {0, "network", OPTION_TEXT, FIELD(network), "NETWORK",
     "bridge, host, none, container:ID, NAME"},
    {0, "net", OPTION_TEXT, FIELD(network), "NETWORK", "Same as --network"},
    {0, "network-alias", OPTION_LIST, FIELD(network_alias), "NAME", "Another name in the network"},
    {0, "ip", OPTION_TEXT, FIELD(ip), "ADDRESS", "IPv4 address"},
    {0, "add-host", OPTION_LIST, FIELD(add_host), "NAME:IP", "A line for /etc/hosts"},
    {0, "dns", OPTION_LIST, FIELD(dns), "ADDRESS", "Name server"},
    {0, "dns-search", OPTION_LIST, FIELD(dns_search), "DOMAIN", "Search domain"},
    {0, "dns-option", OPTION_LIST, FIELD(dns_option), "OPTION", "Option for resolv.conf"},
    {'m', "memory", OPTION_TEXT, FIELD(memory), "SIZE", "Memory limit"},
    {0, "memory-swap", OPTION_TEXT, FIELD(memory_swap), "SIZE",
     "Memory and swap together; -1: any"},
    {0, "memory-reservation", OPTION_TEXT, FIELD(memory_reservation), "SIZE", "Soft limit"},
    {0, "cpus", OPTION_TEXT, FIELD(cpus), "N", "How many processors (1.5)"},
    {'c', "cpu-shares", OPTION_TEXT, FIELD(cpu_shares), "N", "Relative weight (1024)"},
    {0, "cpu-quota", OPTION_TEXT, FIELD(cpu_quota), "US", "Microseconds per period"},
    {0, "cpu-period", OPTION_TEXT, FIELD(cpu_period), "US", "Length of a period"},
    {0, "cpuset-cpus", OPTION_TEXT, FIELD(cpuset_cpus), "LIST", "Processors to use (0-2,4)"},
    {0, "cpuset-mems", OPTION_TEXT, FIELD(cpuset_mems), "LIST", "Memory nodes to use"},
    {0, "pids-limit", OPTION_TEXT, FIELD(pids_limit), "N", "How many processes; -1: any"},
    {0, "shm-size", OPTION_TEXT, FIELD(shm_size), "SIZE", "Size of /dev/shm (64m)"},
    {0, "ulimit", OPTION_LIST, FIELD(ulimit), "NAME=SOFT[:HARD]", "Resource limit of processes"},
    {0, "sysctl", OPTION_LIST, FIELD(sysctl), "NAME=VALUE", "Kernel parameter of its namespaces"},
    {0, "device", OPTION_LIST, FIELD(device), "DEV[:DEV[:rwm]]", "A device of the host"},
    {0, "privileged", OPTION_FLAG, FIELD(is_privileged), NULL, "Everything root may do"},
    {0, "cap-add", OPTION_LIST, FIELD(cap_add), "NAME", "Add a capability"},
    {0, "cap-drop", OPTION_LIST, FIELD(cap_drop), "NAME", "Take a capability away"},
    {0, "security-opt", OPTION_LIST, FIELD(security_opt), "OPTION",
     "no-new-privileges, seccomp=unconfined|FILE"},
    {0, "init", OPTION_FLAG, FIELD(has_init), NULL, "A small init that reaps and forwards signals"},
    {0, "restart", OPTION_TEXT, FIELD(restart), "POLICY",
     "no, on-failure[:N], always, unless-stopped"},
    {'l', "label", OPTION_LIST, FIELD(label), "NAME=VALUE", "Label of the container"},
    {0, "label-file", OPTION_LIST, FIELD(label_file), "FILE", "Read labels"},
    {0, "stop-signal", OPTION_TEXT, FIELD(stop_signal), "SIGNAL", "Signal that ends it (SIGTERM)"},
    {0, "stop-timeout", OPTION_TEXT, FIELD(stop_timeout), "SECONDS", "Then it is killed (10)"},
    {0, "pull", OPTION_TEXT, FIELD(pull), "WHEN", "always, missing (default), never"},
    {'q', "quiet", OPTION_FLAG, FIELD(is_quiet), NULL, "No progress of a pull"},
    {0, "platform", OPTION_TEXT, FIELD(platform), "OS/ARCH", "Platform for a pull"},
    {0, "pid", OPTION_TEXT, FIELD(pid), "MODE", "host or container:ID"},
    {0, "ipc", OPTION_TEXT, FIELD(ipc), "MODE", "host, private or container:ID"},
    {0, "uts", OPTION_TEXT, FIELD(uts), "MODE", "host"},
    {0, "cidfile", OPTION_TEXT, FIELD(cidfile), "FILE", "Write the id to a file"},
    {0, "oom-score-adj", OPTION_TEXT, FIELD(oom_score_adj), "N", "-1000 to 1000"},
    {0, "oom-kill-disable", OPTION_FLAG, FIELD(is_oom_kill_disabled), NULL,
     "Do not kill (cgroup v1)"},
    {0, "cgroup-parent", OPTION_TEXT, FIELD(cgroup_parent), "PATH", "Parent of its cgroup"},
    {0, "log-driver", OPTION_TEXT, FIELD(log_driver), "NAME", "file (default) or none"},
    {0, "log-opt", OPTION_LIST, FIELD(log_opt), "NAME=VALUE", "max-size=10m, max-file=3"},
    {'a', "attach", OPTION_LIST, FIELD(attach), "STREAM", "stdin, stdout or stderr"},
    {0, "no-healthcheck", OPTION_FLAG, FIELD(no_healthcheck), NULL,
     "Ignore the image's health check"},
    {0, "detach-keys", OPTION_TEXT, FIELD(detach_keys), "KEYS", "ctrl-p,ctrl-q"},
};
enum { TABLE_SIZE = sizeof(table) / sizeof(table[0]) };

int run_options_parse(const struct command *command, int argc, char **argv,
                      struct run_options *options, struct text_list *operands, struct err *err)
{
    struct option_spec specs[TABLE_SIZE + 1];
    for (size_t i = 0; i < TABLE_SIZE; i++) {
        specs[i] = (struct option_spec){
            .letter = table[i].letter,
            .name = table[i].name,
            .kind = table[i].kind,
            .target = (char *)options + table[i].field,
            .placeholder = table[i].placeholder,
            .help = table[i].help,
        };
    }
    specs[TABLE_SIZE] = (struct option_spec){.name = NULL};
    return options_parse(command, specs, argc, argv, operands, err);
}

void run_options_deinit(struct run_options *options)
{
    for (size_t i = 0; i < TABLE_SIZE; i++) {
        if (table[i].kind == OPTION_LIST) {
            text_list_deinit((struct text_list *)(void *)((char *)options + table[i].field));
        }
    }
}
