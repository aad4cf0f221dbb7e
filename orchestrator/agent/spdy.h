/* spdy.h - the server's side of SPDY/3.1 as port-forward uses it: bytes in, streams and data out.
 * Pure; the transport is a WebSocket.
 *
 * draft-mbelshe-httpbis-spdy-00 sections 2.2, 2.6. Windows are not used: kubectl's library ignores
 * them. */
#ifndef ORCHESTRATOR_AGENT_SPDY_H
#define ORCHESTRATOR_AGENT_SPDY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct spdy;

enum { SPDY_FRAME_BYTES_MAX = 1 << 20, SPDY_HEADER_BYTES_MAX = 16 * 1024 };

/* headers: {"name":"value"}; borrowed. A callback may send. */
struct spdy_events {
    void (*on_stream)(void *context, uint32_t id, const json_t *headers, bool is_end);
    void (*on_data)(void *context, uint32_t id, struct bytes data, bool is_end);
    void (*on_reset)(void *context, uint32_t id);
};

struct spdy *spdy_new(const struct spdy_events *events, void *context);
void spdy_free(struct spdy *spdy);

/* ERR_PROTOCOL or ERR_TOO_LARGE: the connection is to be closed. */
MUST_USE int spdy_receive(struct spdy *spdy, struct bytes data);
/* What is to be written; the caller consumes it. */
struct buf *spdy_output(struct spdy *spdy);

void spdy_reply(struct spdy *spdy, uint32_t id); /* SYN_REPLY without fields */
void spdy_send(struct spdy *spdy, uint32_t id, struct bytes data, bool is_end);
void spdy_reset(struct spdy *spdy, uint32_t id);

#endif
