/* Peer messages from somebody who means harm, into servers in every role: whatever
 * raft_message_decode() lets through must not break an invariant of the core (raft_check aborts).
 *
 * Input: a list of commands, one byte each with its operands. A message is either decoded from raw
 * bytes or built from a few bytes by the rules of the protocol, so that the deeper code is reached,
 * too. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "base/blob.h"
#include "base/check.h"
#include "raft/members.h"
#include "raft/message_codec.h"
#include "raft/raft.h"

enum { STEPS_MAX = 400, ENTRIES_MAX = 6 };

struct input {
    const uint8_t *data;
    size_t size;
};

static uint8_t next(struct input *input)
{
    if (input->size == 0) {
        return 0;
    }
    input->size--;
    return *input->data++;
}

struct world {
    struct raft *raft;
    raft_time_ms now;
    uint64_t sequence;
    raft_index applied;
    struct raft_decoder decoder;
};

static void step(struct world *world, struct raft_event event)
{
    event.now = world->now;
    int rc = raft_step(world->raft, &event);
    CHECK(rc <= 0);
    raft_check(world->raft);
}

static void drain(struct world *world)
{
    struct raft_ready ready;
    while (raft_take_ready(world->raft, &ready)) {
        for (uint32_t i = 0; i < ready.message_count; i++) {
            CHECK(raft_message_check(&ready.messages[i], NULL) == 0);
        }
        for (uint32_t i = 0; i < ready.message_durable_count; i++) {
            CHECK(raft_message_check(&ready.messages_durable[i], NULL) == 0);
        }
        if (ready.sequence > 0) {
            CHECK(ready.sequence == world->sequence + 1);
            world->sequence = ready.sequence;
        }
        if (ready.snapshot != NULL) {
            CHECK(ready.snapshot->last.index > world->applied);
            world->applied = ready.snapshot->last.index;
        }
        if (ready.committed_count > 0) {
            CHECK(ready.committed[0].at.index == world->applied + 1);
            world->applied += ready.committed_count;
            step(world, (struct raft_event){.type = RAFT_APPLIED, .applied = {world->applied}});
        }
        raft_check(world->raft);
    }
}

static struct raft_position near_position(struct world *world, struct input *input)
{
    raft_index last = raft_last(world->raft).index;
    uint8_t back = next(input);
    struct raft_position position = {.index = back > 200        ? last + back - 200
                                              : last > back % 8 ? last - back % 8
                                                                : 0};
    if (position.index == 0 || !raft_find_term(world->raft, position.index, &position.term)) {
        position.term = position.index == 0 ? 0 : 1 + next(input) % 4;
    } else if (next(input) % 4 == 0) {
        position.term = 1 + next(input) % 4;
    }
    return position;
}

static void build_append(struct world *world, struct input *input, struct raft_message *message,
                         struct raft_entry *entries)
{
    message->append.previous = near_position(world, input);
    message->append.commit = raft_commit(world->raft) + next(input) % 4;
    message->append.count = next(input) % ENTRIES_MAX;
    message->append.entries = entries;
    raft_term term = message->append.previous.term;
    for (uint32_t i = 0; i < message->append.count; i++) {
        uint8_t kind = next(input);
        term += kind & 1;
        entries[i] = (struct raft_entry){
            .at = {message->append.previous.index + 1 + i, term == 0 ? 1 : term},
            .type = RAFT_ENTRY_COMMAND,
        };
        if (kind > 240) {
            struct raft_members members = {0};
            for (raft_id id = 1; id <= 1 + (raft_id)kind % 5; id++) {
                int rc = raft_members_put(&members, id, id == 1 || (kind & 2) != 0);
                CHECK(rc == 0);
            }
            entries[i].type = RAFT_ENTRY_CONFIG;
            entries[i].data = raft_members_encode(&members, (struct bytes){NULL, 0});
        }
    }
}

/* Round-trips through the codec, so that only what could come over the wire gets in. */
static void deliver(struct world *world, const struct raft_message *message)
{
    struct buf wire = BUF_INIT;
    struct raft_message decoded;
    raft_message_encode(message, &wire);
    if (raft_message_decode(buf_bytes(&wire), &world->decoder, &decoded, NULL) == 0) {
        step(world, (struct raft_event){.type = RAFT_RECEIVED, .received = &decoded});
    }
    buf_deinit(&wire);
}

