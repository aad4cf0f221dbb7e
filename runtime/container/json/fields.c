#include "runtime/container/json/fields.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

int fields_refuse(struct err *err, const struct json_value *value, const char *format, ...)
{
    char path[200];
    char text[250];
    json_path(value, path, sizeof path);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return err_set(err, ERR_INVALID, "%s: %s", path[0] == 0 ? "document" : path, text);
}

static int expect(const struct json_value *value, enum json_type type, struct err *err)
{
    if (value->type == type) {
        return 0;
    }
    return fields_refuse(err, value, "expected %s, got %s", json_type_name(type),
                         json_type_name(value->type));
}

static int read_text_list(struct arena *arena, const struct json_value *value,
                          struct text_list *out, struct err *err)
{
    int rc = expect(value, JSON_ARRAY, err);
    if (rc < 0) {
        return rc;
    }
    struct text_list list = {arena_zalloc(arena, (value->count + 1) * sizeof(char *)), 0};
    for (struct json_value *item = value->first; item != NULL; item = item->next) {
        rc = expect(item, JSON_STRING, err);
        if (rc < 0) {
            return rc;
        }
        list.items[list.count++] = arena_strdup(arena, item->text);
    }
    *out = list;
    return 0;
}

static int read_text_map(struct arena *arena, const struct json_value *value, struct text_map *out,
                         struct err *err)
{
    int rc = expect(value, JSON_OBJECT, err);
    if (rc < 0) {
        return rc;
    }
    struct text_map map = {arena_zalloc(arena, value->count * sizeof(struct text_pair)), 0};
    for (struct json_value *item = value->first; item != NULL; item = item->next) {
        rc = expect(item, JSON_STRING, err);
        if (rc < 0) {
            return rc;
        }
        map.items[map.count++] = (struct text_pair){item->key, item->text};
    }
    *out = map;
    return 0;
}

struct raw_list {
    void *items;
    size_t count;
};

static int read_list(struct arena *arena, const struct json_value *value, const struct field *field,
                     void *place, struct err *err)
{
    int rc = expect(value, field->kind == FIELD_MAP ? JSON_OBJECT : JSON_ARRAY, err);
    if (rc < 0) {
        return rc;
    }
    struct raw_list list = {arena_zalloc(arena, value->count * field->nested_size + 1),
                            value->count};
    char *item = list.items;
    for (struct json_value *child = value->first; child != NULL; child = child->next) {
        if (field->kind == FIELD_MAP) {
            memcpy(item, &child->key, sizeof child->key);
        }
        rc = fields_read(arena, child, field->nested, item, err);
        if (rc < 0) {
            return rc;
        }
        item += field->nested_size;
    }
    memcpy(place, &list, sizeof list);
    return 0;
}

static int read_signed(const struct json_value *value, int64_t *ret, struct err *err)
{
    if (!json_get_i64(value, ret)) {
        int rc = expect(value, JSON_NUMBER, err);
        return rc < 0 ? rc
                      : fields_refuse(err, value, "%s is not an integer in range", value->text);
    }
    return 0;
}

static int read_unsigned(const struct json_value *value, uint64_t max, uint64_t *ret,
                         struct err *err)
{
    uint64_t number = 0;
    if (!json_get_u64(value, &number) || number > max) {
        int rc = expect(value, JSON_NUMBER, err);
        return rc < 0 ? rc
                      : fields_refuse(err, value, "%s is not an integer from 0 to %llu",
                                      value->text, (unsigned long long)max);
    }
    *ret = number;
    return 0;
}

static int read_number(const struct json_value *value, const struct field *field, void *place,
                       struct err *err)
{
    int64_t negative = 0;
    uint64_t number = 0;
    int rc = 0;
    switch (field->kind) {
    case FIELD_I64:
        return read_signed(value, place, err);
    case FIELD_MAYBE_I64:
        rc = read_signed(value, &negative, err);
        if (rc == 0) {
            *(struct maybe_i64 *)place = (struct maybe_i64){true, negative};
        }
        return rc;
    case FIELD_MAYBE_U64:
        if (value->type == JSON_NUMBER && value->text[0] == '-' && json_get_i64(value, &negative)) {
            *(struct maybe_u64 *)place = (struct maybe_u64){true, (uint64_t)negative};
            return 0;
        }
        rc = read_unsigned(value, UINT64_MAX, &number, err);
        if (rc == 0) {
            *(struct maybe_u64 *)place = (struct maybe_u64){true, number};
        }
        return rc;
    case FIELD_U32:
        rc = read_unsigned(value, UINT32_MAX, &number, err);
        if (rc == 0) {
            *(uint32_t *)place = (uint32_t)number;
        }
        return rc;
    default:
        CHECK(field->kind == FIELD_U64);
        return read_unsigned(value, UINT64_MAX, place, err);
    }
}

static int read_simple(const struct json_value *value, const struct field *field, void *place,
                       struct err *err)
{
    bool is_text = field->kind == FIELD_TEXT;
    int rc = expect(value, is_text ? JSON_STRING : JSON_BOOL, err);
    if (rc < 0) {
        return rc;
    }
    if (is_text) {
        *(const char **)place = value->text;
    } else if (field->kind == FIELD_BOOL) {
        *(bool *)place = value->boolean;
    } else {
        *(struct maybe_bool *)place = (struct maybe_bool){true, value->boolean};
    }
    return 0;
}

static int read_pointer(struct arena *arena, const struct json_value *value,
                        const struct field *field, void *place, struct err *err)
{
    void *nested = arena_zalloc(arena, field->nested_size);
    int rc = fields_read(arena, value, field->nested, nested, err);
    if (rc == 0) {
        memcpy(place, &nested, sizeof nested);
    }
    return rc;
}

static int read_field(struct arena *arena, const struct json_value *value,
                      const struct field *field, void *place, struct err *err)
{
    switch (field->kind) {
    case FIELD_TEXT:
    case FIELD_BOOL:
    case FIELD_MAYBE_BOOL:
        return read_simple(value, field, place, err);
    case FIELD_I64:
    case FIELD_U32:
    case FIELD_U64:
    case FIELD_MAYBE_I64:
    case FIELD_MAYBE_U64:
        return read_number(value, field, place, err);
    case FIELD_TEXT_LIST:
        return read_text_list(arena, value, place, err);
    case FIELD_TEXT_MAP:
        return read_text_map(arena, value, place, err);
    case FIELD_STRUCT:
        return fields_read(arena, value, field->nested, place, err);
    case FIELD_POINTER:
        return read_pointer(arena, value, field, place, err);
    case FIELD_LIST:
    case FIELD_MAP:
        return read_list(arena, value, field, place, err);
    case FIELD_RAW:
        memcpy(place, &value, sizeof(const struct json_value *));
        return 0;
    }
    CHECK_UNREACHABLE();
}

int fields_read(struct arena *arena, const struct json_value *object, const struct field *table,
                void *out, struct err *err)
{
    int rc = expect(object, JSON_OBJECT, err);
    if (rc < 0) {
        return rc;
    }
    /* One walk over the members, not one search a row: a repeated key counts last. */
    for (const struct json_value *member = object->first; member != NULL; member = member->next) {
        if (member->type == JSON_NULL) {
            continue;
        }
        for (const struct field *field = table; field->key != NULL; field++) {
            if (strcmp(field->key, member->key) != 0) {
                continue;
            }
            rc = read_field(arena, member, field, (char *)out + field->offset, err);
            if (rc < 0) {
                return rc;
            }
            break;
        }
    }
    return 0;
}
