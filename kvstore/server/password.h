/* password.h - bcrypt on worker threads, and a cache of passwords that were right.
 *
 * A check costs a tenth of a second of one processor by intention, so it never runs on the core
 * thread. The cache keeps keyed digests of (auth revision, name, stored hash, password), never a
 * password; any change of a user or role changes the revision and so misses it. */
#ifndef KVSTORE_SERVER_PASSWORD_H
#define KVSTORE_SERVER_PASSWORD_H

#include <stdbool.h>
#include <uv.h>

#include "base/bytes.h"

enum {
    PASSWORD_SIZE_MAX = 72, /* bytes; bcrypt ignores the rest, Go's refuses it */
    PASSWORD_HASH_SIZE = 384,
    PASSWORD_DIGEST_SIZE = 32,
    PASSWORD_CACHE_SLOTS = 4096,
};

/* One job; embed it. */
struct password_job {
    uv_work_t work;
    char password[PASSWORD_SIZE_MAX + 1]; /* wiped when the job is done */
    char hash[PASSWORD_HASH_SIZE];        /* to check against, or the result of hashing */
    unsigned cost;                        /* 0: check, else hash with this cost */
    bool is_ok;
    void (*done)(struct password_job *job);
};

/* False: too long or with a NUL inside; nothing is started. hash is the stored bcrypt text; one
 * that no password can match is checked as slowly as any other. done runs on the loop. */
bool password_check(uv_loop_t *loop, struct password_job *job, struct bytes password,
                    struct bytes hash);
bool password_hash(uv_loop_t *loop, struct password_job *job, struct bytes password, unsigned cost);

struct password_cache {
    uint8_t key[PASSWORD_DIGEST_SIZE];
    uint8_t slots[PASSWORD_CACHE_SLOTS][PASSWORD_DIGEST_SIZE];
};

void password_cache_init(struct password_cache *cache);
/* The digest to look up and to keep. */
void password_cache_digest(const struct password_cache *cache, uint64_t auth_revision,
                           struct bytes name, struct bytes hash, struct bytes password,
                           uint8_t digest[static PASSWORD_DIGEST_SIZE]);
bool password_cache_has(const struct password_cache *cache, const uint8_t *digest);
void password_cache_keep(struct password_cache *cache, const uint8_t *digest);

#endif
