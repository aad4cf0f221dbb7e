#include "kvstore/server/http_access.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/json_text.h"
#include "kvstore/auth/auth.h"

/* Is value, or "*", in a list with commas? An empty list allows everything. */
static bool list_allows(const char *list, struct bytes value)
{
    if (list[0] == 0) {
        return true;
    }
    while (list[0] != 0) {
        size_t size = strcspn(list, ",");
        struct bytes item = bytes_make(list, size);
        if (bytes_equal(item, value) || bytes_equal(item, BYTES_LITERAL("*"))) {
            return true;
        }
        list += size + (list[size] == ',');
    }
    return false;
}

/* "host:port", "[::1]:port" and "host" without their port and brackets. */
static struct bytes host_of(struct bytes authority)
{
    size_t size = authority.size;
    if (size > 0 && authority.data[0] == '[') {
        const uint8_t *end = memchr(authority.data, ']', size);
        return end == NULL ? authority
                           : bytes_make(authority.data + 1, (size_t)(end - authority.data) - 1);
    }
    const uint8_t *colon = size == 0 ? NULL : memchr(authority.data, ':', size);
    return colon == NULL ? authority : bytes_make(authority.data, (size_t)(colon - authority.data));
}

static void refuse_host(struct http_exchange *x, struct bytes host)
{
    CLEANUP(buf) struct buf body = BUF_INIT;
    buf_append_text(&body, "\netcd received your request, but the Host header was unrecognized.\n\n"
                           "To fix this, choose one of the following options:\n"
                           "- Enable TLS, then any HTTPS request will be allowed.\n"
                           "- Add the hostname you want to use to the whitelist in settings.\n"
                           "  - e.g. etcd --host-whitelist ");
    json_text_append_quoted(&body, host);
    buf_append_text(&body, "\n\nThis requirement has been added to help prevent \"DNS Rebinding\" "
                           "attacks (CVE-2018-5702).\n\n");
    http_exchange_reply(x, 421, "text/plain; charset=utf-8", buf_bytes(&body));
}

/* With users, a certificate's name counts for gRPC and never for the gateway: who sends one is told
 * instead of being taken for nobody. */
static bool refuse_named(const struct http_service *http, struct http_exchange *x)
{
    struct kv *kv = node_kv(core_node(http->service->core));
    bool is_named = http->service->auth.trusts_certificates && x->peer != NULL &&
                    x->peer->tls != NULL && x->peer->tls->common_name[0] != 0;
    if (!is_named || !auth_is_enabled(kv_auth(kv)) ||
        !bytes_has_prefix(x->path, BYTES_LITERAL("/v3/"))) {
        return false;
    }
    http_exchange_reply(x, 400, "text/plain; charset=utf-8",
                        BYTES_LITERAL("CommonName of client sending a request against gateway will "
                                      "be ignored and not used as expected\n"));
    return true;
}

static void add_cors(const struct http_service *http, struct http_exchange *x)
{
    struct bytes origin = http_headers_value(&x->headers, "origin");
    if (list_allows(http->cors, BYTES_LITERAL("*"))) {
        origin = BYTES_LITERAL("*");
    } else if (origin.size == 0 || !list_allows(http->cors, origin)) {
        return;
    }
    http_exchange_add_answer_header(x, "access-control-allow-methods",
                                    BYTES_LITERAL("POST, GET, OPTIONS, PUT, DELETE"));
    http_exchange_add_answer_header(x, "access-control-allow-origin", origin);
    http_exchange_add_answer_header(x, "access-control-allow-headers",
                                    BYTES_LITERAL("accept, content-type, authorization"));
}

/* "/v3beta/x" and "/v3alpha/x", of clients of etcd 3.2 and 3.3, are "/v3/x". */
static void rename_path(struct http_exchange *x)
{
    static const struct bytes old[] = {
        {(const uint8_t *)"/v3beta/", sizeof "/v3beta/" - 1},
        {(const uint8_t *)"/v3alpha/", sizeof "/v3alpha/" - 1},
    };
    for (size_t i = 0; i < sizeof old / sizeof old[0]; i++) {
        if (bytes_has_prefix(x->path, old[i])) {
            x->path = bytes_from_text(arena_printf(&x->arena, "/v3/%.*s",
                                                   (int)(x->path.size - old[i].size),
                                                   (const char *)x->path.data + old[i].size));
            return;
        }
    }
}

bool http_access_try_answer(const struct http_service *http, struct http_exchange *x)
{
    struct bytes host = host_of(x->authority);
    bool is_tls = x->peer != NULL && x->peer->is_tls;
    if (!is_tls && !list_allows(http->host_whitelist, host)) {
        refuse_host(x, host);
        return true;
    }
    rename_path(x);
    if (refuse_named(http, x)) {
        return true;
    }
    add_cors(http, x);
    if (bytes_equal(x->method, BYTES_LITERAL("OPTIONS"))) {
        http_exchange_reply(x, 200, "text/plain; charset=utf-8", bytes_make(NULL, 0));
        return true;
    }
    return false;
}
