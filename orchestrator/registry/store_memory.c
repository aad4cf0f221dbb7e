#include "orchestrator/registry/store_memory.h"

#include <stdlib.h>
#include <string.h>

#include "base/blob.h"
#include "base/list.h"
#include "base/mem.h"

struct pair {
    char *key;
    struct blob *value;
    uint64_t revision;
};

enum job_type { JOB_READ, JOB_COMMIT, JOB_PUT, JOB_DELETE, JOB_LISTING, JOB_PROGRESS };

struct job {
    struct list link;
    enum job_type type;
    char *key;
    struct blob *value;
    uint64_t value_revision;
    uint64_t revision;
    bool is_committed;
    int code;
    store_read_done *read_done;
    store_commit_done *commit_done;
    void *context;
};

struct store_memory {
    struct store store;
    struct pair *pairs; /* sorted by key */
    size_t count;
    size_t capacity;
    uint64_t revision;
    struct list jobs;
    char *prefix;
    const struct store_follower *follower;
    void *follower_context;
    int fail_code;
    unsigned fail_count;
    bool fail_after;
};

static struct store_memory *from_store(struct store *store)
{
    return container_of(store, struct store_memory, store);
}

static size_t lower_bound(const struct store_memory *memory, const char *key)
{
    size_t low = 0;
    size_t high = memory->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(memory->pairs[middle].key, key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct pair *find_pair(const struct store_memory *memory, const char *key)
{
    size_t at = lower_bound(memory, key);
    bool is_there = at < memory->count && strcmp(memory->pairs[at].key, key) == 0;
    return is_there ? &memory->pairs[at] : NULL;
}

static struct job *add_job(struct store_memory *memory, enum job_type type, const char *key,
                           const struct pair *pair)
{
    struct job *job = mem_zalloc(sizeof(*job));
    job->type = type;
    job->key = mem_strdup(key);
    job->value = pair == NULL ? NULL : blob_ref(pair->value);
    job->value_revision = pair == NULL ? 0 : pair->revision;
    job->revision = memory->revision;
    list_push_back(&memory->jobs, &job->link);
    return job;
}

static void job_free(struct job *job)
{
    mem_free(job->key);
    blob_unref(job->value);
    mem_free(job);
}

static void memory_read(struct store *store, const char *key, store_read_done *done, void *context)
{
    struct store_memory *memory = from_store(store);
    struct job *job = add_job(memory, JOB_READ, key, find_pair(memory, key));
    job->read_done = done;
    job->context = context;
}

static bool expectations_hold(const struct store_memory *memory, const struct store_write *writes,
                              size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct pair *pair = find_pair(memory, writes[i].key);
        uint64_t revision = pair == NULL ? 0 : pair->revision;
        if (writes[i].expected != STORE_REVISION_ANY && writes[i].expected != revision) {
            return false;
        }
    }
    return true;
}

static struct pair *insert_pair(struct store_memory *memory, const char *key)
{
    if (memory->count == memory->capacity) {
        memory->capacity = memory->capacity == 0 ? 64 : memory->capacity * 2;
        memory->pairs = mem_reallocarray(memory->pairs, memory->capacity, sizeof(struct pair));
    }
    size_t at = lower_bound(memory, key);
    memmove(&memory->pairs[at + 1], &memory->pairs[at], (memory->count - at) * sizeof(struct pair));
    memory->count++;
    memory->pairs[at] = (struct pair){.key = mem_strdup(key)};
    return &memory->pairs[at];
}

static void write_one(struct store_memory *memory, const struct store_write *write)
{
    struct pair *pair = find_pair(memory, write->key);
    if (write->data.data == NULL) {
        if (pair == NULL) {
            return;
        }
        (void)add_job(memory, JOB_DELETE, write->key, NULL);
        mem_free(pair->key);
        blob_unref(pair->value);
        size_t at = (size_t)(pair - memory->pairs);
        memmove(pair, pair + 1, (memory->count - at - 1) * sizeof(*pair));
        memory->count--;
        return;
    }
    if (pair == NULL) {
        pair = insert_pair(memory, write->key);
    }
    blob_unref(pair->value);
    pair->value = blob_new_copy(write->data.data, write->data.size);
    pair->revision = memory->revision;
    (void)add_job(memory, JOB_PUT, write->key, pair);
}

static void memory_commit(struct store *store, const struct store_write *writes, size_t count,
                          store_commit_done *done, void *context)
{
    struct store_memory *memory = from_store(store);
    bool fails = memory->fail_count > 0;
    memory->fail_count -= fails;
    bool holds = expectations_hold(memory, writes, count) && (!fails || memory->fail_after);
    if (holds) {
        memory->revision++;
        for (size_t i = 0; i < count; i++) {
            write_one(memory, &writes[i]);
        }
    }
    struct job *job = add_job(memory, JOB_COMMIT, writes[0].key, find_pair(memory, writes[0].key));
    job->is_committed = holds;
    job->code = fails ? memory->fail_code : 0;
    job->commit_done = done;
    job->context = context;
}

static void memory_follow(struct store *store, const char *prefix,
                          const struct store_follower *follower, void *context)
{
    struct store_memory *memory = from_store(store);
    mem_free(memory->prefix);
    memory->prefix = mem_strdup(prefix);
    memory->follower = follower;
    memory->follower_context = context;
    (void)add_job(memory, JOB_LISTING, prefix, NULL);
}

static void memory_request_progress(struct store *store, uint64_t revision)
{
    (void)revision;
    (void)add_job(from_store(store), JOB_PROGRESS, "", NULL);
}

static const struct store_ops memory_ops = {
    .read = memory_read,
    .commit = memory_commit,
    .follow = memory_follow,
    .request_progress = memory_request_progress,
};

struct store_memory *store_memory_new(void)
{
    struct store_memory *memory = mem_zalloc(sizeof(*memory));
    memory->store.ops = &memory_ops;
    memory->revision = 1;
    list_init(&memory->jobs);
    return memory;
}

void store_memory_free(struct store_memory *memory)
{
    if (memory == NULL) {
        return;
    }
    list_foreach_safe (item, &memory->jobs) {
        job_free(container_of(item, struct job, link));
    }
    for (size_t i = 0; i < memory->count; i++) {
        mem_free(memory->pairs[i].key);
        blob_unref(memory->pairs[i].value);
    }
    mem_free(memory->pairs);
    mem_free(memory->prefix);
    mem_free(memory);
}

struct store *store_memory_store(struct store_memory *memory)
{
    return &memory->store;
}

static void run_listing(struct store_memory *memory)
{
    const struct store_follower *follower = memory->follower;
    follower->on_listing_begin(memory->follower_context);
    size_t size = strlen(memory->prefix);
    for (size_t i = lower_bound(memory, memory->prefix); i < memory->count; i++) {
        const struct pair *pair = &memory->pairs[i];
        if (strncmp(pair->key, memory->prefix, size) != 0) {
            break;
        }
        follower->on_put(memory->follower_context, pair->key, blob_bytes(pair->value),
                         pair->revision);
    }
    follower->on_listing_end(memory->follower_context, memory->revision);
}

static bool is_followed(const struct store_memory *memory, const char *key)
{
    return memory->follower != NULL && strncmp(key, memory->prefix, strlen(memory->prefix)) == 0;
}

static void run_job(struct store_memory *memory, const struct job *job)
{
    const struct store_value value = {.data = blob_bytes(job->value),
                                      .revision = job->value_revision};
    const struct store_outcome outcome = {
        .is_committed = job->is_committed, .revision = job->revision, .current = value};
    struct err err = {0};
    void *context = memory->follower_context;
    switch (job->type) {
    case JOB_READ:
        job->read_done(job->context, NULL, &value, job->revision);
        break;
    case JOB_COMMIT:
        if (job->code != 0) {
            (void)err_set(&err, job->code, "the store did not answer");
        }
        job->commit_done(job->context, job->code == 0 ? NULL : &err, &outcome);
        break;
    case JOB_PUT:
        if (is_followed(memory, job->key)) {
            memory->follower->on_put(context, job->key, value.data, job->value_revision);
        }
        break;
    case JOB_DELETE:
        if (is_followed(memory, job->key)) {
            memory->follower->on_delete(context, job->key, job->revision);
        }
        break;
    case JOB_LISTING:
        run_listing(memory);
        break;
    case JOB_PROGRESS:
        if (memory->follower != NULL) {
            memory->follower->on_progress(context, job->revision);
        }
        break;
    }
}

bool store_memory_step(struct store_memory *memory)
{
    struct list *item = list_pop_front(&memory->jobs);
    if (item == NULL) {
        return false;
    }
    struct job *job = container_of(item, struct job, link);
    run_job(memory, job);
    job_free(job);
    return true;
}

void store_memory_fail_commits(struct store_memory *memory, int code, unsigned count, bool after)
{
    memory->fail_code = code;
    memory->fail_count = count;
    memory->fail_after = after;
}

void store_memory_lose_history(struct store_memory *memory)
{
    list_foreach_safe (item, &memory->jobs) {
        struct job *job = container_of(item, struct job, link);
        if (job->type == JOB_PUT || job->type == JOB_DELETE) {
            list_remove(item);
            job_free(job);
        }
    }
    (void)add_job(memory, JOB_LISTING, memory->prefix, NULL);
}

uint64_t store_memory_revision(const struct store_memory *memory)
{
    return memory->revision;
}

size_t store_memory_count(const struct store_memory *memory, const char *prefix)
{
    size_t count = 0;
    for (size_t i = lower_bound(memory, prefix);
         i < memory->count && strncmp(memory->pairs[i].key, prefix, strlen(prefix)) == 0; i++) {
        count++;
    }
    return count;
}
