/* tls.h - TLS as a filter: ciphertext in, plaintext out, and back. No sockets, no clock but
 * OpenSSL's own for certificate validity.
 *
 * TLS 1.2 (AEAD suites only) and 1.3; no renegotiation, no compression, no session resumption, so a
 * revoked certificate is out at the next connection. ALPN offers and accepts h2 and http/1.1.
 *
 * A context and its sessions belong to one thread: each loop has a context of its own. */
#ifndef PROTO_TLS_H
#define PROTO_TLS_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "proto/http.h"

struct tls_context;
struct tls_session;

enum tls_version { TLS_VERSION_DEFAULT = 0, TLS_VERSION_1_2 = 12, TLS_VERSION_1_3 = 13 };

/* Texts are copied. Files are PEM and read in tls_context_new and at each reload. */
struct tls_options {
    enum http_role role;
    const char *certificate_file; /* a chain; a server must have one */
    const char *key_file;
    const char *ca_file; /* whom to trust; NULL: a client uses the system's, a server asks nobody */
    const char *crl_file;     /* PEM or DER; revoked certificates are refused; NULL: none */
    bool require_certificate; /* server: client certificates must verify against ca_file */
    bool skip_verify;         /* client: any server certificate will do */
    const char *server_name;  /* client: name or address to verify and send as SNI, NULL: the
                                 session's */
    const char *const
        *allowed_common_names;             /* NULL-terminated; NULL: any. Checked after the chain */
    const char *const *allowed_host_names; /* SAN names of the peer, one must match */
    bool check_remote; /* server: a certificate for addresses is good from these only */
    enum tls_version version_min;
    enum tls_version version_max;
    const char *cipher_suites; /* OpenSSL names with ':', TLS 1.2; NULL: the default */
    bool only_http1;           /* offer http/1.1 alone */
};

/* err names the file and OpenSSL's reason. ERR_INVALID for options that contradict each other. */
struct tls_context *tls_context_new(const struct tls_options *options, struct err *err);
struct tls_context *tls_context_ref(struct tls_context *context);
void tls_context_unref(struct tls_context *context);

/* Read all files again; on any error (half-written, key does not match) the old state stays in use.
 * Sessions that exist keep what they began with. */
MUST_USE int tls_context_reload(struct tls_context *context, struct err *err);
/* The same if a file's inode, size or modification time changed since it was read: 1 reloaded, 0
 * unchanged, negative on error (and not tried again until a file changes once more). */
MUST_USE int tls_context_reload_if_changed(struct tls_context *context, struct err *err);

/* The verified certificate of the other side. */
struct tls_peer {
    char *common_name; /* "" if it has none */
    char **names;      /* subject alternative names: DNS, IP (as text), URI; NULL-terminated */
    char *subject;     /* RFC 2253 text, for logs */
};

/* name: for a client, what to verify if the context has no server_name; may be NULL. */
struct tls_session *tls_session_new(struct tls_context *context, const char *name);
void tls_session_free(struct tls_session *session);

/* Server: where the client is ("127.0.0.1:4711"), for check_remote. */
void tls_session_set_remote(struct tls_session *session, const char *address);

/* Ciphertext from the wire; plaintext is appended to *plain. 0, ERR_CLOSED after the peer's
 * close_notify (plain may hold the last bytes), ERR_PROTOCOL or ERR_DENIED (a certificate was
 * refused) with a text such as "certificate has expired". Answers and alerts go to the output. */
MUST_USE int tls_session_receive(struct tls_session *session, struct bytes cipher,
                                 struct buf *plain, struct err *err);
/* Plaintext to send, after the handshake only. */
MUST_USE int tls_session_send(struct tls_session *session, struct bytes plain, struct err *err);
/* Client: begin. Server: nothing to do. */
MUST_USE int tls_session_start(struct tls_session *session, struct err *err);
void tls_session_shutdown(struct tls_session *session); /* queues close_notify */
/* Ciphertext waiting to be written; consume what was. */
struct buf *tls_session_output(struct tls_session *session);

bool tls_session_is_established(const struct tls_session *session);
bool tls_session_is_h2(const struct tls_session *session); /* by ALPN */
bool tls_session_has_alpn(const struct tls_session *session);
const struct tls_peer *tls_session_peer(const struct tls_session *session); /* NULL: none */
const char *tls_session_version(const struct tls_session *session);         /* "TLSv1.3" */

#endif
