#include "proto/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_append(struct buf *out, struct bytes data)
{
    for (size_t i = 0; i < data.size; i += 3) {
        size_t left = data.size - i;
        uint32_t group = (uint32_t)data.data[i] << 16;
        group |= left > 1 ? (uint32_t)data.data[i + 1] << 8 : 0;
        group |= left > 2 ? data.data[i + 2] : 0;
        const char text[4] = {alphabet[group >> 18], alphabet[group >> 12 & 63],
                              left > 1 ? alphabet[group >> 6 & 63] : '=',
                              left > 2 ? alphabet[group & 63] : '='};
        buf_append(out, text, sizeof text);
    }
}

static int value_of(uint8_t c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    if (c == '+' || c == '-') {
        return 62;
    }
    return c == '/' || c == '_' ? 63 : -1;
}

bool base64_parse(struct bytes text, struct arena *arena, struct bytes *ret_data)
{
    size_t size = text.size;
    if (size % 4 == 0) {
        size -= size > 0 && text.data[size - 1] == '=';
        size -= size > 0 && size % 4 == 3 && text.data[size - 1] == '=';
    }
    if (size % 4 == 1) {
        return false;
    }
    uint8_t *data = arena_alloc(arena, size / 4 * 3 + 3);
    size_t used = 0;
    uint32_t group = 0;
    for (size_t i = 0; i < size; i++) {
        int value = value_of(text.data[i]);
        if (value < 0) {
            return false;
        }
        group = group << 6 | (uint32_t)value;
        if (i % 4 == 3) {
            data[used++] = (uint8_t)(group >> 16);
            data[used++] = (uint8_t)(group >> 8);
            data[used++] = (uint8_t)group;
        }
    }
    if (size % 4 >= 2) {
        group <<= size % 4 == 2 ? 12 : 6;
        data[used++] = (uint8_t)(group >> 16);
        if (size % 4 == 3) {
            data[used++] = (uint8_t)(group >> 8);
        }
    }
    *ret_data = bytes_make(data, used);
    return true;
}
