#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "tests/sim/sim_check.h"

bool sim_is_verbose;

static bool event_less(const struct heap_node *a, const struct heap_node *b)
{
    const struct sim_event *x = container_of(a, struct sim_event, node);
    const struct sim_event *y = container_of(b, struct sim_event, node);
    return x->time_us != y->time_us ? x->time_us < y->time_us : x->order < y->order;
}

struct sim_event *sim_schedule(struct sim *sim, uint64_t after_us, enum sim_event_type type,
                               uint32_t member)
{
    struct sim_event *event = mem_zalloc(sizeof *event);
    heap_node_init(&event->node);
    event->time_us = sim->now_us + after_us;
    event->order = sim->order++;
    event->type = type;
    event->member = member;
    heap_insert(&sim->events, &event->node);
    return event;
}

void sim_trace(struct sim *sim, uint64_t value)
{
    sim->trace = (sim->trace ^ value) * UINT64_C(0x100000001b3) + (sim->trace >> 29);
}

void sim_fail(struct sim *sim, enum sim_code code, const char *format, ...)
{
    if (sim->result->code != SIM_OK) {
        return; /* the first failure explains the others */
    }
    va_list arguments;
    va_start(arguments, format);
    int prefix = snprintf(sim->result->text, sizeof sim->result->text,
                          "at %llu ms: ", (unsigned long long)(sim->now_us / 1000));
    (void)vsnprintf(sim->result->text + prefix, sizeof sim->result->text - (size_t)prefix, format,
                    arguments);
    va_end(arguments);
    sim->result->code = code;
    sim->is_ended = true;
}

uint64_t sim_member_id(uint32_t index)
{
    return 0x100 + index;
}

/* Mostly quick, sometimes slow, now and then so slow that answers meet another term. */
static uint32_t draw_slowness(struct prng *prng, uint32_t quick, uint32_t slow, uint32_t worst)
{
    uint64_t dice = prng_below(prng, 6);
    return (uint32_t)prng_between(prng, 1, dice == 0 ? worst : dice < 3 ? slow : quick);
}

/* Swarm: how bad things are differs from run to run. */
static void draw_dials(struct sim *sim, struct prng *prng)
{
    sim->dials = (struct sim_dials){
        .drop = prng_chance(prng, 1, 2) ? (uint32_t)prng_below(prng, 300) : 0,
        .duplicate = prng_chance(prng, 1, 2) ? (uint32_t)prng_below(prng, 300) : 0,
        .delay_max_ms = draw_slowness(prng, 20, 400, 2500),
        .fault_every_ms = (uint32_t)prng_between(prng, 200, 5000),
        .disk_max_ms = draw_slowness(prng, 5, 200, 1500),
        .compact_entries = (uint32_t)prng_between(prng, 10, 200),
        .is_strict = prng_chance(prng, 1, 2),
        .has_jumps = prng_chance(prng, 1, 3),
        .has_full_disks = prng_chance(prng, 1, 3),
    };
}

static void dispatch(struct sim *sim, struct sim_event *event)
{
    sim_trace(sim,
              event->time_us ^ ((uint64_t)event->type << 56) ^ ((uint64_t)event->member << 48));
    switch (event->type) {
    case SIM_FAULT:
        if (!sim->is_calm) {
            sim_fault_inject(sim);
            (void)sim_schedule(
                sim, prng_between(&sim->prng_fault, 1, 2 * sim->dials.fault_every_ms) * 1000,
                SIM_FAULT, 0);
        }
        break;
    case SIM_HEAL:
        sim->is_calm = true;
        sim->calm_since_us = sim->now_us;
        sim_fault_heal(sim);
        break;
    case SIM_CLIENT:
        sim_clients_step(sim->clients, event->member);
        break;
    case SIM_WATCH:
        sim_clients_watch(sim->clients, event->member);
        break;
    case SIM_ADMIN:
        sim_admin_step(sim);
        break;
    case SIM_END:
        sim->is_ended = true;
        break;
    default:
        sim_member_handle(&sim->members[event->member], event);
        break;
    }
}

