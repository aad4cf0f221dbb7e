#include "kvstore/kvctl/load_run.h"

#include <math.h>
#include <signal.h>
#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/clock.h"

enum { TICK_MS = 1 };

void load_stats_add(struct load_stats *stats, double took_s)
{
    stats->count += 1;
    stats->sum_s += took_s;
    stats->sum_squares += took_s * took_s;
    stats->slowest_s = took_s > stats->slowest_s ? took_s : stats->slowest_s;
}

double load_stats_deviation_s(const struct load_stats *stats)
{
    if (stats->count == 0) {
        return 0;
    }
    double mean = stats->sum_s / (double)stats->count;
    double variance = stats->sum_squares / (double)stats->count - mean * mean;
    return variance > 0 ? sqrt(variance) : 0;
}

double load_stats_rate(const struct load_stats *stats)
{
    uint64_t took_ns = stats->ended_ns - stats->started_ns;
    return took_ns == 0 ? 0 : (double)stats->count * 1e9 / (double)took_ns;
}

struct load_call {
    struct load_run *run;
    uint64_t started_ns;
};

static void issue_due(struct load_run *run);

static void count_failure(struct load_run *run, const struct kv_reply *reply)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    kv_error_append_text(&text, reply->status, reply->text);
    uintptr_t count = (uintptr_t)bytes_map_find(&run->failures, buf_bytes(&text));
    (void)bytes_map_set(&run->failures, buf_bytes(&text), (void *)(count + 1));
}

static void call_done(void *context, const struct kv_reply *reply)
{
    struct load_call *call = context;
    struct load_run *run = call->run;
    run->under_way -= 1;
    run->stats.ended_ns = clock_monotonic_ns();
    if (reply->status == GRPC_OK) {
        load_stats_add(&run->stats, (double)(run->stats.ended_ns - call->started_ns) / 1e9);
    } else {
        count_failure(run, reply);
    }
    mem_free(call);
    issue_due(run);
}

static void issue_one(struct load_run *run)
{
    const struct load_options *options = &run->options;
    size_t prefix_size = strlen(options->prefix);
    uint8_t key[1024];
    CHECK(prefix_size + options->key_bytes <= sizeof key);
    memcpy(key, options->prefix, prefix_size);
    for (size_t i = 0; i < options->key_bytes; i++) {
        key[prefix_size + i] = i < 8 ? (uint8_t)prng_next(&run->prng) : 0;
    }
    Etcdserverpb__PutRequest request = ETCDSERVERPB__PUT_REQUEST__INIT;
    request.key = (ProtobufCBinaryData){prefix_size + options->key_bytes, key};
    request.value = (ProtobufCBinaryData){options->value_bytes, run->value};
    struct load_call *call = mem_alloc(sizeof *call);
    *call = (struct load_call){run, clock_monotonic_ns()};
    run->issued += 1;
    run->under_way += 1;
    (void)kv_client_put(run->invocation->session->client, &request, NULL, call_done, call);
}

static uint64_t elapsed_ms(const struct load_run *run)
{
    return (clock_monotonic_ns() - run->stats.started_ns) / 1000000;
}

static bool is_all_issued(const struct load_run *run)
{
    const struct load_options *options = &run->options;
    return run->is_interrupted || (options->count != 0 && run->issued >= options->count) ||
           (options->duration_ms != 0 && elapsed_ms(run) >= options->duration_ms);
}

/* As many as the rate allows by now, and the number of clients. */
static void issue_due(struct load_run *run)
{
    uint64_t allowed = UINT64_MAX;
    if (run->options.rate_per_s != 0) {
        allowed = 1 + elapsed_ms(run) * run->options.rate_per_s / 1000;
    }
    while (!is_all_issued(run) && run->under_way < run->options.clients && run->issued < allowed) {
        issue_one(run);
    }
    if (is_all_issued(run) && run->under_way == 0) {
        uv_stop(&run->invocation->session->loop);
    }
}

static void on_tick(uv_timer_t *ticker)
{
    struct load_run *run = ticker->data;
    uint64_t done = run->options.count != 0 ? run->stats.count : elapsed_ms(run) / 1000;
    progress_bar_update(&run->bar, done, clock_monotonic_ms());
    issue_due(run);
}

static void on_interrupt(uv_signal_t *handle, int number)
{
    (void)number;
    ((struct load_run *)handle->data)->is_interrupted = true;
}

void load_run_all(struct load_run *run, struct invocation *invocation,
                  const struct load_options *options)
{
    uv_loop_t *loop = &invocation->session->loop;
    *run = (struct load_run){.invocation = invocation, .options = *options};
    run->value = mem_zalloc(options->value_bytes + 1);
    bytes_map_init(&run->failures);
    prng_init(&run->prng, clock_monotonic_ns());
    uint64_t total = options->count != 0 ? options->count : options->duration_ms / 1000;
    progress_bar_init(&run->bar, total, false, clock_monotonic_ms());
    CHECK(uv_timer_init(loop, &run->ticker) == 0);
    CHECK(uv_signal_init(loop, &run->interrupt) == 0);
    run->ticker.data = run;
    run->interrupt.data = run;
    CHECK(uv_signal_start(&run->interrupt, on_interrupt, SIGINT) == 0);
    uv_update_time(loop);
    CHECK(uv_timer_start(&run->ticker, on_tick, TICK_MS, TICK_MS) == 0);
    run->stats.started_ns = clock_monotonic_ns();
    run->stats.ended_ns = run->stats.started_ns;
    (void)uv_run(loop, UV_RUN_DEFAULT);
    progress_bar_finish(&run->bar);
    uv_close((uv_handle_t *)&run->ticker, NULL);
    uv_close((uv_handle_t *)&run->interrupt, NULL);
    (void)uv_run(loop, UV_RUN_NOWAIT);
}

void load_run_deinit(struct load_run *run)
{
    bytes_map_deinit(&run->failures);
    mem_free(run->value);
}
