/* dialer.h - one outgoing connection: resolve, connect, TLS, HTTP/2. The only place, with
 * proto/listener.h, that knows sockets. */
#ifndef PROTO_DIALER_H
#define PROTO_DIALER_H

#include "proto/connection.h"
#include "proto/wire_loop.h"

struct dialer;

/* Texts are copied. */
struct dialer_options {
    const char *host; /* an address is used as it is, a name is resolved */
    uint16_t port;
    const char *unix_path;     /* instead of host and port */
    const char *local_address; /* to connect from; NULL: any. Not copied: outlives the dialer */
    struct tls_context *tls;   /* NULL: plaintext; a reference is taken */
    struct http_limits limits;
    uint32_t connect_timeout_ms; /* until established; 0: 5 s */
    /* The peer's SETTINGS have come; requests can be made on connection until on_end. */
    void (*on_established)(void *context, struct connection *connection);
    /* Exactly once unless dialer_close was called first: no connection (any more). Exchanges on it
     * are closed. code 0 for an orderly end. The dialer is gone when this returns. */
    void (*on_end)(void *context, int code, const char *reason);
    void *context;
};

/* Callbacks come from the loop, never inside this call. */
struct dialer *dialer_open(struct wire_loop *wire, const struct dialer_options *options);
/* Close the connection at once, exchanges with it; on_end is not called. */
void dialer_close(struct dialer *dialer);

#endif
