#include "base/byte_order.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "base/pb.h"
#include "kvstore/backend/backend.h"
#include "kvstore/mvcc/key_value.h"
#include "kvstore/state/snapshot_format.h"

enum reader_state { READ_MAGIC, READ_HEADER, READ_META, READ_REVISIONS, READ_COMPLETE };

struct kv_snapshot_reader {
    uint64_t cluster_id; /* expected; 0: any */
    enum reader_state state;
    struct buf input;
    struct kv_snapshot_header header;
    uint8_t *members;
    uint64_t frames;
    uint32_t crc;
    struct buf last_key; /* of the meta frame before */
    struct backend_revision last_revision;
    struct backend_batch *batch;
    uint64_t next_sequence;
};

struct kv_snapshot_reader *kv_snapshot_reader_new(uint64_t cluster_id)
{
    struct kv_snapshot_reader *reader = mem_zalloc(sizeof *reader);
    reader->cluster_id = cluster_id;
    reader->next_sequence = 1;
    return reader;
}

void kv_snapshot_reader_free(struct kv_snapshot_reader *reader)
{
    if (reader == NULL) {
        return;
    }
    backend_batch_free(reader->batch);
    buf_deinit(&reader->input);
    buf_deinit(&reader->last_key);
    mem_free(reader->members);
    mem_free(reader);
}

const struct kv_snapshot_header *kv_snapshot_reader_header(const struct kv_snapshot_reader *reader)
{
    return reader->state > READ_HEADER ? &reader->header : NULL;
}

bool kv_snapshot_reader_is_complete(const struct kv_snapshot_reader *reader)
{
    return reader->state == READ_COMPLETE;
}

static struct backend_batch *batch_of(struct kv_snapshot_reader *reader)
{
    if (reader->batch == NULL) {
        reader->batch = backend_batch_new(reader->next_sequence++);
    }
    return reader->batch;
}

struct backend_batch *kv_snapshot_reader_take_batch(struct kv_snapshot_reader *reader)
{
    if (reader->batch == NULL || (reader->state != READ_COMPLETE &&
                                  backend_batch_bytes(reader->batch) < KV_SNAPSHOT_BATCH_BYTES)) {
        return NULL;
    }
    struct backend_batch *batch = reader->batch;
    reader->batch = NULL;
    return batch;
}

static int read_header(struct kv_snapshot_reader *reader, struct bytes payload, struct err *err)
{
    struct kv_snapshot_header header = {0};
    struct pb_reader fields = pb_reader_make(payload);
    struct pb_field field;
    while (pb_next(&fields, &field)) {
        switch (field.key) {
        case PB_VARINT(1):
            header.cluster_id = field.value;
            break;
        case PB_VARINT(2):
            header.applied.index = field.value;
            break;
        case PB_VARINT(3):
            header.applied.term = field.value;
            break;
        case PB_VARINT(4):
            header.size_bytes = field.value;
            break;
        case PB_BYTES(5):
            header.members = field.bytes;
            break;
        default:
            break;
        }
    }
    if (fields.failed || header.members.size > KV_SNAPSHOT_MEMBERS_MAX ||
        header.applied.index == 0) {
        return err_set(err, ERR_CORRUPT, "the header of the snapshot cannot be decoded");
    }
    if (reader->cluster_id != 0 && header.cluster_id != reader->cluster_id) {
        return err_set(err, ERR_WRONG_CLUSTER, "the snapshot is of cluster %016llx, not %016llx",
                       (unsigned long long)header.cluster_id,
                       (unsigned long long)reader->cluster_id);
    }
    reader->members = mem_alloc(header.members.size + 1);
    if (header.members.size > 0) {
        memcpy(reader->members, header.members.data, header.members.size);
    }
    header.members.data = reader->members;
    reader->header = header;
    reader->state = READ_META;
    return 0;
}

