/* list.h - an intrusive doubly linked list. The head is a struct list of its own. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct list {
    struct list *next;
    struct list *prev;
};

/* Through an integer, because the member may be seen through a pointer to const. */
#define container_of(pointer, type, member) ((type *)((uintptr_t)(pointer)-offsetof(type, member)))

static inline void list_init(struct list *head)
{
    head->next = head;
    head->prev = head;
}

static inline bool list_is_empty(const struct list *head)
{
    return head->next == head;
}

static inline void list_insert_before(struct list *place, struct list *item)
{
    item->prev = place->prev;
    item->next = place;
    place->prev->next = item;
    place->prev = item;
}

static inline void list_push_back(struct list *head, struct list *item)
{
    list_insert_before(head, item);
}

static inline void list_push_front(struct list *head, struct list *item)
{
    list_insert_before(head->next, item);
}

/* Unlink; the item is a list of its own afterwards, so removing twice is harmless. */
static inline void list_remove(struct list *item)
{
    item->prev->next = item->next;
    item->next->prev = item->prev;
    list_init(item);
}

/* First item, unlinked; NULL when empty. */
static inline struct list *list_pop_front(struct list *head)
{
    if (list_is_empty(head)) {
        return NULL;
    }
    struct list *item = head->next;
    list_remove(item);
    return item;
}

/* Move every item of from to the end of to. */
static inline void list_splice_back(struct list *to, struct list *from)
{
    if (list_is_empty(from)) {
        return;
    }
    from->next->prev = to->prev;
    from->prev->next = to;
    to->prev->next = from->next;
    to->prev = from->prev;
    list_init(from);
}

#define list_foreach(item, head)                                                                   \
    for (struct list *item = (head)->next; item != (head); item = item->next)

/* The current item may be removed. */
#define list_foreach_safe(item, head)                                                              \
    for (struct list *item = (head)->next, *item##_next = item->next; item != (head);              \
         item = item##_next, item##_next = item->next)

#endif