static void receive_built(struct world *world, struct input *input)
{
    struct raft_entry entries[ENTRIES_MAX];
    uint8_t head = next(input);
    struct raft_message message;
    memset(&message, 0, sizeof message);
    message.type = (enum raft_message_type)(1 + head % 12);
    message.from = 2 + (head >> 4) % 4;
    message.to = 1;
    message.term = raft_term_current(world->raft) + next(input) % 4;
    message.term = message.term > 1 ? message.term - 1 : 1;
    bool flag = (next(input) & 1) != 0;
    switch (message.type) {
    case RAFT_MESSAGE_PRE_VOTE:
    case RAFT_MESSAGE_VOTE:
        message.vote.last = near_position(world, input);
        message.vote.is_transfer = flag;
        break;
    case RAFT_MESSAGE_PRE_VOTE_RESPONSE:
    case RAFT_MESSAGE_VOTE_RESPONSE:
        message.vote_response.granted = flag;
        break;
    case RAFT_MESSAGE_APPEND:
        build_append(world, input, &message, entries);
        break;
    case RAFT_MESSAGE_APPEND_RESPONSE:
        message.append_response.rejected = flag;
        message.append_response.index = near_position(world, input).index;
        message.append_response.hint = near_position(world, input);
        break;
    case RAFT_MESSAGE_HEARTBEAT:
        message.heartbeat.commit = near_position(world, input).index;
        message.heartbeat.round = next(input);
        break;
    case RAFT_MESSAGE_INSTALL_SNAPSHOT:
        message.install_snapshot.meta.last = near_position(world, input);
        message.install_snapshot.meta.members = (struct raft_members){2, {{1, flag}, {2, true}}};
        break;
    default:
        message.read_index.id = next(input);
        message.read_index.index = next(input);
        break;
    }
    deliver(world, &message);
    for (uint32_t i = 0; message.type == RAFT_MESSAGE_APPEND && i < message.append.count; i++) {
        blob_unref(entries[i].data);
    }
}

static void receive_raw(struct world *world, struct input *input)
{
    size_t size = next(input);
    size = size < input->size ? size : input->size;
    struct raft_message message;
    if (raft_message_decode(bytes_make(input->data, size), &world->decoder, &message, NULL) == 0) {
        step(world, (struct raft_event){.type = RAFT_RECEIVED, .received = &message});
    }
    input->data += size;
    input->size -= size;
}

static void do_local(struct world *world, struct input *input, uint8_t what)
{
    struct raft_entry entry = {.type = RAFT_ENTRY_COMMAND};
    struct raft_members members;
    switch (what) {
    case 0:
        step(world, (struct raft_event){.type = RAFT_PROPOSE, .propose = {&entry, 1}});
        return;
    case 1:
        step(world, (struct raft_event){.type = RAFT_READ, .read = {next(input)}});
        return;
    case 2:
        step(world, (struct raft_event){.type = RAFT_TRANSFER, .transfer = {1 + next(input) % 5}});
        return;
    case 3:
        members = *raft_members(world->raft);
        if (raft_members_put(&members, 1 + next(input) % 6, (next(input) & 1) != 0) == 0 &&
            raft_members_valid(&members)) {
            entry.type = RAFT_ENTRY_CONFIG;
            entry.data = raft_members_encode(&members, (struct bytes){NULL, 0});
            step(world, (struct raft_event){.type = RAFT_PROPOSE, .propose = {&entry, 1}});
            blob_unref(entry.data);
        }
        return;
    case 4:
        step(world, (struct raft_event){.type = RAFT_COMPACTED, .compacted = {world->applied}});
        return;
    case 5:
        step(world, (struct raft_event){.type = RAFT_PEER_UNREACHABLE,
                                        .unreachable = {1 + next(input) % 5}});
        return;
    default:
        step(world, (struct raft_event){
                        .type = RAFT_SNAPSHOT_SENT,
                        .snapshot_sent = {1 + next(input) % 5, next(input), next(input) % 2 == 0}});
        return;
    }
}

static void run_command(struct world *world, struct input *input)
{
    uint8_t command = next(input);
    switch (command % 8) {
    case 0:
    case 1:
    case 2:
        receive_built(world, input);
        break;
    case 3:
        receive_raw(world, input);
        break;
    case 4:
        world->now += next(input);
        step(world, (struct raft_event){.type = RAFT_TICK});
        break;
    case 5:
        step(world, (struct raft_event){.type = RAFT_PERSISTED, .persisted = {world->sequence}});
        break;
    case 6:
        do_local(world, input, (command >> 3) % 7);
        break;
    default:
        drain(world);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    struct raft_options options = {
        .id = 1,
        .seed = next(&input),
        .election_timeout_ms = 100,
        .heartbeat_interval_ms = 20,
        .append_bytes_max = 100,
        .inflight_bytes_max = 300,
        .uncommitted_bytes_max = 500,
        .log_bytes_max = 2000,
    };
    struct raft_restored restored = {
        .snapshot.members = {3, {{1, true}, {2, true}, {3, next(&input) % 2 == 0}}},
    };
    restored.snapshot.members.count = 1 + next(&input) % 3;
    struct world world = {.raft = raft_new(&options, &restored, 0)};
    raft_decoder_init(&world.decoder);
    for (int i = 0; i < STEPS_MAX && input.size > 0; i++) {
        run_command(&world, &input);
    }
    drain(&world);
    raft_decoder_deinit(&world.decoder);
    raft_free(world.raft);
    return 0;
}
