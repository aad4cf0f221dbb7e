#include "orchestrator/objects/base64.h"

#include <string.h>

#include "base/mem.h"

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static char *encode(struct bytes data, const char *alphabet, bool is_padded)
{
    char *text = mem_alloc((data.size + 2) / 3 * 4 + 1);
    size_t at = 0;
    for (size_t i = 0; i < data.size; i += 3) {
        size_t left = data.size - i;
        uint32_t group = (uint32_t)data.data[i] << 16;
        group |= left > 1 ? (uint32_t)data.data[i + 1] << 8 : 0;
        group |= left > 2 ? (uint32_t)data.data[i + 2] : 0;
        for (size_t k = 0; k < 4; k++) {
            if (k <= left) {
                text[at++] = alphabet[(group >> (18 - 6 * k)) & 63];
            } else if (is_padded) {
                text[at++] = '=';
            }
        }
    }
    text[at] = '\0';
    return text;
}

char *base64_encode(struct bytes data)
{
    return encode(data, standard, true);
}

char *base64_encode_url(struct bytes data)
{
    return encode(data, url_safe, false);
}

static int digit_value(char c)
{
    const char *found = strchr(standard, c);
    if (found == NULL || c == '\0') {
        found = c == '\0' ? NULL : strchr(url_safe, c);
        return found == NULL ? -1 : (int)(found - url_safe);
    }
    return (int)(found - standard);
}

int base64_decode(const char *text, struct buf *out)
{
    size_t size = strlen(text);
    while (size > 0 && (text[size - 1] == '\n' || text[size - 1] == '\r')) {
        size--;
    }
    size_t padding = 0;
    while (size > 0 && padding < 2 && text[size - 1] == '=') {
        size--;
        padding++;
    }
    if (size % 4 == 1) {
        return ERR_MALFORMED;
    }
    uint32_t bits = 0;
    int count = 0;
    size_t before = buf_size(out);
    for (size_t i = 0; i < size; i++) {
        int value = digit_value(text[i]);
        if (value < 0) {
            buf_truncate(out, before);
            return ERR_MALFORMED;
        }
        bits = bits << 6 | (uint32_t)value;
        count += 6;
        if (count >= 8) {
            count -= 8;
            buf_append_u8(out, (uint8_t)(bits >> count));
        }
    }
    return 0;
}
