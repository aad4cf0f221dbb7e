/* notify.h - hand a seccomp listener to the agent that answers for the container
 * (runtime-spec config-linux.md "The Container Process State"). */
#ifndef RUNTIME_CONTAINER_NOTIFY_H
#define RUNTIME_CONTAINER_NOTIFY_H

#include <sys/types.h>

#include "runtime/container/spec.h"

MUST_USE int notify_send(const struct spec_seccomp *seccomp, const char *oci_version, pid_t pid,
                         const char *state, int listener, struct err *err);

#endif
