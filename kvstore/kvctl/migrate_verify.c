/* Both sides after the cut-over: the same keys, values and leases, changed in the same order. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "kvstore/kvctl/migrate_live.h"

struct seen {
    uint64_t hash; /* of key, value and lease */
    int64_t source_revision;
    int64_t target_revision;
};

struct verifying {
    struct seen *items;
    size_t count;
    size_t capacity;
    size_t next; /* of the target's walk */
};

static uint64_t hash_of(const Mvccpb__KeyValue *kv)
{
    uint64_t key = bytes_hash(bytes_make(kv->key.data, kv->key.len));
    uint64_t value = bytes_hash(bytes_make(kv->value.data, kv->value.len));
    return (key * 31 + value) * 31 + (uint64_t)kv->lease;
}

static int visit_source(struct live *live, void *context, const Mvccpb__KeyValue *kv)
{
    struct verifying *verifying = context;
    (void)live;
    if (verifying->count == verifying->capacity) {
        verifying->capacity = verifying->capacity == 0 ? 1024 : verifying->capacity * 2;
        verifying->items =
            mem_reallocarray(verifying->items, verifying->capacity, sizeof *verifying->items);
    }
    verifying->items[verifying->count++] =
        (struct seen){.hash = hash_of(kv), .source_revision = kv->mod_revision};
    return EXIT_CODE_OK;
}

static int visit_target(struct live *live, void *context, const Mvccpb__KeyValue *kv)
{
    struct verifying *verifying = context;
    (void)live;
    struct seen *item =
        verifying->next < verifying->count ? &verifying->items[verifying->next] : NULL;
    verifying->next += 1;
    if (item == NULL || item->hash != hash_of(kv)) {
        return command_fail(EXIT_CODE_ERROR, "the two sides differ at or before key \"%.*s\"",
                            (int)(kv->key.len < 200 ? kv->key.len : 200),
                            (const char *)kv->key.data);
    }
    item->target_revision = kv->mod_revision;
    return EXIT_CODE_OK;
}

static int compare_source(const void *a, const void *b)
{
    const struct seen *left = a;
    const struct seen *right = b;
    return (left->source_revision > right->source_revision) -
           (left->source_revision < right->source_revision);
}

static int check_order(struct verifying *verifying)
{
    if (verifying->count > 0) {
        qsort(verifying->items, verifying->count, sizeof *verifying->items, compare_source);
    }
    int64_t newest = 0; /* on the target, of source revisions before the present one */
    int64_t highest = 0;
    for (size_t i = 0; i < verifying->count; i++) {
        const struct seen *item = &verifying->items[i];
        if (i > 0 && item->source_revision != verifying->items[i - 1].source_revision) {
            newest = highest;
        }
        if (item->target_revision <= newest) {
            return command_fail(EXIT_CODE_ERROR,
                                "the order of changes differs at source revision %lld",
                                (long long)item->source_revision);
        }
        highest = item->target_revision > highest ? item->target_revision : highest;
    }
    return EXIT_CODE_OK;
}

int live_verify(struct live *live)
{
    struct verifying verifying = {0};
    int64_t source_revision = 0;
    int64_t target_revision = 0;
    int code =
        live_visit_all(live, &live->source, 0, false, visit_source, &verifying, &source_revision);
    code = code != EXIT_CODE_OK ? code
                                : live_visit_all(live, live->target, 0, false, visit_target,
                                                 &verifying, &target_revision);
    if (code == EXIT_CODE_OK && verifying.next != verifying.count) {
        code = command_fail(EXIT_CODE_ERROR, "the source has %zu keys, the target %zu",
                            verifying.count, verifying.next);
    }
    code = code != EXIT_CODE_OK ? code : check_order(&verifying);
    if (code == EXIT_CODE_OK && source_revision != live->revision) {
        code = command_fail(EXIT_CODE_ERROR,
                            "the source changed meanwhile (revision %lld): stop its writers, run "
                            "this again",
                            (long long)source_revision);
    }
    if (code == EXIT_CODE_OK) {
        printf("Verified %zu keys: values, leases and the order of changes are the same\n",
               verifying.count);
    }
    mem_free(verifying.items);
    return code;
}
