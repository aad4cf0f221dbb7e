/* wire_loop_internal.h - the loop as transports see it. */
#ifndef PROTO_WIRE_LOOP_INTERNAL_H
#define PROTO_WIRE_LOOP_INTERNAL_H

#include "proto/wire_loop.h"

enum { WIRE_READ_BYTES = 64 * 1024 };

struct wire_loop {
    uv_loop_t *uv;
    uv_prepare_t prepare;
    uv_idle_t idle; /* keeps the loop from sleeping while tasks wait */
    uv_timer_t timer;
    struct timers timers;
    struct list tasks;
    struct list dirty; /* transports */
    unsigned handles_open;
    void (*closed)(void *context);
    void *closed_context;
    uint8_t read_buffer[WIRE_READ_BYTES]; /* used within one read callback */
};

/* The time of this loop iteration. */
void wire_loop_touch(struct wire_loop *wire);

#endif
