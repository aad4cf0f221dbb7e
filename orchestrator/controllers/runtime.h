/* runtime.h - runs pure controllers: wakes them, keeps their work queues, does what they ask for.
 *
 * The actions of one reconcile are done one after the other; the first that fails ends it, and the
 * key comes again later. A reconcile runs when the cache has all writes of the one before, so no
 * controller has to remember what it did. Several keys of a controller are worked on at once, one
 * key never twice. */
#ifndef ORCHESTRATOR_CONTROLLERS_RUNTIME_H
#define ORCHESTRATOR_CONTROLLERS_RUNTIME_H

#include "orchestrator/controllers/controller.h"
#include "orchestrator/registry/registry.h"
#include "proto/timers.h"

struct runtime;

struct runtime_options {
    struct registry *registry;                   /* borrowed */
    struct timers *timers;                       /* borrowed; its clock is the queues' */
    const struct controller *const *controllers; /* ends with NULL; borrowed */
    struct controller_settings settings;         /* texts are borrowed */
    uint64_t seed;
    /* A reconcile could not do what it wanted; it will be tried again. May be NULL. */
    void (*on_failure)(void *context, const char *controller, const char *key,
                       const json_t *status);
    void *context;
};

struct runtime *runtime_new(const struct runtime_options *options);
/* Requests under way are forgotten; the registry is freed before. */
void runtime_free(struct runtime *runtime);
/* Off at first. Turned on, everything is looked at once. */
void runtime_set_active(struct runtime *runtime, bool is_active);
/* Nothing is due, nothing is under way. */
bool runtime_is_idle(const struct runtime *runtime);

#endif
