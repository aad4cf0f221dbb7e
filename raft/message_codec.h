/* message_codec.h - peer messages as bytes.
 *
 * A message is a head and a body. The body holds the entries of an append and nothing else, so it
 * is the same for every peer that gets the same entries: encode it once and send it after each
 * head. All other messages have an empty body. Integers are little-endian; there is no checksum,
 * because TLS or the transport's frame has one.
 *
 *   head  version (1 byte: 1), type (1), flags (1), zero (1), body size (4), from, to, term (8
 * each), then by type up to a member set; see message_codec.c body  for each entry: term (8), data
 * size (4), type (1), data
 *
 * Indexes of entries are not sent: they follow from the head's previous position. */
#ifndef RAFT_MESSAGE_CODEC_H
#define RAFT_MESSAGE_CODEC_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "raft/message.h"

enum {
    RAFT_MESSAGE_HEAD_MAX = 256,
    RAFT_MESSAGE_ENTRY_HEAD = 13,
    RAFT_MESSAGE_SIZE_MAX = 64 << 20, /* head and body; larger input is refused unread */
};

/* Bytes that raft_message_encode_body() will append. */
uint32_t raft_message_body_size(const struct raft_message *message);
/* Append the head; body_size is raft_message_body_size() of the same message. */
void raft_message_encode_head(const struct raft_message *message, uint32_t body_size,
                              struct buf *out);
void raft_message_encode_body(const struct raft_message *message, struct buf *out);
/* Head and body at once. */
void raft_message_encode(const struct raft_message *message, struct buf *out);

/* Holds the entries of the message decoded last. Reuse it: the array is kept. */
struct raft_decoder {
    struct raft_entry *entries;
    uint32_t count;
    uint32_t capacity;
};

void raft_decoder_init(struct raft_decoder *decoder);
void raft_decoder_deinit(struct raft_decoder *decoder);
/* Drop the references to the last message's data. */
void raft_decoder_clear(struct raft_decoder *decoder);

/* Read one whole message. It borrows from the decoder until the decoder's next use, and has passed
 * raft_message_check(). ERR_MALFORMED, ERR_UNSUPPORTED (a version or type of the future),
 * ERR_TOO_LARGE. */
MUST_USE int raft_message_decode(struct bytes input, struct raft_decoder *decoder,
                                 struct raft_message *message, struct err *err);

#endif
