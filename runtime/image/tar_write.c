#include "runtime/image/tar_write.h"

#include <stdio.h>
#include <string.h>

enum { BLOCK_SIZE = 512, NAME_SIZE = 100, PREFIX_SIZE = 155 };
static const int64_t OCTAL_11_MAX = INT64_C(077777777777);
static const uint32_t OCTAL_7_MAX = 07777777;

static const char type_letters[] = {
    [TAR_FILE] = '0',  [TAR_HARD_LINK] = '1', [TAR_SYMLINK] = '2', [TAR_CHARACTER] = '3',
    [TAR_BLOCK] = '4', [TAR_DIRECTORY] = '5', [TAR_FIFO] = '6',
};

static void put_octal(uint8_t *field, int digits, uint64_t value)
{
    for (int i = digits - 1; i >= 0; i--) {
        field[i] = (uint8_t)('0' + (value & 7));
        value >>= 3;
    }
}

/* One record: its length counts its own digits. */
static void append_record(struct buf *out, const char *key, struct bytes value)
{
    size_t rest = strlen(key) + value.size + 3; /* space, equals, newline */
    size_t size = rest + 1;
    char digits[24];
    while (rest + (size_t)snprintf(digits, sizeof(digits), "%zu", size) != size) {
        size++;
    }
    buf_append_format(out, "%zu %s=", size, key);
    buf_append_bytes(out, value);
    buf_append_text(out, "\n");
}

/* Where path can be cut so that both halves fit into ustar's fields; NULL: it cannot. */
static const char *split_path(const char *path)
{
    size_t size = strlen(path);
    for (const char *slash = path; (slash = strchr(slash, '/')) != NULL; slash++) {
        size_t prefix = (size_t)(slash - path);
        if (prefix > 0 && prefix <= PREFIX_SIZE && size - prefix - 1 <= NAME_SIZE &&
            slash[1] != '\0') {
            return slash;
        }
    }
    return NULL;
}

static void append_number(struct buf *out, const char *key, int64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%lld", (long long)value);
    append_record(out, key, bytes_from_text(text));
}

static void collect_pax(const struct tar_entry *entry, struct buf *pax)
{
    if (strlen(entry->path) > NAME_SIZE && split_path(entry->path) == NULL) {
        append_record(pax, "path", bytes_from_text(entry->path));
    }
    if (strlen(entry->link) > NAME_SIZE) {
        append_record(pax, "linkpath", bytes_from_text(entry->link));
    }
    if (entry->size > OCTAL_11_MAX) {
        append_number(pax, "size", entry->size);
    }
    if (entry->uid > OCTAL_7_MAX) {
        append_number(pax, "uid", entry->uid);
    }
    if (entry->gid > OCTAL_7_MAX) {
        append_number(pax, "gid", entry->gid);
    }
    if (entry->mtime_s < 0 || entry->mtime_s > OCTAL_11_MAX) {
        append_number(pax, "mtime", entry->mtime_s);
    }
    for (uint32_t i = 0; i < entry->xattr_count; i++) {
        char key[300];
        (void)snprintf(key, sizeof(key), "SCHILY.xattr.%.255s", entry->xattrs[i].name);
        append_record(pax, key, entry->xattrs[i].value);
    }
}

static void finish_checksum(uint8_t *block)
{
    unsigned sum = 0;
    memset(block + 148, ' ', 8);
    for (size_t i = 0; i < BLOCK_SIZE; i++) {
        sum += block[i];
    }
    put_octal(block + 148, 6, sum);
    block[154] = '\0';
}

static void put_text(uint8_t *field, size_t room, const char *text)
{
    size_t size = strlen(text);
    memcpy(field, text, size < room ? size : room);
}

static void append_block(struct buf *out, const struct tar_entry *entry, char type)
{
    uint8_t block[BLOCK_SIZE] = {0};
    const char *cut = strlen(entry->path) > NAME_SIZE ? split_path(entry->path) : NULL;
    put_text(block, NAME_SIZE, cut == NULL ? entry->path : cut + 1);
    if (cut != NULL) {
        memcpy(block + 345, entry->path, (size_t)(cut - entry->path));
    }
    put_octal(block + 100, 7, entry->mode);
    put_octal(block + 108, 7, entry->uid > OCTAL_7_MAX ? 0 : entry->uid);
    put_octal(block + 116, 7, entry->gid > OCTAL_7_MAX ? 0 : entry->gid);
    put_octal(block + 124, 11, entry->size > OCTAL_11_MAX ? 0 : (uint64_t)entry->size);
    bool has_time = entry->mtime_s >= 0 && entry->mtime_s <= OCTAL_11_MAX;
    put_octal(block + 136, 11, has_time ? (uint64_t)entry->mtime_s : 0);
    block[156] = (uint8_t)type;
    put_text(block + 157, NAME_SIZE, entry->link);
    memcpy(block + 257, "ustar\00000", 8);
    put_octal(block + 329, 7, entry->major);
    put_octal(block + 337, 7, entry->minor);
    finish_checksum(block);
    buf_append(out, block, sizeof(block));
}

void tar_write_header(const struct tar_entry *entry, struct buf *out)
{
    struct buf pax = BUF_INIT;
    collect_pax(entry, &pax);
    if (buf_size(&pax) > 0) {
        struct tar_entry header = {
            .path = "PaxHeaders/entry",
            .link = "",
            .mode = 0644,
            .size = (int64_t)buf_size(&pax),
        };
        append_block(out, &header, 'x');
        buf_append_bytes(out, buf_bytes(&pax));
        tar_write_padding(header.size, out);
    }
    buf_deinit(&pax);
    append_block(out, entry, type_letters[entry->type]);
}

void tar_write_padding(int64_t size, struct buf *out)
{
    static const uint8_t zeros[BLOCK_SIZE];
    buf_append(out, zeros, (size_t)((BLOCK_SIZE - size % BLOCK_SIZE) % BLOCK_SIZE));
}

void tar_write_end(struct buf *out)
{
    static const uint8_t zeros[2 * BLOCK_SIZE];
    buf_append(out, zeros, sizeof(zeros));
}
