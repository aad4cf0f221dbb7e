/* Wing and Gong's search with Lowe's cache: walk the calls and returns of one key in time order; a
 * call that fits the state is taken out of the list with its return, and the walk starts anew; at a
 * return whose call was not taken the last one taken is put back. A set of operations with a state
 * that was reached before is not tried twice. */
#include "tests/fault/history.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"

enum { STEPS_MAX = 20 * 1000 * 1000, CACHE_BYTES_MAX = 512 << 20 };

struct node {
    struct node *next;
    struct node *previous;
    struct node *other; /* a call's return; NULL: this is a return */
    const struct history_operation *operation;
    uint32_t number;
    uint64_t time_ns;
};

struct search {
    struct node *nodes;
    size_t node_count;
    struct node head;
    struct node **taken; /* calls, in their order */
    const char **states; /* the state before each of them */
    size_t taken_count;
    uint64_t *done; /* a bit for each operation */
    size_t done_bytes;
    struct bytes_map cache;
    uint8_t *cache_key;
    uint64_t steps;
    size_t left; /* returns that must still be reached */
};

static int by_time(const void *a, const void *b)
{
    const struct node *x = a;
    const struct node *y = b;
    if (x->time_ns != y->time_ns) {
        return x->time_ns < y->time_ns ? -1 : 1;
    }
    /* Intervals are closed: at one instant calls come before returns. */
    return (x->other == NULL) - (y->other == NULL);
}

static bool apply(const struct history_operation *operation, const char **state)
{
    bool matches = strcmp(*state, operation->expected) == 0;
    switch (operation->kind) {
    case HISTORY_PUT:
        *state = operation->value;
        return true;
    case HISTORY_GET:
        return strcmp(*state, operation->value) == 0;
    case HISTORY_CAS:
        if (operation->outcome == HISTORY_FAILED) {
            return !matches;
        }
        *state = matches ? operation->value : *state;
        return matches || operation->outcome == HISTORY_UNKNOWN;
    }
    return false;
}

static bool is_new(struct search *search, uint32_t number, const char *state)
{
    size_t size = strlen(state);
    search->done[number / 64] |= UINT64_C(1) << (number % 64);
    memcpy(search->cache_key, search->done, search->done_bytes);
    memcpy(search->cache_key + search->done_bytes, state, size);
    return bytes_map_set(&search->cache,
                         bytes_make(search->cache_key, search->done_bytes + size),
                         search) == NULL;
}

static void unlink_node(struct node *node)
{
    node->previous->next = node->next;
    if (node->next != NULL) {
        node->next->previous = node->previous;
    }
}

static void relink_node(struct node *node)
{
    node->previous->next = node;
    if (node->next != NULL) {
        node->next->previous = node;
    }
}

static void take(struct search *search, struct node *call, const char *before)
{
    search->taken[search->taken_count] = call;
    search->states[search->taken_count++] = before;
    unlink_node(call);
    unlink_node(call->other);
    search->left -= call->other->time_ns != UINT64_MAX;
}

static struct node *put_back(struct search *search, const char **state)
{
    struct node *call = search->taken[--search->taken_count];
    *state = search->states[search->taken_count];
    search->done[call->number / 64] &= ~(UINT64_C(1) << (call->number % 64));
    relink_node(call->other);
    relink_node(call);
    search->left += call->other->time_ns != UINT64_MAX;
    return call->next;
}

/* 1: there is an order; 0: there is none; -1: given up. */
static int run(struct search *search)
{
    const char *state = "";
    struct node *node = search->head.next;
    while (search->left > 0) {
        size_t cache_bytes = search->cache.count * search->done_bytes;
        if (++search->steps > STEPS_MAX || cache_bytes > CACHE_BYTES_MAX) {
            return -1;
        }
        if (node == NULL || node->other == NULL) { /* a return whose call was not taken */
            if (search->taken_count == 0) {
                return 0;
            }
            node = put_back(search, &state);
            continue;
        }
        const char *after = state;
        if (!apply(node->operation, &after)) {
            node = node->next;
            continue;
        }
        if (!is_new(search, node->number, after)) {
            search->done[node->number / 64] &= ~(UINT64_C(1) << (node->number % 64));
            node = node->next;
            continue;
        }
        take(search, node, state);
        state = after;
        node = search->head.next;
    }
    return 1;
}

