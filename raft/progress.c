#include "raft/progress.h"

#include <string.h>

#include "base/check.h"
#include "raft/planted.h"

static void clear_inflight(struct raft_progress *progress)
{
    progress->inflight_head = 0;
    progress->inflight_count = 0;
    progress->inflight_bytes = 0;
}

static void become_probe(struct raft_progress *progress, raft_index next)
{
    CHECK(next > progress->match);
    progress->state = RAFT_PEER_PROBE;
    progress->next = next;
    progress->probe_sent = false;
    clear_inflight(progress);
}

static void become_replicate(struct raft_progress *progress)
{
    progress->state = RAFT_PEER_REPLICATE;
    progress->next = progress->match + 1;
    progress->probe_sent = false;
    clear_inflight(progress);
}

void raft_progress_init(struct raft_progress *progress, struct raft_member member, raft_index next,
                        raft_time_ms now)
{
    memset(progress, 0, offsetof(struct raft_progress, inflight));
    progress->id = member.id;
    progress->voter = member.voter;
    progress->contact_at = now;
    become_probe(progress, next);
}

bool raft_progress_can_send(const struct raft_progress *progress, uint64_t bytes_max)
{
    switch (progress->state) {
    case RAFT_PEER_PROBE:
        return !progress->probe_sent;
    case RAFT_PEER_REPLICATE:
        return progress->inflight_count < RAFT_INFLIGHT_MAX && progress->inflight_bytes < bytes_max;
    case RAFT_PEER_SNAPSHOT:
        return false;
    }
    CHECK_UNREACHABLE();
}

void raft_progress_on_sent(struct raft_progress *progress, uint32_t count, uint64_t bytes,
                           raft_index commit)
{
    progress->wants_append = false;
    progress->commit_sent = commit;
    if (progress->state == RAFT_PEER_PROBE) {
        progress->probe_sent = true;
        return;
    }
    if (count == 0) {
        return;
    }
    CHECK(progress->state == RAFT_PEER_REPLICATE && progress->inflight_count < RAFT_INFLIGHT_MAX);
    progress->next += count;
    uint32_t place = (progress->inflight_head + progress->inflight_count) % RAFT_INFLIGHT_MAX;
    progress->inflight[place] = (struct raft_inflight){progress->next - 1, bytes};
    progress->inflight_count++;
    progress->inflight_bytes += bytes;
}

static void free_inflight(struct raft_progress *progress, raft_index match)
{
    while (progress->inflight_count > 0) {
        const struct raft_inflight *oldest = &progress->inflight[progress->inflight_head];
        if (oldest->last > match) {
            return;
        }
        if (PLANTED(35)) { /* inflight window leak */
            return;
        }
        progress->inflight_bytes -= oldest->bytes;
        progress->inflight_head = (progress->inflight_head + 1) % RAFT_INFLIGHT_MAX;
        progress->inflight_count--;
    }
}

bool raft_progress_on_ack(struct raft_progress *progress, raft_index match)
{
    bool is_news = match > progress->match;
    if (is_news) {
        progress->match = match;
        if (progress->next <= match) {
            progress->next = match + 1;
        }
    }
    switch (progress->state) {
    case RAFT_PEER_PROBE:
        /* An old acknowledgement says nothing about the probe that is under way, unless it names
         * exactly the place before it. */
        if (is_news || match + 1 == progress->next) {
            become_replicate(progress);
        }
        break;
    case RAFT_PEER_REPLICATE:
        free_inflight(progress, match);
        break;
    case RAFT_PEER_SNAPSHOT:
        if (progress->match >= progress->snapshot_index) {
            become_replicate(progress);
        }
        break;
    }
    return is_news;
}

bool raft_progress_on_reject(struct raft_progress *progress, raft_index rejected,
                             raft_index next_hint)
{
    if (rejected <= progress->match) {
        return false; /* it has acknowledged more since: an old message (R20) */
    }
    if (progress->state == RAFT_PEER_SNAPSHOT) {
        return false;
    }
    if (progress->state == RAFT_PEER_PROBE && rejected + 1 != progress->next) {
        return false; /* the answer to an earlier probe */
    }
    raft_index next = next_hint < rejected ? next_hint : rejected;
    become_probe(progress, next > progress->match ? next : progress->match + 1);
    return true;
}

void raft_progress_on_heartbeat(struct raft_progress *progress, raft_index last)
{
    if (PLANTED(34) ||
        !progress->is_beat_due) { /* 34: a lost acknowledgement stalls a quiet peer */
        return;
    }
    progress->is_beat_due = false;
    progress->probe_sent = false;
    progress->has_snapshot_failed = false;
    if (progress->match < last) {
        progress->wants_append = true;
    }
}

void raft_progress_on_unreachable(struct raft_progress *progress)
{
    if (progress->state == RAFT_PEER_REPLICATE) {
        become_probe(progress, progress->match + 1);
    }
}

void raft_progress_start_snapshot(struct raft_progress *progress, raft_index index)
{
    become_probe(progress, progress->match + 1);
    progress->state = RAFT_PEER_SNAPSHOT;
    progress->snapshot_index = index;
    progress->wants_append = false;
}

void raft_progress_end_snapshot(struct raft_progress *progress, raft_index index, bool ok)
{
    if (progress->state != RAFT_PEER_SNAPSHOT) {
        return;
    }
    raft_index after = ok && index > progress->match ? index : progress->match;
    become_probe(progress, after + 1);
    /* Give its acknowledgement, or the next heartbeat, time to arrive first; what failed is not
     * repeated at once either. */
    progress->probe_sent = true;
    progress->has_snapshot_failed = !ok;
}

void raft_progress_check(const struct raft_progress *progress, raft_index last)
{
    CHECK(progress->id != 0);
    CHECK(progress->match < progress->next);
    CHECK(progress->match <= last && progress->next <= last + 1);
    CHECK(progress->inflight_count <= RAFT_INFLIGHT_MAX);
    CHECK(progress->state == RAFT_PEER_REPLICATE || progress->inflight_count == 0);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < progress->inflight_count; i++) {
        uint32_t place = (progress->inflight_head + i) % RAFT_INFLIGHT_MAX;
        CHECK(progress->inflight[place].last < progress->next);
        bytes += progress->inflight[place].bytes;
    }
    CHECK(bytes == progress->inflight_bytes);
}
