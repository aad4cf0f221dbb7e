/* protobuf.h - Kubernetes objects in their protobuf form, as kubectl 1.32 sends them: the bytes
 * "k8s\0" and a runtime.Unknown that holds the message (kubernetes-api 1.3). */
#ifndef ORCHESTRATOR_OBJECTS_PROTOBUF_H
#define ORCHESTRATOR_OBJECTS_PROTOBUF_H

#include "base/bytes.h"
#include "orchestrator/objects/kinds.h"

enum { PROTOBUF_DEPTH_MAX = 48 };

bool protobuf_is_object(struct bytes data);
/* *ret is a new object with apiVersion and kind. NULL, or 400. The kind is looked for in the field
 * tables by what the body says of itself, so that subresources' bodies can be read, too. */
MUST_USE json_t *protobuf_decode(struct bytes data, json_t **ret);

#endif
