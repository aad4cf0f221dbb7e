#include "runtime/image/tar.h"

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/mem.h"
#include "runtime/image/tar_pax.h"

enum { BLOCK_SIZE = 512 };

/* POSIX.1-1988 ustar; GNU uses prefix for other things and says so in magic. */
struct header {
    char name[100];
    char mode[8];
    char uid[8];
    char gid[8];
    char size[12];
    char mtime[12];
    char checksum[8];
    char type;
    char link[100];
    char magic[6];
    char version[2];
    char user[32];
    char group[32];
    char major[8];
    char minor[8];
    char prefix[155];
    char pad[12];
};
_Static_assert(sizeof(struct header) == BLOCK_SIZE, "a tar header is one block");

struct tar {
    struct stream *stream;
    struct bytes chunk; /* what the stream gave and nobody has used */
    int64_t offset;     /* bytes used so far */
    int64_t data_left;
    int64_t padding_left;
    struct arena arena; /* strings of the current entry */
    struct tar_pax pax;
};

struct tar *tar_new(struct stream *stream)
{
    struct tar *tar = mem_zalloc(sizeof(*tar));
    tar->stream = stream;
    arena_init(&tar->arena);
    return tar;
}

void tar_free(struct tar *tar)
{
    if (tar != NULL) {
        arena_deinit(&tar->arena);
        mem_free(tar);
    }
}

/* 1: at least one byte in tar->chunk; 0: the stream ended. */
static int fill(struct tar *tar, struct err *err)
{
    return tar->chunk.size > 0 ? 1 : stream_next(tar->stream, &tar->chunk, err);
}

static struct bytes take(struct tar *tar, int64_t wanted)
{
    size_t size = (int64_t)tar->chunk.size < wanted ? tar->chunk.size : (size_t)wanted;
    struct bytes taken = bytes_make(tar->chunk.data, size);
    tar->chunk = bytes_make(tar->chunk.data + size, tar->chunk.size - size);
    tar->offset += (int64_t)size;
    return taken;
}

static int end_too_early(struct err *err)
{
    return err_set(err, ERR_MALFORMED, "the archive ends too early");
}

static int read_exactly(struct tar *tar, void *out, size_t size, struct err *err)
{
    for (size_t done = 0; done < size;) {
        int status = fill(tar, err);
        if (status <= 0) {
            return status < 0 ? status : end_too_early(err);
        }
        struct bytes part = take(tar, (int64_t)(size - done));
        memcpy((char *)out + done, part.data, part.size);
        done += part.size;
    }
    return 0;
}

static int skip(struct tar *tar, int64_t size, struct err *err)
{
    while (size > 0) {
        if (tar->chunk.size == 0 && tar->stream->skip != NULL) {
            int64_t skipped = tar->stream->skip(tar->stream, size);
            size -= skipped;
            tar->offset += skipped;
            if (skipped > 0) {
                continue;
            }
        }
        int status = fill(tar, err);
        if (status <= 0) {
            return status < 0 ? status : end_too_early(err);
        }
        size -= (int64_t)take(tar, size).size;
    }
    return 0;
}

/* Octal text, or base-256 when the first bit is set (GNU). Negative base-256 only for times. */
static bool parse_number(const char *field, size_t size, int64_t *ret)
{
    const uint8_t *bytes = (const uint8_t *)field;
    if ((bytes[0] & 0x80) != 0) {
        bool is_negative = (bytes[0] & 0x40) != 0;
        uint64_t value = is_negative ? UINT64_MAX : 0;
        for (size_t i = 0; i < size; i++) {
            uint8_t byte = i == 0 ? (uint8_t)(bytes[0] & 0x7f) : bytes[i];
            if (i == 0 && is_negative) {
                byte = (uint8_t)(byte | 0x80);
            }
            uint64_t top = value >> 55;
            if (top != 0 && top != (UINT64_MAX >> 55)) {
                return false;
            }
            value = (value << 8) | byte;
        }
        *ret = (int64_t)value;
        return true;
    }
    size_t at = 0;
    while (at < size && bytes[at] == ' ') {
        at++;
    }
    int64_t value = 0;
    while (at < size && bytes[at] >= '0' && bytes[at] <= '7') {
        if (value > INT64_MAX >> 3) {
            return false;
        }
        value = value << 3 | (bytes[at++] - '0');
    }
    if (at < size && bytes[at] != ' ' && bytes[at] != '\0') {
        return false;
    }
    *ret = value;
    return true;
}

static bool is_zero_block(const struct header *header)
{
    static const char zeros[BLOCK_SIZE];
    return memcmp(header, zeros, BLOCK_SIZE) == 0;
}

