#include <string.h>

#include "base/buf.h"
#include "orchestrator/objects/selector.h"

/* Fields an object can be selected by, beside metadata.name and metadata.namespace
 * (k8s.io/kubernetes pkg/apis core/v1/conversion.go and the strategies of the other groups). */
static const struct {
    const char *storage;
    const char *paths;
} selectable[] = {
    {"pods", "spec.nodeName|spec.restartPolicy|spec.schedulerName|spec.serviceAccountName|"
             "spec.hostNetwork|status.phase|status.podIP|status.podIPs|status.nominatedNodeName"},
    {"nodes", "spec.unschedulable"},
    {"events", "involvedObject.kind|involvedObject.namespace|involvedObject.name|"
               "involvedObject.uid|involvedObject.apiVersion|involvedObject.resourceVersion|"
               "involvedObject.fieldPath|reason|reportingComponent|source|type"},
    {"namespaces", "status.phase"},
    {"secrets", "type"},
    {"services", "spec.clusterIP|spec.type"},
    {"replicasets", "status.replicas"},
    {"replicationcontrollers", "status.replicas"},
    {"jobs", "status.successful"},
    {"certificatesigningrequests", "spec.signerName"},
};

void field_selector_init(struct field_selector *selector)
{
    selector->terms = NULL;
}

void field_selector_deinit(struct field_selector *selector)
{
    json_decref(selector->terms);
    selector->terms = NULL;
}

static bool list_contains(const char *bars, const char *path)
{
    size_t size = strlen(path);
    for (const char *at = bars; at != NULL; at = strchr(at, '|')) {
        at += *at == '|';
        if (strncmp(at, path, size) == 0 && (at[size] == '|' || at[size] == '\0')) {
            return true;
        }
    }
    return false;
}

static bool is_selectable(const struct kind *kind, const char *path)
{
    if (strcmp(path, "metadata.name") == 0 || strcmp(path, "metadata.namespace") == 0) {
        return true;
    }
    for (size_t i = 0; i < sizeof(selectable) / sizeof(selectable[0]); i++) {
        if (strcmp(selectable[i].storage, kind->storage) == 0) {
            return list_contains(selectable[i].paths, path);
        }
    }
    const json_t *fields = tree_find(kind->custom, "selectableFields");
    for (size_t i = 0; i < json_array_size(fields); i++) {
        const char *json_path = tree_text_or(json_array_get(fields, i), "jsonPath", "");
        if (*json_path == '.' && strcmp(json_path + 1, path) == 0) {
            return true;
        }
    }
    return false;
}

/* The next part up to an unescaped separator; the caller frees. Moves *text past it. */
static char *read_part(const char **text, const char *separators)
{
    CLEANUP(buf) struct buf part = BUF_INIT;
    while (**text != '\0' && strchr(separators, **text) == NULL) {
        if (**text == '\\' && (*text)[1] != '\0') {
            (*text)++;
        }
        buf_append_u8(&part, (uint8_t) * *text);
        (*text)++;
    }
    return mem_strdup(buf_text(&part));
}

/* Stored events know their source as an object; selectors name its component. */
static const char *stored_path(const char *path)
{
    return strcmp(path, "source") == 0 ? "source.component" : path;
}

json_t *field_selector_parse(struct field_selector *selector, const struct kind *kind,
                             const char *text)
{
    field_selector_init(selector);
    if (*text == '\0') {
        return NULL;
    }
    CLEANUP(json) json_t *terms = json_array();
    for (const char *at = text; *at != '\0'; at += *at == ',') {
        if (*at == ',') {
            continue;
        }
        CLEANUP(free) char *path = read_part(&at, "=!,");
        bool is_not = *at == '!';
        at += is_not;
        if (*at != '=') {
            return status_bad_request("invalid selector: '%s'; can't understand '%s'", text, path);
        }
        at += at[1] == '=' && !is_not ? 2 : 1;
        CLEANUP(free) char *value = read_part(&at, ",");
        if (!is_selectable(kind, path)) {
            return status_bad_request("field label not supported: %s", path);
        }
        json_array_append_new(terms, json_pack("{s:s, s:s, s:s}", "path", stored_path(path),
                                               "operator", is_not ? "!=" : "=", "value", value));
    }
    selector->terms = TAKE_PTR(terms);
    return NULL;
}

/* The field as text: booleans and numbers in their JSON form, absent as the zero value. */
static bool field_equals(const json_t *object, const char *path, const char *value)
{
    if (strcmp(path, "status.podIPs") == 0) {
        return tree_find_item(tree_find(object, path), "ip", value) != NULL;
    }
    const json_t *found = tree_find(object, path);
    if (json_is_string(found)) {
        return strcmp(json_string_value(found), value) == 0;
    }
    if (found == NULL) {
        bool is_bool =
            strcmp(path, "spec.unschedulable") == 0 || strcmp(path, "spec.hostNetwork") == 0;
        return is_bool ? strcmp(value, "false") == 0 : *value == '\0';
    }
    CLEANUP(free) char *shown = json_dumps(found, JSON_ENCODE_ANY | JSON_COMPACT);
    return shown != NULL && strcmp(shown, value) == 0;
}

bool field_selector_matches(const struct field_selector *selector, const json_t *object)
{
    for (size_t i = 0; i < json_array_size(selector->terms); i++) {
        const json_t *term = json_array_get(selector->terms, i);
        bool is_equal =
            field_equals(object, tree_text_or(term, "path", ""), tree_text_or(term, "value", ""));
        if (is_equal == tree_has_text(term, "operator", "!=")) {
            return false;
        }
    }
    return true;
}

const char *field_selector_name(const struct field_selector *selector)
{
    for (size_t i = 0; i < json_array_size(selector->terms); i++) {
        const json_t *term = json_array_get(selector->terms, i);
        if (tree_has_text(term, "path", "metadata.name") && tree_has_text(term, "operator", "=")) {
            return tree_text(term, "value");
        }
    }
    return NULL;
}
