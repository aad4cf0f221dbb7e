#include "orchestrator/apiserver/token.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "base/buf.h"
#include "orchestrator/objects/base64.h"
#include "orchestrator/objects/tree.h"

enum { SIGNATURE_SIZE = 32 };

static void sign(struct bytes text, struct bytes key, uint8_t signature[SIGNATURE_SIZE])
{
    unsigned size = SIGNATURE_SIZE;
    (void)HMAC(EVP_sha256(), key.data, (int)key.size, text.data, text.size, signature, &size);
}

char *token_sign(const json_t *claims, struct bytes key)
{
    CLEANUP(free) char *json = json_dumps(claims, JSON_COMPACT);
    CLEANUP(free)
    char *header = base64_encode_url(BYTES_LITERAL("{\"alg\":\"HS256\",\"typ\":\"JWT\"}"));
    CLEANUP(free) char *body = base64_encode_url(bytes_from_text(json));
    CLEANUP(free) char *text = mem_printf("%s.%s", header, body);
    uint8_t signature[SIGNATURE_SIZE];
    sign(bytes_from_text(text), key, signature);
    CLEANUP(free) char *encoded = base64_encode_url(bytes_make(signature, sizeof(signature)));
    return mem_printf("%s.%s", text, encoded);
}

int token_verify(const char *token, struct bytes key, json_t **ret_claims)
{
    const char *first = strchr(token, '.');
    const char *second = first == NULL ? NULL : strchr(first + 1, '.');
    if (second == NULL || strchr(second + 1, '.') != NULL) {
        return ERR_MALFORMED;
    }
    uint8_t expected[SIGNATURE_SIZE];
    CLEANUP(buf) struct buf signature = BUF_INIT;
    sign(bytes_make(token, (size_t)(second - token)), key, expected);
    if (base64_decode(second + 1, &signature) != 0 || buf_size(&signature) != SIGNATURE_SIZE) {
        return ERR_MALFORMED;
    }
    if (CRYPTO_memcmp(buf_bytes(&signature).data, expected, SIGNATURE_SIZE) != 0) {
        return ERR_DENIED;
    }
    CLEANUP(free) char *body = mem_printf("%.*s", (int)(second - first - 1), first + 1);
    CLEANUP(buf) struct buf decoded = BUF_INIT;
    if (base64_decode(body, &decoded) != 0) {
        return ERR_MALFORMED;
    }
    json_t *claims =
        json_loadb((const char *)buf_bytes(&decoded).data, buf_size(&decoded), 0, NULL);
    if (claims == NULL) {
        return ERR_MALFORMED;
    }
    *ret_claims = claims;
    return 0;
}
