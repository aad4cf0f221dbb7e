/* capabilities.h - names of Linux capabilities and the default set of a container. Pure. */
#ifndef RUNTIME_WORDS_CAPABILITIES_H
#define RUNTIME_WORDS_CAPABILITIES_H

#include <jansson.h>
#include <stdint.h>

#include "base/err.h"

/* Docker's fourteen. */
static const uint64_t CAPABILITIES_DEFAULT = UINT64_C(0xa80425fb);

/* "NET_ADMIN", "cap_net_admin" or "ALL". ERR_INVALID. */
MUST_USE int capabilities_parse(const char *name, uint64_t *ret, struct err *err);
/* The default with --cap-add and --cap-drop (lists of texts) applied: as Docker, ALL in one list
 * first, then the single names. */
MUST_USE int capabilities_merge(const json_t *add, const json_t *drop, uint64_t *ret,
                                struct err *err);
/* ["CAP_CHOWN", …] for a set. */
json_t *capabilities_list(uint64_t set);
/* Those that this kernel knows and this process may hand on (its bounding set). */
uint64_t capabilities_available(void);

#endif
