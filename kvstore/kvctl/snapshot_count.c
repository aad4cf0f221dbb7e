#include "kvstore/kvctl/snapshot_count.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/byte_order.h"
#include "base/cleanup.h"
#include "base/crc32c.h"
#include "kvstore/migrate/etcd_summary.h"
#include "kvstore/state/snapshot_format.h"

static void count_record(struct snapshot_count *count, struct bytes payload)
{
    int64_t revision = (int64_t)load_le(payload.data, 8);
    count->revision = revision > count->revision ? revision : count->revision;
    count->record_count += 1;
}

/* One frame; *ret_type tells which it was. */
static int read_frame(FILE *file, struct buf *payload, struct snapshot_count *count,
                      uint8_t *ret_type, struct err *err)
{
    uint8_t head[SNAPSHOT_FRAME_HEAD];
    if (fread(head, 1, sizeof head, file) != sizeof head) {
        return err_set(err, ERR_CORRUPT, "the backup ends in the middle");
    }
    size_t size = (size_t)load_le(head, 4);
    if (size > KV_SNAPSHOT_FRAME_MAX) {
        return err_set(err, ERR_CORRUPT, "the backup has a record of %zu bytes", size);
    }
    buf_clear(payload);
    if (size > 0 && fread(buf_reserve(payload, size), 1, size, file) != size) {
        return err_set(err, ERR_CORRUPT, "the backup ends in the middle");
    }
    buf_commit(payload, size);
    struct bytes bytes = buf_bytes(payload);
    if (crc32c(crc32c(0, head + 8, 1), bytes.data, bytes.size) != load_le(head + 4, 4)) {
        return err_set(err, ERR_CORRUPT, "record %llu of the backup is damaged",
                       (unsigned long long)count->frame_count + 1);
    }
    count->frame_count += 1;
    *ret_type = head[8];
    if (head[8] == SNAPSHOT_REVISION && size >= SNAPSHOT_REVISION_HEAD) {
        count_record(count, bytes);
    }
    return 0;
}

int snapshot_count_read(FILE *file, struct snapshot_count *ret, struct err *err)
{
    struct snapshot_count count = {.revision = 1}; /* of an empty store */
    uint8_t magic[SNAPSHOT_MAGIC_SIZE];
    if (fread(magic, 1, sizeof magic, file) != sizeof magic ||
        memcmp(magic, SNAPSHOT_MAGIC, sizeof magic) != 0) {
        return err_set(err, ERR_CORRUPT, "this is not a backup of ours");
    }
    CLEANUP(buf) struct buf payload = BUF_INIT;
    uint8_t type = 0;
    while (type != SNAPSHOT_TRAILER) {
        int code = read_frame(file, &payload, &count, &type, err);
        if (code < 0) {
            return code;
        }
    }
    *ret = count;
    return 0;
}

int snapshot_count_read_etcd(FILE *file, struct snapshot_count *ret, struct err *err)
{
    struct stat status;
    if (fstat(fileno(file), &status) < 0 || status.st_size == 0) {
        return err_set_errno(err, errno, "look at the backup");
    }
    size_t size = (size_t)status.st_size;
    void *data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fileno(file), 0);
    if (data == MAP_FAILED) {
        return err_set_errno(err, errno, "map the backup");
    }
    struct bbolt db;
    struct etcd_summary summary;
    int code = bbolt_init(&db, bytes_make(data, size), err);
    code = code != 0 ? code : etcd_summary_read(&db, &summary, err);
    (void)munmap(data, size);
    if (code == 0) {
        *ret = (struct snapshot_count){
            .revision = summary.revision, .record_count = summary.key_count, .hash = summary.hash};
    }
    return code;
}
