#include "runtime/container/help.h"

#include <string.h>

static const struct {
    const char *name;
    const char *operands;
    const char *text;
} commands[] = {
    {"run", "ID", "create, start, wait for and delete a container"},
    {"create", "ID", "make a container of the bundle in this directory; start it later"},
    {"start", "ID", "run the process of a created container"},
    {"exec", "ID COMMAND [ARG...]", "run another process in a running container"},
    {"state", "ID", "print a container's state as JSON"},
    {"kill", "ID [SIGNAL]", "send a signal (TERM) to a container's first process"},
    {"delete", "ID", "remove a container that has ended"},
    {"list", "", "list containers"},
    {"ps", "ID", "list the processes of a container"},
    {"pause", "ID", "freeze all processes of a container"},
    {"resume", "ID", "let a paused container go on"},
    {"update", "ID", "change limits of a container"},
    {"events", "ID", "print statistics and out-of-memory events as JSON lines"},
    {"features", "", "print what this runtime can do as JSON"},
    {"spec", "", "write a config.json to begin with"},
    {"checkpoint", "ID", "not supported: a container cannot be saved to files"},
    {"restore", "ID", "not supported: a container cannot be restored from files"},
};

enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

void help_print(FILE *to)
{
    (void)fprintf(to, "NAME:\n   kvrun - Open Container Initiative runtime: runs containers from "
                      "OCI bundles\n\nUSAGE:\n   kvrun [GLOBAL OPTIONS] COMMAND [OPTIONS] "
                      "[ARGUMENTS]\n\nCOMMANDS:\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        (void)fprintf(to, "   %-12s %s\n", commands[i].name, commands[i].text);
    }
    (void)fprintf(to, "\nGLOBAL OPTIONS:\n"
                      "   --root DIR               where states are kept (/run/kvrun)\n"
                      "   --log FILE               append warnings and errors to a file\n"
                      "   --log-format text|json\n"
                      "   --debug                  say what is done\n"
                      "   --cgroup-manager cgroupfs|disabled\n"
                      "   --systemd-cgroup, --rootless   accepted\n"
                      "   --version, --help\n");
}

void help_print_command(const char *command, const struct args_option *options)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i].name, command) == 0) {
            (void)printf("NAME:\n   kvrun %s - %s\n\nUSAGE:\n   kvrun %s [OPTIONS] %s\n", command,
                         commands[i].text, command, commands[i].operands);
        }
    }
    (void)printf("\nOPTIONS:\n");
    for (; options->name != NULL; options++) {
        char letter[8] = "";
        if (options->letter != 0) {
            (void)snprintf(letter, sizeof letter, ", -%c", options->letter);
        }
        (void)printf("   --%s%s%s\n", options->name, letter,
                     options->kind == ARGS_BOOL ? "" : " VALUE");
    }
    (void)printf("   --help, -h\n");
}
