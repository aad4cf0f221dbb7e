#include "base/byte_order.h"
#include "base/check.h"
#include "base/mem.h"
#include "kvstore/node/node_internal.h"
#include "raft/planted.h"

/* Frames between nodes, beside raft's messages. Integers are little-endian:
 *
 *   kind (1), code (4), id (8), extra (8), payload
 *
 *   PROPOSAL  id: request id                       payload: the entry; the leader proposes it
 *   REFUSAL   id: request id, code: etcd error     the leader did not propose it
 *   REQUEST   id, code: method, extra: fresh id    payload: the request; the leader answers it
 *   REPLY     id, code: etcd error, extra: index   payload: the response, once index is applied */
enum frame_kind { FRAME_PROPOSAL = 1, FRAME_REFUSAL, FRAME_REQUEST, FRAME_REPLY };

enum { FRAME_HEAD_BYTES = 21 };

struct frame {
    enum frame_kind kind;
    uint32_t code;
    uint64_t id;
    uint64_t extra;
    struct bytes payload;
};

static void send_frame(struct node *node, raft_id to, const struct frame *frame)
{
    buf_clear(&node->scratch);
    buf_append_u8(&node->scratch, (uint8_t)frame->kind);
    append_le(&node->scratch, frame->code, 4);
    append_le(&node->scratch, frame->id, 8);
    append_le(&node->scratch, frame->extra, 8);
    buf_append_bytes(&node->scratch, frame->payload);
    node->io.send_frame(node->io.context, to, buf_bytes(&node->scratch));
}

static int parse_frame(struct bytes input, struct frame *ret)
{
    if (input.size < FRAME_HEAD_BYTES || input.data[0] < FRAME_PROPOSAL ||
        input.data[0] > FRAME_REPLY) {
        return ERR_MALFORMED;
    }
    *ret = (struct frame){
        .kind = (enum frame_kind)input.data[0],
        .code = (uint32_t)load_le(input.data + 1, 4),
        .id = load_le(input.data + 5, 8),
        .extra = load_le(input.data + 13, 8),
        .payload = bytes_make(input.data + FRAME_HEAD_BYTES, input.size - FRAME_HEAD_BYTES),
    };
    return 0;
}

void node_send_proposal_frame(struct node *node, raft_id to, uint64_t request_id,
                              struct bytes entry)
{
    const struct frame frame = {.kind = FRAME_PROPOSAL, .id = request_id, .payload = entry};
    send_frame(node, to, &frame);
}

void node_send_refusal_frame(struct node *node, raft_id to, uint64_t request_id,
                             enum etcd_error status)
{
    const struct frame frame = {.kind = FRAME_REFUSAL, .id = request_id, .code = status};
    send_frame(node, to, &frame);
}

void node_send_reply_frame(struct node *node, raft_id to, uint64_t id, enum etcd_error status,
                           struct bytes body)
{
    const struct frame frame = {.kind = FRAME_REPLY,
                                .id = id,
                                .code = status,
                                .extra = kv_applied(node->kv).index,
                                .payload = body};
    send_frame(node, to, &frame);
}

void node_send_request_frame(struct node *node, raft_id to, uint64_t id, enum node_method method,
                             struct bytes body)
{
    const struct frame frame = {.kind = FRAME_REQUEST, .id = id, .code = method, .payload = body};
    send_frame(node, to, &frame);
}

void node_forward_request(struct node *node, const struct node_request *request)
{
    struct node_forward *forward = mem_zalloc(sizeof *forward);
    forward->id = node->next_forward_id++;
    forward->token = request->token;
    forward->method = request->method;
    forward->fresh_id = request->fresh_id;
    forward->deadline = node->now + node->options.request_timeout_ms;
    forward->body = blob_new_copy(request->body.data, request->body.size);
    list_push_back(&node->forwards, &forward->link);
}

static void forward_free(struct node_forward *forward)
{
    list_remove(&forward->link);
    blob_unref(forward->body);
    blob_unref(forward->answer);
    mem_free(forward);
}

/* A new leader does not know yet how long leases live; it would only forward these to itself. */
static bool must_wait_here(const struct node *node, enum node_method method)
{
    bool is_of_lease = method == NODE_LEASE_KEEP_ALIVE || method == NODE_LEASE_TIME_TO_LIVE;
    return is_of_lease && !node->is_lessor_primary;
}

