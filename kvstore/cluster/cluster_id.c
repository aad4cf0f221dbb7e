#include "kvstore/cluster/cluster_id.h"

#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

static uint64_t first_eight(struct bytes message)
{
    unsigned char digest[SHA_DIGEST_LENGTH];
    (void)SHA1(message.data, message.size, digest);
    uint64_t id = 0;
    for (unsigned i = 0; i < 8; i++) {
        id = id << 8 | digest[i];
    }
    return id;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

uint64_t cluster_member_id(const char *const *peer_urls, uint32_t count, const char *token,
                           uint64_t unix_seconds)
{
    const char **sorted = mem_reallocarray(NULL, count == 0 ? 1 : count, sizeof *sorted);
    memcpy(sorted, peer_urls, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare_texts);
    struct buf message = BUF_INIT;
    for (uint32_t i = 0; i < count; i++) {
        buf_append_text(&message, sorted[i]);
    }
    buf_append_text(&message, token);
    if (unix_seconds != 0) {
        buf_append_format(&message, "%llu", (unsigned long long)unix_seconds);
    }
    uint64_t id = first_eight(buf_bytes(&message));
    buf_deinit(&message);
    mem_free(sorted);
    return id;
}

uint64_t cluster_id_from_members(const uint64_t *member_ids, uint32_t count)
{
    uint64_t *sorted = mem_dup(member_ids, count * sizeof *member_ids);
    qsort(sorted, count, sizeof *sorted, compare_ids);
    struct buf message = BUF_INIT;
    for (uint32_t i = 0; i < count; i++) {
        for (unsigned shift = 0; shift < 64; shift += 8) {
            buf_append_u8(&message, (uint8_t)(sorted[i] >> (56 - shift)));
        }
    }
    uint64_t id = first_eight(buf_bytes(&message));
    buf_deinit(&message);
    mem_free(sorted);
    return id;
}
