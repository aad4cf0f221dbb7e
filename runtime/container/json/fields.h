/* fields.h - JSON objects into structs, by tables: one row names a member, its type and its place.
 *
 * Absent and null members leave the field as it was; unknown members are passed over; a member of
 * another type is ERR_INVALID and names its path. Everything read lives in the arena. Pure. */
#ifndef RUNTIME_CONTAINER_JSON_FIELDS_H
#define RUNTIME_CONTAINER_JSON_FIELDS_H

#include "runtime/container/json/json.h"

struct text_list {
    char **items; /* NULL after the last, so it serves as argv; NULL when absent */
    size_t count;
};

struct text_pair {
    const char *name;
    const char *value;
};

struct text_map {
    struct text_pair *items;
    size_t count;
};

struct maybe_i64 {
    bool is_set;
    int64_t value;
};

struct maybe_u64 {
    bool is_set;
    uint64_t value;
};

struct maybe_bool {
    bool is_set;
    bool value;
};

enum field_kind {
    FIELD_TEXT,       /* const char * */
    FIELD_BOOL,       /* bool */
    FIELD_I64,        /* int64_t */
    FIELD_U32,        /* uint32_t */
    FIELD_U64,        /* uint64_t */
    FIELD_MAYBE_BOOL, /* struct maybe_bool */
    FIELD_MAYBE_I64,  /* struct maybe_i64 */
    FIELD_MAYBE_U64,  /* struct maybe_u64; a negative number that fits int64 is taken as two's
                         complement */
    FIELD_TEXT_LIST,  /* struct text_list */
    FIELD_TEXT_MAP,   /* struct text_map */
    FIELD_STRUCT,     /* nested struct in place */
    FIELD_POINTER,    /* nested struct, allocated when present */
    FIELD_LIST,       /* struct { T *items; size_t count; } of nested structs */
    FIELD_MAP, /* as FIELD_LIST, from an object; the member name goes to the first field, a const
                  char * */
    FIELD_RAW, /* const struct json_value * */
};

struct field {
    const char *key; /* NULL ends a table */
    enum field_kind kind;
    size_t offset;
    const struct field *nested;
    size_t nested_size;
};

#define FIELD(type, member, name, field_kind)                                                      \
    {                                                                                              \
        .key = (name), .kind = (field_kind), .offset = offsetof(type, member)                      \
    }
#define FIELD_OF(type, member, name, field_kind, table, nested_type)                               \
    {                                                                                              \
        .key = (name), .kind = (field_kind), .offset = offsetof(type, member), .nested = (table),  \
        .nested_size = sizeof(nested_type)                                                         \
    }
#define FIELD_END                                                                                  \
    {                                                                                              \
        .key = NULL                                                                                \
    }

MUST_USE int fields_read(struct arena *arena, const struct json_value *object,
                         const struct field *table, void *out, struct err *err);

/* ERR_INVALID, "<path of value>: <text>". */
__attribute__((format(printf, 3, 4))) int
fields_refuse(struct err *err, const struct json_value *value, const char *format, ...);

#endif
