#include "base/prng.h"

#include "base/check.h"

static uint64_t splitmix(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15ULL;
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

static uint64_t rotate_left(uint64_t value, int by)
{
    return (value << by) | (value >> (64 - by));
}

void prng_init(struct prng *prng, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        prng->state[i] = splitmix(&seed);
    }
}

uint64_t prng_next(struct prng *prng)
{
    uint64_t *s = prng->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t prng_below(struct prng *prng, uint64_t bound)
{
    CHECK(bound > 0);
    /* The high half of the product; its bias is below bound / 2^64. */
    return (uint64_t)(((unsigned __int128)prng_next(prng) * bound) >> 64);
}

uint64_t prng_between(struct prng *prng, uint64_t low, uint64_t high)
{
    CHECK(low <= high);
    if (high - low == UINT64_MAX) {
        return prng_next(prng);
    }
    return low + prng_below(prng, high - low + 1);
}

bool prng_chance(struct prng *prng, uint64_t numerator, uint64_t denominator)
{
    return prng_below(prng, denominator) < numerator;
}

uint64_t prng_split(struct prng *prng)
{
    return prng_next(prng);
}
