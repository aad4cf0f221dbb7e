/* sim_check.h - when a run may end, and what must hold then. */
#ifndef TESTS_SIM_SIM_CHECK_H
#define TESTS_SIM_SIM_CHECK_H

#include "tests/sim/sim.h"

/* In the calm phase: everyone runs and has applied the same, clients got work done since, watches
 * have seen everything. */
bool sim_check_has_settled(struct sim *sim);
const char *sim_check_why_not_settled(struct sim *sim);
void sim_check_describe(struct sim *sim);
/* Equal hashes on all members, and the clients' history. */
void sim_check_end(struct sim *sim);
/* sim_client.c: enough operations were acknowledged in the calm phase, and nothing is open. */
bool sim_clients_are_done(const struct sim_clients *clients);
/* Every watch has delivered up to this revision. */
bool sim_clients_watches_reached(const struct sim_clients *clients, int64_t revision);

#endif
