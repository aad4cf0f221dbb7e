/* json_codec.h - protobuf messages as JSON and back, for every message type there is: the mapping
 * of proto3 with the habits of etcd's gateway (etcd-api.md 3.3).
 *
 * Out: original field names, fields at their default left out, 64-bit numbers as strings, bytes in
 * base64, enums by name. In: original or lowerCamelCase names, numbers as numbers or strings, enums
 * by name or number, base64 in either alphabet, null as absent, unknown fields ignored. */
#ifndef PROTO_JSON_CODEC_H
#define PROTO_JSON_CODEC_H

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

/* Append message as one line of JSON. */
void json_encode(struct buf *out, const ProtobufCMessage *message);

/* The message in text, allocated in arena; empty text is an empty message. NULL with ERR_MALFORMED
 * and a text that says where and what. */
MUST_USE ProtobufCMessage *json_decode(const ProtobufCMessageDescriptor *type, struct bytes text,
                                       struct arena *arena, struct err *err);

#endif