static void loop(struct sim *sim)
{
    while (!sim->is_ended) {
        struct heap_node *node = heap_pop(&sim->events);
        CHECK(node != NULL);
        struct sim_event *event = container_of(node, struct sim_event, node);
        CHECK(event->time_us >= sim->now_us);
        sim->now_us = event->time_us;
        dispatch(sim, event);
        blob_unref(event->data);
        mem_free(event);
        if (sim->is_calm && sim_check_has_settled(sim)) {
            break;
        }
    }
}

static void start(struct sim *sim, uint64_t seed, uint32_t safety_ms)
{
    struct prng prng;
    prng_init(&prng, seed);
    draw_dials(sim, &prng);
    prng_init(&sim->prng_net, prng_split(&prng));
    prng_init(&sim->prng_disk, prng_split(&prng));
    prng_init(&sim->prng_fault, prng_split(&prng));
    prng_init(&sim->prng_client, prng_split(&prng));
    sim->founder_count = prng_chance(&prng, 1, 5) ? 5 : prng_chance(&prng, 1, 8) ? 1 : 3;
    sim->member_count = sim->founder_count;
    prng_init(&sim->prng_admin, prng_split(&prng));
    if (prng_chance(&prng, 1, 2)) {
        sim->dials.change_every_ms = (uint32_t)prng_between(&prng, 500, 5000);
    }
    sim->truth = sim_truth_new(sim);
    sim->clients = sim_clients_new(sim);
    for (uint32_t i = 0; i < SIM_MEMBERS_MAX; i++) {
        sim->members[i].sim = sim;
        sim->members[i].index = i;
    }
    for (uint32_t i = 0; i < sim->member_count; i++) {
        sim_member_init(sim, i);
    }
    for (uint32_t i = 0; i < sim->member_count; i++) {
        sim_member_start(&sim->members[i]);
    }
    (void)sim_schedule(sim, (uint64_t)sim->dials.fault_every_ms * 1000, SIM_FAULT, 0);
    (void)sim_schedule(sim, 3000, SIM_ADMIN, 0);
    (void)sim_schedule(sim, (uint64_t)safety_ms * 1000, SIM_HEAL, 0);
    (void)sim_schedule(sim, (uint64_t)(safety_ms + SIM_LIVENESS_MS) * 1000, SIM_END, 0);
}

int sim_run(uint64_t seed, uint32_t safety_ms, struct sim_result *result)
{
    *result = (struct sim_result){.code = SIM_OK};
    struct sim *sim = mem_zalloc(sizeof *sim);
    sim->result = result;
    sim->trace = UINT64_C(0xcbf29ce484222325);
    heap_init(&sim->events, event_less);
    start(sim, seed, safety_ms);
    loop(sim);
    if (result->code == SIM_OK && !sim_check_has_settled(sim)) {
        sim_fail(sim, SIM_LIVENESS, "not settled after %d ms of calm: %s", SIM_LIVENESS_MS,
                 sim_check_why_not_settled(sim));
    }
    if (result->code == SIM_OK) {
        sim_check_end(sim);
    }
    if (result->code != SIM_OK && sim_is_verbose) {
        sim_check_describe(sim);
    }
    result->trace_hash = sim->trace;
    result->virtual_ms = sim->now_us / 1000;
    result->operations = sim_clients_acknowledged(sim->clients);
    result->revisions = (uint64_t)sim_truth_revision(sim->truth);
    for (uint32_t i = 0; i < sim->member_count; i++) {
        sim_member_deinit(&sim->members[i]);
    }
    for (struct heap_node *node = heap_pop(&sim->events); node != NULL;
         node = heap_pop(&sim->events)) {
        struct sim_event *event = container_of(node, struct sim_event, node);
        blob_unref(event->data);
        mem_free(event);
    }
    heap_deinit(&sim->events);
    sim_clients_free(sim->clients);
    sim_truth_free(sim->truth);
    mem_free(sim);
    return (int)result->code;
}
