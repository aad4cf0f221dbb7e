#include "kvstore/server/server.h"

#include <signal.h>
#include <unistd.h>

#include "base/check.h"
#include "base/exit_code.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/service_notify.h"
#include "base/state.h"
#include "kvstore/watch/watch_hub.h"

static const struct state_rule rules[] = {
    [SERVER_STARTING] = {"starting", STATE_BIT(SERVER_RUNNING) | STATE_BIT(SERVER_CLOSING)},
    [SERVER_RUNNING] = {"running", STATE_BIT(SERVER_HANDING_OVER) | STATE_BIT(SERVER_CLOSING)},
    [SERVER_HANDING_OVER] = {"handing over",
                             STATE_BIT(SERVER_DRAINING) | STATE_BIT(SERVER_CLOSING)},
    [SERVER_DRAINING] = {"draining", STATE_BIT(SERVER_CLOSING)},
    [SERVER_CLOSING] = {"closing", STATE_BIT(SERVER_CLOSED)},
    [SERVER_CLOSED] = {"closed", 0},
};

static void set_timer(struct server *server, struct timer *timer, uint64_t delay_ms)
{
    struct timers *timers = wire_loop_timers(server->wire);
    timers_set(timers, timer, timers->now_ms + delay_ms);
}

/* --- shutdown ------------------------------------------------------------------------------- */

static void advance(struct server *server);

static void on_shutdown_timer(struct timer *timer)
{
    advance(container_of(timer, struct server, shutdown_timer));
}

static void on_listener_closed(void *context)
{
    struct server *server = context;
    CHECK(server->open_parts > 0);
    server->open_parts -= 1;
    if (server->open_parts == 0) {
        advance(server);
    }
}

/* Say good-bye to clients: streams end with Unavailable, so that they go to another member. */
static void start_draining(struct server *server)
{
    state_move(rules, &server->state, SERVER_DRAINING);
    publish_stop(server);
    server->service.is_stopping = true;
    server->open_parts =
        server->listener_count + 1; /* 1: ours, while listeners may close at once */
    for (unsigned i = 0; i < server->listener_count; i++) {
        listener_close(server->listeners[i], SERVER_DRAIN_MS, on_listener_closed, server);
    }
    server->listener_count = 0;
    grpc_server_cancel_all(server->client_grpc, GRPC_UNAVAILABLE, etcd_error_text(ETCD_STOPPED));
    grpc_server_cancel_all(server->peer_grpc, GRPC_UNAVAILABLE, etcd_error_text(ETCD_STOPPED));
    on_listener_closed(server);
}

static void advance(struct server *server)
{
    switch (server->state) {
    case SERVER_RUNNING:
        state_move(rules, &server->state, SERVER_HANDING_OVER);
        service_notify("STOPPING=1");
        if (node_hand_over(core_node(server->core), core_now(server->core))) {
            log_info("handing over leadership");
            core_wake(server->core);
            set_timer(server, &server->shutdown_timer, SERVER_HAND_OVER_MS);
            return;
        }
        start_draining(server);
        return;
    case SERVER_HANDING_OVER:
        timers_clear(wire_loop_timers(server->wire), &server->shutdown_timer);
        start_draining(server);
        return;
    case SERVER_DRAINING:
        state_move(rules, &server->state, SERVER_CLOSING);
        uv_stop(server->loop);
        return;
    default:
        return;
    }
}

static void on_signal(uv_signal_t *signal_handle, int number)
{
    struct server *server = signal_handle->data;
    log_info("received signal; shutting down...",
             LOG_TEXT("signal", number == SIGTERM ? "terminated" : "interrupt"));
    if (server->state == SERVER_RUNNING) {
        advance(server);
    }
}

void server_fail(struct server *server, int exit_code, const char *text)
{
    if (server->state >= SERVER_CLOSING) {
        return;
    }
    log_fatal("this member must stop", LOG_TEXT("error", text), LOG_I64("exit-code", exit_code));
    if (exit_code != EXIT_MEMBER_REMOVED) {
        _exit(exit_code); /* nothing may leave that rests on a disk that failed (R5) */
    }
    server->exit_code = exit_code;
    state_move(rules, &server->state, SERVER_CLOSING);
    uv_stop(server->loop);
}

/* --- running -------------------------------------------------------------------------------- */

static void on_progress_timer(struct timer *timer)
{
    struct server *server = container_of(timer, struct server, progress_timer);
    watch_hub_progress(kv_watch_hub(node_kv(core_node(server->core))));
    core_wake(server->core);
    set_timer(server, timer,
              (uint64_t)server->config->watch_progress_notify_interval_ns / 1000000U);
}

