#include "kvstore/client/picker.h"

#include "base/check.h"

void picker_init(struct picker *picker, size_t count, uint64_t seed, bool spread)
{
    CHECK(count >= 1 && count <= PICKER_ENDPOINTS_MAX);
    *picker = (struct picker){.count = count};
    prng_init(&picker->prng, seed);
    picker->current = spread ? (size_t)prng_below(&picker->prng, count) : 0;
}

static bool is_shunned(const struct picker_endpoint *endpoint, uint64_t now_ms)
{
    return now_ms < endpoint->shunned_until_ms;
}

/* First ready endpoint from current on, that is shunned or not; -1: none. */
static int find_ready(const struct picker *picker, bool shunned_too, uint64_t now_ms)
{
    for (size_t i = 0; i < picker->count; i++) {
        size_t index = (picker->current + i) % picker->count;
        const struct picker_endpoint *endpoint = &picker->endpoints[index];
        if (endpoint->state == PICKER_READY && (shunned_too || !is_shunned(endpoint, now_ms))) {
            return (int)index;
        }
    }
    return -1;
}

int picker_choose(struct picker *picker, uint64_t now_ms)
{
    int index = find_ready(picker, false, now_ms);
    if (index < 0 && picker_all_failed(picker)) {
        /* A member without a leader is still better than none: its answer says what is wrong. */
        index = find_ready(picker, true, now_ms);
    }
    if (index >= 0) {
        picker->current = (size_t)index;
    }
    return index;
}

static bool may_dial(const struct picker_endpoint *endpoint, uint64_t now_ms)
{
    return endpoint->state == PICKER_IDLE ||
           (endpoint->state == PICKER_BACKOFF && now_ms >= endpoint->retry_ms);
}

/* The earliest moment of all that are still to come. */
static void wake_at(uint64_t *wake_ms, uint64_t candidate_ms, uint64_t now_ms)
{
    if (candidate_ms > now_ms && candidate_ms < *wake_ms) {
        *wake_ms = candidate_ms;
    }
}

int picker_dial(struct picker *picker, uint64_t now_ms, uint64_t *ret_wake_ms)
{
    *ret_wake_ms = UINT64_MAX;
    if (find_ready(picker, false, now_ms) >= 0) {
        return -1;
    }
    uint64_t allowed_ms = 0; /* when the next dial may begin */
    for (size_t i = 0; i < picker->count; i++) {
        const struct picker_endpoint *endpoint = &picker->endpoints[i];
        if (endpoint->state == PICKER_CONNECTING) {
            wake_at(ret_wake_ms, endpoint->dialled_ms + PICKER_STAGGER_MS, now_ms);
            if (endpoint->dialled_ms + PICKER_STAGGER_MS > allowed_ms) {
                allowed_ms = endpoint->dialled_ms + PICKER_STAGGER_MS;
            }
        } else if (endpoint->state == PICKER_BACKOFF) {
            wake_at(ret_wake_ms, endpoint->retry_ms, now_ms);
        } else if (endpoint->state == PICKER_READY) {
            wake_at(ret_wake_ms, endpoint->shunned_until_ms, now_ms);
        }
    }
    for (size_t i = 0; now_ms >= allowed_ms && i < picker->count; i++) {
        size_t index = (picker->current + i) % picker->count;
        if (may_dial(&picker->endpoints[index], now_ms)) {
            return (int)index;
        }
    }
    return -1;
}

void picker_on_dialled(struct picker *picker, size_t index, uint64_t now_ms)
{
    CHECK(index < picker->count);
    picker->endpoints[index].state = PICKER_CONNECTING;
    picker->endpoints[index].dialled_ms = now_ms;
}

void picker_on_ready(struct picker *picker, size_t index)
{
    CHECK(index < picker->count);
    picker->endpoints[index].state = PICKER_READY;
    picker->endpoints[index].failures = 0;
}

void picker_on_failed(struct picker *picker, size_t index, uint64_t now_ms)
{
    CHECK(index < picker->count);
    struct picker_endpoint *endpoint = &picker->endpoints[index];
    uint32_t doublings = endpoint->failures < 6 ? endpoint->failures : 6;
    uint64_t backoff_ms = (uint64_t)PICKER_BACKOFF_MIN_MS << doublings;
    if (backoff_ms > PICKER_BACKOFF_MAX_MS) {
        backoff_ms = PICKER_BACKOFF_MAX_MS;
    }
    /* Half fixed, half random: clients that lost one server must not come back in step. */
    endpoint->retry_ms = now_ms + backoff_ms / 2 + prng_below(&picker->prng, backoff_ms / 2 + 1);
    endpoint->state = PICKER_BACKOFF;
    endpoint->failures += endpoint->failures < UINT32_MAX ? 1 : 0;
}

void picker_on_lost(struct picker *picker, size_t index)
{
    CHECK(index < picker->count);
    picker->endpoints[index].state = PICKER_IDLE;
    /* The others come first; alone, it is dialled again at once. */
    if (picker->current == index) {
        picker->current = (index + 1) % picker->count;
    }
}

void picker_on_refused(struct picker *picker, size_t index, uint64_t now_ms)
{
    CHECK(index < picker->count);
    picker->endpoints[index].shunned_until_ms = now_ms + PICKER_SHUN_MS;
    if (picker->current == index) {
        picker->current = (index + 1) % picker->count;
    }
}

bool picker_all_failed(const struct picker *picker)
{
    for (size_t i = 0; i < picker->count; i++) {
        const struct picker_endpoint *endpoint = &picker->endpoints[i];
        if (endpoint->state != PICKER_BACKOFF && endpoint->failures == 0 &&
            endpoint->state != PICKER_READY) {
            return false;
        }
    }
    return true;
}
