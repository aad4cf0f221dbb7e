#include "kvstore/lease/lessor.h"

#include "base/check.h"
#include "base/err.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "kvstore/mvcc/planted.h"

enum { SORT_MOVES_PER_ITEM = 16 }; /* they are cheap beside what else counts as an item */

/* One key's claim; in the lessor's map by key, and in its lease's array. */
struct lease_item {
    struct lease *lease;
    uint32_t position;
    uint32_t key_size;
    uint8_t key[];
};

/* A merge sort of borrowed keys, bottom up, that can stop after any move. */
struct lease_sort {
    struct bytes *keys;
    struct bytes *other;
    uint32_t count;
    uint32_t filled;
    uint32_t width;
    uint32_t a; /* of two runs that are being merged: the next of each, ... */
    uint32_t middle;
    uint32_t b;
    uint32_t end;
    uint32_t to; /* ... and where it goes; to == end: the next two */
};

struct lease {
    struct list link; /* in the lessor's list */
    int64_t id;
    int64_t ttl_s;
    int64_t checkpoint_s;
    struct lease_item **items;
    uint32_t item_count;
    uint32_t item_capacity;
    struct bytes *sorted;    /* NULL: not made since the last change */
    struct lease_sort *sort; /* NULL: none is under way */

    struct heap_node node; /* by deadline, on the leader */
    uint64_t deadline_ms;
    bool is_expired; /* waits for its revocation, cannot be renewed */
};

struct lessor {
    struct u64_map leases;
    struct list all;
    struct list *promote_next; /* in all: no deadline from here on; NULL: not promoting */
    uint64_t promote_ms;       /* deadlines are the TTL after this */
    struct bytes_map items;
    struct heap deadlines;
    bool is_primary;
    uint64_t now_ms; /* only for leases that are granted while this member leads */
};

static bool is_due_first(const struct heap_node *a, const struct heap_node *b)
{
    const struct lease *left = container_of(a, struct lease, node);
    const struct lease *right = container_of(b, struct lease, node);
    return left->deadline_ms != right->deadline_ms ? left->deadline_ms < right->deadline_ms
                                                   : left->id < right->id;
}

struct lessor *lessor_new(void)
{
    struct lessor *lessor = mem_zalloc(sizeof *lessor);
    u64_map_init(&lessor->leases);
    list_init(&lessor->all);
    bytes_map_init(&lessor->items);
    heap_init(&lessor->deadlines, is_due_first);
    return lessor;
}

static void forget_order(struct lease *lease)
{
    mem_free(lease->sorted);
    lease->sorted = NULL;
    if (lease->sort != NULL) {
        mem_free(lease->sort->keys);
        mem_free(lease->sort->other);
        mem_free(lease->sort);
        lease->sort = NULL;
    }
}

static void lease_free(struct lease *lease)
{
    for (uint32_t i = 0; i < lease->item_count; i++) {
        mem_free(lease->items[i]);
    }
    mem_free(lease->items);
    forget_order(lease);
    mem_free(lease);
}

void lessor_clear(struct lessor *lessor)
{
    size_t cursor = 0;
    uint64_t id;
    void *lease;
    while (u64_map_next(&lessor->leases, &cursor, &id, &lease)) {
        lease_free(lease);
    }
    u64_map_deinit(&lessor->leases);
    list_init(&lessor->all);
    lessor->promote_next = NULL;
    bytes_map_deinit(&lessor->items);
    heap_deinit(&lessor->deadlines);
    heap_init(&lessor->deadlines, is_due_first);
    lessor->is_primary = false;
}

void lessor_free(struct lessor *lessor)
{
    if (lessor == NULL) {
        return;
    }
    lessor_clear(lessor);
    mem_free(lessor);
}

/* --- replicated ------------------------------------------------------------------------------ */

static uint64_t full_deadline(const struct lease *lease, uint64_t now_ms)
{
    return now_ms + (uint64_t)lease->ttl_s * 1000;
}

static void schedule(struct lessor *lessor, struct lease *lease, uint64_t deadline_ms)
{
    lease->deadline_ms = deadline_ms;
    if (heap_contains(&lease->node)) {
        heap_update(&lessor->deadlines, &lease->node);
    } else {
        heap_insert(&lessor->deadlines, &lease->node);
    }
}

