/* shim_client.h - talking to a kvshim (runtime/container/shim.proto). */
#ifndef RUNTIME_WORDS_SHIM_CLIENT_H
#define RUNTIME_WORDS_SHIM_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "shim.pb-c.h"

struct shim_client {
    int fd;
    uint64_t last_id;
    struct buf input; /* bytes of frames that are not complete yet */
};

/* -ECONNREFUSED or -ENOENT: no shim lives there. */
MUST_USE int shim_client_open(struct shim_client *client, const char *path, struct err *err);
void shim_client_close(struct shim_client *client);

/* Fill in everything of the request but its id. */
MUST_USE int shim_client_send(struct shim_client *client, Coracle__Shim__ShimRequest *request,
                              struct err *err);
/* Wait for the next reply, timeout_ms < 0: for ever. ERR_TIMEOUT, ERR_CLOSED. The caller frees it
 * with coracle__shim__shim_reply__free_unpacked. An error reply is returned as a reply. */
MUST_USE int shim_client_receive(struct shim_client *client, int timeout_ms,
                                 Coracle__Shim__ShimReply **ret, struct err *err);
/* Send and wait; an error reply becomes *err. *ret may be NULL if the result does not matter. */
MUST_USE int shim_client_call(struct shim_client *client, Coracle__Shim__ShimRequest *request,
                              Coracle__Shim__ShimReply **ret, struct err *err);

/* The calls without results. */
MUST_USE int shim_client_start(struct shim_client *client, struct err *err);
MUST_USE int shim_client_kill(struct shim_client *client, int signal, bool is_all,
                              const char *exec_id, struct err *err);
MUST_USE int shim_client_resize(struct shim_client *client, const char *exec_id, unsigned width,
                                unsigned height, struct err *err);
MUST_USE int shim_client_pause(struct shim_client *client, bool is_resume, struct err *err);
/* resources: JSON of the specification's linux.resources. */
MUST_USE int shim_client_update(struct shim_client *client, const char *resources, struct err *err);
MUST_USE int shim_client_delete(struct shim_client *client, bool is_forced, struct err *err);
/* Wait for the end of the container's process; ERR_TIMEOUT. */
MUST_USE int shim_client_wait(struct shim_client *client, int timeout_ms, int *ret_code,
                              struct err *err);

static inline void cleanup_shim_client(struct shim_client *client)
{
    shim_client_close(client);
}

#endif
