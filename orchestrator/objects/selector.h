/* selector.h - choosing objects by labels and by fields. */
#ifndef ORCHESTRATOR_OBJECTS_SELECTOR_H
#define ORCHESTRATOR_OBJECTS_SELECTOR_H

#include "orchestrator/objects/kinds.h"
#include "orchestrator/objects/tree.h"

/* A label selector as written in queries: "a=b,c!=d,e in (f,g),h notin (i),j,!k". */
struct label_selector {
    json_t *terms; /* owned: [{"key","operator","values"}]; NULL selects everything */
};

void label_selector_init(struct label_selector *selector);
void label_selector_deinit(struct label_selector *selector);
static inline void cleanup_label_selector(struct label_selector *selector)
{
    label_selector_deinit(selector);
}
/* NULL, or a 400 Status. Empty text selects everything. selector is initialised in both cases. */
MUST_USE json_t *label_selector_parse(struct label_selector *selector, const char *text);
/* labels may be NULL. */
bool label_selector_matches(const struct label_selector *selector, const json_t *labels);

/* spec.selector objects: {"matchLabels","matchExpressions"}. NULL selects nothing; {} everything.
 */
bool label_selector_object_matches(const json_t *selector, const json_t *labels);
/* A plain map of labels (Service, ReplicationController). NULL and {} select nothing. */
bool label_map_matches(const json_t *map, const json_t *labels);
/* The text form of a selector object or of a plain map; the caller frees. */
char *label_selector_object_text(const json_t *selector);
char *label_map_text(const json_t *map);
/* Required, operator and values rules of a selector object. */
void label_selector_object_validate(const json_t *selector, const char *field,
                                    struct causes *causes);

/* One term of node or label selection; knows In NotIn Exists DoesNotExist Gt Lt. */
bool selector_term_matches(const json_t *term, const json_t *labels);

/* A field selector: "metadata.name=x,status.phase!=Running". */
struct field_selector {
    json_t *terms; /* owned: [{"path","operator" "=" or "!=","value"}]; NULL selects everything */
};

void field_selector_init(struct field_selector *selector);
void field_selector_deinit(struct field_selector *selector);
static inline void cleanup_field_selector(struct field_selector *selector)
{
    field_selector_deinit(selector);
}
/* NULL, or a 400 Status for bad text or a field that the kind cannot be selected by. */
MUST_USE json_t *field_selector_parse(struct field_selector *selector, const struct kind *kind,
                                      const char *text);
bool field_selector_matches(const struct field_selector *selector, const json_t *object);
/* The value that metadata.name must have, when the selector says so; else NULL. Borrowed. */
const char *field_selector_name(const struct field_selector *selector);

#endif
