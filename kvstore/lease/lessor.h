/* lessor.h - leases: which exist, which keys hang on them, and (on the leader) when they end.
 *
 * Two kinds of state that never mix. Replicated: id, granted TTL, attached keys; changed only by
 * applied entries. Local to the leader: deadlines, from the time its caller passes in; an expired
 * lease is proposed for revocation through the log, never removed by itself (rule R41). A new
 * leader gives every lease its full TTL again, so a lease may live longer than asked, never
 * shorter. */
#ifndef KVSTORE_LEASE_LESSOR_H
#define KVSTORE_LEASE_LESSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct lease;
struct lessor;

#define LEASE_TTL_MAX_S INT64_C(9000000000)

struct lessor *lessor_new(void);
void lessor_free(struct lessor *lessor); /* NULL is fine */

/* --- replicated -------------------------------------------------------------------------- */

/* 0, ERR_EXISTS, or ERR_TOO_LARGE if the TTL is above LEASE_TTL_MAX_S. id is not 0. */
int lessor_grant(struct lessor *lessor, int64_t id, int64_t ttl_s);
/* Forget the lease and its attachments. NULL-safe by id: false if it does not exist. */
bool lessor_remove(struct lessor *lessor, int64_t id);
struct lease *lessor_find(const struct lessor *lessor, int64_t id); /* NULL: none */

/* The key hangs on this lease from now on and on no other. lease 0 only detaches. */
void lessor_attach(struct lessor *lessor, int64_t id, struct bytes key);
void lessor_detach(struct lessor *lessor, struct bytes key);
int64_t lessor_lease_of(const struct lessor *lessor, struct bytes key); /* 0: none */

int64_t lease_id(const struct lease *lease);
int64_t lease_granted_ttl_s(const struct lease *lease);
/* Load one at start. */
int lessor_restore(struct lessor *lessor, int64_t id, int64_t ttl_s, int64_t checkpoint_s);
void lessor_clear(struct lessor *lessor); /* forget every lease */
/* Seconds left according to the last checkpoint; 0: none was made. */
int64_t lease_checkpoint_s(const struct lease *lease);
void lease_set_checkpoint(struct lease *lease, int64_t remaining_s);
uint32_t lease_key_count(const struct lease *lease);
/* The attached keys in key order; the array and its bytes are borrowed until the lease changes. */
const struct bytes *lease_keys_sorted(struct lease *lease, uint32_t *ret_count);
/* Sort them in slices, so that a lease with a million keys stops nobody: at most *items steps, what
 * was used is taken off. True: lease_keys_sorted() costs nothing now. */
MUST_USE bool lease_sort_step(struct lease *lease, uint32_t *items);
/* Detach its keys in slices, before lessor_remove(). True: none is left. */
MUST_USE bool lessor_forget_keys(struct lessor *lessor, struct lease *lease, uint32_t *items);

uint32_t lessor_count(const struct lessor *lessor);
/* The ids of all leases, ascending; ret_ids has room for lessor_count(). */
void lessor_ids(const struct lessor *lessor, int64_t *ret_ids);

/* --- the leader's clock ------------------------------------------------------------------- */

/* This member leads from now on: every lease gets its full TTL (or its checkpoint). extend_ms is
 * added, as etcd adds an election timeout. The deadlines are entered by lessor_promote_step, so
 * many leases at a time; true: all are. Everything else may be called in between. */
void lessor_promote(struct lessor *lessor, uint64_t now_ms, uint64_t extend_ms);
MUST_USE bool lessor_promote_step(struct lessor *lessor, uint32_t leases);
void lessor_demote(struct lessor *lessor); /* deadlines are meaningless now */
bool lessor_is_primary(const struct lessor *lessor);
/* Leases granted or renewed at apply on the leader start at this time: the node calls it with its
 * clock before it applies entries. Without it new deadlines would be measured from the past. */
void lessor_set_now(struct lessor *lessor, uint64_t now_ms);
uint64_t lessor_now(const struct lessor *lessor); /* the last such time */

/* Full TTL from now. Returns the TTL in seconds, or 0 if the lease does not exist or this member is
 * not primary. A lease whose deadline passed and which waits for its revocation is not renewed: 0.
 */
int64_t lessor_renew(struct lessor *lessor, int64_t id, uint64_t now_ms);
/* Seconds left (rounded down, may be 0 or negative once due); INT64_MIN if unknown or not primary.
 */
int64_t lessor_remaining_s(const struct lessor *lessor, int64_t id, uint64_t now_ms);
/* When the first lease is due; UINT64_MAX: none or not primary. */
uint64_t lessor_deadline_ms(const struct lessor *lessor);
/* The next lease that is due, or NULL. It is not given again before now + retry_ms. */
struct lease *lessor_take_expired(struct lessor *lessor, uint64_t now_ms, uint64_t retry_ms);

/* Abort if an invariant is broken. */
void lessor_check(const struct lessor *lessor);

#endif
