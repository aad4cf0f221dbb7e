/* registry.h - one repository of a registry (distribution-spec 1.1), over libcurl.
 *
 * TLS always, but for registries on this machine (localhost, 127.0.0.0/8), those that
 * $CORACLE_INSECURE_REGISTRIES lists (comma separated), or when asked. The login goes to the host
 * it belongs to only: not along with redirects. */
#ifndef RUNTIME_IMAGE_REGISTRY_H
#define RUNTIME_IMAGE_REGISTRY_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "runtime/image/credentials.h"
#include "runtime/image/reference.h"

struct registry {
    CURL *curl;
    char host[REFERENCE_NAME_MAX + 32]; /* that is connected to */
    char path[REFERENCE_NAME_MAX + 1];  /* repository */
    char base[REFERENCE_NAME_MAX + 64]; /* "https://host" */
    bool may_be_plain;                  /* http is acceptable */
    bool pushes;
    struct credentials credentials;
    char *authorization; /* "Authorization: …" for requests, or NULL */
};

struct registry_reply {
    long status;
    struct buf body;
    char content_type[256];
    char location[4096];
    char digest[REFERENCE_DIGEST_MAX + 1];
    char authenticate[2048];
};

/* What a request sends: bytes, or size bytes of a file. */
struct registry_body {
    struct bytes bytes;
    int fd; /* -1: the bytes */
    int64_t size;
    int64_t sent;
    const char *content_type;
    void (*progress)(void *context, int64_t done);
    void *context;
};

MUST_USE int registry_open(struct registry *registry, const struct reference *reference,
                           bool pushes, bool is_insecure, struct err *err);
void registry_close(struct registry *registry);

/* path: after "/v2/<repository>", or an absolute URL (of a Location). Logs in when the registry
 * asks for it. Any answer is a success here: look at reply->status. body may be NULL. */
MUST_USE int registry_request(struct registry *registry, const char *method, const char *path,
                              const char *accept, struct registry_body *body, size_t reply_size_max,
                              struct registry_reply *reply, struct err *err);
void registry_reply_deinit(struct registry_reply *reply);

/* The error text of an answer (errors[0].message, or the status). Returns the code to return. */
int registry_fail(const struct registry *registry, const struct registry_reply *reply,
                  const char *what, struct err *err);

/* The URL of a blob; out holds 1024. */
void registry_blob_url(const struct registry *registry, const char *digest, char *out);
/* Options that every transfer of this registry has; the caller frees *ret_headers. */
void registry_set_up(const struct registry *registry, CURL *curl, const char *accept,
                     struct curl_slist **ret_headers);

static inline void cleanup_registry(struct registry *registry)
{
    registry_close(registry);
}
static inline void cleanup_registry_reply(struct registry_reply *reply)
{
    registry_reply_deinit(reply);
}

#endif
