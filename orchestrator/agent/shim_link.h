/* shim_link.h - one connection to a kvshim (runtime/container/shim.proto), without blocking. */
#ifndef ORCHESTRATOR_AGENT_SHIM_LINK_H
#define ORCHESTRATOR_AGENT_SHIM_LINK_H

#include <uv.h>

#include "base/bytes.h"
#include "base/err.h"
#include "shim.pb-c.h"

struct shim_link;

struct shim_link_events {
    /* What was sent before this is on its way. May be NULL. */
    void (*on_connected)(void *context);
    /* Borrowed; reply->id is that of its request. */
    void (*on_reply)(void *context, const Coracle__Shim__ShimReply *reply);
    /* Everything that was sent has been taken. May be NULL. */
    void (*on_drained)(void *context);
    /* No shim there, or the connection ended: 0 or -errno. The link is gone when this returns. */
    void (*on_end)(void *context, int code);
};

/* Callbacks come from the loop, never inside this call. */
struct shim_link *shim_link_open(uv_loop_t *loop, const char *path,
                                 const struct shim_link_events *events, void *context);
/* on_end is not called. NULL is fine. */
void shim_link_close(struct shim_link *link);

/* Fill in everything but the id, which is returned. Before it is connected, requests wait. */
uint64_t shim_link_send(struct shim_link *link, Coracle__Shim__ShimRequest *request);
uint64_t shim_link_kill(struct shim_link *link, int signal, bool is_all);
uint64_t shim_link_input(struct shim_link *link, struct bytes data);
/* Read no more for now; what is sent goes on. */
void shim_link_pause(struct shim_link *link, bool is_paused);
/* Bytes that the shim has not taken yet. */
size_t shim_link_queued(const struct shim_link *link);

#endif
