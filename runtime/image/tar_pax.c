#include "runtime/image/tar_pax.h"

#include <string.h>

bool tar_parse_decimal(struct bytes text, int64_t *ret)
{
    int64_t value = 0;
    if (text.size == 0) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || value > (INT64_MAX - 9) / 10) {
            return false;
        }
        value = value * 10 + (text.data[i] - '0');
    }
    *ret = value;
    return true;
}

/* "[-]seconds[.fraction]" */
static bool parse_time(struct bytes text, int64_t *ret_s, uint32_t *ret_ns)
{
    bool is_negative = text.size > 0 && text.data[0] == '-';
    if (is_negative) {
        text = bytes_make(text.data + 1, text.size - 1);
    }
    const uint8_t *dot = text.size == 0 ? NULL : memchr(text.data, '.', text.size);
    size_t whole = dot == NULL ? text.size : (size_t)(dot - text.data);
    int64_t seconds = 0;
    if (!tar_parse_decimal(bytes_make(text.data, whole), &seconds)) {
        return false;
    }
    uint32_t nanoseconds = 0;
    uint32_t unit = 100000000;
    for (size_t i = whole + 1; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        nanoseconds += unit * (uint32_t)(text.data[i] - '0');
        unit /= 10;
    }
    if (is_negative && nanoseconds > 0) {
        seconds++;
        nanoseconds = 1000000000 - nanoseconds;
    }
    *ret_s = is_negative ? -seconds : seconds;
    *ret_ns = nanoseconds;
    return true;
}

/* GNU.sparse.map: "offset,size,offset,size,…" */
static bool parse_sparse_map(struct tar_pax *pax, struct arena *arena, struct bytes text)
{
    size_t numbers = 1;
    for (size_t i = 0; i < text.size; i++) {
        numbers += text.data[i] == ',';
    }
    if (text.size == 0 || numbers % 2 != 0 || numbers / 2 > TAR_SPARSE_MAX) {
        return false;
    }
    pax->extent_count = (uint32_t)(numbers / 2);
    pax->extents = arena_alloc(arena, pax->extent_count * sizeof(*pax->extents));
    const uint8_t *at = text.data;
    const uint8_t *end = text.data + text.size;
    for (size_t i = 0; i < numbers; i++) {
        const uint8_t *comma = memchr(at, ',', (size_t)(end - at));
        const uint8_t *stop = comma == NULL ? end : comma;
        int64_t value = 0;
        if (!tar_parse_decimal(bytes_make(at, (size_t)(stop - at)), &value)) {
            return false;
        }
        struct tar_extent *extent = &pax->extents[i / 2];
        if (i % 2 == 0) {
            extent->offset = value;
        } else {
            extent->size = value;
        }
        at = stop + (comma == NULL ? 0 : 1);
    }
    return true;
}

static int add_xattr(struct tar_pax *pax, struct arena *arena, struct bytes name,
                     struct bytes value, struct err *err)
{
    if (pax->xattr_count == TAR_XATTRS_MAX) {
        return err_set(err, ERR_TOO_LARGE, "more than %d extended attributes", TAR_XATTRS_MAX);
    }
    if (name.size == 0 || name.size > 255) {
        return err_set(err, ERR_MALFORMED, "invalid name of an extended attribute");
    }
    pax->xattrs[pax->xattr_count++] = (struct tar_xattr){
        .name = arena_text(arena, name),
        .value = bytes_make(arena_dup(arena, value.data, value.size), value.size),
    };
    return 0;
}

static bool is_key(struct bytes key, const char *name)
{
    return bytes_equal(key, bytes_from_text(name));
}

static bool has_nul(struct bytes text)
{
    return text.size > 0 && memchr(text.data, '\0', text.size) != NULL;
}

static int apply_sparse(struct tar_pax *pax, struct arena *arena, struct bytes key,
                        struct bytes value, struct err *err)
{
    pax->is_sparse = true;
    bool ok = true;
    if (is_key(key, "GNU.sparse.major")) {
        pax->is_sparse_1_0 = is_key(value, "1");
        ok = pax->is_sparse_1_0 || is_key(value, "0");
    } else if (is_key(key, "GNU.sparse.name")) {
        pax->path = arena_text(arena, value);
    } else if (is_key(key, "GNU.sparse.size") || is_key(key, "GNU.sparse.realsize")) {
        ok = tar_parse_decimal(value, &pax->real_size);
    } else if (is_key(key, "GNU.sparse.map")) {
        ok = parse_sparse_map(pax, arena, value);
    } else if (is_key(key, "GNU.sparse.offset") || is_key(key, "GNU.sparse.numbytes")) {
        return err_set(err, ERR_UNSUPPORTED, "sparse files of pax format 0.0 are not supported");
    }
    return ok ? 0
              : err_set(err, ERR_MALFORMED, "invalid pax record %.*s", (int)key.size,
                        (const char *)key.data);
}

static int apply(struct tar_pax *pax, struct arena *arena, struct bytes key, struct bytes value,
                 struct err *err)
{
    static const char xattr_prefix[] = "SCHILY.xattr.";
    bool ok = true;
    if (is_key(key, "path")) {
        ok = !has_nul(value);
        pax->path = arena_text(arena, value);
    } else if (is_key(key, "linkpath")) {
        ok = !has_nul(value);
        pax->link = arena_text(arena, value);
    } else if (is_key(key, "size")) {
        ok = pax->has_size = tar_parse_decimal(value, &pax->size);
    } else if (is_key(key, "uid")) {
        ok = pax->has_uid = tar_parse_decimal(value, &pax->uid);
    } else if (is_key(key, "gid")) {
        ok = pax->has_gid = tar_parse_decimal(value, &pax->gid);
    } else if (is_key(key, "mtime")) {
        ok = pax->has_mtime = parse_time(value, &pax->mtime_s, &pax->mtime_ns);
    } else if (bytes_has_prefix(key, BYTES_LITERAL("GNU.sparse."))) {
        return apply_sparse(pax, arena, key, value, err);
    } else if (bytes_has_prefix(key, BYTES_LITERAL(xattr_prefix))) {
        size_t skip = sizeof(xattr_prefix) - 1;
        return add_xattr(pax, arena, bytes_make(key.data + skip, key.size - skip), value, err);
    }
    return ok ? 0
              : err_set(err, ERR_MALFORMED, "invalid pax record %.*s",
                        (int)(key.size > 100 ? 100 : key.size), (const char *)key.data);
}

/* Each record is "LENGTH key=value\n", LENGTH counting all of it. */
int tar_pax_parse(struct tar_pax *pax, struct arena *arena, struct bytes header, struct err *err)
{
    while (header.size > 0) {
        const uint8_t *space = memchr(header.data, ' ', header.size);
        int64_t size = 0;
        if (space == NULL ||
            !tar_parse_decimal(bytes_make(header.data, (size_t)(space - header.data)), &size) ||
            size > (int64_t)header.size) {
            return err_set(err, ERR_MALFORMED, "invalid pax header");
        }
        const uint8_t *end = header.data + size;
        const uint8_t *key = space + 1;
        const uint8_t *equals = key < end ? memchr(key, '=', (size_t)(end - key)) : NULL;
        if (equals == NULL || end[-1] != '\n' || equals + 1 > end - 1) {
            return err_set(err, ERR_MALFORMED, "invalid pax header");
        }
        int status = apply(pax, arena, bytes_make(key, (size_t)(equals - key)),
                           bytes_make(equals + 1, (size_t)(end - 1 - (equals + 1))), err);
        if (status != 0) {
            return status;
        }
        header = bytes_make(end, header.size - (size_t)size);
    }
    return 0;
}
