/* server.h - the sockets of the DNS: UDP, and TCP for answers that are too large for it. */
#ifndef ORCHESTRATOR_DNS_SERVER_H
#define ORCHESTRATOR_DNS_SERVER_H

#include <uv.h>

#include "base/list.h"
#include "orchestrator/dns/forwarder.h"
#include "orchestrator/dns/zone.h"

enum { DNS_CONNECTIONS_MAX = 256, DNS_CONNECTION_IDLE_MS = 10 * 1000 };

struct dns_server {
    uv_loop_t *loop;
    struct zone *zone;           /* borrowed */
    struct forwarder *forwarder; /* borrowed */
    bool is_ready;               /* the zone is complete; before, everything fails softly */
    uv_udp_t udp;
    uv_tcp_t tcp;
    struct list connections;
    size_t connection_count;
    uint8_t datagram[DNS_TCP_SIZE_MAX];
};

/* address: "10.0.0.1:53". err says which socket could not be opened. */
MUST_USE int dns_server_open(struct dns_server *server, uv_loop_t *loop, const char *address,
                             struct err *err);
void dns_server_close(struct dns_server *server);

#endif
