#include "tests/fault/history.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"

/* A write whose revision is known: it was acknowledged, or somebody read it. */
struct write {
    const struct history_operation *operation;
    int64_t revision;
};

struct checker {
    const struct history *history;
    struct bytes_map by_value; /* value -> the operation that writes it */
    struct write *writes;      /* by key, then by revision */
    size_t count;
    char *problem;
};

static bool fail(struct checker *checker, const struct history_operation *operation,
                 const char *what)
{
    (void)snprintf(checker->problem, HISTORY_PROBLEM_SIZE,
                   "client %" PRIu32 ", %s of %s, value '%s', expected '%s', revision %" PRId64
                   ", mod %" PRId64 ", %" PRIu64 " to %" PRIu64 ": %s",
                   operation->client, operation->kind == HISTORY_GET ? "get" : "write",
                   operation->key, operation->value, operation->expected, operation->revision,
                   operation->mod, operation->invoke_ns, operation->return_ns, what);
    return false;
}

static bool is_write(const struct history_operation *operation)
{
    return operation->kind != HISTORY_GET && operation->outcome != HISTORY_FAILED;
}

static int by_key_and_revision(const void *a, const void *b)
{
    const struct write *x = a;
    const struct write *y = b;
    int keys = strcmp(x->operation->key, y->operation->key);
    return keys != 0 ? keys : (x->revision > y->revision) - (x->revision < y->revision);
}

static int by_revision(const void *a, const void *b)
{
    const struct write *x = a;
    const struct write *y = b;
    return (x->revision > y->revision) - (x->revision < y->revision);
}

