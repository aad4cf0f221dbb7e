#include "base/byte_order.h"
#include "base/check.h"
#include "kvstore/server/peers.h"

enum { FRAME_HEAD_BYTES = 5, HELLO_VERSION = 1, HELLO_BYTES = 41 };

void peer_hello_encode(struct buf *out, const struct peer_hello *hello)
{
    static const uint8_t head[] = {HELLO_BYTES, 0, 0, 0, PEER_FRAME_HELLO, HELLO_VERSION};
    buf_append(out, head, sizeof head);
    append_le(out, hello->cluster_id, 8);
    append_le(out, hello->from, 8);
    append_le(out, hello->to, 8);
    append_le(out, hello->log_id, 8);
    append_le(out, hello->incarnation, 8);
}

int peer_hello_decode(struct bytes payload, struct peer_hello *ret)
{
    if (payload.size < HELLO_BYTES || payload.data[0] != HELLO_VERSION) {
        return ERR_MALFORMED;
    }
    *ret = (struct peer_hello){.cluster_id = load_le(payload.data + 1, 8),
                               .from = load_le(payload.data + 9, 8),
                               .to = load_le(payload.data + 17, 8),
                               .log_id = load_le(payload.data + 25, 8),
                               .incarnation = load_le(payload.data + 33, 8)};
    return 0;
}

int peer_frame_next(struct bytes *input, enum peer_frame *ret_kind, struct bytes *ret_payload)
{
    if (input->size < FRAME_HEAD_BYTES) {
        return ERR_MALFORMED;
    }
    const uint8_t *data = input->data;
    size_t size =
        (size_t)data[0] | (size_t)data[1] << 8 | (size_t)data[2] << 16 | (size_t)data[3] << 24;
    if (size > input->size - FRAME_HEAD_BYTES || data[4] < PEER_FRAME_HELLO ||
        data[4] > PEER_FRAME_PONG) {
        return ERR_MALFORMED;
    }
    *ret_kind = (enum peer_frame)data[4];
    *ret_payload = bytes_make(data + FRAME_HEAD_BYTES, size);
    *input = bytes_make(data + FRAME_HEAD_BYTES + size, input->size - FRAME_HEAD_BYTES - size);
    return 0;
}

void peer_frame_append(struct buf *out, enum peer_frame kind, struct bytes payload)
{
    CHECK(payload.size <= UINT32_MAX);
    const uint8_t head[FRAME_HEAD_BYTES] = {(uint8_t)payload.size, (uint8_t)(payload.size >> 8),
                                            (uint8_t)(payload.size >> 16),
                                            (uint8_t)(payload.size >> 24), (uint8_t)kind};
    buf_append(out, head, sizeof head);
    buf_append_bytes(out, payload);
}
