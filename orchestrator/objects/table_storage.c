/* table_storage.c - columns of volumes and claims, autoscalers and disruption budgets. */
#include <string.h>

#include "base/buf.h"
#include "orchestrator/objects/table.h"

static json_t *volume_access_modes(const json_t *object)
{
    static const struct {
        const char *mode;
        const char *shown;
    } modes[] = {{"ReadWriteOnce", "RWO"},
                 {"ReadOnlyMany", "ROX"},
                 {"ReadWriteMany", "RWX"},
                 {"ReadWriteOncePod", "RWOP"}};
    const json_t *list = tree_find(object, "spec.accessModes");
    CLEANUP(buf) struct buf text = BUF_INIT;
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (tree_list_has_text(list, modes[i].mode)) {
            buf_append_format(&text, "%s%s", buf_size(&text) == 0 ? "" : ",", modes[i].shown);
        }
    }
    return json_string(buf_text(&text));
}

static json_t *access_modes(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return volume_access_modes(object);
}

static json_t *volume_capacity(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return cell_text(tree_text(object, "spec.capacity.storage"), "");
}

static json_t *volume_policy(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return cell_text(tree_text(object, "spec.persistentVolumeReclaimPolicy"), "");
}

static json_t *volume_claim(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    const char *name = tree_text(object, "spec.claimRef.name");
    CLEANUP(free)
    char *text = mem_printf("%s/%s", tree_text_or(object, "spec.claimRef.namespace", ""),
                            name == NULL ? "" : name);
    return cell_text(name == NULL ? "" : text, "");
}

static json_t *storage_class(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return cell_text(tree_text(object, "spec.storageClassName"), "");
}

static json_t *attributes_class(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return cell_text(tree_text(object, "spec.volumeAttributesClassName"), "<unset>");
}

static json_t *status_reason_cell(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return cell_text(tree_text(object, "status.reason"), "");
}

static json_t *volume_mode(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return cell_text(tree_text(object, "spec.volumeMode"), "<unset>");
}

static json_t *claim_volume(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return cell_text(tree_text(object, "spec.volumeName"), "");
}

static json_t *claim_capacity(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return cell_text(tree_text(object, "status.capacity.storage"), "");
}

static json_t *claim_phase(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return object_is_deleting(object) ? json_string("Terminating")
                                      : cell_text(tree_text(object, "status.phase"), "");
}

static json_t *autoscaler_reference(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    CLEANUP(free)
    char *text = mem_printf("%s/%s", tree_text_or(object, "spec.scaleTargetRef.kind", ""),
                            tree_text_or(object, "spec.scaleTargetRef.name", ""));
    return json_string(text);
}

static json_t *autoscaler_targets(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    CLEANUP(buf) struct buf text = BUF_INIT;
    const json_t *metrics = tree_find(object, "spec.metrics");
    const json_t *current = tree_find(object, "status.currentMetrics");
    for (size_t i = 0; i < json_array_size(metrics); i++) {
        const json_t *metric = json_array_get(metrics, i);
        const json_t *now = json_array_get(current, i);
        int64_t value = tree_int(now, "resource.current.averageUtilization", -1);
        buf_append_format(&text, "%s%s: ", i == 0 ? "" : ", ",
                          tree_text_or(metric, "resource.name", "metric"));
        if (value < 0) {
            buf_append_text(&text, "<unknown>");
        } else {
            buf_append_format(&text, "%d%%", (int)value);
        }
        buf_append_format(&text, "/%d%%",
                          (int)tree_int(metric, "resource.target.averageUtilization", 0));
    }
    return cell_text(buf_text(&text), "<none>");
}

static json_t *autoscaler_min(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return json_integer(tree_int(object, "spec.minReplicas", 1));
}

static json_t *autoscaler_max(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return json_integer(tree_int(object, "spec.maxReplicas", 0));
}

static json_t *autoscaler_replicas(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return json_integer(tree_int(object, "status.currentReplicas", 0));
}

static json_t *int_or_text(const json_t *object, const char *path)
{
    const json_t *value = tree_find(object, path);
    if (value == NULL) {
        return json_string("N/A");
    }
    CLEANUP(free)
    char *text = json_is_string(value) ? mem_strdup(json_string_value(value))
                                       : mem_printf("%d", (int)json_integer_value(value));
    return json_string(text);
}

static json_t *budget_min(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return int_or_text(object, "spec.minAvailable");
}

static json_t *budget_max(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return int_or_text(object, "spec.maxUnavailable");
}

static json_t *budget_allowed(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return json_integer(tree_int(object, "status.disruptionsAllowed", 0));
}

const struct table_column table_volume[] = {
    {"Name", "string", 0, cell_name},
    {"Capacity", "string", 0, volume_capacity},
    {"Access Modes", "string", 0, access_modes},
    {"Reclaim Policy", "string", 0, volume_policy},
    {"Status", "string", 0, claim_phase},
    {"Claim", "string", 0, volume_claim},
    {"StorageClass", "string", 0, storage_class},
    {"VolumeAttributesClass", "string", 0, attributes_class},
    {"Reason", "string", 0, status_reason_cell},
    {"Age", "string", 0, cell_age},
    {"VolumeMode", "string", 1, volume_mode},
    {0}};
const struct table_column table_claim[] = {{"Name", "string", 0, cell_name},
                                           {"Status", "string", 0, claim_phase},
                                           {"Volume", "string", 0, claim_volume},
                                           {"Capacity", "string", 0, claim_capacity},
                                           {"Access Modes", "string", 0, access_modes},
                                           {"StorageClass", "string", 0, storage_class},
                                           {"VolumeAttributesClass", "string", 0, attributes_class},
                                           {"Age", "string", 0, cell_age},
                                           {"VolumeMode", "string", 1, volume_mode},
                                           {0}};
const struct table_column table_autoscaler[] = {{"Name", "string", 0, cell_name},
                                                {"Reference", "string", 0, autoscaler_reference},
                                                {"Targets", "string", 0, autoscaler_targets},
                                                {"MinPods", "string", 0, autoscaler_min},
                                                {"MaxPods", "string", 0, autoscaler_max},
                                                {"Replicas", "string", 0, autoscaler_replicas},
                                                {"Age", "string", 0, cell_age},
                                                {0}};
const struct table_column table_budget[] = {{"Name", "string", 0, cell_name},
                                            {"Min Available", "string", 0, budget_min},
                                            {"Max Unavailable", "string", 0, budget_max},
                                            {"Allowed Disruptions", "integer", 0, budget_allowed},
                                            {"Age", "string", 0, cell_age},
                                            {0}};
