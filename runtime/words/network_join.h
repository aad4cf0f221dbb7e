/* network_join.h - the networks of one container. */
#ifndef RUNTIME_WORDS_NETWORK_JOIN_H
#define RUNTIME_WORDS_NETWORK_JOIN_H

#include <sys/types.h>

#include "base/err.h"
#include "runtime/image/store.h"
#include "runtime/words/container.h"

/* Attach the network namespace of pid as HostConfig says; state gets Networks and Ports. */
MUST_USE int network_join(const struct store *store, struct container *container, pid_t pid,
                          struct err *err);
/* Give everything back. What fails now, the next reconciliation repeats. */
void network_leave(struct container *container);

#endif
