/* forwarder.h - questions that are not ours, passed on to upstream servers.
 *
 * Each question has a socket of its own (so its port is as unpredictable as its number), at most
 * FORWARDS_MAX are under way, each ends after FORWARD_TRIES_MAX tries. */
#ifndef ORCHESTRATOR_DNS_FORWARDER_H
#define ORCHESTRATOR_DNS_FORWARDER_H

#include <netinet/in.h>
#include <uv.h>

#include "base/bytes.h"
#include "base/err.h"

enum { UPSTREAMS_MAX = 8, FORWARDS_MAX = 512, FORWARD_TRY_MS = 1500, FORWARD_TRIES_MAX = 3 };

struct forwarder {
    uv_loop_t *loop;
    struct sockaddr_storage upstreams[UPSTREAMS_MAX];
    size_t upstream_count;
    size_t under_way;
};

/* text: addresses with optional ports, joined by commas; NULL: the name servers of resolv_conf, if
 * it can be read. None at all is fine: every question fails then. */
MUST_USE int forwarder_init(struct forwarder *forwarder, uv_loop_t *loop, const char *text,
                            const char *resolv_conf, struct err *err);

/* answer is empty when there was none. */
typedef void forward_done(void *context, struct bytes answer);
/* The question is copied. done runs exactly once, never inside this call, unless false is returned:
 * there is no upstream, or too much is under way. */
bool forwarder_ask(struct forwarder *forwarder, struct bytes question, bool by_tcp,
                   forward_done *done, void *context);

#endif
