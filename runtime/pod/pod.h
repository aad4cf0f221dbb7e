/* pod.h - what a node agent asks of this machine: sandboxes and containers of pods.
 *
 * `kvpod COMMAND` reads one JSON object from standard input and prints one JSON object. A failure
 * is
 * {"error":{"reason":"CreateContainerConfigError","message":"…"}} and exit code 1. Each command is
 * short and leaves nothing half made; what must live on are kvshim and the pinned namespaces.
 *
 *     network-set      {"state","subnet","bridge"}              the node's range of pod addresses
 *     sandbox-create   {"state","directory","id","host","sysctls"}        -> {"address"}
 *     sandbox-remove   {"state","directory","id","cgroups":[…],"keeps"}   everything of the pod;
 * keeps: but files container-create
 * {"directory","id","image","sandbox","kube","config","host","mounts",…}
 *                                                               -> {"pid","shimPid","imageId"}
 *     container-remove {"directory","id","keeps":true}          the process, its files; keeps the
 * log image-list       {}                                       ->
 * {"images":[{"id","names","size"}]} image-inspect    {"image"}                                ->
 * {"id"} image-remove     {"id"}
 *
 * state is where network_attach keeps leases; $CORACLE_ROOT is the image store, $CORACLE_RUN the
 * place of sockets. A pod's directory holds ns/ (pinned namespaces), shm/ and volumes/; a
 * container's its layer, config.json, container.log and exit.json. Reasons are those that
 * Kubernetes shows as waiting.reason. */
#ifndef RUNTIME_POD_POD_H
#define RUNTIME_POD_POD_H

#include <jansson.h>

#include "base/err.h"

/* What a command made of its request: an answer, or a reason to show. */
struct pod_answer {
    json_t *value; /* owned; NULL: {} */
    const char *reason;
};

typedef int pod_command(const json_t *request, struct pod_answer *answer, struct err *err);

pod_command pod_network_set;
pod_command pod_sandbox_create;
pod_command pod_sandbox_remove;
pod_command pod_container_create;
pod_command pod_container_remove;
pod_command pod_image_list;
pod_command pod_image_inspect;
pod_command pod_image_remove;

/* A text that must be there and be an absolute path. */
MUST_USE int pod_path(const json_t *request, const char *key, const char **ret, struct err *err);
/* mkdir -p of an absolute path that only this program's caller writes to. */
MUST_USE int pod_make_directory(const char *path, struct err *err);

#endif
