#include "kvstore/mvcc/request.h"

#include "base/pb.h"

/* An operation of two bytes on the wire takes a hundred here. */
enum { TXN_DECODED_BYTES_MAX = 64 << 20 };

static int finish(const struct pb_reader *reader)
{
    return reader->failed ? ERR_MALFORMED : 0;
}

int range_request_decode(struct bytes message, struct range_request *ret_request)
{
    struct range_request request = {0};
    struct pb_reader reader = pb_reader_make(message);
    struct pb_field field;
    while (pb_next(&reader, &field)) {
        switch (field.key) {
        case PB_BYTES(1):
            request.key = field.bytes;
            break;
        case PB_BYTES(2):
            request.range_end = field.bytes;
            break;
        case PB_VARINT(3):
            request.limit = (int64_t)field.value;
            break;
        case PB_VARINT(4):
            request.revision = (int64_t)field.value;
            break;
        case PB_VARINT(5):
            request.sort_order = (int32_t)field.value;
            break;
        case PB_VARINT(6):
            request.sort_target = (int32_t)field.value;
            break;
        case PB_VARINT(7):
            request.serializable = field.value != 0;
            break;
        case PB_VARINT(8):
            request.keys_only = field.value != 0;
            break;
        case PB_VARINT(9):
            request.count_only = field.value != 0;
            break;
        case PB_VARINT(10):
            request.min_mod_revision = (int64_t)field.value;
            break;
        case PB_VARINT(11):
            request.max_mod_revision = (int64_t)field.value;
            break;
        case PB_VARINT(12):
            request.min_create_revision = (int64_t)field.value;
            break;
        case PB_VARINT(13):
            request.max_create_revision = (int64_t)field.value;
            break;
        default:
            break;
        }
    }
    *ret_request = request;
    return finish(&reader);
}

int put_request_decode(struct bytes message, struct put_request *ret_request)
{
    struct put_request request = {0};
    struct pb_reader reader = pb_reader_make(message);
    struct pb_field field;
    while (pb_next(&reader, &field)) {
        switch (field.key) {
        case PB_BYTES(1):
            request.key = field.bytes;
            break;
        case PB_BYTES(2):
            request.value = field.bytes;
            break;
        case PB_VARINT(3):
            request.lease = (int64_t)field.value;
            break;
        case PB_VARINT(4):
            request.prev_kv = field.value != 0;
            break;
        case PB_VARINT(5):
            request.ignore_value = field.value != 0;
            break;
        case PB_VARINT(6):
            request.ignore_lease = field.value != 0;
            break;
        default:
            break;
        }
    }
    *ret_request = request;
    return finish(&reader);
}

int delete_request_decode(struct bytes message, struct delete_request *ret_request)
{
    struct delete_request request = {0};
    struct pb_reader reader = pb_reader_make(message);
    struct pb_field field;
    while (pb_next(&reader, &field)) {
        switch (field.key) {
        case PB_BYTES(1):
            request.key = field.bytes;
            break;
        case PB_BYTES(2):
            request.range_end = field.bytes;
            break;
        case PB_VARINT(3):
            request.prev_kv = field.value != 0;
            break;
        default:
            break;
        }
    }
    *ret_request = request;
    return finish(&reader);
}

static int compare_decode(struct bytes message, struct compare_request *ret_request)
{
    struct compare_request request = {0};
    struct pb_reader reader = pb_reader_make(message);
    struct pb_field field;
    while (pb_next(&reader, &field)) {
        switch (field.key) {
        case PB_VARINT(1):
            request.result = (int32_t)field.value;
            break;
        case PB_VARINT(2):
            request.target = (int32_t)field.value;
            break;
        case PB_BYTES(3):
            request.key = field.bytes;
            break;
        case PB_VARINT(4):
        case PB_VARINT(5):
        case PB_VARINT(6):
        case PB_VARINT(8):
            request.number = (int64_t)field.value;
            request.value = (struct bytes){NULL, 0}; /* one of them: the last one counts */
            break;
        case PB_BYTES(7):
            request.value = field.bytes;
            request.number = 0;
            break;
        case PB_BYTES(64):
            request.range_end = field.bytes;
            break;
        default:
            break;
        }
    }
    *ret_request = request;
    return finish(&reader);
}

