#include "tests/sim/sim.h"

enum { DOWN_MAX_MS = 8000, PAUSE_MAX_MS = 6000, JUMP_MAX_MS = 5000, FULL_MAX_MS = 8000 };

static void cut_off(struct sim *sim, uint32_t one, bool out, bool in)
{
    for (uint32_t i = 0; i < sim->member_count; i++) {
        if (i != one) {
            sim->cut[one][i] = sim->cut[one][i] || out;
            sim->cut[i][one] = sim->cut[i][one] || in;
        }
    }
}

static void cut_randomly(struct sim *sim, struct prng *prng)
{
    for (uint32_t i = 0; i < sim->member_count; i++) {
        for (uint32_t j = 0; j < sim->member_count; j++) {
            sim->cut[i][j] = i != j && prng_chance(prng, 1, 3);
        }
    }
}

static void cut_in_halves(struct sim *sim, struct prng *prng)
{
    uint64_t side = prng_next(prng);
    for (uint32_t i = 0; i < sim->member_count; i++) {
        for (uint32_t j = 0; j < sim->member_count; j++) {
            sim->cut[i][j] = ((side >> i) & 1) != ((side >> j) & 1);
        }
    }
}

static void mend(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->member_count; i++) {
        for (uint32_t j = 0; j < sim->member_count; j++) {
            sim->cut[i][j] = false;
        }
    }
}

static void crash(struct sim *sim, struct prng *prng, uint32_t index)
{
    struct sim_member *member = &sim->members[index];
    if (member->epoch == 0) {
        return;
    }
    sim_member_crash(member);
    (void)sim_schedule(sim, prng_between(prng, 1, DOWN_MAX_MS) * 1000, SIM_RESTART, index);
}

/* Leaders have more to lose. */
static uint32_t choose_victim(struct sim *sim, struct prng *prng)
{
    uint32_t one = (uint32_t)prng_below(prng, sim->member_count);
    bool wants_leader = prng_chance(prng, 1, 2);
    for (uint32_t i = 0; i < sim->member_count && wants_leader; i++) {
        const struct sim_member *member = &sim->members[i];
        if (member->epoch != 0 && node_is_leader(member->node)) {
            return i;
        }
    }
    return one;
}

/* Forward only: the clock that a node gets is monotonic. */
static void jump(struct sim *sim, struct prng *prng, uint32_t index)
{
    uint64_t by_us = prng_between(prng, 1, JUMP_MAX_MS) * 1000;
    sim->members[index].clock_us += by_us;
    sim->jumped_us += by_us;
    sim->result->jumps += 1;
    if (sim->members[index].epoch != 0 && !sim->members[index].is_paused) {
        sim_member_run(&sim->members[index]);
    }
}

/* The faults that only some runs have. True: that was it. */
static bool inject_special(struct sim *sim, struct prng *prng, uint32_t one)
{
    if (sim->dials.has_jumps && prng_chance(prng, 1, 6)) {
        jump(sim, prng, one);
        return true;
    }
    if (sim->dials.has_full_disks && prng_chance(prng, 1, 6)) {
        sim_disk_fill(&sim->members[one], prng_between(prng, 1, FULL_MAX_MS) * 1000);
        return true;
    }
    return false;
}

void sim_fault_inject(struct sim *sim)
{
    struct prng *prng = &sim->prng_fault;
    uint32_t one = choose_victim(sim, prng);
    sim->result->faults += 1;
    if (inject_special(sim, prng, one)) {
        return;
    }
    switch (prng_below(prng, 10)) {
    case 0:
    case 1:
        crash(sim, prng, one);
        break;
    case 2: /* all at once */
        for (uint32_t i = 0; i < sim->member_count; i++) {
            crash(sim, prng, i);
        }
        break;
    case 3: {
        struct sim_member *member = &sim->members[one];
        if (!member->is_paused && member->epoch != 0) {
            member->is_paused = true;
            (void)sim_schedule(sim, prng_between(prng, 1, PAUSE_MAX_MS) * 1000, SIM_RESUME, one);
        }
        break;
    }
    case 4:
        cut_off(sim, one, true, true);
        break;
    case 5: {
        bool out = prng_chance(prng, 1, 2);
        cut_off(sim, one, out, !out);
        break;
    }
    case 6:
        cut_randomly(sim, prng);
        break;
    case 7:
        cut_in_halves(sim, prng);
        break;
    default:
        mend(sim);
        break;
    }
}

void sim_fault_heal(struct sim *sim)
{
    mend(sim);
    for (uint32_t i = 0; i < sim->member_count; i++) {
        struct sim_member *member = &sim->members[i];
        sim_disk_free_space(member);
        if (member->is_paused) {
            (void)sim_schedule(sim, 1, SIM_RESUME, i);
        }
        if (member->epoch == 0 && !member->is_removed) {
            (void)sim_schedule(sim, 1, SIM_RESTART, i);
        }
    }
}
