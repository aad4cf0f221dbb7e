#include "proto/wire_loop.h"

#include <signal.h>

#include "base/check.h"
#include "base/mem.h"
#include "proto/transport.h"
#include "proto/wire_loop_internal.h"

enum { ROUNDS_MAX = 4 };

void wire_loop_touch(struct wire_loop *wire)
{
    uint64_t now_ms = uv_now(wire->uv);
    if (now_ms > wire->timers.now_ms) {
        wire->timers.now_ms = now_ms;
    }
}

static void run_tasks(struct wire_loop *wire)
{
    struct list tasks;
    list_init(&tasks);
    list_splice_back(&tasks, &wire->tasks);
    for (;;) {
        struct list *link = list_pop_front(&tasks);
        if (link == NULL) {
            return;
        }
        struct wire_task *task = container_of(link, struct wire_task, link);
        task->run(task);
    }
}

static void flush(struct wire_loop *wire)
{
    struct list dirty;
    list_init(&dirty);
    list_splice_back(&dirty, &wire->dirty);
    for (;;) {
        struct list *link = list_pop_front(&dirty);
        if (link == NULL) {
            return;
        }
        transport_flush(container_of(link, struct transport, dirty));
    }
}

static void arm_timer(struct wire_loop *wire);

static void on_timer(uv_timer_t *timer)
{
    struct wire_loop *wire = timer->data;
    timers_advance(&wire->timers, uv_now(wire->uv));
}

static void arm_timer(struct wire_loop *wire)
{
    uint64_t deadline_ms = timers_deadline_ms(&wire->timers);
    if (deadline_ms == UINT64_MAX) {
        (void)uv_timer_stop(&wire->timer);
        return;
    }
    uint64_t now_ms = uv_now(wire->uv);
    uint64_t wait_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
    if (uv_is_active((uv_handle_t *)&wire->timer) != 0 &&
        uv_timer_get_due_in(&wire->timer) == wait_ms) {
        return;
    }
    CHECK(uv_timer_start(&wire->timer, on_timer, wait_ms, 0) == 0);
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle;
}

/* The last thing before the loop sleeps. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct wire_loop *wire = prepare->data;
    wire_loop_touch(wire);
    for (unsigned i = 0; i < ROUNDS_MAX; i++) {
        if (list_is_empty(&wire->tasks) && list_is_empty(&wire->dirty)) {
            break;
        }
        run_tasks(wire);
        flush(wire);
    }
    if (uv_is_closing((uv_handle_t *)&wire->timer) != 0) {
        return; /* a task has closed the loop */
    }
    if (list_is_empty(&wire->tasks) && list_is_empty(&wire->dirty)) {
        (void)uv_idle_stop(&wire->idle);
    } else {
        (void)uv_idle_start(&wire->idle, on_idle);
    }
    arm_timer(wire);
}

/* A write to a connection that the peer has closed is an error code here, not the end of the
 * process. A program that has a handler of its own keeps it. */
static void ignore_broken_pipes(void)
{
    struct sigaction current;
    if (sigaction(SIGPIPE, NULL, &current) == 0 && current.sa_handler == SIG_DFL) {
        (void)signal(SIGPIPE, SIG_IGN);
    }
}

struct wire_loop *wire_loop_new(uv_loop_t *loop)
{
    ignore_broken_pipes();
    struct wire_loop *wire = mem_zalloc(sizeof *wire);
    wire->uv = loop;
    list_init(&wire->tasks);
    list_init(&wire->dirty);
    uv_update_time(loop);
    timers_init(&wire->timers, uv_now(loop));
    CHECK(uv_prepare_init(loop, &wire->prepare) == 0);
    CHECK(uv_idle_init(loop, &wire->idle) == 0);
    CHECK(uv_timer_init(loop, &wire->timer) == 0);
    wire->prepare.data = wire;
    wire->idle.data = wire;
    wire->timer.data = wire;
    CHECK(uv_prepare_start(&wire->prepare, on_prepare) == 0);
    /* It does not keep the loop alive by itself; a timer that is set does. */
    uv_unref((uv_handle_t *)&wire->prepare);
    return wire;
}

static void on_closed(uv_handle_t *handle)
{
    struct wire_loop *wire = handle->data;
    wire->handles_open--;
    if (wire->handles_open > 0) {
        return;
    }
    void (*done)(void *context) = wire->closed;
    void *context = wire->closed_context;
    timers_deinit(&wire->timers);
    mem_free(wire);
    if (done != NULL) {
        done(context);
    }
}

void wire_loop_close(struct wire_loop *wire, void (*done)(void *context), void *context)
{
    CHECK(list_is_empty(&wire->dirty));
    wire->closed = done;
    wire->closed_context = context;
    wire->handles_open = 3;
    uv_close((uv_handle_t *)&wire->prepare, on_closed);
    uv_close((uv_handle_t *)&wire->idle, on_closed);
    uv_close((uv_handle_t *)&wire->timer, on_closed);
}

uv_loop_t *wire_loop_uv(struct wire_loop *wire)
{
    return wire->uv;
}

struct timers *wire_loop_timers(struct wire_loop *wire)
{
    return &wire->timers;
}

void wire_task_init(struct wire_task *task, void (*run)(struct wire_task *task))
{
    list_init(&task->link);
    task->run = run;
}

void wire_loop_defer(struct wire_loop *wire, struct wire_task *task)
{
    if (list_is_empty(&task->link)) {
        list_push_back(&wire->tasks, &task->link);
        (void)uv_idle_start(&wire->idle, on_idle);
    }
}

void wire_task_cancel(struct wire_task *task)
{
    list_remove(&task->link);
}
