#include "kvstore/migrate/raft_snapshot.h"

#include "base/crc32c.h"
#include "base/pb.h"

/* A ConfState: voters are field 1, packed or not. */
static bool count_voters(struct bytes message, uint32_t *ret_count)
{
    struct pb_reader reader = pb_reader_make(message);
    struct pb_field field;
    while (pb_next(&reader, &field)) {
        if (field.key == PB_VARINT(1)) {
            *ret_count += 1;
        } else if (field.key == PB_BYTES(1)) {
            struct pb_reader packed = pb_reader_make(field.bytes);
            uint64_t id;
            while (pb_read_varint(&packed, &id)) {
                *ret_count += 1;
            }
            if (packed.failed) {
                return false;
            }
        }
    }
    return !reader.failed;
}

/* SnapshotMetadata: conf_state 1, index 2, term 3. */
static bool read_metadata(struct bytes message, struct raft_snapshot_file *ret)
{
    struct pb_reader reader = pb_reader_make(message);
    struct pb_field field;
    while (pb_next(&reader, &field)) {
        if (field.key == PB_BYTES(1) && !count_voters(field.bytes, &ret->voter_count)) {
            return false;
        }
        if (field.key == PB_VARINT(2)) {
            ret->index = field.value;
        } else if (field.key == PB_VARINT(3)) {
            ret->term = field.value;
        }
    }
    return !reader.failed;
}

int raft_snapshot_read(struct bytes file, struct raft_snapshot_file *ret, struct err *err)
{
    struct pb_reader reader = pb_reader_make(file);
    struct pb_field field;
    struct bytes data = {NULL, 0};
    uint64_t crc = 0;
    while (pb_next(&reader, &field)) { /* crc 1, data 2 */
        if (field.key == PB_VARINT(1)) {
            crc = field.value;
        } else if (field.key == PB_BYTES(2)) {
            data = field.bytes;
        }
    }
    if (reader.failed || data.size == 0 || crc32c(0, data.data, data.size) != crc) {
        return err_set(err, ERR_CORRUPT, "the checksum of the snapshot file is wrong");
    }
    struct raft_snapshot_file found = {0};
    reader = pb_reader_make(data);
    while (pb_next(&reader, &field)) { /* Snapshot: data 1, metadata 2 */
        if (field.key == PB_BYTES(2) && !read_metadata(field.bytes, &found)) {
            reader.failed = true;
            break;
        }
    }
    if (reader.failed || found.index == 0) {
        return err_set(err, ERR_CORRUPT, "the snapshot file has no position");
    }
    *ret = found;
    return 0;
}