/* The sum of all bytes with the checksum field as spaces; old programs summed signed bytes. */
static bool is_checksum_right(const struct header *header)
{
    const uint8_t *bytes = (const uint8_t *)header;
    size_t start = offsetof(struct header, checksum);
    size_t end = start + sizeof(header->checksum);
    int64_t sum = 0;
    int64_t signed_sum = 0;
    for (size_t i = 0; i < BLOCK_SIZE; i++) {
        uint8_t byte = i >= start && i < end ? ' ' : bytes[i];
        sum += byte;
        signed_sum += (int8_t)byte;
    }
    int64_t stated = 0;
    return parse_number(header->checksum, sizeof(header->checksum), &stated) &&
           (stated == sum || stated == signed_sum);
}

static int64_t padding_of(int64_t size)
{
    return (BLOCK_SIZE - size % BLOCK_SIZE) % BLOCK_SIZE;
}

/* The data of an extension entry, in the arena, NUL-terminated. */
static int read_extension(struct tar *tar, int64_t size, struct bytes *ret, struct err *err)
{
    if (size < 0 || size > TAR_EXTENSION_SIZE_MAX) {
        return err_set(err, ERR_TOO_LARGE, "a header extension of %lld bytes", (long long)size);
    }
    char *text = arena_alloc(&tar->arena, (size_t)size + 1);
    int status = read_exactly(tar, text, (size_t)size, err);
    if (status == 0) {
        status = skip(tar, padding_of(size), err);
    }
    text[size] = '\0';
    *ret = bytes_make(text, (size_t)size);
    return status;
}

static int read_long_name(struct tar *tar, int64_t size, char **ret, struct err *err)
{
    struct bytes text;
    int status = read_extension(tar, size, &text, err);
    if (status == 0) {
        *ret = arena_strdup(&tar->arena, (const char *)text.data); /* up to the first NUL */
    }
    return status;
}

static const char *header_path(struct tar *tar, const struct header *header)
{
    bool has_prefix = memcmp(header->magic, "ustar\0", 6) == 0 && header->prefix[0] != '\0';
    if (!has_prefix) {
        return arena_printf(&tar->arena, "%.100s", header->name);
    }
    return arena_printf(&tar->arena, "%.155s/%.100s", header->prefix, header->name);
}

static int map_type(const struct header *header, struct tar_entry *entry, struct err *err)
{
    switch (header->type) {
    case '0':
    case '\0':
    case '7':
    case 'S': {
        size_t size = strlen(entry->path);
        bool is_old_directory = size > 0 && entry->path[size - 1] == '/';
        entry->type = is_old_directory ? TAR_DIRECTORY : TAR_FILE;
        return 0;
    }
    case '1':
        entry->type = TAR_HARD_LINK;
        return 0;
    case '2':
        entry->type = TAR_SYMLINK;
        return 0;
    case '3':
        entry->type = TAR_CHARACTER;
        return 0;
    case '4':
        entry->type = TAR_BLOCK;
        return 0;
    case '5':
        entry->type = TAR_DIRECTORY;
        return 0;
    case '6':
        entry->type = TAR_FIFO;
        return 0;
    default:
        return err_set(err, ERR_UNSUPPORTED, "entry '%.200s' has the unknown type '%c' (%d)",
                       entry->path, header->type >= ' ' && header->type < 127 ? header->type : '?',
                       header->type);
    }
}

static int fill_numbers(const struct tar *tar, const struct header *header, struct tar_entry *entry,
                        struct err *err)
{
    const struct tar_pax *pax = &tar->pax;
    int64_t mode = 0;
    int64_t uid = 0;
    int64_t gid = 0;
    int64_t major = 0;
    int64_t minor = 0;
    bool ok =
        parse_number(header->mode, sizeof(header->mode), &mode) &&
        (pax->has_uid || parse_number(header->uid, sizeof(header->uid), &uid)) &&
        (pax->has_gid || parse_number(header->gid, sizeof(header->gid), &gid)) &&
        (pax->has_size || parse_number(header->size, sizeof(header->size), &entry->size)) &&
        (pax->has_mtime || parse_number(header->mtime, sizeof(header->mtime), &entry->mtime_s));
    if (ok && (header->type == '3' || header->type == '4')) {
        ok = parse_number(header->major, sizeof(header->major), &major) &&
             parse_number(header->minor, sizeof(header->minor), &minor);
    }
    uid = pax->has_uid ? pax->uid : uid;
    gid = pax->has_gid ? pax->gid : gid;
    entry->size = pax->has_size ? pax->size : entry->size;
    if (pax->has_mtime) {
        entry->mtime_s = pax->mtime_s;
        entry->mtime_ns = pax->mtime_ns;
    }
    /* 2^32 - 1 means "unchanged" to chown(2). */
    if (!ok || entry->size < 0 || uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX ||
        major < 0 || major > UINT32_MAX || minor < 0 || minor > UINT32_MAX) {
        return err_set(err, ERR_MALFORMED, "entry '%.200s' has an invalid number in its header",
                       entry->path);
    }
    entry->mode = (uint32_t)mode & 07777;
    entry->uid = (uint32_t)uid;
    entry->gid = (uint32_t)gid;
    entry->major = (uint32_t)major;
    entry->minor = (uint32_t)minor;
    return 0;
}