static int read_meta(struct kv_snapshot_reader *reader, struct bytes payload, struct err *err)
{
    size_t size = payload.size < 2 ? 0 : (size_t)load_le(payload.data, 2);
    if (reader->state != READ_META || size == 0 || size > BACKEND_META_KEY_SIZE_MAX ||
        payload.size - 2 < size) {
        return err_set(err, ERR_CORRUPT, "frame %llu of the snapshot is not a field of the state",
                       (unsigned long long)reader->frames);
    }
    struct bytes key = bytes_make(payload.data + 2, size);
    struct bytes value = bytes_make(payload.data + 2 + size, payload.size - 2 - size);
    if (bytes_compare(buf_bytes(&reader->last_key), key) >= 0) {
        return err_set(err, ERR_CORRUPT, "the fields of the snapshot are not in order");
    }
    buf_clear(&reader->last_key);
    buf_append_bytes(&reader->last_key, key);
    backend_batch_meta_put(batch_of(reader), key, value);
    return 0;
}

static bool is_key_value(struct bytes encoded, uint64_t main, bool is_tombstone)
{
    struct key_value record;
    return key_value_decode(encoded, &record) == 0 && record.key.size > 0 &&
           record.mod_revision == (int64_t)main &&
           (is_tombstone || (record.create_revision > 0 && record.version > 0));
}

static int read_revision(struct kv_snapshot_reader *reader, struct bytes payload, struct err *err)
{
    if (payload.size < SNAPSHOT_REVISION_HEAD || payload.data[12] > 1) {
        return err_set(err, ERR_CORRUPT, "frame %llu of the snapshot is not a revision",
                       (unsigned long long)reader->frames);
    }
    struct backend_revision at = {load_le(payload.data, 8), (uint32_t)load_le(payload.data + 8, 4)};
    bool is_tombstone = payload.data[12] == 1;
    struct bytes value =
        bytes_make(payload.data + SNAPSHOT_REVISION_HEAD, payload.size - SNAPSHOT_REVISION_HEAD);
    if (at.main < 2 || at.main > INT64_MAX / 2 || !is_key_value(value, at.main, is_tombstone)) {
        return err_set(err, ERR_CORRUPT, "revision %llu/%u of the snapshot is not a KeyValue",
                       (unsigned long long)at.main, at.sub);
    }
    if (backend_revision_compare(reader->last_revision, at) >= 0) {
        return err_set(err, ERR_CORRUPT, "the revisions of the snapshot are not in order");
    }
    reader->state = READ_REVISIONS;
    reader->last_revision = at;
    struct blob *blob = blob_new_copy(value.data, value.size);
    backend_batch_put(batch_of(reader), at, is_tombstone, blob);
    blob_unref(blob);
    return 0;
}

static int read_trailer(struct kv_snapshot_reader *reader, struct bytes payload, struct err *err)
{
    uint64_t frames = 0;
    uint64_t crc = 0;
    struct pb_reader fields = pb_reader_make(payload);
    struct pb_field field;
    while (pb_next(&fields, &field)) {
        if (field.key == PB_VARINT(1)) {
            frames = field.value;
        } else if (field.key == PB_VARINT(2)) {
            crc = field.value;
        }
    }
    if (fields.failed || frames != reader->frames || crc != reader->crc) {
        return err_set(err, ERR_CORRUPT, "the snapshot has %llu frames, its trailer says %llu",
                       (unsigned long long)reader->frames, (unsigned long long)frames);
    }
    backend_batch_set_applied(
        batch_of(reader),
        (struct backend_position){reader->header.applied.index, reader->header.applied.term});
    reader->state = READ_COMPLETE;
    return 0;
}

