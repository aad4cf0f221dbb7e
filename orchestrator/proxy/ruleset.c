#include "orchestrator/proxy/ruleset.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void ruleset_init(struct ruleset *ruleset)
{
    *ruleset = (struct ruleset){0};
}

static void free_item(struct ruleset_item *item)
{
    mem_free(item->name);
    mem_free(item->body);
}

void ruleset_deinit(struct ruleset *ruleset)
{
    for (size_t part = 0; part < RULESET_PARTS; part++) {
        struct ruleset_list *list = &ruleset->parts[part];
        for (size_t i = 0; i < list->count; i++) {
            free_item(&list->items[i]);
        }
        mem_free(list->items);
    }
    ruleset_init(ruleset);
}

void ruleset_add(struct ruleset *ruleset, enum ruleset_part part, const char *name,
                 const char *body)
{
    struct ruleset_list *list = &ruleset->parts[part];
    if (list->count == list->capacity) {
        list->capacity = list->capacity == 0 ? 64 : list->capacity * 2;
        list->items = mem_reallocarray(list->items, list->capacity, sizeof(*list->items));
    }
    list->items[list->count++] =
        (struct ruleset_item){.name = mem_strdup(name), .body = mem_strdup(body)};
}

static int compare(const void *a, const void *b)
{
    const struct ruleset_item *left = a;
    const struct ruleset_item *right = b;
    return strcmp(left->name, right->name);
}

/* By name, and by body among equals: qsort does not keep their order, and the same services must
 * always give the same rules. */
static int compare_all(const void *a, const void *b)
{
    const struct ruleset_item *left = a;
    const struct ruleset_item *right = b;
    int order = compare(a, b);
    return order != 0 ? order : strcmp(left->body, right->body);
}

void ruleset_finish(struct ruleset *ruleset)
{
    for (size_t part = 0; part < RULESET_PARTS; part++) {
        struct ruleset_list *list = &ruleset->parts[part];
        if (list->count == 0) {
            continue;
        }
        qsort(list->items, list->count, sizeof(*list->items), compare_all);
        size_t kept = 1;
        for (size_t i = 1; i < list->count; i++) {
            if (strcmp(list->items[i].name, list->items[kept - 1].name) == 0) {
                free_item(&list->items[i]);
            } else {
                list->items[kept++] = list->items[i];
            }
        }
        list->count = kept;
    }
}

static int compare_name(const void *name, const void *item)
{
    const struct ruleset_item *right = item;
    return strcmp(name, right->name);
}

const char *ruleset_find(const struct ruleset *ruleset, enum ruleset_part part, const char *name)
{
    const struct ruleset_list *list = &ruleset->parts[part];
    const struct ruleset_item *found =
        list->count == 0
            ? NULL
            : bsearch(name, list->items, list->count, sizeof(*list->items), compare_name);
    return found == NULL ? NULL : found->body;
}

/* What became of an item. */
enum fate { FATE_ADDED, FATE_CHANGED, FATE_REMOVED };

typedef void write_item(struct buf *out, enum fate fate, const struct ruleset_item *old,
                        const struct ruleset_item *new);

static void compare_lists(struct buf *out, const struct ruleset *old, const struct ruleset *new,
                          enum ruleset_part part, write_item *write)
{
    const struct ruleset_list *before = &old->parts[part];
    const struct ruleset_list *after = &new->parts[part];
    size_t i = 0;
    size_t j = 0;
    while (i < before->count || j < after->count) {
        const struct ruleset_item *left = i < before->count ? &before->items[i] : NULL;
        const struct ruleset_item *right = j < after->count ? &after->items[j] : NULL;
        int order = left == NULL ? 1 : right == NULL ? -1 : strcmp(left->name, right->name);
        if (order < 0) {
            write(out, FATE_REMOVED, left, NULL);
        } else if (order > 0) {
            write(out, FATE_ADDED, NULL, right);
        } else if (strcmp(left->body, right->body) != 0) {
            write(out, FATE_CHANGED, left, right);
        }
        i += order <= 0;
        j += order >= 0;
    }
}

