/* Log entries: etcdserverpb.InternalRaftRequest by splicing. */
#include "base/check.h"
#include "base/pb.h"
#include "kvstore/state/kv.h"

enum {
    ENTRY_FIELD_HEADER = 100,
    HEADER_FIELD_ID = 1,
    HEADER_FIELD_USERNAME = 2,
    HEADER_FIELD_AUTH_REVISION = 3
};

void kv_entry_encode(struct buf *out, const struct kv_entry_header *header, enum kv_op op,
                     struct bytes request)
{
    CHECK(op < KV_OP_RANGE_STREAM);
    size_t mark = pb_begin_message(out, ENTRY_FIELD_HEADER);
    pb_put_u64(out, HEADER_FIELD_ID, header->request_id);
    pb_put_bytes(out, HEADER_FIELD_USERNAME, header->username);
    pb_put_u64(out, HEADER_FIELD_AUTH_REVISION, header->auth_revision);
    pb_end_message(out, mark);
    if (op != KV_OP_NONE) {
        pb_put_message(out, (uint32_t)op, request);
    }
}

static int decode_header(struct bytes message, struct kv_entry_header *header)
{
    struct pb_reader reader = pb_reader_make(message);
    struct pb_field field;
    while (pb_next(&reader, &field)) {
        switch (field.key) {
        case PB_VARINT(HEADER_FIELD_ID):
            header->request_id = field.value;
            break;
        case PB_BYTES(HEADER_FIELD_USERNAME):
            header->username = field.bytes;
            break;
        case PB_VARINT(HEADER_FIELD_AUTH_REVISION):
            header->auth_revision = field.value;
            break;
        default:
            break;
        }
    }
    return reader.failed ? ERR_MALFORMED : 0;
}

int kv_entry_decode(struct bytes entry, struct kv_entry_header *ret_header, enum kv_op *ret_op,
                    struct bytes *ret_request)
{
    struct kv_entry_header header = {0};
    enum kv_op op = KV_OP_NONE;
    struct bytes request = {NULL, 0};
    struct pb_reader reader = pb_reader_make(entry);
    struct pb_field field;
    while (pb_next(&reader, &field)) {
        if (field.key == PB_BYTES(ENTRY_FIELD_HEADER)) {
            int code = decode_header(field.bytes, &header);
            if (code != 0) {
                return code;
            }
        } else if ((field.key & 7) == PB_TYPE_BYTES) {
            if (op != KV_OP_NONE) {
                return ERR_MALFORMED; /* one entry, one operation */
            }
            op = (enum kv_op)(field.key >> 3);
            request = field.bytes;
        }
    }
    if (reader.failed) {
        return ERR_MALFORMED;
    }
    *ret_header = header;
    *ret_op = op;
    *ret_request = request;
    return 0;
}
