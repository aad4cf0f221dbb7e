/* prng.h - reproducible pseudo-random numbers (xoshiro256**, Blackman and Vigna 2018).
 *
 * Not for secrets. Give each component a seed of its own (prng_split), so that one more draw in one
 * of them does not shift the others. */
#ifndef BASE_PRNG_H
#define BASE_PRNG_H

#include <stdbool.h>
#include <stdint.h>

struct prng {
    uint64_t state[4];
};

void prng_init(struct prng *prng, uint64_t seed);
uint64_t prng_next(struct prng *prng);
uint64_t prng_below(struct prng *prng, uint64_t bound);                /* 0..bound-1; bound > 0 */
uint64_t prng_between(struct prng *prng, uint64_t low, uint64_t high); /* low..high */
bool prng_chance(struct prng *prng, uint64_t numerator, uint64_t denominator);
uint64_t prng_split(struct prng *prng); /* a seed for another generator */

#endif
