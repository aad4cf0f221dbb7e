#include "raft/read.h"

#include <string.h>

#include "base/mem.h"
#include "raft/core.h"

enum { NO_ROUND_YET = 0 };

static void *grow(void *array, uint32_t *capacity, uint32_t needed, size_t size)
{
    if (needed <= *capacity) {
        return array;
    }
    uint32_t larger = *capacity == 0 ? 64 : *capacity * 2;
    *capacity = larger < needed ? needed : larger;
    return mem_reallocarray(array, *capacity, size);
}

void raft_reads_deinit(struct raft_reads *reads)
{
    mem_free(reads->pending);
    mem_free(reads->done);
    mem_free(reads->failed);
    *reads = (struct raft_reads){0};
}

void raft_reads_settle(struct raft_reads *reads)
{
    if (reads->is_lent) {
        reads->done_count = 0;
        reads->failed_count = 0;
        reads->is_lent = false;
    }
}

static struct raft_pending_read *at(struct raft_reads *reads, uint32_t place)
{
    CHECK(place < reads->count);
    return &reads->pending[reads->head + place];
}

static void push(struct raft_reads *reads, struct raft_pending_read read)
{
    if (reads->head > reads->count && reads->head + reads->count == reads->capacity) {
        memmove(reads->pending, reads->pending + reads->head,
                reads->count * sizeof *reads->pending);
        reads->head = 0;
    }
    reads->pending = grow(reads->pending, &reads->capacity, reads->head + reads->count + 1,
                          sizeof *reads->pending);
    reads->pending[reads->head + reads->count++] = read;
}

static struct raft_pending_read pop(struct raft_reads *reads)
{
    struct raft_pending_read read = *at(reads, 0);
    reads->head++;
    reads->count--;
    if (reads->started > 0) {
        reads->started--;
    }
    if (reads->count == 0) {
        reads->head = 0;
    }
    return read;
}

/* The caller drains done and failed with every ready; RAFT_READS_MAX counts them, too. */
static bool is_full(const struct raft_reads *reads)
{
    return reads->count + reads->done_count + reads->failed_count >= RAFT_READS_MAX;
}

static void finish(struct raft *raft, struct raft_pending_read read, raft_index index)
{
    struct raft_reads *reads = &raft->reads;
    if (read.from != 0) {
        raft_send(raft, (struct raft_message){
                            .type = RAFT_MESSAGE_READ_INDEX_RESPONSE,
                            .to = read.from,
                            .term = raft->term,
                            .read_index = {.id = read.token, .index = index},
                        });
        return;
    }
    reads->done =
        grow(reads->done, &reads->done_capacity, reads->done_count + 1, sizeof *reads->done);
    reads->done[reads->done_count++] = (struct raft_read){read.token, index};
}

static void fail(struct raft *raft, struct raft_pending_read read)
{
    struct raft_reads *reads = &raft->reads;
    if (read.from != 0) {
        return; /* the asking server gives up by itself, at the latest by its own clock */
    }
    reads->failed = grow(reads->failed, &reads->failed_capacity, reads->failed_count + 1,
                         sizeof *reads->failed);
    reads->failed[reads->failed_count++] = read.token;
}

int raft_read_request(struct raft *raft, uint64_t token)
{
    if (raft->leader == 0) {
        return ERR_NOT_LEADER;
    }
    if (is_full(&raft->reads)) {
        return ERR_BUSY;
    }
    push(&raft->reads,
         (struct raft_pending_read){.token = token, .round = NO_ROUND_YET, .since = raft->now});
    return 0;
}

void raft_read_on_read_index(struct raft *raft, const struct raft_message *message)
{
    if (raft->role != RAFT_LEADER || is_full(&raft->reads)) {
        return;
    }
    push(&raft->reads, (struct raft_pending_read){.token = message->read_index.id,
                                                  .from = message->from,
                                                  .round = NO_ROUND_YET,
                                                  .since = raft->now});
}

/* A new number for every round (R26); the index is the commit index of now, which is no older than
 * that of any of the reads' arrivals. */
static void start_leader_round(struct raft *raft)
{
    struct raft_reads *reads = &raft->reads;
    if (raft->commit < raft->term_start && !PLANTED(9)) { /* R25 */
        return;
    }
    if (!PLANTED(10)) { /* reuse of ids */
        reads->round++;
    }
    while (reads->started < reads->count) {
        struct raft_pending_read *read = at(reads, reads->started++);
        read->round = reads->round;
        read->index = raft->commit;
    }
    raft_replication_heartbeat(raft, true);
    raft_read_confirm(raft);
}

static void start_question(struct raft *raft)
{
    struct raft_reads *reads = &raft->reads;
    reads->round++;
    reads->asked_at = raft->now;
    while (reads->started < reads->count) {
        at(reads, reads->started++)->round = reads->round;
    }
    raft_send(raft, (struct raft_message){
                        .type = RAFT_MESSAGE_READ_INDEX,
                        .to = raft->leader,
                        .term = raft->term,
                        .read_index = {.id = reads->round},
                    });
}

void raft_read_start_round(struct raft *raft)
{
    if (raft->reads.started == raft->reads.count) {
        return;
    }
    if (raft->role == RAFT_LEADER) {
        start_leader_round(raft);
    } else if (raft->leader != 0) {
        start_question(raft);
    }
}

void raft_read_confirm(struct raft *raft)
{
    struct raft_reads *reads = &raft->reads;
    uint64_t confirmed = raft_replication_quorum(raft, RAFT_PEER_ROUND, UINT64_MAX);
    while (reads->started > 0 && at(reads, 0)->round <= confirmed) {
        struct raft_pending_read read = pop(reads);
        finish(raft, read, read.index);
    }
}

void raft_read_on_read_index_response(struct raft *raft, const struct raft_message *message)
{
    struct raft_reads *reads = &raft->reads;
    if (raft->role == RAFT_LEADER || message->from != raft->leader ||
        message->read_index.id > reads->round) {
        return;
    }
    while (reads->count > 0 && at(reads, 0)->round != NO_ROUND_YET &&
           at(reads, 0)->round <= message->read_index.id) {
        struct raft_pending_read read = pop(reads);
        if (message->read_index.index == 0) {
            fail(raft, read);
        } else {
            finish(raft, read, message->read_index.index);
        }
    }
}

/* Questions or answers may be lost. Ask again with a new number; an answer to the old one still
 * counts for the reads that it covered, until the new question leaves. Not with every heartbeat: a
 * question makes the leader send heartbeats, and each would make more questions. */
void raft_read_ask_again(struct raft *raft)
{
    struct raft_reads *reads = &raft->reads;
    if (raft->role == RAFT_LEADER || reads->started == 0) {
        return;
    }
    if (raft->now - reads->asked_at >= raft->options.heartbeat_interval_ms) {
        reads->started = 0;
    }
}

void raft_read_fail_all(struct raft *raft)
{
    while (raft->reads.count > 0) {
        fail(raft, pop(&raft->reads));
    }
    raft->reads.started = 0;
}

void raft_read_expire(struct raft *raft)
{
    struct raft_reads *reads = &raft->reads;
    while (reads->count > 0 &&
           raft->now - at(reads, 0)->since >= raft->options.election_timeout_ms) {
        fail(raft, pop(reads));
    }
}

raft_time_ms raft_read_deadline(const struct raft *raft)
{
    const struct raft_reads *reads = &raft->reads;
    if (reads->count == 0) {
        return RAFT_TIME_NEVER;
    }
    return reads->pending[reads->head].since + raft->options.election_timeout_ms;
}
