/* word_list.c - ls and show. */
#include <stdio.h>
#include <string.h>

#include <curl/curl.h>

#include "orchestrator/objects/tree.h"
#include "orchestrator/objects/yaml.h"
#include "orchestrator/words/resource.h"
#include "orchestrator/words/workload_words.h"

/* The whole of an answer as -o json or yaml; managedFields are noise to people. */
static void print_value(struct invocation *in, json_t *value)
{
    CLEANUP(buf) struct buf out = BUF_INIT;
    json_t *items = json_object_get(value, "items");
    tree_remove(value, "metadata.managedFields");
    for (size_t i = 0; i < json_array_size(items); i++) {
        tree_remove(json_array_get(items, i), "metadata.managedFields");
    }
    if (strcmp(in->arguments->output, "json") == 0) {
        CLEANUP(free) char *text = json_dumps(value, JSON_INDENT(4));
        buf_append_format(&out, "%s\n", text);
    } else {
        yaml_write(&out, value);
    }
    screen_print(&out);
}

static char *list_path(const struct invocation *in, const struct resource *resource)
{
    CLEANUP(free)
    char *path = resource_path(resource->kind, in->arguments->all_namespaces ? "" : in->namespace,
                               resource->name, "");
    if (in->arguments->selector == NULL) {
        return mem_strdup(path);
    }
    char *escaped = curl_easy_escape(in->cluster.curl, in->arguments->selector, 0);
    char *result = mem_printf("%s?labelSelector=%s", path, escaped);
    curl_free(escaped);
    return result;
}

static int list_rows(struct invocation *in, const struct resource *resource, const char *path,
                     bool has_title, struct err *err)
{
    const struct cluster_call call = {.method = "GET", .path = path, .wants_table = true};
    CLEANUP(json) json_t *table = NULL;
    CLEANUP(buf) struct buf out = BUF_INIT;
    int result = cluster_ask(&in->cluster, &call, NULL, &table, err);
    if (result != 0) {
        return result;
    }
    if (has_title) {
        screen_append(&in->screen, &out, TONE_DIM, resource->kind->resource);
        buf_append_text(&out, "\n");
    }
    if (tree_count(table, "rows") == 0) {
        buf_append_format(&out, "no %s%s%s\n", resource->kind->resource,
                          in->arguments->all_namespaces ? "" : " in ",
                          in->arguments->all_namespaces ? "" : in->namespace);
    } else {
        screen_append_rows(&in->screen, &out, table, strcmp(in->arguments->output, "wide") == 0,
                           in->arguments->all_namespaces &&
                               kind_has(resource->kind, KIND_NAMESPACED));
    }
    screen_print(&out);
    return 0;
}

static int list_names(struct invocation *in, const struct resource *resource, const char *path,
                      struct err *err)
{
    CLEANUP(json) json_t *list = NULL;
    int result = cluster_get(&in->cluster, path, &list, err);
    const json_t *items = json_object_get(list, "items");
    for (size_t i = 0; result == 0 && i < json_array_size(items); i++) {
        CLEANUP(free)
        char *title = resource_title(resource->kind, object_name(json_array_get(items, i)));
        printf("%s\n", title);
    }
    return result;
}

static int list_one(struct invocation *in, const char *text, bool has_title, struct err *err)
{
    struct resource resource;
    int result = resource_parse(&in->cluster, text, &resource, err);
    if (result != 0) {
        return result;
    }
    CLEANUP(free) char *path = list_path(in, &resource);
    const char *output = in->arguments->output;
    if (strcmp(output, "name") == 0) {
        return list_names(in, &resource, path, err);
    }
    if (*output == '\0' || strcmp(output, "wide") == 0) {
        return list_rows(in, &resource, path, has_title, err);
    }
    CLEANUP(json) json_t *value = NULL;
    result = cluster_get(&in->cluster, path, &value, err);
    if (result == 0) {
        print_value(in, value);
    }
    return result;
}

int word_ls(struct invocation *in, struct err *err)
{
    if (in->arguments->plain_count == 0) {
        return err_set(err, ERR_INVALID,
                       "usage: kvctl ls KIND... [-n NAMESPACE | -A] [-l SELECTOR] "
                       "[-o wide|json|yaml|name]");
    }
    int result = 0;
    for (size_t i = 0; result == 0 && i < in->arguments->plain_count; i++) {
        result = list_one(in, in->arguments->plain[i], in->arguments->plain_count > 1, err);
    }
    return result;
}

static void append_events(struct invocation *in, const json_t *object)
{
    CLEANUP(free)
    char *path = mem_printf("/api/v1/%s%s%sevents?fieldSelector=involvedObject.uid%%3D%s",
                            *object_namespace(object) == '\0' ? "" : "namespaces/",
                            object_namespace(object), *object_namespace(object) == '\0' ? "" : "/",
                            object_uid(object) == NULL ? "" : object_uid(object));
    const struct cluster_call call = {.method = "GET", .path = path, .wants_table = true};
    CLEANUP(json) json_t *table = NULL;
    CLEANUP(buf) struct buf out = BUF_INIT;
    struct err ignored;
    /* Who may not read events still sees the object. */
    if (cluster_ask(&in->cluster, &call, NULL, &table, &ignored) == 0 &&
        tree_count(table, "rows") > 0) {
        buf_append_text(&out, "\n");
        screen_append_rows(&in->screen, &out, table, false, false);
        screen_print(&out);
    }
}

int word_show(struct invocation *in, struct err *err)
{
    struct resource resource;
    CLEANUP(json) json_t *object = NULL;
    if (in->arguments->plain_count != 1) {
        return err_set(err, ERR_INVALID, "usage: kvctl show KIND/NAME [-o json|yaml]");
    }
    int result = resource_parse_named(&in->cluster, in->arguments->plain[0], &resource, err);
    if (result != 0) {
        return result;
    }
    CLEANUP(free) char *path = resource_path(resource.kind, in->namespace, resource.name, "");
    result = cluster_get(&in->cluster, path, &object, err);
    if (result == 0) {
        print_value(in, object);
        if (*in->arguments->output == '\0') {
            append_events(in, object);
        }
    }
    return result;
}
