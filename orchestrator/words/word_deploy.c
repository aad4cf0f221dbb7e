/* word_deploy.c - an image as a deployment, with a service when it has a port. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/objects/tree.h"
#include "orchestrator/words/resource.h"
#include "orchestrator/words/workload_words.h"

static int apply(struct invocation *in, const char *storage, const json_t *object, struct err *err)
{
    const struct kind *kind = kinds_find_storage(NULL, storage);
    CLEANUP(free) char *title = resource_title(kind, object_name(object));
    CLEANUP(free) char *plain = resource_path(kind, in->namespace, object_name(object), "");
    CLEANUP(free) char *path = mem_printf("%s?fieldManager=kvctl&force=true", plain);
    const struct cluster_call call = {.method = "PATCH",
                                      .path = path,
                                      .content_type = "application/apply-patch+yaml",
                                      .body = object};
    long code = 0;
    int result = cluster_ask(&in->cluster, &call, &code, NULL, err);
    if (result == 0) {
        printf("%s %s\n", title, code == 201 ? "created" : "configured");
    }
    return result;
}

static json_t *make_deployment(const char *name, const char *image, int replicas, int port)
{
    json_t *container = json_pack("{s:s, s:s}", "name", name, "image", image);
    if (port != 0) {
        json_object_set_new(container, "ports", json_pack("[{s:i}]", "containerPort", port));
    }
    return json_pack("{s:s, s:s, s:{s:s, s:{s:s}}, s:{s:i, s:{s:{s:s}}, s:{s:{s:{s:s}},"
                     " s:{s:[o]}}}}",
                     "apiVersion", "apps/v1", "kind", "Deployment", "metadata", "name", name,
                     "labels", "app", name, "spec", "replicas", replicas, "selector", "matchLabels",
                     "app", name, "template", "metadata", "labels", "app", name, "spec",
                     "containers", container);
}

static json_t *make_service(const char *name, int port)
{
    return json_pack("{s:s, s:s, s:{s:s, s:{s:s}}, s:{s:{s:s}, s:[{s:i, s:i}]}}", "apiVersion",
                     "v1", "kind", "Service", "metadata", "name", name, "labels", "app", name,
                     "spec", "selector", "app", name, "ports", "port", port, "targetPort", port);
}

static int parse_count(const char *flag, const char *text, int fallback, int *ret, struct err *err)
{
    char *end = NULL;
    long value = text == NULL ? fallback : strtol(text, &end, 10);
    if ((end != NULL && (*end != '\0' || *text == '\0')) || value < 0 || value > 65535) {
        return err_set(err, ERR_INVALID, "%s: '%s' is no number up to 65535", flag, text);
    }
    *ret = (int)value;
    return 0;
}

int word_deploy(struct invocation *in, struct err *err)
{
    const struct arguments *arguments = in->arguments;
    int port = 0;
    int replicas = 1;
    if (arguments->file_count > 0) {
        return deploy_files(in, err);
    }
    if (arguments->plain_count != 2) {
        return err_set(err, ERR_INVALID,
                       "usage: kvctl deploy NAME IMAGE [--replicas N] [--port N], or kvctl deploy "
                       "-f compose.yaml [-n NAMESPACE] [--no-wait]");
    }
    int result = parse_count("--port", arguments->port, 0, &port, err);
    result =
        result != 0 ? result : parse_count("--replicas", arguments->replicas, 1, &replicas, err);
    if (result != 0) {
        return result;
    }
    const char *name = arguments->plain[0];
    CLEANUP(json) json_t *deployment = make_deployment(name, arguments->plain[1], replicas, port);
    result = apply(in, "deployments", deployment, err);
    if (result == 0 && port != 0) {
        CLEANUP(json) json_t *service = make_service(name, port);
        result = apply(in, "services", service, err);
    }
    return result;
}
