#include "runtime/compose/places.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"

void places_init(struct places *places)
{
    *places = (struct places){.file_count = 1, .kept = json_array()};
    u64_map_init(&places->values);
    bytes_map_init(&places->keys);
}

void places_deinit(struct places *places)
{
    u64_map_deinit(&places->values);
    bytes_map_deinit(&places->keys);
    for (uint32_t i = 1; i < places->file_count; i++) {
        mem_free(places->files[i]);
    }
    json_decref(places->kept);
    *places = (struct places){.file_count = 0};
}

uint32_t places_add_file(struct places *places, const char *path)
{
    for (uint32_t i = 1; i < places->file_count; i++) {
        if (strcmp(places->files[i], path) == 0) {
            return i;
        }
    }
    if (places->file_count == PLACES_FILES_MAX) {
        return 0;
    }
    places->files[places->file_count] = mem_strdup(path);
    return places->file_count++;
}

/* A place as the value of a map: the maps keep pointers, and this never is one that is followed. */
static void *pack(struct place place)
{
    return (void *)(uintptr_t)(((uint64_t)place.file << 32) | place.line);
}

static struct place unpack(const void *value)
{
    uint64_t bits = (uint64_t)(uintptr_t)value;
    return (struct place){.file = (uint32_t)(bits >> 32), .line = (uint32_t)bits};
}

void places_set(struct places *places, json_t *value, struct place place)
{
    bool has_identity = json_is_object(value) || json_is_array(value) || json_is_string(value) ||
                        json_is_number(value);
    if (!has_identity || place.file == 0) {
        return;
    }
    if (u64_map_set(&places->values, (uint64_t)(uintptr_t)value, pack(place)) == NULL) {
        json_array_append(places->kept, value);
    }
}

static struct bytes make_key(struct buf *out, const json_t *object, const char *key)
{
    buf_append(out, &object, sizeof(const json_t *));
    buf_append_text(out, key);
    return buf_bytes(out);
}

void places_set_key(struct places *places, const json_t *object, const char *key,
                    struct place place)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    if (place.file != 0) {
        (void)bytes_map_set(&places->keys, make_key(&text, object, key), pack(place));
    }
}

struct place places_find(const struct places *places, const json_t *value)
{
    return unpack(u64_map_find(&places->values, (uint64_t)(uintptr_t)value));
}

struct place places_find_key(const struct places *places, const json_t *object, const char *key)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    return unpack(bytes_map_find(&places->keys, make_key(&text, object, key)));
}

static void append_place(const struct places *places, struct place place, struct buf *out)
{
    if (place.file != 0 && place.file < places->file_count) {
        buf_append_format(out, "%s:%u: ", places->files[place.file], place.line);
    }
}

int place_error(const struct places *places, struct place place, struct err *err, int code,
                const char *format, ...)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    va_list arguments;
    append_place(places, place, &text);
    va_start(arguments, format);
    buf_append_vformat(&text, format, arguments);
    va_end(arguments);
    return err_set(err, code, "%s", buf_text(&text));
}

char *place_text(const struct places *places, struct place place, const char *format, ...)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    va_list arguments;
    append_place(places, place, &text);
    va_start(arguments, format);
    buf_append_vformat(&text, format, arguments);
    va_end(arguments);
    return mem_strdup(buf_text(&text));
}