static int read_frame(struct kv_snapshot_reader *reader, uint8_t type, struct bytes payload,
                      struct err *err)
{
    bool is_header = type == SNAPSHOT_HEADER;
    if (is_header != (reader->state == READ_HEADER)) {
        return err_set(err, ERR_CORRUPT, "the snapshot does not begin with its header");
    }
    switch (type) {
    case SNAPSHOT_HEADER:
        return read_header(reader, payload, err);
    case SNAPSHOT_META:
        return read_meta(reader, payload, err);
    case SNAPSHOT_REVISION:
        return read_revision(reader, payload, err);
    case SNAPSHOT_TRAILER:
        return read_trailer(reader, payload, err);
    default:
        return err_set(err, ERR_CORRUPT, "frame %llu of the snapshot has the unknown type %u",
                       (unsigned long long)reader->frames, type);
    }
}

/* One frame from the input if it is there. *ret_more: it was, try again. */
static int next_frame(struct kv_snapshot_reader *reader, bool *ret_more, struct err *err)
{
    struct bytes input = buf_bytes(&reader->input);
    *ret_more = false;
    if (input.size < SNAPSHOT_FRAME_HEAD) {
        return 0;
    }
    size_t size = (size_t)load_le(input.data, 4);
    if (size > KV_SNAPSHOT_FRAME_MAX) {
        return err_set(err, ERR_TOO_LARGE, "a frame of the snapshot has %zu bytes", size);
    }
    if (input.size - SNAPSHOT_FRAME_HEAD < size) {
        return 0;
    }
    uint8_t type = input.data[8];
    struct bytes payload = bytes_make(input.data + SNAPSHOT_FRAME_HEAD, size);
    uint32_t crc = crc32c(crc32c(0, &type, 1), payload.data, payload.size);
    if (crc != (uint32_t)load_le(input.data + 4, 4)) {
        return err_set(err, ERR_CORRUPT, "the checksum of frame %llu of the snapshot is wrong",
                       (unsigned long long)reader->frames);
    }
    int code = read_frame(reader, type, payload, err);
    if (code != 0) {
        return code;
    }
    reader->crc = crc32c(reader->crc, input.data + 4, 4);
    reader->frames += 1;
    buf_consume(&reader->input, SNAPSHOT_FRAME_HEAD + size);
    *ret_more = true;
    return 0;
}

static int read_magic(struct kv_snapshot_reader *reader, bool *ret_more, struct err *err)
{
    struct bytes input = buf_bytes(&reader->input);
    *ret_more = false;
    if (input.size < SNAPSHOT_MAGIC_SIZE) {
        return 0;
    }
    if (memcmp(input.data, SNAPSHOT_MAGIC, SNAPSHOT_MAGIC_SIZE - 1) != 0) {
        return err_set(err, ERR_CORRUPT, "this is not a snapshot");
    }
    if (input.data[SNAPSHOT_MAGIC_SIZE - 1] != SNAPSHOT_MAGIC[SNAPSHOT_MAGIC_SIZE - 1]) {
        return err_set(err, ERR_UNSUPPORTED, "the snapshot has format 0x%02x, this is 0x%02x",
                       input.data[SNAPSHOT_MAGIC_SIZE - 1],
                       SNAPSHOT_MAGIC[SNAPSHOT_MAGIC_SIZE - 1]);
    }
    buf_consume(&reader->input, SNAPSHOT_MAGIC_SIZE);
    reader->state = READ_HEADER;
    *ret_more = true;
    return 0;
}

int kv_snapshot_reader_feed(struct kv_snapshot_reader *reader, struct bytes bytes, struct err *err)
{
    buf_append_bytes(&reader->input, bytes);
    bool more = true;
    int code = 0;
    while (code == 0 && more && reader->state != READ_COMPLETE) {
        code = reader->state == READ_MAGIC ? read_magic(reader, &more, err)
                                           : next_frame(reader, &more, err);
    }
    if (code == 0 && reader->state == READ_COMPLETE && buf_size(&reader->input) > 0) {
        return err_set(err, ERR_CORRUPT, "%zu bytes follow the end of the snapshot",
                       buf_size(&reader->input));
    }
    return code;
}