static int txn_decode(struct bytes message, struct arena *arena, unsigned depth,
                      struct txn_request *ret_request);

static int op_decode(struct bytes message, struct arena *arena, unsigned depth,
                     struct txn_op *ret_op)
{
    struct pb_reader reader = pb_reader_make(message);
    struct pb_field field;
    struct txn_op op = {.kind = TXN_OP_NONE};
    int code = 0;
    while (code == 0 && pb_next(&reader, &field)) {
        switch (field.key) {
        case PB_BYTES(1):
            op.kind = TXN_OP_RANGE;
            code = range_request_decode(field.bytes, &op.range);
            break;
        case PB_BYTES(2):
            op.kind = TXN_OP_PUT;
            code = put_request_decode(field.bytes, &op.put);
            break;
        case PB_BYTES(3):
            op.kind = TXN_OP_DELETE;
            code = delete_request_decode(field.bytes, &op.delete_range);
            break;
        case PB_BYTES(4):
            op.kind = TXN_OP_TXN;
            op.txn = arena_alloc(arena, sizeof *op.txn);
            code = txn_decode(field.bytes, arena, depth + 1, op.txn);
            break;
        default:
            break;
        }
    }
    *ret_op = op;
    return code != 0 ? code : finish(&reader);
}

/* Count first, so that the arrays are made once. */
static int txn_allocate(struct bytes message, struct arena *arena, struct txn_request *request)
{
    uint32_t compares = 0;
    uint32_t successes = 0;
    uint32_t failures = 0;
    struct pb_reader reader = pb_reader_make(message);
    struct pb_field field;
    while (pb_next(&reader, &field)) {
        compares += field.key == PB_BYTES(1);
        successes += field.key == PB_BYTES(2);
        failures += field.key == PB_BYTES(3);
    }
    size_t bytes = compares * sizeof *request->compares +
                   ((size_t)successes + failures) * sizeof *request->success.ops;
    if (arena->total + bytes > TXN_DECODED_BYTES_MAX) {
        return ERR_TOO_LARGE;
    }
    request->compares = arena_alloc(arena, compares * sizeof *request->compares);
    request->success.ops = arena_alloc(arena, successes * sizeof *request->success.ops);
    request->failure.ops = arena_alloc(arena, failures * sizeof *request->failure.ops);
    return finish(&reader);
}

static int txn_decode(struct bytes message, struct arena *arena, unsigned depth,
                      struct txn_request *ret_request)
{
    if (depth > REQUEST_TXN_DEPTH_MAX) {
        return ERR_TOO_LARGE;
    }
    struct txn_request request = {0};
    int code = txn_allocate(message, arena, &request);
    struct pb_reader reader = pb_reader_make(message);
    struct pb_field field;
    while (code == 0 && pb_next(&reader, &field)) {
        switch (field.key) {
        case PB_BYTES(1):
            code = compare_decode(field.bytes, &request.compares[request.compare_count++]);
            break;
        case PB_BYTES(2):
            code =
                op_decode(field.bytes, arena, depth, &request.success.ops[request.success.count++]);
            break;
        case PB_BYTES(3):
            code =
                op_decode(field.bytes, arena, depth, &request.failure.ops[request.failure.count++]);
            break;
        default:
            break;
        }
    }
    *ret_request = request;
    return code;
}

int txn_request_decode(struct bytes message, struct arena *arena, struct txn_request *ret_request)
{
    return txn_decode(message, arena, 1, ret_request);
}

bool request_range(struct bytes key, struct bytes range_end, struct key_range *ret_range)
{
    if (range_end.size == 0) {
        return false;
    }
    bool is_unbounded = range_end.size == 1 && range_end.data[0] == 0;
    /* Key "\0" with end "\0" is everything: no key sorts before "\0". */
    *ret_range = (struct key_range){key, range_end, is_unbounded};
    return true;
}
