#include "kvstore/kvctl/sibling.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "kvstore/kvctl/command_table.h"

#define CONTAINER(word, text, args)                                                                \
    {                                                                                              \
        .path = (word), .family = FAMILY_CONTAINERS, .group = "containers", .summary = (text),     \
        .arguments = (args)                                                                        \
    }
#define IMAGE(word, text, args)                                                                    \
    {                                                                                              \
        .path = (word), .family = FAMILY_CONTAINERS, .group = "images", .summary = (text),         \
        .arguments = (args)                                                                        \
    }
#define WORKLOAD(word, text, args)                                                                 \
    {                                                                                              \
        .path = (word), .family = FAMILY_WORKLOADS, .group = "workloads", .summary = (text),       \
        .arguments = (args)                                                                        \
    }

const struct command sibling_commands[] = {
    CONTAINER("run", "Create and start a container", "IMAGE [COMMAND...]"),
    CONTAINER("create", "Create a container without starting it", "IMAGE [COMMAND...]"),
    CONTAINER("start", "Start containers that do not run", "NAME..."),
    CONTAINER("ps", "List containers", NULL),
    CONTAINER("exec", "Run a command in a container, or in pod/NAME", "NAME COMMAND..."),
    CONTAINER("attach", "Attach to a running container's input and output", "NAME"),
    CONTAINER("logs", "Print a container's output, or pod/NAME's", "NAME"),
    CONTAINER("wait", "Wait for containers to end, print their exit codes", "NAME..."),
    CONTAINER("stop", "Stop containers", "NAME..."),
    CONTAINER("restart", "Stop containers and start them again", "NAME..."),
    CONTAINER("kill", "Send a signal to containers", "NAME..."),
    CONTAINER("pause", "Freeze all processes of containers", "NAME..."),
    CONTAINER("unpause", "Let frozen containers go on", "NAME..."),
    CONTAINER("rm", "Remove containers", "NAME..."),
    CONTAINER("rename", "Give a container another name", "NAME NEW"),
    CONTAINER("update", "Change the limits of containers", "NAME..."),
    CONTAINER("inspect", "Print everything about a container or image", "NAME..."),
    CONTAINER("stats", "Show resource use, live", "[NAME...]"),
    CONTAINER("top", "List a container's processes; or what nodes and pods use, live",
              "NAME|nodes|pods"),
    CONTAINER("port", "List published ports", "NAME"),
    CONTAINER("cp", "Copy files between a container, or pod/NAME, and here", "SOURCE TARGET"),
    CONTAINER("events", "Print what happens to containers", NULL),
    CONTAINER("network", "Networks of containers", "create|ls|rm|inspect|prune [NAME...]"),
    CONTAINER("volume", "Named volumes", "create|ls|rm|inspect|prune [NAME...]"),
    CONTAINER("system", "Disk use of containers and images; remove what is unused", "df|prune"),
    CONTAINER("compose", "Run the services of a Compose file", "COMMAND"),
    IMAGE("images", "List images", NULL),
    IMAGE("pull", "Get an image from a registry", "IMAGE"),
    IMAGE("push", "Send an image to a registry", "IMAGE"),
    IMAGE("load", "Read images from an archive", "[FILE]"),
    IMAGE("save", "Write images to an archive", "IMAGE..."),
    IMAGE("import", "Make an image of a file system archive", "FILE [IMAGE]"),
    IMAGE("rmi", "Remove images", "IMAGE..."),
    IMAGE("builder", "Remove the build cache", "prune"),
    IMAGE("build", "Build an image from a Dockerfile", "PATH"),
    IMAGE("history", "Show the layers of an image", "IMAGE"),
    IMAGE("tag", "Give an image another name", "IMAGE NAME"),
    IMAGE("image-prune", "Remove images that nothing uses", NULL),
    WORKLOAD("apply", "Create or change objects from manifests", "-f FILE"),
    WORKLOAD("delete", "Delete objects", "KIND/NAME..."),
    WORKLOAD("ls", "List objects", "KIND"),
    WORKLOAD("show", "Print an object and its events", "KIND/NAME"),
    WORKLOAD("scale", "Set the number of replicas", "KIND/NAME COUNT"),
    WORKLOAD("rollout", "Status, history, undo and restart of a rollout", "COMMAND KIND/NAME"),
    WORKLOAD("nodes", "List nodes with what runs on them", NULL),
    WORKLOAD("drain", "Move all pods away from a node", "NODE"),
    WORKLOAD("tree", "Show an object with all it owns", "KIND/NAME"),
    WORKLOAD("explain-pending", "Say why a pod is not scheduled", "pod/NAME"),
    WORKLOAD("deploy", "Run an image as a deployment with a service", "NAME IMAGE"),
    {.path = NULL},
};

/* KIND/NAME, or KIND/NAME:path for cp; a path begins with a slash or a dot. "top nodes" and
 * "top pods" are the cluster's, too. */
static bool is_on_cluster(const char *word, const char *argument)
{
    if (strcmp(word, "top") == 0 &&
        (strcmp(argument, "nodes") == 0 || strcmp(argument, "pods") == 0)) {
        return true;
    }
    const char *slash = strchr(argument, '/');
    if (slash == NULL || slash == argument || argument[0] == '.' || argument[0] == '-') {
        return false;
    }
    for (const char *c = argument; c < slash; c++) {
        if (*c < 'a' || *c > 'z') {
            return false;
        }
    }
    return true;
}

const char *sibling_program(const struct command *command, const char *const *arguments, int count)
{
    static const char *const shared[] = {"exec", "logs", "stats", "cp", "top"};
    if (command->family == FAMILY_WORKLOADS) {
        return "kvctl-workload";
    }
    for (size_t i = 0; i < sizeof shared / sizeof shared[0]; i++) {
        if (strcmp(command->path, shared[i]) != 0) {
            continue;
        }
        for (int k = 0; k < count && strcmp(arguments[k], "--") != 0; k++) {
            if (is_on_cluster(command->path, arguments[k])) {
                return "kvctl-workload";
            }
            if (arguments[k][0] != '-' && strcmp(command->path, "cp") != 0) {
                break; /* only the first plain word names it */
            }
        }
    }
    return "kvctl-container";
}

int sibling_exec(const char *program, char *const *words)
{
    char path[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", path, sizeof path - 1);
    if (size < 0) {
        return command_fail(EXIT_CODE_ERROR, "find %s: %s", program, strerror(errno));
    }
    path[size] = '\0';
    char *slash = strrchr(path, '/');
    size_t folder_size = slash == NULL ? 0 : (size_t)(slash - path) + 1;
    if (folder_size + strlen(program) >= sizeof path) {
        return command_fail(EXIT_CODE_ERROR, "find %s: %s", program, strerror(ENAMETOOLONG));
    }
    memcpy(path + folder_size, program, strlen(program) + 1);
    (void)execv(path, words);
    int reason = errno;
    if (reason == ENOENT) {
        return command_fail(EXIT_CODE_ERROR,
                            "\"%s\" is run by the program %s, which is not installed beside kvctl",
                            words[1], program);
    }
    return command_fail(EXIT_CODE_ERROR, "run %s: %s", path, strerror(reason));
}
