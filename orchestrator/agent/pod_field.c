/* pod_field.c - fieldRef and resourceFieldRef (Downward API). */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "orchestrator/agent/pod_env.h"
#include "orchestrator/objects/quantity.h"
#include "orchestrator/objects/tree.h"

/* A map as the files of a downwardAPI volume show it: name="value" lines, sorted. */
static void append_json(struct buf *out, const json_t *value, size_t flags)
{
    size_t size = json_dumpb(value, NULL, 0, flags);
    (void)json_dumpb(value, (char *)buf_reserve(out, size), size, flags);
    buf_commit(out, size);
}

static char *format_map(const json_t *map)
{
    CLEANUP(buf) struct buf sorted = BUF_INIT;
    CLEANUP(buf) struct buf text = BUF_INIT;
    append_json(&sorted, map, JSON_SORT_KEYS);
    struct bytes all = buf_bytes(&sorted);
    CLEANUP(json) json_t *copy = json_loadb((const char *)all.data, all.size, 0, NULL);
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(copy, key, value)
    {
        buf_append_format(&text, "%s%s=", buf_size(&text) == 0 ? "" : "\n", key);
        append_json(&text, value, JSON_ENCODE_ANY);
    }
    return mem_strdup(buf_text(&text));
}

/* metadata.labels['a.b/c'] */
static bool keyed_field(const struct pod_record *record, const char *path, const char *map,
                        char **ret)
{
    size_t size = strlen(map);
    size_t length = strlen(path);
    if (strncmp(path, map, size) != 0 || strncmp(path + size, "['", 2) != 0 || length < size + 4 ||
        strcmp(path + length - 2, "']") != 0) {
        return false;
    }
    CLEANUP(free) char *key = mem_printf("%.*s", (int)(length - size - 4), path + size + 2);
    const char *value = json_string_value(json_object_get(tree_find(record->pod, map), key));
    *ret = mem_strdup(value == NULL ? "" : value);
    return true;
}

bool pod_field(const struct pod_record *record, const struct pod_surroundings *around,
               const char *path, char **ret)
{
    static const char *const texts[] = {"metadata.name", "metadata.namespace", "metadata.uid",
                                        "spec.serviceAccountName"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (strcmp(path, texts[i]) == 0) {
            *ret = mem_strdup(tree_text_or(record->pod, path, ""));
            return true;
        }
    }
    if (strcmp(path, "spec.nodeName") == 0) {
        *ret = mem_strdup(around->node_name);
    } else if (strcmp(path, "status.hostIP") == 0 || strcmp(path, "status.hostIPs") == 0) {
        *ret = mem_strdup(around->node_ip);
    } else if (strcmp(path, "status.podIP") == 0 || strcmp(path, "status.podIPs") == 0) {
        *ret = mem_strdup(pod_is_host_network(record) ? around->node_ip : record->address);
    } else if (strcmp(path, "metadata.labels") == 0 || strcmp(path, "metadata.annotations") == 0) {
        *ret = format_map(tree_find(record->pod, path));
    } else {
        return keyed_field(record, path, "metadata.labels", ret) ||
               keyed_field(record, path, "metadata.annotations", ret);
    }
    return true;
}

int pod_resource_field(const json_t *reference, const json_t *container,
                       const struct pod_surroundings *around, char **ret, struct err *err)
{
    const char *resource = tree_text_or(reference, "resource", "");
    const char *dot = strchr(resource, '.');
    bool is_limit = strncmp(resource, "limits.", 7) == 0;
    if (dot == NULL || (!is_limit && strncmp(resource, "requests.", 9) != 0)) {
        return err_set(err, ERR_INVALID, "unsupported container resource : %.100s", resource);
    }
    const char *name = dot + 1;
    const json_t *resources = json_object_get(container, "resources");
    quantity amount =
        quantity_in(json_object_get(resources, is_limit ? "limits" : "requests"), name);
    if (amount == 0 && is_limit) {
        amount = quantity_in(around->allocatable, name);
    }
    quantity divisor = 0;
    const json_t *given = json_object_get(reference, "divisor");
    if (given == NULL || quantity_from_json(given, &divisor) != 0 || divisor <= 0) {
        divisor = QUANTITY_ONE;
    }
    quantity units = (amount + divisor - 1) / divisor;
    *ret = mem_printf("%lld", (long long)units);
    return 0;
}
