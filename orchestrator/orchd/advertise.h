/* advertise.h - where this API server is, for pods: an EndpointSlice of the service "kubernetes".
 *
 * Each server writes its own slice, named by its address, and removes it when it stops in order. */
#ifndef ORCHESTRATOR_ORCHD_ADVERTISE_H
#define ORCHESTRATOR_ORCHD_ADVERTISE_H

#include "orchestrator/registry/registry.h"
#include "proto/timers.h"

struct advertise;

/* Begins when the registry is synced. registry and timers are borrowed; address (IPv4 text) is
 * copied. */
struct advertise *advertise_new(struct registry *registry, struct timers *timers,
                                const char *address, uint16_t port);
/* Take it back; done runs once, within a second even when the store does not answer. */
void advertise_withdraw(struct advertise *advertise, void (*done)(void *context), void *context);
void advertise_free(struct advertise *advertise); /* NULL is fine; the registry is freed before */

#endif
