/* fake_grpc_channel.h - proto/grpc_channel.h without a network: the test is the server. */
#ifndef TESTS_UNIT_KVSTORE_FAKE_GRPC_CHANNEL_H
#define TESTS_UNIT_KVSTORE_FAKE_GRPC_CHANNEL_H

#include <stddef.h>

#include "proto/grpc_channel.h"

enum { FAKE_CHANNELS_MAX = 8, FAKE_CALLS_MAX = 64, FAKE_SENT_MAX = 64 };

struct fake_call {
    struct grpc_channel *channel;
    struct grpc_call_options options;
    char path[64];
    char token[64];
    bool has_leader_metadata;
    struct buf sent[FAKE_SENT_MAX];
    size_t sent_count;
    bool is_half_closed;
    bool is_cancelled; /* on_finish is still to come: fake_run */
    bool is_finished;
};

/* Forget everything. */
void fake_reset(void);
/* Channels in the order of their creation; calls in the order of their start. */
size_t fake_connect_count(size_t channel);
void fake_set_state(size_t channel, enum grpc_channel_state state, const char *problem);
size_t fake_call_count(void);
struct fake_call *fake_call_at(size_t index);
/* The newest call that is not finished with that path; NULL: none. */
struct fake_call *fake_call_open(const char *path);
size_t fake_call_channel(const struct fake_call *call);
void fake_call_reply(struct fake_call *call, const ProtobufCMessage *message);
void fake_call_finish(struct fake_call *call, enum grpc_status status, const char *text,
                      bool was_sent);
/* What was sent, decoded into arena. */
const void *fake_call_sent(const struct fake_call *call, size_t index,
                           const ProtobufCMessageDescriptor *type, struct arena *arena);
/* Deliver what is due from cancels and closes. */
void fake_run(void);

#endif