int lessor_restore(struct lessor *lessor, int64_t id, int64_t ttl_s, int64_t checkpoint_s)
{
    if (id == 0) {
        return ERR_INVALID;
    }
    if (ttl_s > LEASE_TTL_MAX_S) {
        return ERR_TOO_LARGE;
    }
    if (lessor_find(lessor, id) != NULL) {
        return ERR_EXISTS;
    }
    struct lease *lease = mem_zalloc(sizeof *lease);
    lease->id = id;
    lease->ttl_s = ttl_s < 1 ? 1 : ttl_s;
    lease->checkpoint_s = checkpoint_s;
    heap_node_init(&lease->node);
    (void)u64_map_set(&lessor->leases, (uint64_t)id, lease);
    list_push_back(&lessor->all, &lease->link);
    return 0;
}

int lessor_grant(struct lessor *lessor, int64_t id, int64_t ttl_s)
{
    int code = lessor_restore(lessor, id, ttl_s, 0);
    if (code == 0 && lessor->is_primary) {
        struct lease *lease = lessor_find(lessor, id);
        schedule(lessor, lease, full_deadline(lease, lessor->now_ms));
    }
    return code;
}

struct lease *lessor_find(const struct lessor *lessor, int64_t id)
{
    return u64_map_find(&lessor->leases, (uint64_t)id);
}

bool lessor_remove(struct lessor *lessor, int64_t id)
{
    struct lease *lease = u64_map_remove(&lessor->leases, (uint64_t)id);
    if (lease == NULL) {
        return false;
    }
    uint32_t items = UINT32_MAX;
    bool is_bare = lessor_forget_keys(lessor, lease, &items);
    CHECK(is_bare);
    if (lessor->promote_next == &lease->link) {
        lessor->promote_next = lease->link.next;
    }
    list_remove(&lease->link);
    heap_remove(&lessor->deadlines, &lease->node);
    lease_free(lease);
    return true;
}

bool lessor_forget_keys(struct lessor *lessor, struct lease *lease, uint32_t *items)
{
    forget_order(lease);
    while (lease->item_count > 0) {
        if (*items == 0) {
            return false;
        }
        *items -= 1;
        struct lease_item *item = lease->items[--lease->item_count];
        (void)bytes_map_remove(&lessor->items, bytes_make(item->key, item->key_size));
        mem_free(item);
    }
    return true;
}

void lessor_detach(struct lessor *lessor, struct bytes key)
{
    struct lease_item *item = bytes_map_remove(&lessor->items, key);
    if (item == NULL) {
        return;
    }
    struct lease *lease = item->lease;
    struct lease_item *last = lease->items[lease->item_count - 1];
    lease->items[item->position] = last;
    last->position = item->position;
    lease->item_count -= 1;
    forget_order(lease);
    mem_free(item);
}

void lessor_attach(struct lessor *lessor, int64_t id, struct bytes key)
{
    if (id != 0 && lessor_lease_of(lessor, key) == id) {
        return;
    }
    lessor_detach(lessor, key);
    struct lease *lease = id == 0 ? NULL : lessor_find(lessor, id);
    if (lease == NULL) {
        return;
    }
    struct lease_item *item = mem_alloc(sizeof *item + key.size);
    item->lease = lease;
    item->position = lease->item_count;
    item->key_size = (uint32_t)key.size;
    memcpy(item->key, key.data, key.size);
    if (lease->item_count == lease->item_capacity) {
        lease->item_capacity = lease->item_capacity == 0 ? 1 : lease->item_capacity * 2;
        lease->items = mem_reallocarray(lease->items, lease->item_capacity, sizeof(void *));
    }
    lease->items[lease->item_count++] = item;
    forget_order(lease);
    (void)bytes_map_set(&lessor->items, key, item);
}

int64_t lessor_lease_of(const struct lessor *lessor, struct bytes key)
{
    const struct lease_item *item = bytes_map_find(&lessor->items, key);
    return item == NULL ? 0 : item->lease->id;
}

int64_t lease_id(const struct lease *lease)
{
    return lease->id;
}

int64_t lease_granted_ttl_s(const struct lease *lease)
{
    return lease->ttl_s;
}

int64_t lease_checkpoint_s(const struct lease *lease)
{
    return lease->checkpoint_s;
}

void lease_set_checkpoint(struct lease *lease, int64_t remaining_s)
{
    lease->checkpoint_s = remaining_s;
}

uint32_t lease_key_count(const struct lease *lease)
{
    return lease->item_count;
}

