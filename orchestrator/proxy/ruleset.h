/* ruleset.h - the contents of our nftables table as data: sets, chains, and elements of maps.
 *
 * Pure. Two of them are compared, and what differs becomes the text of one transaction in the
 * language of nft(8): a change of one endpoint costs one chain, however many services there are. */
#ifndef ORCHESTRATOR_PROXY_RULESET_H
#define ORCHESTRATOR_PROXY_RULESET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define PROXY_TABLE "coracle-proxy" /* family ip */

enum ruleset_part {
    RULESET_SET = 0, /* name; body is its definition, which must never change under one name */
    RULESET_CHAIN,   /* name; body has one rule in each line */
    RULESET_ELEMENT, /* "map { key"; body is the verdict, "" in a set */
};
enum { RULESET_PARTS = 3, RULESET_NAME_SIZE_MAX = 120 /* the kernel takes 127 */ };

struct ruleset_item {
    char *name;
    char *body;
};

struct ruleset_list {
    struct ruleset_item *items; /* sorted by name, once ruleset_finish was called */
    size_t count;
    size_t capacity;
};

struct ruleset {
    struct ruleset_list parts[RULESET_PARTS];
};

void ruleset_init(struct ruleset *ruleset);
void ruleset_deinit(struct ruleset *ruleset);
static inline void cleanup_ruleset(struct ruleset *ruleset)
{
    ruleset_deinit(ruleset);
}

/* Both texts are copied. Of two items with one name one counts, always the same. */
void ruleset_add(struct ruleset *ruleset, enum ruleset_part part, const char *name,
                 const char *body);
/* Sort; call it once, before the functions below. */
void ruleset_finish(struct ruleset *ruleset);
/* NULL when there is no such item. */
const char *ruleset_find(const struct ruleset *ruleset, enum ruleset_part part, const char *name);

/* The commands that turn a table with old into one with new; nothing when they are equal. */
void ruleset_write_change(struct buf *out, const struct ruleset *old, const struct ruleset *new);
/* The commands that make the table anew with base (chains with hooks and named maps, in the syntax
 * of a table block) and with these contents. What the table had before is forgotten. */
void ruleset_write_all(struct buf *out, const char *base, const struct ruleset *new);

#endif