static void add_set(struct buf *out, enum fate fate, const struct ruleset_item *old,
                    const struct ruleset_item *new)
{
    (void)old;
    if (fate == FATE_ADDED) {
        buf_append_format(out, "add set ip " PROXY_TABLE " %s { %s }\n", new->name, new->body);
    }
}

static void add_chain(struct buf *out, enum fate fate, const struct ruleset_item *old,
                      const struct ruleset_item *new)
{
    (void)old;
    if (fate == FATE_ADDED) {
        buf_append_format(out, "add chain ip " PROXY_TABLE " %s\n", new->name);
    }
}

static void remove_element(struct buf *out, enum fate fate, const struct ruleset_item *old,
                           const struct ruleset_item *new)
{
    (void)new;
    if (fate != FATE_ADDED) {
        buf_append_format(out, "delete element ip " PROXY_TABLE " %s }\n", old->name);
    }
}

static void empty_chain(struct buf *out, enum fate fate, const struct ruleset_item *old,
                        const struct ruleset_item *new)
{
    (void)new;
    if (fate != FATE_ADDED) {
        buf_append_format(out, "flush chain ip " PROXY_TABLE " %s\n", old->name);
    }
}

static void fill_chain(struct buf *out, enum fate fate, const struct ruleset_item *old,
                       const struct ruleset_item *new)
{
    (void)old;
    for (const char *line = fate == FATE_REMOVED ? "" : new->body; *line != '\0';) {
        size_t size = strcspn(line, "\n");
        buf_append_format(out, "add rule ip " PROXY_TABLE " %s %.*s\n", new->name, (int)size, line);
        line += size + (line[size] == '\n');
    }
}

static void add_element(struct buf *out, enum fate fate, const struct ruleset_item *old,
                        const struct ruleset_item *new)
{
    (void)old;
    if (fate != FATE_REMOVED) {
        buf_append_format(out, "add element ip " PROXY_TABLE " %s%s%s }\n", new->name,
                          *new->body == '\0' ? "" : " : ", new->body);
    }
}

static void delete_chain(struct buf *out, enum fate fate, const struct ruleset_item *old,
                         const struct ruleset_item *new)
{
    (void)new;
    if (fate == FATE_REMOVED) {
        buf_append_format(out, "delete chain ip " PROXY_TABLE " %s\n", old->name);
    }
}

static void delete_set(struct buf *out, enum fate fate, const struct ruleset_item *old,
                       const struct ruleset_item *new)
{
    (void)new;
    if (fate == FATE_REMOVED) {
        buf_append_format(out, "delete set ip " PROXY_TABLE " %s\n", old->name);
    }
}

/* What is referred to is made first and removed last. */
void ruleset_write_change(struct buf *out, const struct ruleset *old, const struct ruleset *new)
{
    compare_lists(out, old, new, RULESET_SET, add_set);
    compare_lists(out, old, new, RULESET_CHAIN, add_chain);
    compare_lists(out, old, new, RULESET_ELEMENT, remove_element);
    compare_lists(out, old, new, RULESET_CHAIN, empty_chain);
    compare_lists(out, old, new, RULESET_CHAIN, fill_chain);
    compare_lists(out, old, new, RULESET_ELEMENT, add_element);
    compare_lists(out, old, new, RULESET_CHAIN, delete_chain);
    compare_lists(out, old, new, RULESET_SET, delete_set);
}

void ruleset_write_all(struct buf *out, const char *base, const struct ruleset *new)
{
    const struct ruleset nothing = {0};
    /* Deleting needs it to be there; adding what is there is fine. */
    buf_append_format(out,
                      "add table ip " PROXY_TABLE "\ndelete table ip " PROXY_TABLE
                      "\ntable ip " PROXY_TABLE " {\n%s}\n",
                      base);
    ruleset_write_change(out, &nothing, new);
}
