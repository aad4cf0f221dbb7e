#include "tests/sim/sim_history.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"

struct sim_history {
    struct sim *sim;
    struct sim_operation **operations;
    size_t count;
    size_t capacity;
};

struct sim_history *sim_history_new(struct sim *sim)
{
    struct sim_history *history = mem_zalloc(sizeof *history);
    history->sim = sim;
    return history;
}

void sim_history_free(struct sim_history *history)
{
    for (size_t i = 0; i < history->count; i++) {
        mem_free(history->operations[i]);
    }
    mem_free(history->operations);
    mem_free(history);
}

struct sim_operation *sim_history_add(struct sim_history *history)
{
    if (history->count == history->capacity) {
        history->capacity = history->capacity == 0 ? 1024 : history->capacity * 2;
        history->operations = mem_reallocarray(history->operations, history->capacity,
                                               sizeof(struct sim_operation *));
    }
    struct sim_operation *operation = mem_zalloc(sizeof *operation);
    history->operations[history->count++] = operation;
    operation->token = history->count;
    return operation;
}

struct sim_operation *sim_history_find(struct sim_history *history, uint64_t token)
{
    return token == 0 || token > history->count ? NULL : history->operations[token - 1];
}

static void fail(struct sim_history *history, const struct sim_operation *operation,
                 const char *what)
{
    sim_fail(history->sim, SIM_CORRECTNESS,
             "operation %llu (kind %d, %s=%s, revision %lld, mod %lld, compared %lld, %llu-%llu "
             "us): %s",
             (unsigned long long)operation->token, (int)operation->kind, operation->key,
             operation->value, (long long)operation->revision, (long long)operation->mod,
             (long long)operation->compared, (unsigned long long)operation->invoked_us,
             (unsigned long long)operation->returned_us, what);
}

static void check_read(struct sim_history *history, const struct sim_operation *operation)
{
    int64_t mod = 0;
    const struct blob *value = sim_truth_value(history->sim->truth, bytes_from_text(operation->key),
                                               operation->revision, &mod);
    if ((value != NULL) != operation->has_value) {
        fail(history, operation,
             value != NULL ? "read nothing, but there was a value"
                           : "read a value that was not there");
    } else if (value != NULL &&
               (!bytes_equal(blob_bytes(value), bytes_from_text(operation->value)) ||
                mod != operation->mod)) {
        fail(history, operation, "read another value than the one of its revision");
    }
}

static void check_write(struct sim_history *history, const struct sim_operation *operation)
{
    struct sim_truth *truth = history->sim->truth;
    int64_t at =
        sim_truth_find(truth, bytes_from_text(operation->key), bytes_from_text(operation->value));
    if (operation->outcome == SIM_REFUSED && at != 0) {
        fail(history, operation, "refused for certain, and yet applied");
    } else if (operation->outcome == SIM_DONE && at != operation->revision) {
        fail(history, operation,
             at == 0 ? "acknowledged, and lost" : "acknowledged at another revision than applied");
    }
}

static void check_cas(struct sim_history *history, const struct sim_operation *operation)
{
    struct sim_truth *truth = history->sim->truth;
    int64_t mod = 0;
    if (operation->outcome != SIM_DONE || operation->succeeded) {
        check_write(history, operation);
    }
    if (operation->outcome != SIM_DONE) {
        return;
    }
    if (operation->is_torn) {
        fail(history, operation, "a transaction does not read what it has put");
    }
    int64_t before = operation->succeeded ? operation->revision - 1 : operation->revision;
    (void)sim_truth_value(truth, bytes_from_text(operation->key), before, &mod);
    if ((mod == operation->compared) != operation->succeeded) {
        fail(history, operation, "the comparison's result is wrong");
    }
}

static void check_delete(struct sim_history *history, const struct sim_operation *operation)
{
    int64_t mod = 0;
    if (operation->outcome != SIM_DONE) {
        return;
    }
    const struct blob *after = sim_truth_value(history->sim->truth, bytes_from_text(operation->key),
                                               operation->revision, &mod);
    if (after != NULL) {
        fail(history, operation, "deleted, and still there");
    }
}

static bool is_ordered(const struct sim_operation *operation)
{
    return operation->outcome == SIM_DONE && operation->kind != SIM_OP_GRANT &&
           operation->kind != SIM_OP_COMPACT && operation->kind != SIM_OP_KEEP_ALIVE;
}

static int by_invocation(const void *a, const void *b)
{
    const struct sim_operation *x = *(struct sim_operation *const *)a;
    const struct sim_operation *y = *(struct sim_operation *const *)b;
    return (x->invoked_us > y->invoked_us) - (x->invoked_us < y->invoked_us);
}

static int by_return(const void *a, const void *b)
{
    const struct sim_operation *x = *(struct sim_operation *const *)a;
    const struct sim_operation *y = *(struct sim_operation *const *)b;
    return (x->returned_us > y->returned_us) - (x->returned_us < y->returned_us);
}

/* Real-time order: what began after another had ended must not have a lower revision. */
static void check_order(struct sim_history *history)
{
    size_t count = 0;
    struct sim_operation **begun = mem_calloc(history->count + 1, sizeof(struct sim_operation *));
    for (size_t i = 0; i < history->count; i++) {
        if (is_ordered(history->operations[i])) {
            begun[count++] = history->operations[i];
        }
    }
    struct sim_operation **ended = mem_dup(begun, (count + 1) * sizeof(struct sim_operation *));
    qsort(begun, count, sizeof(struct sim_operation *), by_invocation);
    qsort(ended, count, sizeof(struct sim_operation *), by_return);
    int64_t floor = 0;
    size_t next = 0;
    for (size_t i = 0; i < count; i++) {
        while (next < count && ended[next]->returned_us < begun[i]->invoked_us) {
            floor = ended[next]->revision > floor ? ended[next]->revision : floor;
            next += 1;
        }
        if (begun[i]->kind != SIM_OP_STALE_READ && begun[i]->revision < floor) {
            fail(history, begun[i], "answered from before an earlier operation had ended");
            break;
        }
    }
    mem_free(begun);
    mem_free(ended);
}

void sim_history_check(struct sim_history *history)
{
    for (size_t i = 0; i < history->count; i++) {
        const struct sim_operation *operation = history->operations[i];
        switch (operation->kind) {
        case SIM_OP_READ:
        case SIM_OP_STALE_READ:
            if (operation->outcome == SIM_DONE) {
                check_read(history, operation);
            }
            break;
        case SIM_OP_PUT:
            check_write(history, operation);
            break;
        case SIM_OP_CAS:
            check_cas(history, operation);
            break;
        case SIM_OP_DELETE:
            check_delete(history, operation);
            break;
        default:
            break;
        }
    }
    check_order(history);
}
