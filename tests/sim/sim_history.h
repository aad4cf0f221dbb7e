/* sim_history.h - what clients asked, what they were told, and whether that can be true. */
#ifndef TESTS_SIM_SIM_HISTORY_H
#define TESTS_SIM_SIM_HISTORY_H

#include "tests/sim/sim.h"

enum sim_operation_kind {
    SIM_OP_PUT,
    SIM_OP_READ,
    SIM_OP_STALE_READ, /* serializable */
    SIM_OP_CAS,
    SIM_OP_DELETE,
    SIM_OP_COMPACT,
    SIM_OP_GRANT,
    SIM_OP_KEEP_ALIVE,
    SIM_OP_DELETE_ALL /* keys 0 to 2 */
};

enum sim_outcome { SIM_OPEN, SIM_DONE, SIM_REFUSED, SIM_UNKNOWN };

struct sim_operation {
    uint64_t token;
    enum sim_operation_kind kind;
    enum sim_outcome outcome;
    uint32_t key_index;
    char key[16];
    char value[32]; /* written (unique), or read */
    int64_t compared;
    int64_t lease;
    uint64_t invoked_us;
    uint64_t invoked_jumped_us; /* of all clocks, by then */
    uint64_t returned_us;
    int64_t revision; /* of the answer's header */
    int64_t mod;
    bool has_value;
    bool succeeded;
    bool is_torn; /* a transaction did not read what it had just put */
};

struct sim_history *sim_history_new(struct sim *sim);
void sim_history_free(struct sim_history *history);
struct sim_operation *sim_history_add(struct sim_history *history); /* its address stays */
struct sim_operation *sim_history_find(struct sim_history *history, uint64_t token);

/* By revision order: every answer that names a revision is compared with what was applied there,
 * and operations that did not overlap in time must not be reversed (strict serializability). */
void sim_history_check(struct sim_history *history);

/* sim_watch.c: clients that watch everything, from member to member. */
struct sim_watches *sim_watches_new(struct sim *sim);
void sim_watches_free(struct sim_watches *watches);
void sim_watches_step(struct sim_watches *watches, uint32_t index);
void sim_watches_ready(void *watch);
void sim_watches_member_gone(struct sim_watches *watches, uint32_t member);
bool sim_watches_reached(const struct sim_watches *watches, int64_t revision);
/* Ordered, unique, reliable, atomic: against the truth. Returns how many events were seen. */
uint64_t sim_watches_check(struct sim_watches *watches);

#endif
