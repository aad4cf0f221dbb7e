#include "orchestrator/objects/field_set.h"

#include <string.h>

#include "base/buf.h"

/* What the value at some place is, for ownership. */
struct topology {
    enum { TOPOLOGY_LEAF, TOPOLOGY_MAP, TOPOLOGY_KEYED_LIST, TOPOLOGY_SET } form;
    const struct schema *schema;      /* of the children of a map or of an item; may be NULL */
    const struct schema_field *field; /* of a list */
};

static struct topology leaf(void)
{
    return (struct topology){.form = TOPOLOGY_LEAF};
}

static struct topology topology_of_object(const struct schema *schema)
{
    bool is_atomic = schema != NULL && (schema->flags & SCHEMA_ATOMIC) != 0;
    return is_atomic ? leaf() : (struct topology){.form = TOPOLOGY_MAP, .schema = schema};
}

/* field is NULL where no type is known. */
static struct topology topology_of(const struct schema_field *field, const json_t *value)
{
    if (field == NULL) {
        return json_is_object(value) ? topology_of_object(NULL) : leaf();
    }
    if ((field->flags & SCHEMA_ATOMIC) != 0) {
        return leaf();
    }
    if (field->shape == SCHEMA_LIST && json_is_array(value)) {
        if (field->list_keys != NULL) {
            return (struct topology){
                .form = TOPOLOGY_KEYED_LIST, .schema = field->object, .field = field};
        }
        return (field->flags & SCHEMA_SET) != 0
                   ? (struct topology){.form = TOPOLOGY_SET, .field = field}
                   : leaf();
    }
    if (field->shape == SCHEMA_MAP && json_is_object(value)) {
        return (struct topology){.form = TOPOLOGY_MAP};
    }
    bool is_object = field->type == SCHEMA_OBJECT && field->shape == SCHEMA_SINGLE;
    return is_object && json_is_object(value) ? topology_of_object(field->object) : leaf();
}

static const struct schema_field *find_field(const struct schema *schema, const char *name)
{
    return schema == NULL ? NULL : schema_field_find(schema, name);
}

/* The name of an item: k:{"containerPort":80,"protocol":"TCP"}. The caller frees. */
static char *keyed_name(const json_t *item, const struct schema_field *field)
{
    CLEANUP(json) json_t *key = json_object();
    const char *start = field->list_keys;
    while (start != NULL) {
        const char *comma = strchr(start, ',');
        char *name =
            comma == NULL ? mem_strdup(start) : mem_printf("%.*s", (int)(comma - start), start);
        json_t *value = json_object_get(item, name);
        const struct schema_field *member = find_field(field->object, name);
        if (value != NULL) {
            json_object_set(key, name, value);
        } else if (member != NULL && member->fallback != NULL) {
            json_object_set_new(key, name, json_loads(member->fallback, JSON_DECODE_ANY, NULL));
        }
        mem_free(name);
        start = comma == NULL ? NULL : comma + 1;
    }
    CLEANUP(free) char *text = json_dumps(key, JSON_COMPACT | JSON_SORT_KEYS);
    return mem_printf("k:%s", text == NULL ? "" : text);
}

static char *item_name(const json_t *item, const struct topology *topology)
{
    if (topology->form == TOPOLOGY_KEYED_LIST) {
        return keyed_name(item, topology->field);
    }
    CLEANUP(free) char *text = json_dumps(item, JSON_ENCODE_ANY | JSON_COMPACT);
    return mem_printf("v:%s", text == NULL ? "" : text);
}

static json_t *find_item(const json_t *list, const char *name, const struct topology *topology)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        CLEANUP(free) char *other = item_name(json_array_get(list, i), topology);
        if (strcmp(other, name) == 0) {
            return json_array_get(list, i);
        }
    }
    return NULL;
}

/* Fields that the server alone writes are nobody's. */
static bool is_unowned(const char *key, bool is_root, bool is_metadata)
{
    static const char *const root[] = {"apiVersion", "kind"};
    static const char *const metadata[] = {"name",
                                           "namespace",
                                           "uid",
                                           "resourceVersion",
                                           "creationTimestamp",
                                           "generation",
                                           "selfLink",
                                           "managedFields",
                                           "deletionTimestamp",
                                           "generateName",
                                           "deletionGracePeriodSeconds"};
    for (size_t i = 0; is_root && i < 2; i++) {
        if (strcmp(root[i], key) == 0) {
            return true;
        }
    }
    for (size_t i = 0; is_metadata && i < sizeof(metadata) / sizeof(metadata[0]); i++) {
        if (strcmp(metadata[i], key) == 0) {
            return true;
        }
    }
    return false;
}

struct step {
    bool is_root;
    bool is_metadata;
};

