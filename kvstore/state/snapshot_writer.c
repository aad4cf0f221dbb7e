#include "base/byte_order.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "base/pb.h"
#include "kvstore/backend/backend.h"
#include "kvstore/state/snapshot_format.h"

enum { ITEMS = 64 };

struct kv_snapshot_writer {
    struct backend_snapshot *snapshot;
    struct kv_snapshot_header header;
    uint8_t *members;
    bool header_written;
    bool done;
    uint64_t frames;
    uint32_t crc; /* over the checksums of all frames so far */
    struct buf payload;
};

struct kv_snapshot_writer *kv_snapshot_writer_new(struct backend_snapshot *snapshot,
                                                  const struct kv_snapshot_header *header)
{
    CHECK(header->members.size <= KV_SNAPSHOT_MEMBERS_MAX);
    struct kv_snapshot_writer *writer = mem_zalloc(sizeof *writer);
    struct backend_position applied = backend_snapshot_applied(snapshot);
    writer->snapshot = snapshot;
    writer->header = *header;
    writer->header.applied = (struct kv_position){applied.index, applied.term};
    writer->header.size_bytes = backend_snapshot_size_bytes(snapshot);
    writer->members = mem_alloc(header->members.size + 1);
    if (header->members.size > 0) {
        memcpy(writer->members, header->members.data, header->members.size);
    }
    writer->header.members = bytes_make(writer->members, header->members.size);
    return writer;
}

void kv_snapshot_writer_free(struct kv_snapshot_writer *writer)
{
    if (writer == NULL) {
        return;
    }
    buf_deinit(&writer->payload);
    mem_free(writer->members);
    mem_free(writer);
}

/* The payload buffer becomes a frame. */
static void put_frame(struct kv_snapshot_writer *writer, struct buf *out,
                      enum snapshot_frame_type type)
{
    struct bytes payload = buf_bytes(&writer->payload);
    uint8_t head[SNAPSHOT_FRAME_HEAD];
    uint8_t type_byte = (uint8_t)type;
    uint32_t crc = crc32c(crc32c(0, &type_byte, 1), payload.data, payload.size);
    store_le(head, payload.size, 4);
    store_le(head + 4, crc, 4);
    head[8] = type_byte;
    buf_append(out, head, sizeof head);
    buf_append_bytes(out, payload);
    writer->crc = crc32c(writer->crc, head + 4, 4);
    writer->frames += 1;
    buf_clear(&writer->payload);
}

static void put_header(struct kv_snapshot_writer *writer, struct buf *out)
{
    buf_append(out, SNAPSHOT_MAGIC, SNAPSHOT_MAGIC_SIZE);
    pb_put_u64(&writer->payload, 1, writer->header.cluster_id);
    pb_put_u64(&writer->payload, 2, writer->header.applied.index);
    pb_put_u64(&writer->payload, 3, writer->header.applied.term);
    pb_put_u64(&writer->payload, 4, writer->header.size_bytes);
    pb_put_bytes(&writer->payload, 5, writer->header.members);
    put_frame(writer, out, SNAPSHOT_HEADER);
    writer->header_written = true;
}

static void put_item(struct kv_snapshot_writer *writer, struct buf *out,
                     const struct backend_item *item)
{
    uint8_t fixed[SNAPSHOT_REVISION_HEAD];
    if (item->is_meta) {
        store_le(fixed, item->meta.key.size, 2);
        buf_append(&writer->payload, fixed, 2);
        buf_append_bytes(&writer->payload, item->meta.key);
        buf_append_bytes(&writer->payload, item->meta.value);
        put_frame(writer, out, SNAPSHOT_META);
        return;
    }
    store_le(fixed, item->record.revision.main, 8);
    store_le(fixed + 8, item->record.revision.sub, 4);
    fixed[12] = item->record.is_tombstone ? 1 : 0;
    buf_append(&writer->payload, fixed, sizeof fixed);
    buf_append_bytes(&writer->payload, item->record.value);
    put_frame(writer, out, SNAPSHOT_REVISION);
}

static void put_trailer(struct kv_snapshot_writer *writer, struct buf *out)
{
    pb_put_u64(&writer->payload, 1, writer->frames);
    pb_put_u64(&writer->payload, 2, writer->crc);
    put_frame(writer, out, SNAPSHOT_TRAILER);
    writer->done = true;
}

int kv_snapshot_writer_next(struct kv_snapshot_writer *writer, struct buf *out, size_t max_bytes,
                            bool *ret_done, struct err *err)
{
    size_t start = buf_size(out);
    if (!writer->header_written) {
        put_header(writer, out);
    }
    while (!writer->done && buf_size(out) - start < max_bytes) {
        struct backend_item items[ITEMS];
        uint32_t count = 0;
        int code = backend_snapshot_next(writer->snapshot, items, ITEMS, &count, err);
        if (code != 0) {
            return code;
        }
        for (uint32_t i = 0; i < count; i++) {
            put_item(writer, out, &items[i]);
        }
        if (count == 0) {
            put_trailer(writer, out);
        }
    }
    *ret_done = writer->done;
    return 0;
}
