/* picker.h - which endpoint to use, and which to dial next. Pure: told the time and what happened.
 *
 *            dial                     up
 *   IDLE ----------> CONNECTING ------------> READY
 *    ^                   | failed               | lost: may be dialled again at once
 *    |  time is over     v                      |
 *    +-------------- BACKOFF <------------------+ failed
 *
 * Sticky: the current endpoint is kept while it is ready and not shunned. A member that answers
 * "no leader" is shunned for a while though its connection is fine. While nothing is ready, the
 * endpoints are dialled one after another, each PICKER_STAGGER_MS after the one before, so that one
 * that swallows packets costs that long and not a whole time-out. */
#ifndef KVSTORE_CLIENT_PICKER_H
#define KVSTORE_CLIENT_PICKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/prng.h"

enum {
    PICKER_ENDPOINTS_MAX = 64,
    PICKER_STAGGER_MS = 250,
    PICKER_BACKOFF_MIN_MS = 100,
    PICKER_BACKOFF_MAX_MS = 5000,
    PICKER_SHUN_MS = 1000,
};

enum picker_state { PICKER_IDLE, PICKER_CONNECTING, PICKER_READY, PICKER_BACKOFF };

struct picker_endpoint {
    enum picker_state state;
    uint64_t dialled_ms;       /* CONNECTING: since when */
    uint64_t retry_ms;         /* BACKOFF: not before */
    uint64_t shunned_until_ms; /* not chosen before, if there is another */
    uint32_t failures;         /* in a row */
};

struct picker {
    struct picker_endpoint endpoints[PICKER_ENDPOINTS_MAX];
    size_t count;
    size_t current; /* the last choice, or where the search begins */
    struct prng prng;
};

/* 1 <= count <= PICKER_ENDPOINTS_MAX; spread: begin at a random one. */
void picker_init(struct picker *picker, size_t count, uint64_t seed, bool spread);

/* The endpoint to send to, which becomes current; -1 if none is ready. */
int picker_choose(struct picker *picker, uint64_t now_ms);
/* The endpoint to dial now, or -1. Then *ret_wake_ms says when to ask again (UINT64_MAX: when
 * something happens). Ask only while there is something to send. */
int picker_dial(struct picker *picker, uint64_t now_ms, uint64_t *ret_wake_ms);

void picker_on_dialled(struct picker *picker, size_t index, uint64_t now_ms);
void picker_on_ready(struct picker *picker, size_t index);
void picker_on_failed(struct picker *picker, size_t index, uint64_t now_ms);
void picker_on_lost(struct picker *picker, size_t index); /* was ready */
void picker_on_refused(struct picker *picker, size_t index, uint64_t now_ms);
/* Has every endpoint failed since it was last ready? */
bool picker_all_failed(const struct picker *picker);

#endif