/* The set of value, or only of what differs from old when compares. NULL: nothing. */
static json_t *set_of_value(const json_t *old, const json_t *value, struct topology topology,
                            bool compares, struct step step);

static json_t *set_of_map(const json_t *old, const json_t *map, const struct schema *schema,
                          bool compares, struct step step)
{
    json_t *set = json_object();
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(tree_mutable(map), key, value)
    {
        if (is_unowned(key, step.is_root, step.is_metadata) || json_is_null(value)) {
            continue;
        }
        const struct step next = {.is_metadata = step.is_root && strcmp(key, "metadata") == 0};
        json_t *child = set_of_value(json_object_get(old, key), value,
                                     topology_of(find_field(schema, key), value), compares, next);
        if (child != NULL) {
            CLEANUP(free) char *name = mem_printf("f:%s", key);
            json_object_set_new(set, name, child);
        }
    }
    return set;
}

static json_t *set_of_list(const json_t *old, const json_t *list, const struct topology *topology,
                           bool compares)
{
    json_t *set = json_object();
    const struct step inner = {0};
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        CLEANUP(free) char *name = item_name(item, topology);
        const json_t *old_item = find_item(old, name, topology);
        if (topology->form == TOPOLOGY_SET) {
            if (!compares || old_item == NULL) {
                json_object_set_new(set, name, json_object());
            }
            continue;
        }
        json_t *child = set_of_map(old_item, item, topology->schema, compares, inner);
        if (!compares || old_item == NULL) {
            json_object_set_new(child, ".", json_object());
        }
        if (json_object_size(child) > 0) {
            json_object_set(set, name, child);
        }
        json_decref(child);
    }
    return set;
}

static json_t *set_of_value(const json_t *old, const json_t *value, struct topology topology,
                            bool compares, struct step step)
{
    json_t *set = NULL;
    bool is_empty = json_is_object(value) ? json_object_size(value) == 0
                                          : json_is_array(value) && json_array_size(value) == 0;
    if (topology.form == TOPOLOGY_LEAF || is_empty) {
        return compares && tree_equal(old, value) ? NULL : json_object();
    }
    if (topology.form == TOPOLOGY_MAP) {
        set = set_of_map(old, value, topology.schema, compares, step);
    } else {
        set = set_of_list(old, value, &topology, compares);
    }
    if (json_object_size(set) == 0) {
        json_decref(set);
        return NULL;
    }
    return set;
}

json_t *field_set_of(const json_t *object, const struct schema *schema)
{
    return set_of_map(NULL, object, schema, false, (struct step){.is_root = true});
}

json_t *field_set_changed(const json_t *old, const json_t *value, const struct schema *schema)
{
    return set_of_map(old, value, schema, true, (struct step){.is_root = true});
}

bool field_set_is_empty(const json_t *set)
{
    return json_object_size(set) == 0;
}

/* A leaf owns its whole value; so does an inner node that says ".". */
static bool is_leaf(const json_t *set)
{
    return set != NULL && json_object_size(set) == 0;
}

json_t *field_set_union(const json_t *a, const json_t *b)
{
    json_t *result = a == NULL ? json_object() : json_deep_copy(a);
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(tree_mutable(b), key, value)
    {
        const json_t *mine = json_object_get(result, key);
        json_object_set_new(result, key,
                            mine == NULL ? json_deep_copy(value) : field_set_union(mine, value));
    }
    return result;
}

json_t *field_set_intersection(const json_t *a, const json_t *b)
{
    json_t *result = json_object();
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(tree_mutable(a), key, value)
    {
        const json_t *other = json_object_get(b, key);
        if (other == NULL) {
            continue;
        }
        if (is_leaf(value) || is_leaf(other)) {
            /* One owns the value whole: they meet in all that the other one owns. */
            json_object_set_new(result, key, json_deep_copy(is_leaf(value) ? other : value));
            continue;
        }
        json_t *child = field_set_intersection(value, other);
        if (json_object_size(child) > 0) {
            json_object_set(result, key, child);
        }
        json_decref(child);
    }
    return result;
}

json_t *field_set_difference(const json_t *a, const json_t *b)
{
    json_t *result = json_object();
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(tree_mutable(a), key, value)
    {
        const json_t *other = json_object_get(b, key);
        if (other == NULL) {
            json_object_set_new(result, key, json_deep_copy(value));
        } else if (!is_leaf(value) && !is_leaf(other)) {
            json_t *child = field_set_difference(value, other);
            if (json_object_size(child) > 0) {
                json_object_set(result, key, child);
            }
            json_decref(child);
        }
    }
    return result;
}

