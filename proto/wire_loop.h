/* wire_loop.h - what all connections of one libuv loop share: the clock, the read buffer, and the
 * list of connections that have something to write.
 *
 * Output is collected during a loop iteration and leaves in its prepare phase: one writev per
 * connection, whatever was put into it. */
#ifndef PROTO_WIRE_LOOP_H
#define PROTO_WIRE_LOOP_H

#include <uv.h>

#include "base/list.h"
#include "proto/timers.h"

struct wire_loop;

/* On the loop's thread, as everything here. */
struct wire_loop *wire_loop_new(uv_loop_t *loop);
/* Every listener and channel must be closed before; done (may be NULL) runs from the loop when the
 * handles are gone and the object is freed. */
void wire_loop_close(struct wire_loop *wire, void (*done)(void *context), void *context);

uv_loop_t *wire_loop_uv(struct wire_loop *wire);
struct timers *wire_loop_timers(struct wire_loop *wire); /* milliseconds of uv_now */

/* Run once from the loop, soon, never inside this call. Set run before; the task is the caller's
 * and may be cancelled. For completions that must not run inside the request for them. */
struct wire_task {
    struct list link;
    void (*run)(struct wire_task *task);
};
void wire_task_init(struct wire_task *task, void (*run)(struct wire_task *task));
void wire_loop_defer(struct wire_loop *wire, struct wire_task *task); /* twice is once */
void wire_task_cancel(struct wire_task *task);

#endif