/* One "decimal\n" of a pax 1.0 sparse map at the start of the data. */
static int read_map_number(struct tar *tar, int64_t *ret, struct err *err)
{
    uint8_t text[24];
    for (size_t size = 0; size < sizeof(text) && tar->data_left > 0; size++) {
        int status = fill(tar, err);
        if (status <= 0) {
            return status < 0 ? status : end_too_early(err);
        }
        text[size] = take(tar, 1).data[0];
        tar->data_left--;
        if (text[size] == '\n') {
            return tar_parse_decimal(bytes_make(text, size), ret)
                       ? 0
                       : err_set(err, ERR_MALFORMED, "invalid map of a sparse file");
        }
    }
    return err_set(err, ERR_MALFORMED, "invalid map of a sparse file");
}

static int read_map_1_0(struct tar *tar, struct err *err)
{
    int64_t start = tar->offset;
    int64_t count = 0;
    int status = read_map_number(tar, &count, err);
    if (status != 0) {
        return status;
    }
    if (count > TAR_SPARSE_MAX) {
        return err_set(err, ERR_TOO_LARGE, "a sparse file with %lld parts", (long long)count);
    }
    tar->pax.extent_count = (uint32_t)count;
    tar->pax.extents = arena_alloc(&tar->arena, (size_t)(count + 1) * sizeof(struct tar_extent));
    for (int64_t i = 0; i < count; i++) {
        if ((status = read_map_number(tar, &tar->pax.extents[i].offset, err)) != 0 ||
            (status = read_map_number(tar, &tar->pax.extents[i].size, err)) != 0) {
            return status;
        }
    }
    int64_t rest = padding_of(tar->offset - start);
    if (rest > tar->data_left) {
        return err_set(err, ERR_MALFORMED, "invalid map of a sparse file");
    }
    tar->data_left -= rest;
    return skip(tar, rest, err);
}

/* The old GNU way: four extents in the header, 21 in each extension block that follows. */
static int read_map_gnu(struct tar *tar, const struct header *header, struct err *err)
{
    struct tar_extent *extents = arena_alloc(&tar->arena, TAR_SPARSE_MAX * sizeof(*extents));
    uint32_t count = 0;
    uint8_t block[BLOCK_SIZE];
    memcpy(block, header, BLOCK_SIZE);
    size_t at = 386;
    size_t slots = 4;
    bool is_extended = block[482] != 0;
    if (!parse_number((const char *)block + 483, 12, &tar->pax.real_size)) {
        return err_set(err, ERR_MALFORMED, "invalid size of a sparse file");
    }
    for (;;) {
        for (size_t i = 0; i < slots; i++, at += 24) {
            const char *field = (const char *)block + at;
            if (field[0] == '\0') {
                continue;
            }
            if (count == TAR_SPARSE_MAX || !parse_number(field, 12, &extents[count].offset) ||
                !parse_number(field + 12, 12, &extents[count].size)) {
                return err_set(err, ERR_MALFORMED, "invalid map of a sparse file");
            }
            count++;
        }
        if (!is_extended) {
            break;
        }
        int status = read_exactly(tar, block, BLOCK_SIZE, err);
        if (status != 0) {
            return status;
        }
        at = 0;
        slots = 21;
        is_extended = block[504] != 0;
    }
    tar->pax.extents = extents;
    tar->pax.extent_count = count;
    tar->pax.is_sparse = true;
    return 0;
}

/* The extents must lie in order inside the file and add up to the data. */
static int check_map(const struct tar_pax *pax, int64_t data_size, const char *path,
                     struct err *err)
{
    int64_t end = 0;
    int64_t sum = 0;
    for (uint32_t i = 0; i < pax->extent_count; i++) {
        const struct tar_extent *extent = &pax->extents[i];
        if (extent->offset < end || extent->size < 0 || extent->size > pax->real_size ||
            extent->offset > pax->real_size - extent->size) {
            return err_set(err, ERR_MALFORMED, "entry '%.200s': invalid map of a sparse file",
                           path);
        }
        end = extent->offset + extent->size;
        sum += extent->size;
    }
    if (sum != data_size) {
        return err_set(err, ERR_MALFORMED,
                       "entry '%.200s': the map of a sparse file and its data disagree", path);
    }
    return 0;
}

