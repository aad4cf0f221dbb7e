/* merge.h - one Compose file over another, both in normal form. Pure.
 *
 * Source: compose-spec 13-merge.md: mappings are merged, lists appended, command, entrypoint and
 * the test of a health check replaced; ports, volumes, secrets, configs and devices have keys of
 * their own; !reset takes away, !override replaces. */
#ifndef RUNTIME_COMPOSE_MERGE_H
#define RUNTIME_COMPOSE_MERGE_H

#include <jansson.h>

/* Change base to what it is under over. Values are shared, not copied. */
void merge_service(json_t *base, json_t *over);
void merge_file(json_t *base, json_t *over);
/* Take !reset and !override out of a file that nothing is merged into. */
void merge_settle(json_t *tree);

#endif
