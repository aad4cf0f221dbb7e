/* status.h - the error answers of the API: Status objects with a code, a reason and causes.
 *
 * A function that may refuse a request returns NULL when it is fine and a Status otherwise; the
 * caller owns it. Reasons and codes are those of k8s.io/apimachinery meta/v1 types. */
#ifndef ORCHESTRATOR_OBJECTS_STATUS_H
#define ORCHESTRATOR_OBJECTS_STATUS_H

#include "orchestrator/objects/tree.h"

struct kind;

/* What a refusal is about: details.group and details.kind, and the text "deployments.apps". */
struct status_subject {
    const char *group;    /* "" for the core group */
    const char *resource; /* "deployments" */
    const char *kind;     /* "Deployment" */
    const char *name;     /* "" when there is none */
};

__attribute__((format(printf, 3, 4))) MEM_RETURNS json_t *status_new(int code, const char *reason,
                                                                     const char *format, ...);
json_t *status_success(void);
int status_code(const json_t *status);           /* 500 when it has none */
const char *status_reason(const json_t *status); /* "" when it has none */
/* Name, group and kind into details. resource_as_kind: NotFound and Conflict say the resource. */
void status_set_details(json_t *status, const struct status_subject *subject,
                        bool resource_as_kind);

json_t *status_not_found(const struct status_subject *subject);
json_t *status_already_exists(const struct status_subject *subject);
__attribute__((format(printf, 2, 3))) json_t *status_conflict(const struct status_subject *subject,
                                                              const char *format, ...);
json_t *status_modified(const struct status_subject *subject); /* optimistic lock failed */
__attribute__((format(printf, 2, 3))) json_t *status_forbidden(const struct status_subject *subject,
                                                               const char *format, ...);
__attribute__((format(printf, 1, 2))) json_t *status_bad_request(const char *format, ...);
__attribute__((format(printf, 1, 2))) json_t *status_internal(const char *format, ...);
json_t *status_expired(const char *message); /* 410 */
json_t *status_unknown_path(void);           /* 404 for a path that names nothing */
json_t *status_too_many(const char *message, int64_t retry_after_seconds);

/* Causes of an Invalid answer, collected while a validator walks an object. */
struct causes {
    json_t *list; /* owned; NULL when there are none */
};

enum { CAUSES_COUNT_MAX = 100 };

void causes_deinit(struct causes *causes);
static inline void cleanup_causes(struct causes *causes)
{
    causes_deinit(causes);
}
static inline bool causes_are_empty(const struct causes *causes)
{
    return causes->list == NULL;
}
/* field is a path as users write it: spec.template.spec.containers[0].image. */
void causes_add_required(struct causes *causes, const char *field, const char *detail);
void causes_add_invalid(struct causes *causes, const char *field, const json_t *value,
                        const char *detail);
void causes_add_not_supported(struct causes *causes, const char *field, const char *value,
                              const char *supported_bars);
void causes_add_duplicate(struct causes *causes, const char *field, const json_t *value);
void causes_add_forbidden(struct causes *causes, const char *field, const char *detail);
void causes_add_not_found(struct causes *causes, const char *field, const char *value);
void causes_add_too_long(struct causes *causes, const char *field, size_t bytes_max);
void causes_add(struct causes *causes, const char *reason, const char *field, const char *message);
/* NULL when causes is empty, else 422 Invalid. The causes go into the Status. */
json_t *status_invalid(const struct status_subject *subject, struct causes *take_causes);

#endif
