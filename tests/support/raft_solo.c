#include "tests/support/raft_solo.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "tests/support/raft_cluster.h"

static void note_messages(struct raft_solo *solo, struct raft_message *list, uint32_t *count,
                          const struct raft_message *messages, uint32_t message_count)
{
    for (uint32_t i = 0; i < message_count; i++) {
        CHECK(*count < SOLO_SENT_MAX);
        struct raft_message *copy = &list[(*count)++];
        *copy = messages[i];
        CHECK(raft_message_check(copy, NULL) == 0);
        if (copy->type != RAFT_MESSAGE_APPEND) {
            continue;
        }
        CHECK(solo->copied_count + copy->append.count <= SOLO_ENTRIES_MAX);
        struct raft_entry *entries = &solo->copied[solo->copied_count];
        for (uint32_t k = 0; k < copy->append.count; k++) {
            entries[k] = copy->append.entries[k];
            (void)blob_ref(entries[k].data);
        }
        solo->copied_count += copy->append.count;
        copy->append.entries = entries;
    }
}

static void note_batch(struct raft_solo *solo, const struct raft_ready *ready)
{
    CHECK(ready->sequence == solo->sequence + 1);
    solo->sequence = ready->sequence;
    solo->batch_count++;
    if (ready->hard_state != NULL) {
        solo->hard_state = *ready->hard_state;
    }
    if (ready->snapshot != NULL) {
        solo->installed = *ready->snapshot;
        solo->install_count++;
        solo->applied = ready->snapshot->last.index;
    }
    if (ready->entry_count > 0) {
        solo->written_from = ready->entries[0].at.index;
        solo->written_to = ready->entries[ready->entry_count - 1].at.index;
    }
    note_messages(solo, solo->waiting, &solo->waiting_count, ready->messages_durable,
                  ready->message_durable_count);
}

static void note_reads(struct raft_solo *solo, const struct raft_ready *ready)
{
    for (uint32_t i = 0; i < ready->read_count && solo->read_count < 64; i++) {
        solo->reads[solo->read_count++] = ready->reads[i];
    }
    for (uint32_t i = 0; i < ready->failed_read_count && solo->failed_count < 64; i++) {
        solo->failed[solo->failed_count++] = ready->failed_reads[i];
    }
}

static void drain(struct raft_solo *solo)
{
    struct raft_ready ready;
    while (raft_take_ready(solo->raft, &ready)) {
        note_messages(solo, solo->sent, &solo->sent_count, ready.messages, ready.message_count);
        if (ready.sequence > 0) {
            note_batch(solo, &ready);
        }
        note_reads(solo, &ready);
        if (ready.committed_count > 0) {
            CHECK(ready.committed[0].at.index == solo->applied + 1);
            solo->applied += ready.committed_count;
            struct raft_event event = {
                .type = RAFT_APPLIED, .now = solo->now, .applied = {.index = solo->applied}};
            int rc = raft_step(solo->raft, &event);
            CHECK(rc == 0);
        }
        raft_check(solo->raft);
    }
}

static void settle(struct raft_solo *solo)
{
    raft_check(solo->raft);
    drain(solo);
    if (!solo->is_disk_held && solo->waiting_count + solo->batch_count > 0) {
        raft_solo_persist(solo);
    }
}

void raft_solo_persist(struct raft_solo *solo)
{
    while (solo->batch_count > 0) {
        solo->batch_count = 0;
        for (uint32_t i = 0; i < solo->waiting_count; i++) {
            CHECK(solo->sent_count < SOLO_SENT_MAX);
            solo->sent[solo->sent_count++] = solo->waiting[i];
        }
        solo->waiting_count = 0;
        struct raft_event event = {
            .type = RAFT_PERSISTED, .now = solo->now, .persisted = {.sequence = solo->sequence}};
        int rc = raft_step(solo->raft, &event);
        CHECK(rc == 0);
        raft_check(solo->raft);
        drain(solo);
        if (solo->is_disk_held) {
            return;
        }
    }
}

struct raft_solo *raft_solo_new_from(const struct raft_options *options,
                                     const struct raft_restored *restored)
{
    struct raft_solo *solo = mem_zalloc(sizeof *solo);
    solo->raft = raft_new(options, restored, 0);
    struct raft_status status;
    raft_get_status(solo->raft, &status);
    solo->applied = status.applied;
    settle(solo);
    return solo;
}

struct raft_solo *raft_solo_new(uint32_t voters, const raft_term *terms, raft_term term,
                                raft_index commit)
{
    struct raft_options options = raft_cluster_options();
    options.id = 1;
    options.seed = 7;
    struct raft_entry entries[64];
    uint32_t count = 0;
    while (terms != NULL && terms[count] != 0) {
        CHECK(count < 64);
        entries[count] =
            (struct raft_entry){.at = {count + 1, terms[count]}, .type = RAFT_ENTRY_COMMAND};
        count++;
    }
    struct raft_restored restored = {
        .hard_state = {.term = term, .commit = commit},
        .entries = entries,
        .entry_count = count,
    };
    for (uint32_t i = 1; i <= voters; i++) {
        restored.snapshot.members.member[restored.snapshot.members.count++] =
            (struct raft_member){i, true};
    }
    return raft_solo_new_from(&options, &restored);
}

