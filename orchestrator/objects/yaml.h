/* yaml.h - YAML (1.1 core, as kubectl reads it) into JSON documents, and back. */
#ifndef ORCHESTRATOR_OBJECTS_YAML_H
#define ORCHESTRATOR_OBJECTS_YAML_H

#include <jansson.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

enum { YAML_DEPTH_MAX = 64, YAML_NODES_MAX = 1000000 };

/* Every document of a stream, as a list; empty documents are left out. Aliases are resolved, within
 * YAML_NODES_MAX. ERR_MALFORMED with line and column, ERR_TOO_LARGE. */
MUST_USE int yaml_read(struct bytes text, json_t **ret_documents, struct err *err);
/* Append value as one YAML document, keys in the order they have. */
void yaml_write(struct buf *out, const json_t *value);

#endif