/* Not sent yet: to the leader, or executed here if that is us by now. */
void node_flush_forwards(struct node *node)
{
    raft_id leader = raft_leader(node->raft);
    if (leader == 0 || !node_peer_is_connected(node, leader)) {
        return;
    }
    list_foreach_safe (link, &node->forwards) {
        struct node_forward *forward = container_of(link, struct node_forward, link);
        if (forward->is_sent) {
            continue;
        }
        if (node_leads(node) && must_wait_here(node, forward->method)) {
            continue;
        }
        if (node_leads(node)) {
            const struct node_request request = {.token = forward->token,
                                                 .method = forward->method,
                                                 .body = blob_bytes(forward->body),
                                                 .fresh_id = forward->fresh_id,
                                                 .is_internal = true};
            node_execute(node, &request, 0, 0);
            forward_free(forward);
            continue;
        }
        const struct frame frame = {.kind = FRAME_REQUEST,
                                    .id = forward->id,
                                    .code = forward->method,
                                    .extra = forward->fresh_id,
                                    .payload = blob_bytes(forward->body)};
        send_frame(node, leader, &frame);
        forward->is_sent = true;
    }
}

static void on_reply(struct node *node, const struct frame *frame)
{
    list_foreach (link, &node->forwards) {
        struct node_forward *forward = container_of(link, struct node_forward, link);
        if (forward->id == frame->id && forward->is_sent && !forward->is_answered) {
            forward->is_answered = true;
            forward->status = (enum etcd_error)frame->code;
            forward->wait_index = frame->extra;
            forward->answer = blob_new_copy(frame->payload.data, frame->payload.size);
            return;
        }
    }
}

/* Answers whose index is applied here, so that the client's next local read sees the effect. */
void node_release_forwards(struct node *node)
{
    raft_index applied = kv_applied(node->kv).index;
    list_foreach_safe (link, &node->forwards) {
        struct node_forward *forward = container_of(link, struct node_forward, link);
        if (!forward->is_answered || (forward->wait_index > applied && !PLANTED(68))) {
            continue;
        }
        if (forward->status != ETCD_OK) {
            node_reply_status(node, forward->token, 0, 0, forward->status);
        } else {
            buf_clear(&node->scratch);
            node_rehead(node, blob_bytes(forward->answer), &node->scratch);
            node_reply_bytes(node, forward->token, 0, 0, buf_bytes(&node->scratch));
        }
        forward_free(forward);
    }
}

void node_expire_forwards(struct node *node)
{
    list_foreach_safe (link, &node->forwards) {
        struct node_forward *forward = container_of(link, struct node_forward, link);
        if (forward->deadline > node->now) {
            return; /* in the order of submission */
        }
        node_reply_status(node, forward->token, 0, 0, ETCD_TIMEOUT);
        forward_free(forward);
    }
}

raft_time_ms node_forwards_deadline(const struct node *node)
{
    return list_is_empty(&node->forwards)
               ? RAFT_TIME_NEVER
               : container_of(node->forwards.next, struct node_forward, link)->deadline;
}

void node_free_forwards(struct node *node)
{
    list_foreach_safe (link, &node->forwards) {
        struct node_forward *forward = container_of(link, struct node_forward, link);
        node_reply_status(node, forward->token, 0, 0, ETCD_STOPPED);
        forward_free(forward);
    }
}

static void on_request(struct node *node, raft_id from, const struct frame *frame)
{
    if (frame->code == 0 || frame->code >= NODE_METHOD_COUNT) {
        return; /* of a newer version: its sender times out */
    }
    if (!node_leads(node) && !node_is_askable((enum node_method)frame->code)) {
        node_send_reply_frame(node, from, frame->id, ETCD_LEADER_CHANGED, (struct bytes){0});
        return;
    }
    const struct node_request request = {
        .method = (enum node_method)frame->code,
        .body = frame->payload,
        .fresh_id = frame->extra,
        .is_internal = true, /* the peer has authorised it */
    };
    node_execute(node, &request, from, frame->id);
}

static void on_refusal(struct node *node, const struct frame *frame)
{
    struct node_waiter *waiter = node_waiter_find(node, frame->id);
    if (waiter != NULL && waiter->at.index == 0) {
        node_reply_status(node, waiter->token, waiter->peer, waiter->peer_id,
                          (enum etcd_error)frame->code);
        node_waiter_free(node, waiter);
    }
}

void node_on_frame(struct node *node, raft_time_ms now, raft_id from, struct bytes input)
{
    struct frame frame;
    node->now = now;
    if (parse_frame(input, &frame) != 0) {
        return; /* a peer of ours never sends it; the transport counts such frames */
    }
    bool has_error = frame.kind == FRAME_REFUSAL || frame.kind == FRAME_REPLY;
    if (has_error && frame.code >= ETCD_ERROR_COUNT) {
        frame.code = ETCD_TIMEOUT; /* an error of a newer version: the outcome is unknown */
    }
    switch (frame.kind) {
    case FRAME_PROPOSAL:
        node_take_forwarded_proposal(node, from, frame.id, frame.payload);
        break;
    case FRAME_REFUSAL:
        on_refusal(node, &frame);
        break;
    case FRAME_REQUEST:
        on_request(node, from, &frame);
        break;
    case FRAME_REPLY:
        if (!node_ask_on_reply(node, from, frame.id, (enum etcd_error)frame.code, frame.payload)) {
            on_reply(node, &frame);
        }
        break;
    }
}
