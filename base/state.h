/* state.h - a checked state machine: a table of allowed moves, and one function that moves.
 *
 * For asynchronous flows with four or more states (a peer connection, a watch stream, a container
 * start). Draw the states above the enum, drive them from one x_advance(). */
#ifndef BASE_STATE_H
#define BASE_STATE_H

#include <stdint.h>

#include "base/check.h"

enum { STATE_COUNT_MAX = 32 };

struct state_rule {
    const char *name;
    uint32_t allowed; /* bit n: may move to state n */
};

#define STATE_BIT(state) (UINT32_C(1) << (state))

static inline void state_move(const struct state_rule *rules, unsigned *state, unsigned next)
{
    CHECK(next < STATE_COUNT_MAX);
    CHECK((rules[*state].allowed & STATE_BIT(next)) != 0);
    *state = next;
}

#endif
