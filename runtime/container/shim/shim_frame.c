#include "runtime/container/shim/shim_frame.h"

#include "runtime/container/shim.h"

int shim_frame_next(struct bytes received, struct bytes *ret_body)
{
    if (received.size < SHIM_FRAME_HEADER_SIZE) {
        return 0;
    }
    const uint8_t *p = received.data;
    uint32_t size = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    if (size > SHIM_FRAME_SIZE_MAX) {
        return ERR_TOO_LARGE;
    }
    if (received.size - SHIM_FRAME_HEADER_SIZE < size) {
        return 0;
    }
    *ret_body = bytes_make(p + SHIM_FRAME_HEADER_SIZE, size);
    return 1;
}

void shim_frame_append_header(struct buf *out, uint32_t size)
{
    const uint8_t header[SHIM_FRAME_HEADER_SIZE] = {(uint8_t)(size >> 24), (uint8_t)(size >> 16),
                                                    (uint8_t)(size >> 8), (uint8_t)size};
    buf_append(out, header, sizeof header);
}
