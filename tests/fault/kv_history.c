/* kv_history - clients that write and read a few keys of a real cluster and note what they are told.
 *
 *     kv_history --endpoints LIST --out FILE [--clients N] [--keys N] [--seed N] [--final]
 *
 * Each client does one thing at a time: puts of unique values, linearizable reads, and writes that
 * are to succeed only if the key still has the value that the client read last. Runs until SIGTERM
 * or SIGINT, finishes what is open, and writes the history (tests/fault/history.h). Every 100 ms
 * it prints how many operations were acknowledged. With --final it only reads every key once.
 * Keys carry the seed: every history starts with keys that nobody has touched.
 * After an unknown outcome a client goes on under a new number: one number, one thing at a time. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/prng.h"
#include "kvstore/client/client.h"
#include "kvstore/client/rpc.h"
#include "tests/fault/history.h"

enum {
    CLIENTS_MAX = 64,
    KEYS_MAX = 64,
    CALL_TIMEOUT_MS = 2000,
    PAUSE_MAX_MS = 6,
    REPORT_MS = 100,
    ENDPOINTS_MAX = 16
};

struct run;

struct actor {
    struct run *run;
    struct kv_client *client;
    uv_timer_t timer;
    struct history_operation open;
    bool is_open;
    bool is_done;
    uint32_t key_index;
    char seen[KEYS_MAX][HISTORY_TEXT_SIZE];
    int64_t seen_mod[KEYS_MAX];
    bool has_seen[KEYS_MAX];
};

struct run {
    uv_loop_t loop;
    struct wire_loop *wire;
    uv_signal_t signals[2];
    uv_timer_t reporter;
    const char *endpoints[ENDPOINTS_MAX];
    size_t endpoint_count;
    const char *out;
    uint64_t clients;
    uint64_t keys;
    uint64_t seed;
    bool is_final;
    bool is_ending;
    struct prng prng;
    uint32_t next_client;
    uint64_t next_value;
    uint64_t acknowledged;
    uint64_t left; /* clients that are not done */
    struct actor actors[CLIENTS_MAX];
    struct history history;
};

static void next(struct actor *actor);