static void reload(struct tls_context *context)
{
    struct err err = {0};
    int code = context == NULL ? 0 : tls_context_reload_if_changed(context, &err);
    if (code > 0) {
        log_info("reloaded certificates");
    } else if (code < 0) {
        log_error("cannot reload certificates; the old ones stay in use",
                  LOG_TEXT("error", err.text));
    }
}

static void on_reload_timer(struct timer *timer)
{
    struct server *server = container_of(timer, struct server, reload_timer);
    peers_ping(server->peers); /* a measure, at the same pace */
    reload(server->client_tls);
    reload(server->peer_tls);
    reload(server->dial_tls);
    set_timer(server, timer, SERVER_RELOAD_MS);
}

static void start_signals(struct server *server)
{
    int code = uv_signal_init(server->loop, &server->sigterm);
    code = code != 0 ? code : uv_signal_init(server->loop, &server->sigint);
    server->sigterm.data = server;
    server->sigint.data = server;
    code = code != 0 ? code : uv_signal_start(&server->sigterm, on_signal, SIGTERM);
    code = code != 0 ? code : uv_signal_start(&server->sigint, on_signal, SIGINT);
    CHECK(code == 0); /* needs nothing but memory and a pipe that the loop made long ago */
}

/* Also a disk that does not answer is no life: the member would only be in the way. */
static bool is_healthy(void *context, uint64_t patience_ms)
{
    const struct server *server = context;
    return core_log_wait_ms(server->core) < patience_ms;
}

int server_run(struct server *server)
{
    state_move(rules, &server->state, SERVER_RUNNING);
    start_signals(server);
    timer_init(&server->shutdown_timer, on_shutdown_timer);
    timer_init(&server->progress_timer, on_progress_timer);
    timer_init(&server->reload_timer, on_reload_timer);
    set_timer(server, &server->progress_timer,
              (uint64_t)server->config->watch_progress_notify_interval_ns / 1000000U);
    set_timer(server, &server->reload_timer, SERVER_RELOAD_MS);
    service_watchdog_start(&server->watchdog, wire_loop_timers(server->wire), is_healthy, server);
    (void)uv_run(server->loop, UV_RUN_DEFAULT); /* its result says only that handles are open */
    CHECK(server->state == SERVER_CLOSING);
    uv_close((uv_handle_t *)&server->sigterm, NULL);
    uv_close((uv_handle_t *)&server->sigint, NULL);
    service_watchdog_stop(&server->watchdog);
    timers_clear(wire_loop_timers(server->wire), &server->progress_timer);
    timers_clear(wire_loop_timers(server->wire), &server->reload_timer);
    timers_clear(wire_loop_timers(server->wire), &server->shutdown_timer);
    return server->exit_code;
}

/* --- the end -------------------------------------------------------------------------------- */

static void on_part_closed(void *context)
{
    struct server *server = context;
    server->open_parts -= 1;
}

static void run_until_closed(struct server *server)
{
    while (server->open_parts > 0) {
        (void)uv_run(server->loop, UV_RUN_ONCE);
    }
}

/* Also after a failed open: whatever is there is closed, connections first, disks last. */
void server_close(struct server *server)
{
    server->state = SERVER_CLOSING;
    memory_keeper_stop(&server->memory_keeper);
    if (server->core != NULL) {
        publish_stop(server);
        upkeep_stop(&server->upkeep);
        auth_service_drain(&server->service);
    }
    server->open_parts = server->listener_count;
    for (unsigned i = 0; i < server->listener_count; i++) {
        listener_close(server->listeners[i], /* grace_ms= */ 0, on_part_closed, server);
    }
    run_until_closed(server);
    /* The peers before the core: the ends of their streams and snapshots are told to it. */
    server->peer_service.peers = NULL;
    if (server->peers != NULL) {
        server->open_parts += 1;
        peers_close(server->peers, on_part_closed, server);
        run_until_closed(server);
        server->peers = NULL;
    }
    if (server->core != NULL) {
        core_close(server->core); /* answers what is open, so before the services go */
    }
    run_until_closed(server);
    grpc_gateway_free(server->client_http.gateway);
    grpc_server_free(server->client_grpc);
    grpc_server_free(server->peer_grpc);
    service_deinit(&server->service);
    upkeep_deinit(&server->upkeep);
    server->open_parts += 1;
    wire_loop_close(server->wire, on_part_closed, server);
    run_until_closed(server);
    tls_context_unref(server->client_tls);
    tls_context_unref(server->peer_tls);
    tls_context_unref(server->dial_tls);
    metrics_free(server->metrics);
    buf_deinit(&server->publish_body);
}