/* The first write of this key with a revision above `revision`, or NULL. */
static const struct write *find_after(const struct checker *checker, const char *key,
                                      int64_t revision)
{
    size_t low = 0;
    size_t high = checker->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct write *write = &checker->writes[middle];
        int keys = strcmp(write->operation->key, key);
        if (keys < 0 || (keys == 0 && write->revision <= revision)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool is_found = low < checker->count && strcmp(checker->writes[low].operation->key, key) == 0;
    return is_found ? &checker->writes[low] : NULL;
}

static bool note_values(struct checker *checker)
{
    for (size_t i = 0; i < checker->history->count; i++) {
        struct history_operation *operation = &checker->history->operations[i];
        if (is_write(operation) &&
            bytes_map_set(&checker->by_value, bytes_from_text(operation->value), operation) !=
                NULL) {
            return fail(checker, operation, "the value is written twice: a bad history");
        }
    }
    return true;
}

static void note_write(struct checker *checker, struct u64_map *seen,
                       const struct history_operation *operation, int64_t revision)
{
    if (u64_map_set(seen, (uint64_t)(uintptr_t)operation, checker) == NULL) {
        checker->writes[checker->count++] = (struct write){operation, revision};
    }
}

static bool collect(struct checker *checker)
{
    bool ok = true;
    struct u64_map seen;
    u64_map_init(&seen);
    checker->writes = mem_calloc(checker->history->count + 1, sizeof checker->writes[0]);
    for (size_t i = 0; i < checker->history->count; i++) {
        const struct history_operation *operation = &checker->history->operations[i];
        if (is_write(operation) && operation->outcome == HISTORY_OK) {
            note_write(checker, &seen, operation, operation->revision);
        }
    }
    for (size_t i = 0; i < checker->history->count && ok; i++) {
        const struct history_operation *read = &checker->history->operations[i];
        if (read->kind != HISTORY_GET || read->outcome != HISTORY_OK || read->value[0] == '\0') {
            continue;
        }
        const struct history_operation *source =
            bytes_map_find(&checker->by_value, bytes_from_text(read->value));
        if (source == NULL || strcmp(source->key, read->key) != 0) {
            ok = fail(checker, read, "nobody has written that value there");
        } else if (source->outcome == HISTORY_OK && source->revision != read->mod) {
            ok = fail(checker, read, "its writer was told another revision");
        } else {
            note_write(checker, &seen, source, read->mod);
        }
    }
    u64_map_deinit(&seen);
    return ok;
}

static bool check_unique(struct checker *checker)
{
    qsort(checker->writes, checker->count, sizeof checker->writes[0], by_revision);
    for (size_t i = 1; i < checker->count; i++) {
        if (checker->writes[i].revision == checker->writes[i - 1].revision) {
            return fail(checker, checker->writes[i].operation, "two writes have one revision");
        }
    }
    qsort(checker->writes, checker->count, sizeof checker->writes[0], by_key_and_revision);
    return true;
}

static bool check_get(struct checker *checker, const struct history_operation *get)
{
    int64_t mod = get->value[0] == '\0' ? 0 : get->mod;
    const struct write *next = find_after(checker, get->key, mod);
    if (mod > get->revision) {
        return fail(checker, get, "read something newer than the answer's revision");
    }
    return next == NULL || next->revision > get->revision ||
           fail(checker, get, "a later write was lost, or is not seen");
}

/* The revision of what the client had read before; -1: not known. */
static int64_t expected_revision(const struct checker *checker,
                                 const struct history_operation *cas)
{
    if (cas->expected[0] == '\0') {
        return 0;
    }
    for (const struct write *write = find_after(checker, cas->key, 0);
         write != NULL && write < checker->writes + checker->count &&
         strcmp(write->operation->key, cas->key) == 0;
         write++) {
        if (strcmp(write->operation->value, cas->expected) == 0) {
            return write->revision;
        }
    }
    return -1;
}

static bool has_unknown_write(const struct checker *checker, const char *key)
{
    for (size_t i = 0; i < checker->history->count; i++) {
        const struct history_operation *operation = &checker->history->operations[i];
        if (operation->outcome == HISTORY_UNKNOWN && is_write(operation) &&
            strcmp(operation->key, key) == 0) {
            return true;
        }
    }
    return false;
}

static bool check_cas(struct checker *checker, const struct history_operation *cas)
{
    int64_t expected = expected_revision(checker, cas);
    if (expected < 0) {
        return fail(checker, cas, "expects a value that nobody has written");
    }
    const struct write *next = find_after(checker, cas->key, expected);
    if (cas->outcome == HISTORY_OK) {
        return (next != NULL && next->operation == cas) ||
               fail(checker, cas, "succeeded, though something else had been written");
    }
    bool is_explained = next != NULL && next->revision <= cas->revision;
    return is_explained || has_unknown_write(checker, cas->key) ||
           fail(checker, cas, "failed, though nothing else had been written");
}

static int by_invocation(const void *a, const void *b)
{
    const struct history_operation *x = *(struct history_operation *const *)a;
    const struct history_operation *y = *(struct history_operation *const *)b;
    return (x->invoke_ns > y->invoke_ns) - (x->invoke_ns < y->invoke_ns);
}

static int by_return(const void *a, const void *b)
{
    const struct history_operation *x = *(struct history_operation *const *)a;
    const struct history_operation *y = *(struct history_operation *const *)b;
    return (x->return_ns > y->return_ns) - (x->return_ns < y->return_ns);
}

/* What began after another had ended has no lower revision; a write has a higher one. */
static bool check_order(struct checker *checker)
{
    size_t count = 0;
    bool ok = true;
    const struct history_operation **begun =
        mem_calloc(checker->history->count + 1, sizeof(struct history_operation *));
    for (size_t i = 0; i < checker->history->count; i++) {
        if (checker->history->operations[i].outcome != HISTORY_UNKNOWN) {
            begun[count++] = &checker->history->operations[i];
        }
    }
    const struct history_operation **ended =
        mem_dup(begun, (count + 1) * sizeof(struct history_operation *));
    qsort(begun, count, sizeof(struct history_operation *), by_invocation);
    qsort(ended, count, sizeof(struct history_operation *), by_return);
    int64_t floor = 0;
    size_t next = 0;
    for (size_t i = 0; i < count && ok; i++) {
        while (next < count && ended[next]->return_ns < begun[i]->invoke_ns) {
            floor = ended[next]->revision > floor ? ended[next]->revision : floor;
            next += 1;
        }
        if (begun[i]->revision < floor || (is_write(begun[i]) && begun[i]->revision == floor)) {
            ok = fail(checker, begun[i], "answered from before an earlier operation had ended");
        }
    }
    mem_free(begun);
    mem_free(ended);
    return ok;
}

bool history_check_revisions(const struct history *history, char *problem)
{
    struct checker checker = {.history = history, .problem = problem};
    bytes_map_init(&checker.by_value);
    bool ok = note_values(&checker) && collect(&checker) && check_unique(&checker);
    for (size_t i = 0; i < history->count && ok; i++) {
        const struct history_operation *operation = &history->operations[i];
        if (operation->outcome == HISTORY_UNKNOWN) {
            continue;
        }
        ok = operation->kind == HISTORY_GET   ? check_get(&checker, operation)
             : operation->kind == HISTORY_CAS ? check_cas(&checker, operation)
                                              : true;
    }
    ok = ok && check_order(&checker);
    mem_free(checker.writes);
    bytes_map_deinit(&checker.by_value);
    return ok;
}