void raft_solo_free(struct raft_solo *solo)
{
    for (uint32_t i = 0; i < solo->copied_count; i++) {
        blob_unref(solo->copied[i].data);
    }
    raft_free(solo->raft);
    mem_free(solo);
}

int raft_solo_step(struct raft_solo *solo, struct raft_event event)
{
    event.now = solo->now;
    int rc = raft_step(solo->raft, &event);
    settle(solo);
    return rc;
}

void raft_solo_receive(struct raft_solo *solo, struct raft_message message)
{
    struct raft_status status;
    raft_get_status(solo->raft, &status);
    message.to = status.id;
    struct err err;
    CHECK(raft_message_check(&message, &err) == 0);
    int rc = raft_solo_step(solo, (struct raft_event){.type = RAFT_RECEIVED, .received = &message});
    CHECK(rc == 0);
}

void raft_solo_append(struct raft_solo *solo, raft_id from, raft_term term,
                      struct raft_position previous, const raft_term *terms, raft_index commit)
{
    struct raft_entry entries[64];
    uint32_t count = 0;
    while (terms != NULL && terms[count] != 0) {
        CHECK(count < 64);
        entries[count] = (struct raft_entry){.at = {previous.index + count + 1, terms[count]},
                                             .type = RAFT_ENTRY_COMMAND};
        count++;
    }
    raft_solo_receive(solo, (struct raft_message){.type = RAFT_MESSAGE_APPEND,
                                                  .from = from,
                                                  .term = term,
                                                  .append = {.previous = previous,
                                                             .commit = commit,
                                                             .entries = entries,
                                                             .count = count}});
}

void raft_solo_ack(struct raft_solo *solo, raft_id from, raft_index match)
{
    raft_solo_receive(solo, (struct raft_message){.type = RAFT_MESSAGE_APPEND_RESPONSE,
                                                  .from = from,
                                                  .term = raft_term_current(solo->raft),
                                                  .append_response = {.index = match}});
}

void raft_solo_tick(struct raft_solo *solo)
{
    raft_time_ms deadline = raft_deadline(solo->raft);
    if (deadline != RAFT_TIME_NEVER && deadline > solo->now) {
        solo->now = deadline;
    }
    int rc = raft_solo_step(solo, (struct raft_event){.type = RAFT_TICK});
    CHECK(rc == 0);
}

int raft_solo_propose(struct raft_solo *solo, const char *text)
{
    struct blob *data = blob_new_copy(text, strlen(text));
    struct raft_entry entry = {.type = RAFT_ENTRY_COMMAND, .data = data};
    int rc = raft_solo_step(solo, (struct raft_event){.type = RAFT_PROPOSE,
                                                      .propose = {.entries = &entry, .count = 1}});
    blob_unref(data);
    return rc;
}

static void grant(struct raft_solo *solo, enum raft_message_type type, raft_term term,
                  uint32_t voters)
{
    for (uint32_t id = 2; id <= voters && raft_role(solo->raft) != RAFT_LEADER; id++) {
        raft_solo_receive(
            solo, (struct raft_message){
                      .type = type, .from = id, .term = term, .vote_response = {.granted = true}});
    }
}

void raft_solo_lead(struct raft_solo *solo, uint32_t voters)
{
    raft_term term = raft_term_current(solo->raft) + 1;
    raft_solo_tick(solo);
    grant(solo, RAFT_MESSAGE_PRE_VOTE_RESPONSE, term, voters);
    CHECK(raft_term_current(solo->raft) == term);
    raft_solo_forget(solo);
    grant(solo, RAFT_MESSAGE_VOTE_RESPONSE, term, voters);
    CHECK(raft_role(solo->raft) == RAFT_LEADER);
}

const struct raft_message *raft_solo_take(struct raft_solo *solo, enum raft_message_type type,
                                          raft_id to)
{
    for (uint32_t i = 0; i < solo->sent_count; i++) {
        if (solo->sent[i].type == type && (to == 0 || solo->sent[i].to == to)) {
            solo->taken = solo->sent[i];
            memmove(&solo->sent[i], &solo->sent[i + 1],
                    (solo->sent_count - i - 1) * sizeof solo->sent[0]);
            solo->sent_count--;
            return &solo->taken;
        }
    }
    return NULL;
}

void raft_solo_forget(struct raft_solo *solo)
{
    solo->sent_count = 0;
}

raft_term raft_solo_term_at(const struct raft_solo *solo, raft_index index)
{
    raft_term term = 0;
    struct raft_status status;
    raft_get_status(solo->raft, &status);
    return index >= status.first && raft_find_term(solo->raft, index, &term) ? term : 0;
}