static void append_paths(const json_t *set, const char *prefix, json_t *list)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(tree_mutable(set), key, value)
    {
        CLEANUP(buf) struct buf path = BUF_INIT;
        buf_append_text(&path, prefix);
        if (strcmp(key, ".") == 0) {
            json_array_append_new(list, json_string(buf_text(&path)));
            continue;
        }
        if (*key == 'f') {
            buf_append_format(&path, ".%s", key + 2);
        } else if (*key == 'v') {
            buf_append_format(&path, "[=%s]", key + 2);
        } else {
            CLEANUP(json) json_t *names = json_loads(key + 2, 0, NULL);
            const char *name = NULL;
            json_t *part = NULL;
            const char *comma = "";
            buf_append_text(&path, "[");
            json_object_foreach(names, name, part)
            {
                CLEANUP(free) char *shown = json_dumps(part, JSON_ENCODE_ANY);
                buf_append_format(&path, "%s%s=%s", comma, name, shown);
                comma = ",";
            }
            buf_append_text(&path, "]");
        }
        if (is_leaf(value)) {
            json_array_append_new(list, json_string(buf_text(&path)));
        } else {
            append_paths(value, buf_text(&path), list);
        }
    }
}

void field_set_append_paths(const json_t *set, json_t *list)
{
    append_paths(set, "", list);
}

static json_t *merge_value(const json_t *live, const json_t *applied, struct topology topology);

static json_t *merge_map(const json_t *live, const json_t *applied, const struct schema *schema)
{
    json_t *result = json_is_object(live) ? json_copy(tree_mutable(live)) : json_object();
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(tree_mutable(applied), key, value)
    {
        if (json_is_null(value)) {
            continue;
        }
        const struct topology topology = topology_of(find_field(schema, key), value);
        json_object_set_new(result, key,
                            merge_value(json_object_get(result, key), value, topology));
    }
    return result;
}

static json_t *merge_list(const json_t *live, const json_t *applied,
                          const struct topology *topology)
{
    json_t *result = json_is_array(live) ? json_copy(tree_mutable(live)) : json_array();
    for (size_t i = 0; i < json_array_size(applied); i++) {
        const json_t *item = json_array_get(applied, i);
        CLEANUP(free) char *name = item_name(item, topology);
        const json_t *existing = find_item(result, name, topology);
        if (existing == NULL) {
            json_array_append_new(result, json_deep_copy(item));
        } else if (topology->form == TOPOLOGY_KEYED_LIST) {
            size_t at = 0;
            while (json_array_get(result, at) != existing) {
                at++;
            }
            (void)json_array_set_new(result, at, merge_map(existing, item, topology->schema));
        }
    }
    return result;
}

static json_t *merge_value(const json_t *live, const json_t *applied, struct topology topology)
{
    switch (topology.form) {
    case TOPOLOGY_MAP:
        return merge_map(live, applied, topology.schema);
    case TOPOLOGY_KEYED_LIST:
    case TOPOLOGY_SET:
        return merge_list(live, applied, &topology);
    case TOPOLOGY_LEAF:
        break;
    }
    return json_deep_copy(applied);
}

json_t *field_merge(const json_t *live, const json_t *applied, const struct schema *schema)
{
    json_t *merged = merge_map(live, applied, schema);
    json_t *result = json_deep_copy(merged); /* it shares parts with live */
    json_decref(merged);
    return result;
}

static void remove_from_list(json_t *list, const json_t *set, const struct topology *topology)
{
    for (size_t i = json_array_size(list); i > 0; i--) {
        json_t *item = json_array_get(list, i - 1);
        CLEANUP(free) char *name = item_name(item, topology);
        const json_t *owned = json_object_get(set, name);
        if (owned == NULL) {
            continue;
        }
        if (is_leaf(owned) || json_object_get(owned, ".") != NULL) {
            (void)json_array_remove(list, i - 1);
        } else {
            field_remove(item, owned, topology->schema);
        }
    }
}

void field_remove(json_t *object, const json_t *set, const struct schema *schema)
{
    const char *key = NULL;
    json_t *owned = NULL;
    json_object_foreach(tree_mutable(set), key, owned)
    {
        if (*key != 'f') {
            continue;
        }
        json_t *value = json_object_get(object, key + 2);
        const struct topology topology = topology_of(find_field(schema, key + 2), value);
        if (value == NULL) {
            continue;
        }
        if (is_leaf(owned) || topology.form == TOPOLOGY_LEAF) {
            (void)json_object_del(object, key + 2);
            continue;
        }
        if (topology.form == TOPOLOGY_MAP) {
            field_remove(value, owned, topology.schema);
        } else {
            remove_from_list(value, owned, &topology);
        }
        if (tree_is_empty(value)) {
            (void)json_object_del(object, key + 2);
        }
    }
}
