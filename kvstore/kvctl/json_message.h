/* json_message.h - a protobuf message as Go's encoding/json writes the generated struct.
 *
 * Not the protobuf JSON mapping: fields keep their .proto names, numbers stay numbers (64-bit ones
 * too), enums are numbers, bytes are base64, and whatever is zero or empty is left out. */
#ifndef KVSTORE_KVCTL_JSON_MESSAGE_H
#define KVSTORE_KVCTL_JSON_MESSAGE_H

#include <protobuf-c/protobuf-c.h>

#include "base/buf.h"

/* Append the object; message is not NULL. */
void json_message_append(struct buf *out, const ProtobufCMessage *message);

#endif