static void link_all(struct search *search)
{
    qsort(search->nodes, search->node_count, sizeof search->nodes[0], by_time);
    struct node **calls = mem_calloc(search->node_count + 1, sizeof(struct node *));
    struct node *last = &search->head;
    for (size_t i = 0; i < search->node_count; i++) {
        struct node *node = &search->nodes[i];
        last->next = node;
        node->previous = last;
        node->next = NULL;
        last = node;
        if (node->other != NULL) {
            calls[node->number] = node; /* `other` was but a mark until here */
        } else {
            calls[node->number]->other = node;
        }
    }
    mem_free(calls);
}

static int search_operations(const struct history_operation *const *operations, size_t count,
                             const uint64_t *return_ns)
{
    struct search search = {.node_count = 2 * count, .left = 0};
    search.nodes = mem_calloc(2 * count + 1, sizeof search.nodes[0]);
    search.taken = mem_calloc(count + 1, sizeof(struct node *));
    search.states = mem_calloc(count + 1, sizeof(char *));
    search.done_bytes = (count / 64 + 1) * sizeof(uint64_t);
    search.done = mem_zalloc(search.done_bytes);
    search.cache_key = mem_alloc(search.done_bytes + HISTORY_TEXT_SIZE);
    bytes_map_init(&search.cache);
    for (size_t i = 0; i < count; i++) {
        struct node call = {.operation = operations[i],
                            .number = (uint32_t)i,
                            .other = &search.head,
                            .time_ns = operations[i]->invoke_ns};
        search.nodes[2 * i] = call;
        search.nodes[2 * i + 1] = (struct node){
            .operation = operations[i], .number = (uint32_t)i, .time_ns = return_ns[i]};
        search.left += return_ns[i] != UINT64_MAX;
    }
    link_all(&search);
    int found = run(&search);
    mem_free(search.nodes);
    mem_free(search.taken);
    mem_free(search.states);
    mem_free(search.done);
    mem_free(search.cache_key);
    bytes_map_deinit(&search.cache);
    return found;
}

/* An unknown write that was read had happened when the first reader was answered. */
static uint64_t first_read_ns(const struct history *history, const struct history_operation *write)
{
    uint64_t first = UINT64_MAX;
    for (size_t i = 0; i < history->count; i++) {
        const struct history_operation *read = &history->operations[i];
        bool is_seen = read->outcome == HISTORY_OK && strcmp(read->key, write->key) == 0 &&
                       ((read->kind == HISTORY_GET && strcmp(read->value, write->value) == 0) ||
                        (read->kind == HISTORY_CAS && strcmp(read->expected, write->value) == 0));
        if (is_seen && read->return_ns < first) {
            first = read->return_ns;
        }
    }
    return first;
}

/* Unknown writes that nobody saw are left out first: without them the search is quick, and an order
 * without them is an order. */
static int check_key(const struct history *history, const char *key, bool with_unseen)
{
    size_t count = 0;
    const struct history_operation **operations =
        mem_calloc(history->count + 1, sizeof(struct history_operation *));
    uint64_t *return_ns = mem_calloc(history->count + 1, sizeof(uint64_t));
    for (size_t i = 0; i < history->count; i++) {
        const struct history_operation *operation = &history->operations[i];
        bool is_unknown = operation->outcome == HISTORY_UNKNOWN;
        if (strcmp(operation->key, key) != 0 || (is_unknown && operation->kind == HISTORY_GET)) {
            continue;
        }
        uint64_t end = is_unknown ? first_read_ns(history, operation) : operation->return_ns;
        if (end == UINT64_MAX && !with_unseen) {
            continue;
        }
        operations[count] = operation;
        return_ns[count++] = end;
    }
    int found = search_operations(operations, count, return_ns);
    mem_free(operations);
    mem_free(return_ns);
    return found;
}

bool history_check_search(const struct history *history, char *problem)
{
    struct bytes_map keys;
    bytes_map_init(&keys);
    bool ok = true;
    for (size_t i = 0; i < history->count && ok; i++) {
        const char *key = history->operations[i].key;
        if (bytes_map_set(&keys, bytes_from_text(key), &keys) != NULL) {
            continue;
        }
        int found = check_key(history, key, false);
        found = found == 1 ? 1 : check_key(history, key, true);
        ok = found == 1;
        if (!ok) {
            (void)snprintf(problem, HISTORY_PROBLEM_SIZE, "key %s: %s", key,
                           found == 0 ? "no order of the operations explains the answers"
                                      : "the search is too long");
        }
    }
    bytes_map_deinit(&keys);
    return ok;
}
