/* From an image of kvd: frames, whose records go into the backend as they come. */
#include <errno.h>
#include <string.h>

#include "base/byte_order.h"
#include "base/cleanup.h"
#include "kvstore/kvctl/restore_internal.h"
#include "kvstore/state/snapshot_format.h"

struct image_reading {
    struct restoring *restoring;
    FILE *file;
    struct kv_snapshot_reader *reader;
};

/* Exactly size bytes of the file to the reader. */
static int feed(struct image_reading *r, const uint8_t *data, size_t size, struct err *err)
{
    r->restoring->read_bytes += size;
    if (r->restoring->options->progress != NULL) {
        r->restoring->options->progress(r->restoring->options->context, r->restoring->read_bytes);
    }
    return kv_snapshot_reader_feed(r->reader, bytes_make(data, size), err);
}

static int read_exactly(struct image_reading *r, uint8_t *data, size_t size, struct err *err)
{
    if (fread(data, 1, size, r->file) == size) {
        return 0;
    }
    return ferror(r->file)
               ? err_set_errno(err, errno, "read %s", r->restoring->options->file)
               : err_set(err, ERR_CORRUPT, "%s ends in the middle", r->restoring->options->file);
}

static int write_batches(struct image_reading *r, struct err *err)
{
    int code = 0;
    for (struct backend_batch *batch = kv_snapshot_reader_take_batch(r->reader);
         batch != NULL && code == 0; batch = kv_snapshot_reader_take_batch(r->reader)) {
        code = backend_restore_write(r->restoring->backend, &batch, 1, err);
        backend_batch_free(batch);
    }
    return code;
}

/* Frame by frame, because after the trailer comes padding that is no part of the stream. */
static int copy_frames(struct image_reading *r, struct err *err)
{
    CLEANUP(buf) struct buf frame = BUF_INIT;
    uint8_t magic[SNAPSHOT_MAGIC_SIZE];
    int code = read_exactly(r, magic, sizeof magic, err);
    code = code != 0 ? code : feed(r, magic, sizeof magic, err);
    while (code == 0 && !kv_snapshot_reader_is_complete(r->reader)) {
        buf_clear(&frame);
        uint8_t *head = buf_reserve(&frame, SNAPSHOT_FRAME_HEAD);
        code = read_exactly(r, head, SNAPSHOT_FRAME_HEAD, err);
        uint32_t size = code == 0 ? (uint32_t)load_le(head, 4) : 0;
        if (code == 0 && size > KV_SNAPSHOT_FRAME_MAX) {
            code = err_set(err, ERR_CORRUPT, "%s has a record of %u bytes",
                           r->restoring->options->file, size);
        }
        if (code != 0) {
            break;
        }
        buf_commit(&frame, SNAPSHOT_FRAME_HEAD);
        code = read_exactly(r, buf_reserve(&frame, size), size, err);
        buf_commit(&frame, code == 0 ? size : 0);
        code = code != 0 ? code : feed(r, buf_bytes(&frame).data, buf_size(&frame), err);
        code = code != 0 ? code : write_batches(r, err);
    }
    return code;
}

static int copy_all(struct image_reading *r, struct err *err)
{
    struct restoring *restoring = r->restoring;
    r->file = fopen(restoring->options->file, "rbe");
    if (r->file == NULL) {
        return err_set_errno(err, errno, "open %s", restoring->options->file);
    }
    r->reader = kv_snapshot_reader_new(0);
    int code = copy_frames(r, err);
    if (code != 0) {
        return code;
    }
    const struct kv_snapshot_header *header = kv_snapshot_reader_header(r->reader);
    restoring->meta.last =
        (struct raft_position){.index = header->applied.index, .term = header->applied.term};
    restoring->old_cluster_id = header->cluster_id;
    return 0;
}

int restore_from_image(struct restoring *restoring, struct err *err)
{
    struct image_reading reading = {.restoring = restoring};
    int code = copy_all(&reading, err);
    kv_snapshot_reader_free(reading.reader);
    if (reading.file != NULL) {
        (void)fclose(reading.file); /* only read */
    }
    return code;
}
