/* names.h - the syntax of names, labels and annotations (RFC 1123, RFC 1035 labels). */
#ifndef ORCHESTRATOR_OBJECTS_NAMES_H
#define ORCHESTRATOR_OBJECTS_NAMES_H

#include <stdbool.h>

#include "base/prng.h"
#include "orchestrator/objects/status.h"

struct kind;

enum {
    NAME_SUBDOMAIN_SIZE_MAX = 253,
    NAME_LABEL_SIZE_MAX = 63,
    NAME_GENERATED_BASE_SIZE_MAX = 58,
    NAME_GENERATED_SUFFIX_SIZE = 5,
    ANNOTATIONS_SIZE_MAX = 256 * 1024, /* keys and values together */
};

bool name_is_dns1123_label(const char *name);     /* a-z 0-9 -, at most 63 */
bool name_is_dns1123_subdomain(const char *name); /* labels joined by dots, at most 253 */
bool name_is_dns1035_label(const char *name);     /* as 1123, and starts with a letter */
bool name_is_path_segment(const char *name);      /* RBAC names: not . or .., no / or % */
bool name_is_label_key(const char *key);          /* [prefix/]name */
bool name_is_label_value(const char *value);
bool name_is_port_name(const char *name);     /* IANA service name: at most 15 */
bool name_is_variable_name(const char *name); /* of the environment: any printable but = */
bool name_is_config_key(const char *key);     /* of ConfigMap and Secret data */

/* NULL when the name suits the kind, else what is wrong with it. */
const char *name_problem(const struct kind *kind, const char *name);
void names_validate_labels(const json_t *labels, const char *field, struct causes *causes);
void names_validate_annotations(const json_t *annotations, const char *field,
                                struct causes *causes);
/* base, cut to 58, and 5 random characters; the caller frees. */
char *name_generate(const char *base, struct prng *prng);
/* A version 4 UUID. */
enum { UUID_SIZE = 37 };
const char *uuid_generate(struct prng *prng, char text[UUID_SIZE]);
/* The hash of value as a short name part, with letters that form no words. */
enum { HASH_NAME_SIZE = 11 };
const char *name_from_hash(uint64_t hash, char text[HASH_NAME_SIZE]);

#endif
