/* grpc.h - what server and client share: status codes, messages, time-outs.
 *
 * Source: "gRPC over HTTP2" (grpc/doc/PROTOCOL-HTTP2.md) and statuscodes.md. */
#ifndef PROTO_GRPC_H
#define PROTO_GRPC_H

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

#define GRPC_STATUS_MAP(X)                                                                         \
    X(OK, 0, "OK")                                                                                 \
    X(CANCELED, 1, "Canceled")                                                                     \
    X(UNKNOWN, 2, "Unknown")                                                                       \
    X(INVALID_ARGUMENT, 3, "InvalidArgument")                                                      \
    X(DEADLINE_EXCEEDED, 4, "DeadlineExceeded")                                                    \
    X(NOT_FOUND, 5, "NotFound")                                                                    \
    X(ALREADY_EXISTS, 6, "AlreadyExists")                                                          \
    X(PERMISSION_DENIED, 7, "PermissionDenied")                                                    \
    X(RESOURCE_EXHAUSTED, 8, "ResourceExhausted")                                                  \
    X(FAILED_PRECONDITION, 9, "FailedPrecondition")                                                \
    X(ABORTED, 10, "Aborted")                                                                      \
    X(OUT_OF_RANGE, 11, "OutOfRange")                                                              \
    X(UNIMPLEMENTED, 12, "Unimplemented")                                                          \
    X(INTERNAL, 13, "Internal")                                                                    \
    X(UNAVAILABLE, 14, "Unavailable")                                                              \
    X(DATA_LOSS, 15, "DataLoss")                                                                   \
    X(UNAUTHENTICATED, 16, "Unauthenticated")

enum grpc_status {
#define X(name, number, text) GRPC_##name = (number),
    GRPC_STATUS_MAP(X)
#undef X
};

/* "InvalidArgument", as grpc-go prints it; "Code(42)" is never returned: unknown is "Unknown". */
const char *grpc_status_name(enum grpc_status status);
/* The status that a plain HTTP answer stands for (http-grpc-status-mapping.md). */
enum grpc_status grpc_status_from_http(unsigned http_status);
/* And what a gateway answers for a status (etcd-api.md section 2). */
unsigned grpc_status_to_http(enum grpc_status status);

enum { GRPC_PREFIX_BYTES = 5, GRPC_RECEIVE_BYTES_MAX = 4 * 1024 * 1024 };

/* A message as it is given to a handler: valid during the callback. decoded (if the method has a
 * type) is in the call's arena: until the call ends for unary requests, until the callback returns
 * for messages of a stream. */
struct grpc_message {
    struct bytes raw;
    const ProtobufCMessage *decoded;
};

/* grpc-message: printable ASCII as it is, all else %XX. Decoding takes anything. */
void grpc_message_percent_encode(struct buf *out, struct bytes text);
struct bytes grpc_message_percent_decode(struct bytes text, struct arena *arena);

/* grpc-timeout: "100m". False if malformed; what is too large for milliseconds is cut to
 * UINT64_MAX / 2. Below one millisecond is rounded up. */
bool grpc_timeout_parse(struct bytes text, uint64_t *ret_timeout_ms);
enum { GRPC_TIMEOUT_TEXT_MAX = 16 };
struct bytes grpc_timeout_format(uint64_t timeout_ms, char text[GRPC_TIMEOUT_TEXT_MAX]);

#endif
