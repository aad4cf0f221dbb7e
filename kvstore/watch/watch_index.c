#include "kvstore/watch/watch_index.h"

#include "base/check.h"
#include "base/mem.h"

struct watch_group {
    struct list nodes;
    /* Ranges only. */
    struct key_range range;
    uint64_t priority;                /* from the range's bytes: the shape is the same everywhere */
    const struct watch_group *widest; /* of this subtree, the one with the largest end */
    struct watch_group *left;
    struct watch_group *right;
};

static int compare_ends(const struct key_range *a, const struct key_range *b)
{
    if (a->is_unbounded || b->is_unbounded) {
        return (a->is_unbounded ? 1 : 0) - (b->is_unbounded ? 1 : 0);
    }
    return bytes_compare(a->end, b->end);
}

static int compare_ranges(const struct key_range *a, const struct key_range *b)
{
    int order = bytes_compare(a->start, b->start);
    return order != 0 ? order : compare_ends(a, b);
}

static void update_widest(struct watch_group *group)
{
    group->widest = group;
    if (group->left != NULL &&
        compare_ends(&group->left->widest->range, &group->widest->range) > 0) {
        group->widest = group->left->widest;
    }
    if (group->right != NULL &&
        compare_ends(&group->right->widest->range, &group->widest->range) > 0) {
        group->widest = group->right->widest;
    }
}

static struct watch_group *group_new(const struct key_range *range)
{
    struct watch_group *group = mem_zalloc(sizeof *group + range->start.size + range->end.size);
    uint8_t *bytes = (uint8_t *)(group + 1);
    list_init(&group->nodes);
    memcpy(bytes, range->start.data, range->start.size);
    if (range->end.size > 0) {
        memcpy(bytes + range->start.size, range->end.data, range->end.size);
    }
    group->range.start = bytes_make(bytes, range->start.size);
    group->range.end = bytes_make(bytes + range->start.size, range->end.size);
    group->range.is_unbounded = range->is_unbounded;
    group->priority = bytes_hash(bytes_make(bytes, range->start.size + range->end.size));
    group->widest = group;
    return group;
}

/* Depth is logarithmic in the number of different ranges, as priorities are hashes. */
static struct watch_group *merge(struct watch_group *left, struct watch_group *right)
{
    if (left == NULL || right == NULL) {
        return left == NULL ? right : left;
    }
    if (left->priority >= right->priority) {
        left->right = merge(left->right, right);
        update_widest(left);
        return left;
    }
    right->left = merge(left, right->left);
    update_widest(right);
    return right;
}

/* *ret_left: everything before range, *ret_right: the rest. */
static void split(struct watch_group *root, const struct key_range *range,
                  struct watch_group **ret_left, struct watch_group **ret_right)
{
    if (root == NULL) {
        *ret_left = NULL;
        *ret_right = NULL;
        return;
    }
    if (compare_ranges(&root->range, range) < 0) {
        split(root->right, range, &root->right, ret_right);
        *ret_left = root;
    } else {
        split(root->left, range, ret_left, &root->left);
        *ret_right = root;
    }
    update_widest(root);
}

static struct watch_group *find_range(const struct watch_index *index,
                                      const struct key_range *range)
{
    struct watch_group *group = index->ranges;
    while (group != NULL) {
        int order = compare_ranges(range, &group->range);
        if (order == 0) {
            return group;
        }
        group = order < 0 ? group->left : group->right;
    }
    return NULL;
}

static struct watch_group *insert_range(struct watch_index *index, const struct key_range *range)
{
    struct watch_group *group = group_new(range);
    struct watch_group *left = NULL;
    struct watch_group *right = NULL;
    split(index->ranges, range, &left, &right);
    index->ranges = merge(merge(left, group), right);
    return group;
}

static struct watch_group *remove_range(struct watch_group *root, const struct watch_group *gone)
{
    CHECK(root != NULL);
    if (root == gone) {
        return merge(root->left, root->right);
    }
    if (compare_ranges(&gone->range, &root->range) < 0) {
        root->left = remove_range(root->left, gone);
    } else {
        root->right = remove_range(root->right, gone);
    }
    update_widest(root);
    return root;
}

void watch_index_init(struct watch_index *index)
{
    bytes_map_init(&index->keys);
    index->ranges = NULL;
}

void watch_index_deinit(struct watch_index *index)
{
    CHECK(index->keys.count == 0 && index->ranges == NULL);
    bytes_map_deinit(&index->keys);
}

void watch_index_add(struct watch_index *index, struct watch_node *node)
{
    CHECK(node->group == NULL);
    struct watch_group *group = node->is_single ? bytes_map_find(&index->keys, node->range.start)
                                                : find_range(index, &node->range);
    if (group == NULL && node->is_single) {
        group = group_new(&node->range);
        (void)bytes_map_set(&index->keys, node->range.start, group);
    } else if (group == NULL) {
        group = insert_range(index, &node->range);
    }
    node->group = group;
    list_push_back(&group->nodes, &node->in_group);
}

void watch_index_remove(struct watch_index *index, struct watch_node *node)
{
    struct watch_group *group = node->group;
    CHECK(group != NULL);
    list_remove(&node->in_group);
    node->group = NULL;
    if (!list_is_empty(&group->nodes)) {
        return;
    }
    if (node->is_single) {
        (void)bytes_map_remove(&index->keys, node->range.start);
    } else {
        index->ranges = remove_range(index->ranges, group);
    }
    mem_free(group);
}

static void add_group(const struct watch_group *group, struct watch_matches *matches)
{
    list_foreach (item, &group->nodes) {
        if (matches->count == matches->capacity) {
            matches->capacity = matches->capacity == 0 ? 64 : matches->capacity * 2;
            matches->nodes = mem_reallocarray(matches->nodes, matches->capacity, sizeof(void *));
        }
        matches->nodes[matches->count++] = container_of(item, struct watch_node, in_group);
    }
}

static void find_below(const struct watch_group *root, struct bytes key,
                       struct watch_matches *matches)
{
    while (root != NULL) {
        const struct key_range *widest = &root->widest->range;
        if (!widest->is_unbounded && bytes_compare(key, widest->end) >= 0) {
            return; /* everything below ends before the key */
        }
        find_below(root->left, key, matches);
        if (bytes_compare(key, root->range.start) < 0) {
            return; /* everything to the right starts later still */
        }
        if (key_range_contains(&root->range, key)) {
            add_group(root, matches);
        }
        root = root->right;
    }
}

void watch_index_find(const struct watch_index *index, struct bytes key,
                      struct watch_matches *matches)
{
    matches->count = 0;
    const struct watch_group *single =
        index->keys.count == 0 ? NULL : bytes_map_find(&index->keys, key);
    if (single != NULL) {
        add_group(single, matches);
    }
    find_below(index->ranges, key, matches);
}

void watch_matches_deinit(struct watch_matches *matches)
{
    mem_free(matches->nodes);
    *matches = (struct watch_matches){0};
}
