/* peer_registry.h - what this member remembers of the disks of its peers, so that one who lost its
 * disk, or runs from an old copy of it, cannot come back as if nothing had happened.
 *
 * Each log has a random id, made with it, and counts its starts. A peer whose log id changes has an
 * empty disk; one whose count goes back has an old one. Both may have forgotten votes and entries
 * that they once acknowledged, so they are refused and have to be removed and added anew. */
#ifndef KVSTORE_SERVER_PEER_REGISTRY_H
#define KVSTORE_SERVER_PEER_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct peer_registry;

enum { PEER_REGISTRY_PEERS_MAX = 64 };

/* Kept in a small file below directory, replaced whole at each change. */
MUST_USE int peer_registry_open(const char *directory, struct peer_registry **ret, struct err *err);
void peer_registry_close(struct peer_registry *registry); /* NULL is fine */

/* 0: this is the peer we know (or a new one, noted durably). ERR_CORRUPT: its disk is another or an
 * older one. Other codes: the note could not be written. */
MUST_USE int peer_registry_check(struct peer_registry *registry, uint64_t peer_id, uint64_t log_id,
                                 uint64_t incarnation, struct err *err);

/* This member's own log id: read, or (is_new) made and written durably. */
MUST_USE int log_id_open(const char *directory, bool is_new, uint64_t *ret_log_id, struct err *err);

#endif
