#include "kvstore/kvctl/snapshot_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/cleanup.h"

enum { HASH_BYTES = 32, CHUNK_BYTES = 256 * 1024 };

/* SHA-256 over all bytes but the last 32, which are held back until more come. */
struct tail_hash {
    EVP_MD_CTX *context;
    uint8_t tail[HASH_BYTES];
    size_t tail_size;
    uint64_t size; /* bytes in all */
};

static void tail_hash_init(struct tail_hash *hash)
{
    *hash = (struct tail_hash){.context = EVP_MD_CTX_new()};
    CHECK(hash->context != NULL);
    CHECK(EVP_DigestInit_ex(hash->context, EVP_sha256(), NULL) == 1);
}

static void tail_hash_add(struct tail_hash *hash, struct bytes data)
{
    hash->size += data.size;
    if (data.size >= HASH_BYTES) {
        CHECK(EVP_DigestUpdate(hash->context, hash->tail, hash->tail_size) == 1);
        CHECK(EVP_DigestUpdate(hash->context, data.data, data.size - HASH_BYTES) == 1);
        memcpy(hash->tail, data.data + data.size - HASH_BYTES, HASH_BYTES);
        hash->tail_size = HASH_BYTES;
        return;
    }
    size_t room = HASH_BYTES - hash->tail_size;
    size_t pushed = data.size > room ? data.size - room : 0;
    CHECK(EVP_DigestUpdate(hash->context, hash->tail, pushed) == 1);
    memmove(hash->tail, hash->tail + pushed, hash->tail_size - pushed);
    hash->tail_size -= pushed;
    if (data.size > 0) {
        memcpy(hash->tail + hash->tail_size, data.data, data.size);
    }
    hash->tail_size += data.size;
}

static int tail_hash_check(struct tail_hash *hash, uint8_t sha256[HASH_BYTES], struct err *err)
{
    CHECK(EVP_DigestFinal_ex(hash->context, sha256, NULL) == 1);
    if (hash->size <= HASH_BYTES) {
        return err_set(err, ERR_CORRUPT, "the snapshot is too short (%llu bytes)",
                       (unsigned long long)hash->size);
    }
    if (memcmp(sha256, hash->tail, HASH_BYTES) != 0) {
        return err_set(err, ERR_CORRUPT,
                       "the snapshot's SHA-256 is not the one at its end: it is incomplete or "
                       "damaged");
    }
    return 0;
}

struct snapshot_writer {
    int fd;
    char *path;
    char *part_path;
    struct tail_hash hash;
    bool is_finished;
};

int snapshot_writer_open(const char *path, struct snapshot_writer **ret, struct err *err)
{
    CLEANUP(free) char *part_path = mem_printf("%s.part", path);
    int fd = open(part_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return err_set_errno(err, errno, "create %s", part_path);
    }
    struct snapshot_writer *writer = mem_zalloc(sizeof *writer);
    writer->fd = fd;
    writer->path = mem_strdup(path);
    writer->part_path = TAKE_PTR(part_path);
    tail_hash_init(&writer->hash);
    *ret = writer;
    return 0;
}

int snapshot_writer_append(struct snapshot_writer *writer, struct bytes data, struct err *err)
{
    tail_hash_add(&writer->hash, data);
    while (data.size > 0) {
        ssize_t size = write(writer->fd, data.data, data.size);
        if (size < 0 && errno != EINTR) {
            return err_set_errno(err, errno, "write %s", writer->part_path);
        }
        size_t written = size < 0 ? 0 : (size_t)size;
        data = bytes_make(data.data + written, data.size - written);
    }
    return 0;
}

/* The rename is durable only when the folder is. */
static int sync_folder(const char *path, struct err *err)
{
    CLEANUP(free) char *copy = mem_strdup(path);
    const char *folder = dirname(copy);
    CLEANUP(close_fd) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0) {
        return err_set_errno(err, errno, "sync folder %s", folder);
    }
    return 0;
}

int snapshot_writer_finish(struct snapshot_writer *writer, struct err *err)
{
    uint8_t sha256[HASH_BYTES];
    int result = tail_hash_check(&writer->hash, sha256, err);
    if (result < 0) {
        return result;
    }
    if (fsync(writer->fd) < 0) {
        return err_set_errno(err, errno, "sync %s", writer->part_path);
    }
    if (rename(writer->part_path, writer->path) < 0) {
        return err_set_errno(err, errno, "rename %s to %s", writer->part_path, writer->path);
    }
    writer->is_finished = true;
    return sync_folder(writer->path, err);
}

uint64_t snapshot_writer_size(const struct snapshot_writer *writer)
{
    return writer->hash.size;
}

void snapshot_writer_close(struct snapshot_writer *writer)
{
    if (writer == NULL) {
        return;
    }
    (void)close(writer->fd);
    if (!writer->is_finished) {
        (void)unlink(writer->part_path);
    }
    EVP_MD_CTX_free(writer->hash.context);
    mem_free(writer->path);
    mem_free(writer->part_path);
    mem_free(writer);
}

/* bbolt: a page header of 16 bytes, then the magic 0xED0CDAED, little endian. */
static const char *format_name(const uint8_t *head, size_t size)
{
    static const uint8_t bbolt[] = {0xed, 0xda, 0x0c, 0xed};
    if (size >= 20 && memcmp(head + 16, bbolt, sizeof bbolt) == 0) {
        return "etcd";
    }
    if (size >= 7 && memcmp(head, "CRCLSNP", 7) == 0) {
        return "coracle";
    }
    return "unknown";
}

int snapshot_file_probe(const char *path, struct snapshot_status *ret, struct err *err)
{
    uint8_t head[64];
    CLEANUP(file) FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        return err_set_errno(err, errno, "open %s", path);
    }
    size_t size = fread(head, 1, sizeof head, file);
    if (ferror(file)) {
        return err_set_errno(err, errno, "read %s", path);
    }
    *ret = (struct snapshot_status){.format = format_name(head, size)};
    return 0;
}

int snapshot_file_check(const char *path, struct snapshot_status *ret, struct err *err)
{
    CLEANUP(file) FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        return err_set_errno(err, errno, "open %s", path);
    }
    struct snapshot_status status = {.format = "unknown"};
    CLEANUP(free) uint8_t *chunk = mem_alloc(CHUNK_BYTES);
    struct tail_hash hash;
    tail_hash_init(&hash);
    size_t size = fread(chunk, 1, CHUNK_BYTES, file);
    status.format = format_name(chunk, size);
    while (size > 0) {
        tail_hash_add(&hash, bytes_make(chunk, size));
        size = fread(chunk, 1, CHUNK_BYTES, file);
    }
    int result = ferror(file) ? err_set_errno(err, errno, "read %s", path)
                              : tail_hash_check(&hash, status.sha256, err);
    EVP_MD_CTX_free(hash.context);
    if (result < 0) {
        return result;
    }
    status.size_bytes = hash.size;
    *ret = status;
    return 0;
}
