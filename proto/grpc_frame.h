/* grpc_frame.h - the five-byte framing of gRPC messages, incoming: bytes in, messages out.
 *
 * A message that lies whole in one piece of input is handed out without a copy. */
#ifndef PROTO_GRPC_FRAME_H
#define PROTO_GRPC_FRAME_H

#include "proto/grpc.h"

enum grpc_encoding { GRPC_ENCODING_IDENTITY, GRPC_ENCODING_GZIP };

struct grpc_deframer {
    struct buf stored;   /* a message that is not complete, or input that has to wait */
    struct buf inflated; /* the last compressed message */
    size_t message_bytes_max;
    enum grpc_encoding encoding;
    size_t handed_out; /* bytes at the front of stored that the last message was */
};

void grpc_deframer_init(struct grpc_deframer *deframer, size_t message_bytes_max);
void grpc_deframer_deinit(struct grpc_deframer *deframer);

/* Take input in. 1: *ret_message is the next message, valid until the next call; call again with
 * what is left of *input. 0: all input is taken, more is needed. Negative, with err->text for
 * grpc-message: ERR_TOO_LARGE (ResourceExhausted), ERR_MALFORMED (Internal). */
MUST_USE int grpc_deframer_next(struct grpc_deframer *deframer, struct bytes *input,
                                struct bytes *ret_message, struct err *err);
/* Keep input for later. */
void grpc_deframer_store(struct grpc_deframer *deframer, struct bytes input);
/* The stream ended: is a message cut off? */
bool grpc_deframer_is_partial(const struct grpc_deframer *deframer);

/* The prefix of an uncompressed message. */
void grpc_frame_prefix(uint8_t prefix[GRPC_PREFIX_BYTES], size_t size);

/* "identity", "gzip" or absent (NULL). False for others. */
bool grpc_encoding_parse(struct bytes text, enum grpc_encoding *ret_encoding);

#endif