static ProtobufCBinaryData binary(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

static void on_due(uv_timer_t *timer)
{
    next(timer->data);
}

static void on_closed(void *context)
{
    ((struct run *)context)->left -= 1;
}

static void finish(struct actor *actor)
{
    if (!actor->is_done) {
        actor->is_done = true;
        uv_close((uv_handle_t *)&actor->timer, NULL);
        kv_client_close(actor->client, on_closed, actor->run);
    }
}

static void take_answer(struct actor *actor, const void *message)
{
    struct history_operation *open = &actor->open;
    if (open->kind == HISTORY_PUT) {
        open->revision = ((const Etcdserverpb__PutResponse *)message)->header->revision;
    } else if (open->kind == HISTORY_CAS) {
        const Etcdserverpb__TxnResponse *txn = message;
        open->revision = txn->header->revision;
        open->outcome = txn->succeeded ? HISTORY_OK : HISTORY_FAILED;
    } else {
        const Etcdserverpb__RangeResponse *range = message;
        open->revision = range->header->revision;
        if (range->n_kvs == 1) {
            (void)snprintf(open->value, sizeof open->value, "%.*s",
                           (int)range->kvs[0]->value.len, (const char *)range->kvs[0]->value.data);
            open->mod = range->kvs[0]->mod_revision;
        }
        (void)snprintf(actor->seen[actor->key_index], HISTORY_TEXT_SIZE, "%s", open->value);
        actor->seen_mod[actor->key_index] = open->mod;
        actor->has_seen[actor->key_index] = true;
    }
}

static void on_answer(void *context, const struct kv_reply *reply)
{
    struct actor *actor = context;
    struct run *run = actor->run;
    actor->is_open = false;
    actor->open.return_ns = clock_monotonic_ns();
    actor->open.outcome = HISTORY_OK;
    if (reply->status == GRPC_OK) {
        take_answer(actor, reply->message);
        run->acknowledged += 1;
    } else { /* nothing that these requests can be refused with proves that nothing was done */
        actor->open.outcome = HISTORY_UNKNOWN;
        actor->open.return_ns = 0;
    }
    bool is_useless = actor->open.outcome == HISTORY_UNKNOWN && actor->open.kind == HISTORY_GET;
    if (!is_useless) {
        history_add(&run->history, &actor->open);
    }
    if (actor->open.outcome == HISTORY_UNKNOWN) {
        actor->open.client = run->next_client++;
    }
    uint64_t pause_ms = run->is_final ? 0 : prng_below(&run->prng, PAUSE_MAX_MS);
    CHECK(uv_timer_start(&actor->timer, on_due, pause_ms, 0) == 0);
}

static void start_put(struct actor *actor)
{
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    const struct kv_call_options options = {.timeout_ms = CALL_TIMEOUT_MS};
    put.key = binary(actor->open.key);
    put.value = binary(actor->open.value);
    (void)kv_client_put(actor->client, &put, &options, on_answer, actor);
}

static void start_get(struct actor *actor)
{
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    const struct kv_call_options options = {
        .timeout_ms = actor->run->is_final ? 10 * CALL_TIMEOUT_MS : CALL_TIMEOUT_MS};
    range.key = binary(actor->open.key);
    (void)kv_client_range(actor->client, &range, &options, on_answer, actor);
}

static void start_cas(struct actor *actor)
{
    Etcdserverpb__Compare compare = ETCDSERVERPB__COMPARE__INIT;
    Etcdserverpb__Compare *compares[] = {&compare};
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__RequestOp op = ETCDSERVERPB__REQUEST_OP__INIT;
    Etcdserverpb__RequestOp *ops[] = {&op};
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    const struct kv_call_options options = {.timeout_ms = CALL_TIMEOUT_MS};
    compare.target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD;
    compare.key = binary(actor->open.key);
    compare.target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION;
    compare.mod_revision = actor->seen_mod[actor->key_index];
    put.key = compare.key;
    put.value = binary(actor->open.value);
    op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    op.request_put = &put;
    txn.compare = compares;
    txn.n_compare = 1;
    txn.success = ops;
    txn.n_success = 1;
    (void)kv_client_txn(actor->client, &txn, &options, on_answer, actor);
}

/* Once, or again until it works: every key is read. */
static bool choose_final(struct actor *actor)
{
    struct run *run = actor->run;
    while (actor->key_index < run->keys && actor->has_seen[actor->key_index]) {
        actor->key_index += 1;
    }
    return actor->key_index < run->keys;
}

static enum history_kind choose(struct actor *actor)
{
    struct run *run = actor->run;
    actor->key_index = (uint32_t)prng_below(&run->prng, run->keys);
    uint64_t dice = prng_below(&run->prng, 10);
    bool may_compare = actor->has_seen[actor->key_index];
    return dice < 4 || (dice >= 8 && !may_compare) ? HISTORY_PUT
           : dice < 8                              ? HISTORY_GET
                                                   : HISTORY_CAS;
}

static void next(struct actor *actor)
{
    struct run *run = actor->run;
    if (run->is_ending || (run->is_final && !choose_final(actor))) {
        finish(actor);
        return;
    }
    enum history_kind kind = run->is_final ? HISTORY_GET : choose(actor);
    actor->open = (struct history_operation){.client = actor->open.client, .kind = kind};
    struct history_operation *open = &actor->open;
    (void)snprintf(open->key, sizeof open->key, "h%llu/%u", (unsigned long long)run->seed,
                   actor->key_index);
    if (kind != HISTORY_GET) {
        (void)snprintf(open->value, sizeof open->value, "%llu.%llu", (unsigned long long)run->seed,
                       (unsigned long long)run->next_value++);
    }
    if (kind == HISTORY_CAS) {
        memcpy(open->expected, actor->seen[actor->key_index], sizeof open->expected);
    }
    actor->is_open = true;
    open->invoke_ns = clock_monotonic_ns();
    kind == HISTORY_PUT ? start_put(actor) : kind == HISTORY_GET ? start_get(actor)
                                                                 : start_cas(actor);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct run *run = handle->data;
    (void)number;
    run->is_ending = true; /* each client stops when what it has asked for is decided */
}

static void on_report(uv_timer_t *timer)
{
    const struct run *run = timer->data;
    printf("%llu\n", (unsigned long long)run->acknowledged);
    (void)fflush(stdout);
}

static int start_actor(struct run *run, uint32_t index, struct err *err)
{
    struct actor *actor = &run->actors[index];
    const struct kv_client_options options = {.wire = run->wire,
                                              .endpoints = run->endpoints,
                                              .endpoint_count = run->endpoint_count,
                                              .keepalive_time_ms = 1000,
                                              .keepalive_timeout_ms = 1000,
                                              .seed = run->seed * CLIENTS_MAX + index,
                                              .spread = true};
    actor->run = run;
    actor->open.client = run->next_client++;
    actor->timer.data = actor;
    CHECK(uv_timer_init(&run->loop, &actor->timer) == 0);
    CHECK(uv_timer_start(&actor->timer, on_due, 0, 0) == 0);
    return kv_client_new(&options, &actor->client, err);
}

static void work(struct run *run)
{
    static const int numbers[] = {SIGTERM, SIGINT};
    for (size_t i = 0; i < 2; i++) {
        run->signals[i].data = run;
        CHECK(uv_signal_init(&run->loop, &run->signals[i]) == 0);
        CHECK(uv_signal_start(&run->signals[i], on_signal, numbers[i]) == 0);
    }
    run->reporter.data = run;
    CHECK(uv_timer_init(&run->loop, &run->reporter) == 0);
    CHECK(uv_timer_start(&run->reporter, on_report, REPORT_MS, REPORT_MS) == 0);
    while (run->left > 0) {
        (void)uv_run(&run->loop, UV_RUN_ONCE);
    }
    for (size_t i = 0; i < 2; i++) {
        uv_close((uv_handle_t *)&run->signals[i], NULL);
    }
    uv_close((uv_handle_t *)&run->reporter, NULL);
}

static int save(const struct run *run)
{
    FILE *file = fopen(run->out, "we");
    if (file == NULL) {
        perror(run->out);
        return 1;
    }
    for (size_t i = 0; i < run->history.count; i++) {
        history_write(file, &run->history.operations[i]);
    }
    if (fclose(file) != 0) {
        perror(run->out);
        return 1;
    }
    return 0;
}

static bool parse(struct run *run, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--final") == 0) {
            run->is_final = true;
            continue;
        }
        if (i + 1 == argc) {
            return false;
        }
        char *value = argv[i + 1];
        if (strcmp(argv[i], "--endpoints") == 0) {
            char *rest = NULL;
            for (char *item = strtok_r(value, ",", &rest);
                 item != NULL && run->endpoint_count < ENDPOINTS_MAX;
                 item = strtok_r(NULL, ",", &rest)) {
                run->endpoints[run->endpoint_count++] = item;
            }
        } else if (strcmp(argv[i], "--out") == 0) {
            run->out = value;
        } else if (strcmp(argv[i], "--clients") == 0) {
            run->clients = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i], "--keys") == 0) {
            run->keys = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i], "--seed") == 0) {
            run->seed = strtoull(value, NULL, 10);
        } else {
            return false;
        }
        i += 1;
    }
    return run->out != NULL && run->endpoint_count > 0 && run->clients >= 1 &&
           run->clients <= CLIENTS_MAX && run->keys >= 1 && run->keys <= KEYS_MAX;
}

static void on_wire_closed(void *context)
{
    (void)context;
}

int main(int argc, char **argv)
{
    struct run *run = mem_zalloc(sizeof *run);
    struct err err = {0};
    run->clients = 8;
    run->keys = 5;
    run->seed = 1;
    if (!parse(run, argc, argv)) {
        fprintf(stderr,
                "usage: %s --endpoints LIST --out FILE [--clients N] [--keys N] [--seed N] "
                "[--final]\n",
                argv[0]);
        mem_free(run);
        return 2;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    run->clients = run->is_final ? 1 : run->clients;
    prng_init(&run->prng, run->seed);
    CHECK(uv_loop_init(&run->loop) == 0);
    run->wire = wire_loop_new(&run->loop);
    run->left = run->clients;
    for (uint32_t i = 0; i < run->clients; i++) {
        if (start_actor(run, i, &err) != 0) {
            fprintf(stderr, "%s\n", err.text);
            return 1; /* the process ends, and all it holds with it */
        }
    }
    work(run);
    int code = save(run);
    wire_loop_close(run->wire, on_wire_closed, NULL);
    (void)uv_run(&run->loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&run->loop) == 0);
    history_deinit(&run->history);
    mem_free(run);
    return code;
}
