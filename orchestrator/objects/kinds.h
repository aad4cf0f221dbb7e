/* kinds.h - the resources this API serves: names, verbs, subresources and how they are stored. */
#ifndef ORCHESTRATOR_OBJECTS_KINDS_H
#define ORCHESTRATOR_OBJECTS_KINDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "orchestrator/objects/status.h"

enum kind_verb {
    VERB_CREATE = 1 << 0,
    VERB_DELETE = 1 << 1,
    VERB_DELETE_COLLECTION = 1 << 2,
    VERB_GET = 1 << 3,
    VERB_LIST = 1 << 4,
    VERB_PATCH = 1 << 5,
    VERB_UPDATE = 1 << 6,
    VERB_WATCH = 1 << 7,
    VERBS_ALL = (1 << 8) - 1,
};

enum kind_flag {
    KIND_NAMESPACED = 1 << 0,
    KIND_STATUS = 1 << 1,     /* has a status subresource */
    KIND_SCALE = 1 << 2,      /* has a scale subresource */
    KIND_GENERATION = 1 << 3, /* metadata.generation counts changes of spec */
    KIND_GRACEFUL = 1 << 4,   /* deleted gracefully: pods */
    KIND_CUSTOM = 1 << 5,     /* made by a CustomResourceDefinition */
    KIND_REVIEW = 1 << 6,     /* create only, never stored */
    KIND_METRICS = 1 << 7,    /* read only, computed */
};

struct kind {
    const char *group;       /* "" is the core group */
    const char *version;     /* "v1" */
    const char *resource;    /* "deployments" */
    const char *singular;    /* "deployment" */
    const char *kind;        /* "Deployment" */
    const char *list_kind;   /* "DeploymentList" */
    const char *schema;      /* name of its type in schema.h; NULL for a custom kind */
    const char *storage;     /* where it is stored: usually the resource. Two versions share it. */
    const char *short_names; /* joined by commas; "" for none */
    const char *categories;  /* joined by commas; "" for none */
    uint16_t verbs;
    uint16_t flags;
    const json_t *custom; /* the version of the CustomResourceDefinition; NULL for built-in kinds */
};

/* The built-in kinds, in the order of discovery. */
extern const struct kind kinds_builtin[];
extern const size_t kinds_builtin_count;

/* The kinds served now: the built-in ones and those of CustomResourceDefinitions. */
struct kinds {
    struct kind **custom; /* owned */
    size_t custom_count;
    struct kind **retired; /* no longer served, but requests may still be under way */
    size_t retired_count;
};

void kinds_init(struct kinds *kinds);
void kinds_deinit(struct kinds *kinds);
/* Replace the kinds that the definition made (named by metadata.name) by what it says now; NULL
 * definition: only remove them. Pointers to its old kinds stay valid until kinds_deinit. */
void kinds_set_custom(struct kinds *kinds, const char *definition_name, const json_t *definition);

size_t kinds_count(const struct kinds *kinds);
const struct kind *kinds_at(const struct kinds *kinds, size_t index);
/* By path; NULL when it is not served. */
const struct kind *kinds_find_resource(const struct kinds *kinds, const char *group,
                                       const char *version, const char *resource);
/* By what an object says of itself; NULL when unknown. api_version is "v1" or "apps/v1". */
const struct kind *kinds_find_kind(const struct kinds *kinds, const char *api_version,
                                   const char *kind);
/* Any version of the group serves; for owner references and RBAC. */
const struct kind *kinds_find_group_kind(const struct kinds *kinds, const char *group,
                                         const char *kind);
/* The kind whose version is the stored one. NULL for an unknown storage name. */
const struct kind *kinds_find_storage(const struct kinds *kinds, const char *storage);

static inline bool kind_has(const struct kind *kind, enum kind_flag flag)
{
    return (kind->flags & flag) != 0;
}

/* "v1" or "apps/v1" into text of at least KIND_API_VERSION_SIZE bytes; returns text. */
enum { KIND_API_VERSION_SIZE = 320 };
const char *kind_api_version(const struct kind *kind, char *text);
/* Fields of a Status about this kind. */
struct status_subject kind_subject(const struct kind *kind, const char *name);
/* The version of the built-in kind in which objects are stored ("" group and version of *kind for
 * most; autoscaling/v2 for both HPA versions, v1 Event for both event groups). */
const struct kind *kind_stored(const struct kind *kind);

#endif
