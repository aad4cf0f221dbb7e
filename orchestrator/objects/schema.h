/* schema.h - the fields of every object type, one table for all purposes.
 *
 * The tables are written in schema/ *.types and compiled by schema_compile.c. From them come: the
 * decoding of protobuf bodies, unknown-field checks, defaults, required fields and allowed values,
 * merge keys of strategic patches, list topology of server-side apply, and the OpenAPI documents.
 */
#ifndef ORCHESTRATOR_OBJECTS_SCHEMA_H
#define ORCHESTRATOR_OBJECTS_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum schema_type {
    SCHEMA_TEXT = 1,
    SCHEMA_BOOL,
    SCHEMA_INT32,
    SCHEMA_INT64,
    SCHEMA_DOUBLE,
    SCHEMA_BYTES,    /* base64 text in JSON */
    SCHEMA_QUANTITY, /* text or a number in JSON */
    SCHEMA_INT_OR_STRING,
    SCHEMA_TIME, /* RFC 3339 text, seconds; may be null */
    SCHEMA_MICRO_TIME,
    SCHEMA_DURATION, /* Go duration text */
    SCHEMA_JSON,     /* anything */
    SCHEMA_TEXTS,    /* only as the value of a map: a list of text */
    SCHEMA_OBJECT,
};

enum schema_shape { SCHEMA_SINGLE = 0, SCHEMA_LIST, SCHEMA_MAP };

enum schema_flag {
    SCHEMA_REQUIRED = 1 << 0, /* always written by Kubernetes */
    SCHEMA_POINTER = 1 << 1,  /* a zero value is told apart from an absent one */
    SCHEMA_INLINE = 1 << 2,   /* its fields appear in the parent's JSON */
    SCHEMA_MERGE = 1 << 3,    /* strategic merge by merge_key, or as a set without one */
    SCHEMA_RETAIN_KEYS = 1 << 4,
    SCHEMA_REPLACE = 1 << 5, /* strategic merge replaces the object whole */
    SCHEMA_SET = 1 << 6,     /* server-side apply: a list of scalars owned one by one */
    SCHEMA_ATOMIC = 1 << 7,  /* server-side apply: owned as a whole */
    SCHEMA_OPEN = 1 << 8,    /* of a type: unknown fields are kept */
};

struct schema {
    const char *name; /* "PodSpec"; "autoscaling_v2.MetricSpec" where not unique */
    const struct schema_field *fields;
    uint16_t field_count;
    uint16_t flags;    /* SCHEMA_ATOMIC, SCHEMA_OPEN */
    const char *about; /* one sentence; may be NULL */
};

struct schema_field {
    const char *name;
    uint16_t number; /* in the protobuf message; 0: not in it */
    uint8_t type;
    uint8_t shape;
    uint16_t flags;
    const struct schema *object; /* SCHEMA_OBJECT */
    const char *merge_key;       /* of a strategic merge */
    const char *list_keys;       /* of server-side apply, joined by commas */
    const char *fallback;        /* default value as JSON */
    const char *values;          /* allowed values, joined by bars */
    const char *about;           /* one sentence; may be NULL */
};

/* NULL when there is no such type. */
const struct schema *schema_find(const char *name);
/* Looks into inlined types, too. NULL when there is no such field. */
const struct schema_field *schema_field_find(const struct schema *schema, const char *name);
const struct schema_field *schema_field_by_number(const struct schema *schema, uint32_t number);
/* The text is one of the allowed values, or the field allows any. */
bool schema_field_allows(const struct schema_field *field, const char *text);

/* All types, sorted by name. */
extern const struct schema schema_types[];
extern const size_t schema_type_count;

#endif
