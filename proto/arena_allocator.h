/* arena_allocator.h - protobuf-c messages that live in an arena: decode, use, drop the arena.
 *
 * Nothing decoded this way is ever freed by protobuf_c_message_free_unpacked. Limits on nesting are
 * protobuf-c's (none) and ours: proto_decode refuses input that nests deeper than
 * PROTO_DEPTH_MAX before a message is built, because protobuf-c recurses. */
#ifndef PROTO_ARENA_ALLOCATOR_H
#define PROTO_ARENA_ALLOCATOR_H

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"

enum { PROTO_DEPTH_MAX = 100 }; /* as Google's decoders */

/* An allocator for protobuf-c calls; arena must outlive what it allocates. free does nothing. */
ProtobufCAllocator arena_allocator(struct arena *arena);

/* The message of that type in input, allocated in arena (strings and bytes are copies). NULL if
 * input is malformed: truncated, a wrong wire type, text that is not UTF-8, nested too deep. */
MUST_USE ProtobufCMessage *proto_decode(const ProtobufCMessageDescriptor *type, struct bytes input,
                                        struct arena *arena);

/* The encoded message, allocated in arena. */
struct bytes proto_encode(const ProtobufCMessage *message, struct arena *arena);

#endif