static struct lease_sort *start_sort(const struct lease *lease)
{
    struct lease_sort *sort = mem_zalloc(sizeof *sort);
    uint32_t room = lease->item_count == 0 ? 1 : lease->item_count;
    sort->count = lease->item_count;
    sort->keys = mem_reallocarray(NULL, room, sizeof *sort->keys);
    sort->other = mem_reallocarray(NULL, room, sizeof *sort->other);
    sort->width = 1;
    return sort;
}

/* The two runs at `at`. */
static void begin_merge(struct lease_sort *sort, uint32_t at)
{
    uint32_t left = sort->count - at;
    sort->a = at;
    sort->to = at;
    sort->middle = left < sort->width ? sort->count : at + sort->width;
    sort->b = sort->middle;
    sort->end = left / 2 < sort->width ? sort->count : at + 2 * sort->width;
}

static void move_one(struct lease_sort *sort)
{
    bool takes_a =
        sort->a < sort->middle &&
        (sort->b == sort->end || bytes_compare(sort->keys[sort->a], sort->keys[sort->b]) <= 0);
    sort->other[sort->to++] = sort->keys[takes_a ? sort->a++ : sort->b++];
}

/* One more move; false: it is sorted. */
static bool sort_more(struct lease_sort *sort, struct lease_item *const *items)
{
    if (sort->filled < sort->count) {
        const struct lease_item *item = items[sort->filled];
        sort->keys[sort->filled++] = bytes_make(item->key, item->key_size);
        if (sort->filled == sort->count) {
            begin_merge(sort, 0);
        }
        return true;
    }
    if (sort->width >= sort->count) {
        return false;
    }
    move_one(sort);
    if (sort->to < sort->end) {
        return true;
    }
    if (sort->end < sort->count) {
        begin_merge(sort, sort->end);
        return true;
    }
    struct bytes *keys = sort->keys;
    sort->keys = sort->other;
    sort->other = keys;
    sort->width = sort->width > UINT32_MAX / 2 ? UINT32_MAX : sort->width * 2;
    begin_merge(sort, 0);
    return true;
}

bool lease_sort_step(struct lease *lease, uint32_t *items)
{
    if (lease->sorted != NULL) {
        return true;
    }
    if (lease->sort == NULL) {
        lease->sort = start_sort(lease);
    }
    for (; *items > 0; *items -= 1) {
        for (unsigned i = 0; i < SORT_MOVES_PER_ITEM; i++) {
            if (!sort_more(lease->sort, lease->items)) {
                struct bytes *sorted = lease->sort->keys;
                lease->sort->keys = NULL;
                forget_order(lease);
                lease->sorted = sorted;
                return true;
            }
        }
    }
    return false;
}

const struct bytes *lease_keys_sorted(struct lease *lease, uint32_t *ret_count)
{
    *ret_count = lease->item_count;
    bool is_sorted = false;
    while (!is_sorted) {
        uint32_t items = UINT32_MAX;
        is_sorted = lease_sort_step(lease, &items);
    }
    return lease->sorted;
}

uint32_t lessor_count(const struct lessor *lessor)
{
    return (uint32_t)lessor->leases.count;
}

void lessor_ids(const struct lessor *lessor, int64_t *ret_ids)
{
    size_t cursor = 0;
    uint64_t id;
    void *lease;
    uint32_t count = 0;
    while (u64_map_next(&lessor->leases, &cursor, &id, &lease)) {
        ret_ids[count++] = (int64_t)id;
    }
    /* Heap sort: in place, never quadratic. */
    for (uint32_t size = count, root = count / 2; size > 1;) {
        if (root > 0) {
            root -= 1;
        } else {
            size -= 1;
            int64_t last = ret_ids[size];
            ret_ids[size] = ret_ids[0];
            ret_ids[0] = last;
        }
        for (uint32_t at = root, child = 2 * at + 1; child < size; child = 2 * at + 1) {
            child += child + 1 < size && ret_ids[child] < ret_ids[child + 1] ? 1U : 0U;
            if (ret_ids[at] >= ret_ids[child]) {
                break;
            }
            int64_t swap = ret_ids[at];
            ret_ids[at] = ret_ids[child];
            ret_ids[child] = swap;
            at = child;
        }
    }
}

/* --- the leader's clock ------------------------------------------------------------------------
 */

static uint64_t promoted_deadline(const struct lessor *lessor, const struct lease *lease)
{
    int64_t ttl_s = lease->checkpoint_s > 0 ? lease->checkpoint_s : lease->ttl_s;
    return lessor->promote_ms + (uint64_t)ttl_s * 1000;
}

