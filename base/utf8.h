/* utf8.h - is this text well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms)? */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/bytes.h"

/* Bytes of the well-formed character at the start of text (1 to 4), or 0 if there is none. */
static inline size_t utf8_character_size(struct bytes text)
{
    const uint8_t *p = text.data;
    if (text.size == 0) {
        return 0;
    }
    if (p[0] < 0x80) {
        return 1;
    }
    size_t size = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || text.size < size) {
        return 0;
    }
    for (size_t i = 1; i < size; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool is_overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool is_surrogate = p[0] == 0xed && p[1] >= 0xa0;
    bool is_beyond = p[0] == 0xf4 && p[1] >= 0x90;
    return is_overlong || is_surrogate || is_beyond ? 0 : size;
}

static inline bool utf8_is_valid(struct bytes text)
{
    while (text.size > 0) {
        size_t size = utf8_character_size(text);
        if (size == 0) {
            return false;
        }
        text.data += size;
        text.size -= size;
    }
    return true;
}

#endif
