/* places.h - where in which file a value stands, so that errors can point at it.
 *
 * Values are jansson's; true, false and null have no identity there, so a place belongs either to a
 * value or to a key of an object. What has a place is kept alive until places_deinit. */
#ifndef RUNTIME_COMPOSE_PLACES_H
#define RUNTIME_COMPOSE_PLACES_H

#include <jansson.h>

#include "base/err.h"
#include "base/map.h"

enum { PLACES_FILES_MAX = 256 };

struct place {
    uint32_t file; /* index, 0: nowhere */
    uint32_t line; /* from 1 */
};

struct places {
    struct u64_map values;
    struct bytes_map keys;
    char *files[PLACES_FILES_MAX]; /* owned; the first is unused */
    uint32_t file_count;
    json_t *kept;
};

void places_init(struct places *places);
void places_deinit(struct places *places);

/* The number of a file; 0 when there are too many. */
uint32_t places_add_file(struct places *places, const char *path);
void places_set(struct places *places, json_t *value, struct place place);
void places_set_key(struct places *places, const json_t *object, const char *key,
                    struct place place);
/* {0, 0} when it is not known. */
struct place places_find(const struct places *places, const json_t *value);
struct place places_find_key(const struct places *places, const json_t *object, const char *key);

/* "FILE:LINE: text"; returns code. */
__attribute__((format(printf, 5, 6))) int place_error(const struct places *places,
                                                      struct place place, struct err *err, int code,
                                                      const char *format, ...);
/* The same text; the caller frees it. */
__attribute__((format(printf, 3, 4))) char *place_text(const struct places *places,
                                                       struct place place, const char *format, ...);

#endif
