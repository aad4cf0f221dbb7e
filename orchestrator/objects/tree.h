/* tree.h - reading and building JSON documents (jansson) by path.
 *
 * A path is field names joined by dots ("spec.template.metadata"). Names that contain dots
 * (annotations) are read with json_object_get on their parent. Reading never fails: what is absent
 * or of another type gives the fallback. */
#ifndef ORCHESTRATOR_OBJECTS_TREE_H
#define ORCHESTRATOR_OBJECTS_TREE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"

/* CLEANUP(json) json_t *value: one reference dropped at the end of the scope. */
static inline void cleanup_json(json_t **value)
{
    json_decref(*value);
}

/* jansson iterates over mutable values only; this is for reading. */
static inline json_t *tree_mutable(const json_t *value)
{
    return (json_t *)(uintptr_t)value;
}

/* Borrowed; NULL when any step is absent or not an object. */
json_t *tree_find(const json_t *root, const char *path);
const char *tree_text(const json_t *root, const char *path); /* NULL when absent or not text */
const char *tree_text_or(const json_t *root, const char *path, const char *fallback);
int64_t tree_int(const json_t *root, const char *path, int64_t fallback);
bool tree_bool(const json_t *root, const char *path, bool fallback);
size_t tree_count(const json_t *root,
                  const char *path); /* members of a list or object; 0 when absent */
bool tree_has_text(const json_t *root, const char *path, const char *text);

/* The object at path, made (with every parent) where it is absent. Borrowed. A step that is
 * something else than an object is replaced. */
json_t *tree_make_object(json_t *root, const char *path);
/* The list at path, made where it is absent. Borrowed. */
json_t *tree_make_list(json_t *root, const char *path);

/* Set the value at path, making parents. tree_set takes the reference to value. */
void tree_set(json_t *root, const char *path, json_t *take_value);
void tree_set_text(json_t *root, const char *path, const char *text);
void tree_set_int(json_t *root, const char *path, int64_t value);
void tree_set_bool(json_t *root, const char *path, bool value);
/* Set a copy of value, or remove the field when value is NULL. */
void tree_set_copy(json_t *root, const char *path, const json_t *value);
void tree_remove(json_t *root, const char *path);

/* A deep copy; NULL gives NULL. */
json_t *tree_copy(const json_t *value);
/* As json_equal, and NULL equals NULL; integers and reals of the same value are equal. */
bool tree_equal(const json_t *a, const json_t *b);
/* True for NULL, null, {}, [], "", 0 and false: what Go's omitempty leaves out. */
bool tree_is_empty(const json_t *value);

/* The item of a list whose field key has this text; NULL when there is none. Borrowed. */
json_t *tree_find_item(const json_t *list, const char *key, const char *text);
bool tree_list_has_text(const json_t *list, const char *text);

/* What keeps a namespace until its content is gone: one of spec.finalizers. */
#define NAMESPACE_FINALIZER "kubernetes"

/* Common fields of an object; NULL only for what is absent. Borrowed. */
const char *object_name(const json_t *object);
const char *object_namespace(const json_t *object); /* "" for none */
const char *object_uid(const json_t *object);
json_t *object_labels(const json_t *object);
const char *object_label(const json_t *object, const char *key);
const char *object_annotation(const json_t *object, const char *key);
bool object_is_deleting(const json_t *object);
uint64_t object_revision(const json_t *object); /* metadata.resourceVersion; 0 when unset */
/* The owner reference with controller: true; NULL when there is none. Borrowed. */
const json_t *object_controller(const json_t *object);
bool object_is_controlled_by(const json_t *object, const json_t *owner);       /* by uid */
void object_set_annotation(json_t *object, const char *key, const char *text); /* NULL removes */
void object_set_label(json_t *object, const char *key, const char *text);      /* NULL removes */

/* A condition of status.conditions by type; NULL when absent. Borrowed. */
json_t *object_condition(const json_t *object, const char *type);
bool object_condition_is(const json_t *object, const char *type, const char *status);

#endif
