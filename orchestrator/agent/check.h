/* check.h - one exec, httpGet, tcpSocket, grpc or sleep handler of a probe or hook. */
#ifndef ORCHESTRATOR_AGENT_CHECK_H
#define ORCHESTRATOR_AGENT_CHECK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/wire_loop.h"

struct check_options {
    struct wire_loop *wire;
    const char *host; /* an address */
    uint64_t timeout_ms;
    /* Exactly once, from the loop. output says what was wrong, or is what was printed. */
    void (*done)(void *context, bool is_success, const char *output);
    void *context;
};

/* process is the OCI process object; NULL: it fails. socket is the shim's. */
void check_exec(const struct check_options *options, const char *socket, const json_t *process);
/* http is an HTTPGetAction; 200 to 399 is success. */
void check_http(const struct check_options *options, int port, const json_t *http);
void check_tcp(const struct check_options *options, int port);
/* grpc.health.v1.Health/Check, plaintext. */
void check_grpc(const struct check_options *options, int port, const char *service);
void check_sleep(const struct check_options *options, int64_t duration_ms);

#endif
