#include "base/crc32c.h"

#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t hardware(uint32_t crc, const uint8_t *data,
                                                           size_t size)
{
    uint64_t state = crc;
    for (; size >= 8; data += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, data, 8);
        state = _mm_crc32_u64(state, word);
    }
    uint32_t tail = (uint32_t)state;
    for (; size > 0; data++, size--) {
        tail = _mm_crc32_u8(tail, *data);
    }
    return tail;
}
#endif

static uint32_t software(uint32_t crc, const uint8_t *data, size_t size)
{
    const uint32_t polynomial = 0x82f63b78U; /* reflected */
    for (; size > 0; data++, size--) {
        crc ^= *data;
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ ((crc & 1U) != 0 ? polynomial : 0U);
        }
    }
    return crc;
}

uint32_t crc32c(uint32_t crc, const void *data, size_t size)
{
    crc = ~crc;
#if defined(__x86_64__)
    crc = __builtin_cpu_supports("sse4.2") ? hardware(crc, data, size) : software(crc, data, size);
#else
    crc = software(crc, data, size);
#endif
    return ~crc;
}
