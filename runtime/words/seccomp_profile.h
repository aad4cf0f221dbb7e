/* seccomp_profile.h - which system calls a container may make unless told otherwise.
 *
 * The same reach as Docker's default profile, written from its description (containers.md 5.4):
 * deny with EPERM, allow what programs need, a few calls by argument, and those that a capability
 * stands for when the container has it. Pure. */
#ifndef RUNTIME_WORDS_SECCOMP_PROFILE_H
#define RUNTIME_WORDS_SECCOMP_PROFILE_H

#include <jansson.h>

/* The "linux.seccomp" object of an OCI configuration for a container with these capabilities
 * (a list of "CAP_X", borrowed). The caller owns the result. */
json_t *seccomp_profile_default(const json_t *capabilities);

#endif