/* Unless it has its deadline already: a new lease, or one that was asked for. */
static void promote_lease(struct lessor *lessor, struct lease *lease)
{
    if (!lessor->is_primary || heap_contains(&lease->node)) {
        return;
    }
    lease->is_expired = false;
    /* planted: what it was when it last led */
    schedule(lessor, lease, PLANTED(57) ? lease->deadline_ms : promoted_deadline(lessor, lease));
}

void lessor_promote(struct lessor *lessor, uint64_t now_ms, uint64_t extend_ms)
{
    lessor_demote(lessor);
    lessor->is_primary = true;
    lessor->now_ms = now_ms;
    lessor->promote_ms = now_ms + extend_ms;
    lessor->promote_next = lessor->all.next;
}

bool lessor_promote_step(struct lessor *lessor, uint32_t leases)
{
    for (; lessor->promote_next != NULL && leases > 0; leases--) {
        if (lessor->promote_next == &lessor->all) {
            lessor->promote_next = NULL;
            break;
        }
        promote_lease(lessor, container_of(lessor->promote_next, struct lease, link));
        lessor->promote_next = lessor->promote_next->next;
    }
    return lessor->promote_next == NULL;
}

void lessor_demote(struct lessor *lessor)
{
    lessor->is_primary = false;
    lessor->promote_next = NULL;
    heap_clear(&lessor->deadlines);
}

bool lessor_is_primary(const struct lessor *lessor)
{
    return lessor->is_primary;
}

void lessor_set_now(struct lessor *lessor, uint64_t now_ms)
{
    lessor->now_ms = now_ms;
}

uint64_t lessor_now(const struct lessor *lessor)
{
    return lessor->now_ms;
}

int64_t lessor_renew(struct lessor *lessor, int64_t id, uint64_t now_ms)
{
    struct lease *lease = lessor_find(lessor, id);
    if (!lessor->is_primary || lease == NULL) {
        return 0;
    }
    promote_lease(lessor, lease);
    if (lease->is_expired) {
        return 0;
    }
    lease->checkpoint_s = 0;
    schedule(lessor, lease, full_deadline(lease, now_ms));
    return lease->ttl_s;
}

int64_t lessor_remaining_s(const struct lessor *lessor, int64_t id, uint64_t now_ms)
{
    const struct lease *lease = lessor_find(lessor, id);
    if (!lessor->is_primary || lease == NULL) {
        return INT64_MIN;
    }
    bool is_entered = heap_contains(&lease->node);
    if (is_entered && lease->is_expired) {
        return 0;
    }
    uint64_t deadline_ms = is_entered ? lease->deadline_ms : promoted_deadline(lessor, lease);
    if (deadline_ms >= now_ms) {
        return (int64_t)((deadline_ms - now_ms) / 1000);
    }
    return -(int64_t)((now_ms - deadline_ms) / 1000);
}

uint64_t lessor_deadline_ms(const struct lessor *lessor)
{
    const struct heap_node *node = heap_peek(&lessor->deadlines);
    return node == NULL ? UINT64_MAX : container_of(node, struct lease, node)->deadline_ms;
}

struct lease *lessor_take_expired(struct lessor *lessor, uint64_t now_ms, uint64_t retry_ms)
{
    struct heap_node *node = heap_peek(&lessor->deadlines);
    if (!lessor->is_primary || node == NULL) {
        return NULL;
    }
    struct lease *lease = container_of(node, struct lease, node);
    if (lease->deadline_ms > now_ms) {
        return NULL;
    }
    lease->is_expired = true;
    schedule(lessor, lease, now_ms + (retry_ms == 0 ? 1 : retry_ms));
    return lease;
}

void lessor_check(const struct lessor *lessor)
{
    size_t cursor = 0;
    uint64_t id;
    void *value;
    size_t items = 0;
    while (u64_map_next(&lessor->leases, &cursor, &id, &value)) {
        const struct lease *lease = value;
        CHECK((uint64_t)lease->id == id);
        CHECK(heap_contains(&lease->node) == lessor->is_primary || lessor->promote_next != NULL);
        for (uint32_t i = 0; i < lease->item_count; i++) {
            const struct lease_item *item = lease->items[i];
            CHECK(item->position == i && item->lease == lease);
            CHECK(bytes_map_find(&lessor->items, bytes_make(item->key, item->key_size)) == item);
        }
        items += lease->item_count;
    }
    CHECK(items == lessor->items.count);
}
