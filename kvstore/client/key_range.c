#include "kvstore/client/key_range.h"

void key_range_append_prefix_end(struct buf *out, struct bytes prefix)
{
    size_t size = prefix.size;
    while (size > 0 && prefix.data[size - 1] == 0xff) {
        size -= 1;
    }
    if (size == 0) {
        buf_append_u8(out, 0);
        return;
    }
    buf_append(out, prefix.data, size - 1);
    buf_append_u8(out, (uint8_t)(prefix.data[size - 1] + 1));
}
