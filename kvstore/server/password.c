#include "kvstore/server/password.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/pb.h"

/* Of no password; for users that do not exist, so that time does not tell. */
static const char no_hash[] = "$2a$10$......................0000000000000000000000000000000";

_Static_assert(PASSWORD_HASH_SIZE >= CRYPT_OUTPUT_SIZE, "a hash fits");

static void run(uv_work_t *work)
{
    struct password_job *job = container_of(work, struct password_job, work);
    struct crypt_data *data = mem_zalloc(sizeof *data);
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    const char *from = job->hash;
    if (job->cost != 0) {
        from = crypt_gensalt_rn("$2a$", job->cost, NULL, 0, setting, sizeof setting);
    }
    const char *result =
        from == NULL ? NULL : crypt_rn(job->password, from, data, (int)sizeof *data);
    if (result != NULL && job->cost != 0) {
        job->is_ok = true;
        (void)snprintf(job->hash, sizeof job->hash, "%s", result);
    } else if (result != NULL) {
        size_t size = strlen(result);
        job->is_ok = size == strlen(job->hash) && CRYPTO_memcmp(result, job->hash, size) == 0;
    }
    OPENSSL_cleanse(data, sizeof *data);
    mem_free(data);
    OPENSSL_cleanse(job->password, sizeof job->password);
}

static void after(uv_work_t *work, int status)
{
    struct password_job *job = container_of(work, struct password_job, work);
    OPENSSL_cleanse(job->password, sizeof job->password);
    job->is_ok = job->is_ok && status == 0;
    job->done(job);
}

static bool start(uv_loop_t *loop, struct password_job *job, struct bytes password)
{
    if (password.size > PASSWORD_SIZE_MAX ||
        (password.size > 0 && memchr(password.data, 0, password.size) != NULL)) {
        return false;
    }
    if (password.size > 0) {
        memcpy(job->password, password.data, password.size);
    }
    job->password[password.size] = 0;
    job->is_ok = false;
    int code = uv_queue_work(loop, &job->work, run, after);
    CHECK(code == 0); /* fails without a work function only */
    return true;
}

bool password_check(uv_loop_t *loop, struct password_job *job, struct bytes password,
                    struct bytes hash)
{
    bool is_usable = hash.size > 0 && hash.size < sizeof job->hash;
    struct bytes from = is_usable ? hash : bytes_from_text(no_hash);
    memcpy(job->hash, from.data, from.size);
    job->hash[from.size] = 0;
    job->cost = 0;
    return start(loop, job, password);
}

bool password_hash(uv_loop_t *loop, struct password_job *job, struct bytes password, unsigned cost)
{
    CHECK(cost != 0);
    job->cost = cost;
    return start(loop, job, password);
}

void password_cache_init(struct password_cache *cache)
{
    memset(cache, 0, sizeof *cache);
    int ok = RAND_bytes(cache->key, sizeof cache->key);
    CHECK(ok == 1); /* digests could be guessed */
}

void password_cache_digest(const struct password_cache *cache, uint64_t auth_revision,
                           struct bytes name, struct bytes hash, struct bytes password,
                           uint8_t digest[static PASSWORD_DIGEST_SIZE])
{
    struct buf input = BUF_INIT;
    pb_put_u64(&input, 1, auth_revision);
    pb_put_message(&input, 2, name); /* with lengths, so that parts cannot be shifted */
    pb_put_message(&input, 3, hash);
    pb_put_message(&input, 4, password);
    struct bytes all = buf_bytes(&input);
    unsigned size = 0;
    const unsigned char *made =
        HMAC(EVP_sha256(), cache->key, sizeof cache->key, all.data, all.size, digest, &size);
    CHECK(made != NULL && size == PASSWORD_DIGEST_SIZE);
    OPENSSL_cleanse((void *)(uintptr_t)all.data, all.size);
    buf_deinit(&input);
}

static size_t slot_of(const uint8_t *digest)
{
    return ((size_t)digest[0] << 8 | digest[1]) % PASSWORD_CACHE_SLOTS;
}

bool password_cache_has(const struct password_cache *cache, const uint8_t *digest)
{
    return CRYPTO_memcmp(cache->slots[slot_of(digest)], digest, PASSWORD_DIGEST_SIZE) == 0;
}

void password_cache_keep(struct password_cache *cache, const uint8_t *digest)
{
    memcpy(cache->slots[slot_of(digest)], digest, PASSWORD_DIGEST_SIZE);
}
