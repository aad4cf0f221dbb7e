/* table.h - objects as rows, as kubectl prints them (meta.k8s.io/v1 Table; kubernetes-api 1.7). */
#ifndef ORCHESTRATOR_OBJECTS_TABLE_H
#define ORCHESTRATOR_OBJECTS_TABLE_H

#include "orchestrator/objects/kinds.h"

enum table_include { TABLE_INCLUDE_METADATA, TABLE_INCLUDE_OBJECT, TABLE_INCLUDE_NONE };

/* One column of a kind. priority above 0: only with -o wide. */
struct table_column {
    const char *name;
    const char *type; /* "string", "integer", "date" */
    int priority;
    json_t *(*cell)(const json_t *object, int64_t now_ms); /* new */
};

/* The columns of a built-in kind; those of a kind without its own are Name and Age. Ends with a
 * column without name. */
const struct table_column *table_columns(const struct kind *kind);

/* A Table of the objects (a list). list_metadata is copied; NULL for none. has_columns is false for
 * the later events of a watch. New. */
json_t *table_new(const struct kind *kind, const json_t *objects, const json_t *list_metadata,
                  enum table_include include, bool has_columns, int64_t now_ms);

/* Cells that several kinds have. */
json_t *cell_name(const json_t *object, int64_t now_ms);
json_t *cell_age(const json_t *object, int64_t now_ms);
json_t *cell_created(const json_t *object, int64_t now_ms);
json_t *cell_containers(const json_t *object, int64_t now_ms); /* of spec.template */
json_t *cell_images(const json_t *object, int64_t now_ms);
json_t *cell_selector(const json_t *object, int64_t now_ms);
json_t *cell_text(const char *text, const char *fallback);
json_t *cell_since(const json_t *object, const char *path, int64_t now_ms);
json_t *cell_joined(const json_t *list, const char *key, const char *fallback);

extern const struct table_column table_pod[];
extern const struct table_column table_deployment[];
extern const struct table_column table_replica_set[];
extern const struct table_column table_stateful_set[];
extern const struct table_column table_daemon_set[];
extern const struct table_column table_job[];
extern const struct table_column table_cron_job[];
extern const struct table_column table_service[];
extern const struct table_column table_node[];
extern const struct table_column table_event[];
extern const struct table_column table_volume[];
extern const struct table_column table_claim[];
extern const struct table_column table_autoscaler[];
extern const struct table_column table_budget[];

#endif