static int fill_sparse(struct tar *tar, const struct header *header, struct tar_entry *entry,
                       struct err *err)
{
    int status = 0;
    if (header->type == 'S') {
        status = read_map_gnu(tar, header, err);
    } else if (tar->pax.is_sparse_1_0) {
        status = read_map_1_0(tar, err);
    }
    if (status != 0 || !tar->pax.is_sparse) {
        return status;
    }
    entry->is_sparse = true;
    entry->size = tar->data_left;
    entry->real_size = tar->pax.real_size;
    entry->extents = tar->pax.extents;
    entry->extent_count = tar->pax.extent_count;
    return check_map(&tar->pax, entry->size, entry->path, err);
}

static int fill_entry(struct tar *tar, const struct header *header, struct tar_entry *entry,
                      struct err *err)
{
    const struct tar_pax *pax = &tar->pax;
    *entry = (struct tar_entry){.path = pax->path, .link = pax->link};
    if (entry->path == NULL) {
        entry->path = header_path(tar, header);
    }
    if (entry->link == NULL) {
        entry->link = arena_printf(&tar->arena, "%.100s", header->link);
    }
    if (entry->path[0] == '\0') {
        return err_set(err, ERR_MALFORMED, "an entry without a name");
    }
    if (strlen(entry->path) >= TAR_PATH_MAX || strlen(entry->link) >= TAR_PATH_MAX) {
        return err_set(err, ERR_TOO_LARGE, "entry '%.100s…': the path is too long", entry->path);
    }
    int status = map_type(header, entry, err);
    if (status == 0) {
        status = fill_numbers(tar, header, entry, err);
    }
    if (status != 0) {
        return status;
    }
    bool has_data = entry->type == TAR_FILE || entry->type == TAR_HARD_LINK;
    if (!has_data) {
        entry->size = 0;
    }
    if (entry->type == TAR_HARD_LINK && !pax->has_size) {
        entry->size = 0; /* old archives repeat the size of the target */
    }
    tar->data_left = entry->size;
    tar->padding_left = padding_of(entry->size);
    entry->real_size = entry->size;
    entry->xattrs = pax->xattrs;
    entry->xattr_count = pax->xattr_count;
    status = fill_sparse(tar, header, entry, err);
    entry->data_offset = tar->offset;
    return status;
}

/* Headers that belong to the next one. 1: it was one. */
static int read_prelude(struct tar *tar, const struct header *header, struct err *err)
{
    int64_t size = 0;
    if (strchr("LKxg", header->type) == NULL || header->type == '\0') {
        return 0;
    }
    if (!parse_number(header->size, sizeof(header->size), &size)) {
        return err_set(err, ERR_MALFORMED, "invalid size in a header");
    }
    int status;
    struct bytes text;
    switch (header->type) {
    case 'L':
        status = read_long_name(tar, size, &tar->pax.path, err);
        break;
    case 'K':
        status = read_long_name(tar, size, &tar->pax.link, err);
        break;
    case 'x':
        status = read_extension(tar, size, &text, err);
        if (status == 0) {
            status = tar_pax_parse(&tar->pax, &tar->arena, text, err);
        }
        break;
    default: /* 'g', global: only comments (git archive) are met in practice */
        status = read_extension(tar, size, &text, err);
        break;
    }
    return status < 0 ? status : 1;
}

int tar_next(struct tar *tar, struct tar_entry *entry, struct err *err)
{
    int status = skip(tar, tar->data_left + tar->padding_left, err);
    if (status != 0) {
        return status;
    }
    tar->data_left = 0;
    tar->padding_left = 0;
    arena_reset(&tar->arena);
    memset(&tar->pax, 0, sizeof(tar->pax));
    for (;;) {
        status = fill(tar, err);
        if (status <= 0) {
            return status; /* some programs leave the two zero blocks out */
        }
        struct header header;
        status = read_exactly(tar, &header, sizeof(header), err);
        if (status != 0) {
            return status;
        }
        if (is_zero_block(&header)) {
            return 0;
        }
        if (!is_checksum_right(&header)) {
            return err_set(err, ERR_MALFORMED,
                           "not a tar archive, or a damaged one (checksum at byte %lld)",
                           (long long)(tar->offset - BLOCK_SIZE));
        }
        status = read_prelude(tar, &header, err);
        if (status < 0) {
            return status;
        }
        if (status == 0) {
            status = fill_entry(tar, &header, entry, err);
            return status < 0 ? status : 1;
        }
        if (tar->arena.total > 4 * TAR_EXTENSION_SIZE_MAX) {
            return err_set(err, ERR_TOO_LARGE, "too many header extensions");
        }
    }
}

int tar_read_data(struct tar *tar, struct bytes *chunk, struct err *err)
{
    if (tar->data_left == 0) {
        return 0;
    }
    int status = fill(tar, err);
    if (status <= 0) {
        return status < 0 ? status : end_too_early(err);
    }
    *chunk = take(tar, tar->data_left);
    tar->data_left -= (int64_t)chunk->size;
    return 1;
}
