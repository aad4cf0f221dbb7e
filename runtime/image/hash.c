#include "runtime/image/hash.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

struct hash {
    EVP_MD_CTX *context;
};

struct hash *hash_new(void)
{
    struct hash *hash = mem_alloc(sizeof(*hash));
    hash->context = EVP_MD_CTX_new();
    CHECK(hash->context != NULL);
    CHECK(EVP_DigestInit_ex(hash->context, EVP_sha256(), NULL) == 1);
    return hash;
}

void hash_free(struct hash *hash)
{
    if (hash != NULL) {
        EVP_MD_CTX_free(hash->context);
        mem_free(hash);
    }
}

void hash_update(struct hash *hash, struct bytes bytes)
{
    CHECK(EVP_DigestUpdate(hash->context, bytes.data, bytes.size) == 1);
}

void hash_finish(struct hash *hash, char *out)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    CHECK(EVP_DigestFinal_ex(hash->context, sum, &size) == 1);
    int at = snprintf(out, REFERENCE_DIGEST_MAX + 1, "sha256:");
    for (unsigned i = 0; i < size; i++) {
        at += snprintf(out + at, (size_t)(REFERENCE_DIGEST_MAX + 1 - at), "%02x", sum[i]);
    }
}

void hash_bytes(struct bytes bytes, char *out)
{
    struct hash *hash = hash_new();
    hash_update(hash, bytes);
    hash_finish(hash, out);
    hash_free(hash);
}

void hash_chain(const char *parent, const char *diff_id, char *out)
{
    if (parent == NULL) {
        memmove(out, diff_id, strlen(diff_id) + 1);
        return;
    }
    char text[2 * REFERENCE_DIGEST_MAX + 2];
    int size = snprintf(text, sizeof(text), "%s %s", parent, diff_id);
    CHECK(size > 0 && (size_t)size < sizeof(text));
    hash_bytes(bytes_make(text, (size_t)size), out);
}
