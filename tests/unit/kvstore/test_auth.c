/* The rules of Auth, and the matrix: every RPC x principal x shape against a naive oracle that
 * knows a handful of keys and asks for each of them. */
#include "tests/unit/kvstore/kv_world.h"

#include "base/arena.h"
#include "kvstore/auth/authorize.h"
#include "proto/election.pb-c.h"
#include "proto/health.pb-c.h"
#include "proto/lock.pb-c.h"

static const struct bytes none = {NULL, 0};
#define OPEN BYTES_LITERAL("\0")

static int set_up(void **state)
{
    *state = world_new();
    return 0;
}

static int tear_down(void **state)
{
    world_free(*state);
    return 0;
}

/* --- building users -------------------------------------------------------------------------- */

static enum etcd_error apply_two(struct kv_world *world, enum kv_op op, const char *first,
                                 const char *second)
{
    buf_clear(&world->request);
    pb_put_text(&world->request, 1, first);
    pb_put_text(&world->request, 2, second);
    return world_apply(world, op);
}

static enum etcd_error add_user(struct kv_world *world, const char *name)
{
    buf_clear(&world->request);
    pb_put_text(&world->request, 1, name);
    pb_put_text(&world->request, 4, "aGFzaA==");
    return world_apply(world, KV_OP_AUTH_USER_ADD);
}

static enum etcd_error grant(struct kv_world *world, const char *role, uint64_t type,
                             struct bytes key, struct bytes end)
{
    buf_clear(&world->request);
    pb_put_text(&world->request, 1, role);
    size_t mark = pb_begin_message(&world->request, 2);
    pb_put_u64(&world->request, 1, type);
    pb_put_bytes(&world->request, 2, key);
    pb_put_bytes(&world->request, 3, end);
    pb_end_message(&world->request, mark);
    return world_apply(world, KV_OP_AUTH_ROLE_GRANT_PERMISSION);
}

static void make_root(struct kv_world *world)
{
    assert_int_equal(add_user(world, "root"), ETCD_OK);
    assert_int_equal(apply_two(world, KV_OP_AUTH_ROLE_ADD, "root", ""), ETCD_OK);
    assert_int_equal(apply_two(world, KV_OP_AUTH_USER_GRANT_ROLE, "root", "root"), ETCD_OK);
}

/* One user with one role of the same name. */
static void make_user(struct kv_world *world, const char *name)
{
    assert_int_equal(add_user(world, name), ETCD_OK);
    assert_int_equal(apply_two(world, KV_OP_AUTH_ROLE_ADD, name, ""), ETCD_OK);
    assert_int_equal(apply_two(world, KV_OP_AUTH_USER_GRANT_ROLE, name, name), ETCD_OK);
}

/* An entry as a member with this caller would propose it. */
static enum etcd_error apply_as(struct kv_world *world, const char *user, uint64_t revision,
                                enum kv_op op)
{
    struct buf entry = BUF_INIT;
    const struct kv_entry_header header = {
        .request_id = 9, .username = bytes_from_text(user), .auth_revision = revision};
    kv_entry_encode(&entry, &header, op, buf_bytes(&world->request));
    kv_result_clear(&world->result);
    kv_apply(world->kv, (struct kv_position){++world->index, WORLD_TERM}, buf_bytes(&entry),
             &world->result);
    buf_deinit(&entry);
    return world->result.status;
}

/* --- single rules ---------------------------------------------------------------------------- */

static void test_enabling_needs_a_root_user_with_the_root_role(void **state)
{
    struct kv_world *world = *state;
    assert_int_equal(apply_two(world, KV_OP_AUTH_ENABLE, "", ""), ETCD_ROOT_USER_MISSING);
    assert_int_equal(add_user(world, "root"), ETCD_OK);
    assert_int_equal(apply_two(world, KV_OP_AUTH_ENABLE, "", ""), ETCD_ROOT_ROLE_MISSING);
    assert_int_equal(apply_two(world, KV_OP_AUTH_USER_GRANT_ROLE, "root", "root"), ETCD_OK);
    assert_int_equal(apply_two(world, KV_OP_AUTH_ENABLE, "", ""), ETCD_OK);
    assert_true(auth_is_enabled(kv_auth(world->kv)));
}

static void test_wrong_management_requests_get_their_errors(void **state)
{
    struct kv_world *world = *state;
    assert_int_equal(add_user(world, ""), ETCD_USER_EMPTY);
    assert_int_equal(add_user(world, "u"), ETCD_OK);
    assert_int_equal(add_user(world, "u"), ETCD_USER_EXISTS);
    assert_int_equal(apply_two(world, KV_OP_AUTH_ROLE_ADD, "", ""), ETCD_ROLE_EMPTY);
    assert_int_equal(apply_two(world, KV_OP_AUTH_ROLE_ADD, "r", ""), ETCD_OK);
    assert_int_equal(apply_two(world, KV_OP_AUTH_ROLE_ADD, "r", ""), ETCD_ROLE_EXISTS);
    assert_int_equal(apply_two(world, KV_OP_AUTH_USER_GRANT_ROLE, "x", "r"), ETCD_USER_NOT_FOUND);
    assert_int_equal(apply_two(world, KV_OP_AUTH_USER_GRANT_ROLE, "u", "x"), ETCD_ROLE_NOT_FOUND);
    assert_int_equal(apply_two(world, KV_OP_AUTH_USER_REVOKE_ROLE, "u", "r"),
                     ETCD_ROLE_NOT_GRANTED);
    assert_int_equal(apply_two(world, KV_OP_AUTH_USER_GET, "x", ""), ETCD_USER_NOT_FOUND);
    assert_int_equal(apply_two(world, KV_OP_AUTH_USER_DELETE, "x", ""), ETCD_USER_NOT_FOUND);
    assert_int_equal(apply_two(world, KV_OP_AUTH_ROLE_GET, "x", ""), ETCD_ROLE_NOT_FOUND);
    assert_int_equal(apply_two(world, KV_OP_AUTH_ROLE_DELETE, "x", ""), ETCD_ROLE_NOT_FOUND);
    assert_int_equal(apply_two(world, KV_OP_AUTH_ROLE_GRANT_PERMISSION, "r", ""),
                     ETCD_PERMISSION_NOT_GIVEN);
    assert_int_equal(grant(world, "r", 0, none, none), ETCD_INVALID_AUTH_MANAGEMENT);
    assert_int_equal(grant(world, "r", 0, BYTES_LITERAL("b"), BYTES_LITERAL("a")),
                     ETCD_INVALID_AUTH_MANAGEMENT);
    assert_int_equal(grant(world, "r", 3, BYTES_LITERAL("b"), none), ETCD_INVALID_AUTH_MANAGEMENT);
    assert_int_equal(apply_two(world, KV_OP_AUTH_ROLE_REVOKE_PERMISSION, "r", "b"),
                     ETCD_PERMISSION_NOT_GRANTED);
}

static void test_root_cannot_be_taken_away_while_auth_is_on(void **state)
{
    struct kv_world *world = *state;
    make_root(world);
    assert_int_equal(apply_two(world, KV_OP_AUTH_ENABLE, "", ""), ETCD_OK);
    uint64_t revision = auth_revision(kv_auth(world->kv));
    buf_clear(&world->request);
    pb_put_text(&world->request, 1, "root");
    assert_int_equal(apply_as(world, "root", revision, KV_OP_AUTH_USER_DELETE),
                     ETCD_INVALID_AUTH_MANAGEMENT);
    assert_int_equal(apply_as(world, "root", revision, KV_OP_AUTH_ROLE_DELETE),
                     ETCD_INVALID_AUTH_MANAGEMENT);
    pb_put_text(&world->request, 2, "root");
    assert_int_equal(apply_as(world, "root", revision, KV_OP_AUTH_USER_REVOKE_ROLE),
                     ETCD_INVALID_AUTH_MANAGEMENT);
    assert_int_equal(auth_revision(kv_auth(world->kv)), revision);
}

static void test_an_entry_of_an_older_auth_revision_is_refused_at_apply(void **state)
{
    struct kv_world *world = *state;
    make_root(world);
    make_user(world, "u");
    assert_int_equal(grant(world, "u", 2, BYTES_LITERAL("k"), none), ETCD_OK);
    assert_int_equal(apply_two(world, KV_OP_AUTH_ENABLE, "", ""), ETCD_OK);
    uint64_t revision = auth_revision(kv_auth(world->kv));
    world_put_request(world, "k", "v", 0);
    assert_int_equal(apply_as(world, "u", revision - 1, KV_OP_PUT), ETCD_AUTH_OLD_REVISION);
    assert_int_equal(apply_as(world, "", 0, KV_OP_PUT), ETCD_USER_EMPTY);
    assert_int_equal(apply_as(world, "u", revision, KV_OP_PUT), ETCD_OK);
    world_put_request(world, "other", "v", 0);
    assert_int_equal(apply_as(world, "u", revision, KV_OP_PUT), ETCD_PERMISSION_DENIED);
    assert_null(world_get(world, "other"));
}

static void test_users_and_roles_survive_a_restart(void **state)
{
    struct kv_world *world = *state;
    make_root(world);
    for (int i = 0; i < 40; i++) { /* more than one scan */
        char name[16];
        (void)snprintf(name, sizeof name, "user%d", i);
        make_user(world, name);
        assert_int_equal(grant(world, name, 2, bytes_from_text(name), none), ETCD_OK);
    }
    assert_int_equal(apply_two(world, KV_OP_AUTH_USER_DELETE, "user7", ""), ETCD_OK);
    assert_int_equal(apply_two(world, KV_OP_AUTH_ROLE_DELETE, "user9", ""), ETCD_OK);
    assert_int_equal(apply_two(world, KV_OP_AUTH_ENABLE, "", ""), ETCD_OK);
    uint64_t revision = auth_revision(kv_auth(world->kv));
    world_restart(world);
    const struct auth *auth = kv_auth(world->kv);
    assert_true(auth_is_enabled(auth));
    assert_int_equal(auth_revision(auth), revision);
    assert_false(auth_user_exists(auth, BYTES_LITERAL("user7")));
    assert_true(
        bytes_equal(auth_password_hash(auth, BYTES_LITERAL("user8")), BYTES_LITERAL("aGFzaA==")));
    world_put_request(world, "user8", "v", 0);
    assert_int_equal(apply_as(world, "user8", revision, KV_OP_PUT), ETCD_OK);
    assert_int_equal(apply_as(world, "user9", revision, KV_OP_PUT), ETCD_PERMISSION_DENIED);
}

static void test_a_token_lives_by_its_use_and_dies_with_the_password(void **state)
{
    struct kv_world *world = *state;
    struct auth *auth = kv_auth(world->kv);
    make_root(world);
    assert_int_equal(add_user(world, "u"), ETCD_OK);
    assert_int_equal(apply_two(world, KV_OP_AUTH_AUTHENTICATE, "u", ""), ETCD_AUTH_NOT_ENABLED);
    assert_int_equal(apply_two(world, KV_OP_AUTH_ENABLE, "", ""), ETCD_OK);
    auth_set_token_ttl(auth, 1000);
    buf_clear(&world->request);
    pb_put_text(&world->request, 1, "u");
    pb_put_text(&world->request, 3, "abc");
    uint64_t revision = auth_revision(auth);
    assert_int_equal(apply_as(world, "", revision - 1, KV_OP_AUTH_AUTHENTICATE),
                     ETCD_AUTH_OLD_REVISION);
    assert_int_equal(apply_as(world, "", revision, KV_OP_AUTH_AUTHENTICATE), ETCD_OK);
    char text[64];
    (void)snprintf(text, sizeof text, "abc.%llu", (unsigned long long)world->index);
    struct bytes token = bytes_from_text(text);
    assert_true(bytes_equal(auth_token_user(auth, token, 900), BYTES_LITERAL("u")));
    assert_true(bytes_equal(auth_token_user(auth, token, 1800), BYTES_LITERAL("u")));
    assert_int_equal(auth_token_user(auth, BYTES_LITERAL("abc"), 1800).size, 0);
    assert_int_equal(auth_token_user(auth, token, 2800).size, 0);
    assert_int_equal(apply_as(world, "", revision, KV_OP_AUTH_AUTHENTICATE), ETCD_OK);
    assert_int_equal(auth_token_count(auth), 1);
    assert_int_equal(apply_as(world, "root", revision, KV_OP_AUTH_USER_CHANGE_PASSWORD), ETCD_OK);
    assert_int_equal(auth_token_count(auth), 0);
}

/* --- the matrix ------------------------------------------------------------------------------ */

enum { READ = 1, WRITE = 2 };

struct right {
    int what;
    const char *key;
    const char *end; /* NULL: the key alone, "": open */
};

static const struct principal {
    const char *name;
    bool is_root;
    bool is_old;
    bool is_unknown;
    struct right rights[3];
} principals[] = {
    {.name = ""},
    {.name = "stranger", .is_unknown = true},
    {.name = "root", .is_root = true},
    {.name = "late", .is_old = true, .rights = {{READ | WRITE, "a", ""}}},
    {.name = "norights"},
    {.name = "exact", .rights = {{READ | WRITE, "b", NULL}}},
    {.name = "reader", .rights = {{READ, "b", "d"}}},
    {.name = "writer", .rights = {{WRITE, "b", "d"}}},
    {.name = "joined", .rights = {{READ | WRITE, "b", "c"}, {READ | WRITE, "c", "e"}}},
    {.name = "gap", .rights = {{READ | WRITE, "b", "c"}, {READ | WRITE, "d", "e"}}},
    {.name = "open", .rights = {{READ | WRITE, "c", ""}}},
    {.name = "mixed", .rights = {{READ, "a", ""}, {WRITE, "b", "c"}}},
};

static const struct right shapes[] = {
    {0, "b", NULL}, {0, "c", NULL}, {0, "e", NULL}, {0, "b", "c"}, {0, "b", "d"}, {0, "b", "e"},
    {0, "b", "f"},  {0, "c", ""},   {0, "a", ""},   {0, "b", ""},  {0, "d", "b"},
};

static struct bytes end_of(const struct right *right)
{
    return right->end == NULL ? none : right->end[0] == 0 ? OPEN : bytes_from_text(right->end);
}

static bool holds(const struct right *right, const char *key)
{
    if (right->key == NULL || strcmp(key, right->key) < 0) {
        return false;
    }
    bool is_single =
        right->end == NULL || (right->end[0] != 0 && strcmp(right->end, right->key) <= 0);
    return is_single ? strcmp(key, right->key) == 0
                     : right->end[0] == 0 || strcmp(key, right->end) < 0;
}

/* Every key of a small universe that the shape holds must be held by one of the rights. */
static bool oracle(const struct principal *who, int what, const struct right *shape)
{
    static const char *const keys[] = {"a",  "am", "b",  "bm", "c",  "cm", "d",
                                       "dm", "e",  "em", "f",  "fm", "~"};
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
        for (int bit = READ; bit <= WRITE; bit <<= 1) {
            bool is_held = false;
            for (int r = 0; r < 3; r++) {
                is_held |= (who->rights[r].what & bit) != 0 && holds(&who->rights[r], keys[k]);
            }
            if ((what & bit) != 0 && holds(shape, keys[k]) && !is_held) {
                return false;
            }
        }
    }
    return true;
}

static enum etcd_error expect_keys(const struct principal *who, bool is_allowed)
{
    if (who->name[0] == 0) {
        return ETCD_USER_EMPTY;
    }
    if (who->is_old) {
        return ETCD_AUTH_OLD_REVISION;
    }
    if (who->is_root) {
        return ETCD_OK;
    }
    return is_allowed && !who->is_unknown ? ETCD_OK : ETCD_PERMISSION_DENIED;
}

enum leaf { LEAF_RANGE, LEAF_PUT, LEAF_PUT_PREV, LEAF_PUT_LEASE, LEAF_DELETE, LEAF_DELETE_PREV };
enum { LEAVES = 6, LEASE_B = 71, LEASE_E = 72, UNUSED_LEASE = 73 };

static int leaf_needs(enum leaf leaf)
{
    static const int needs[LEAVES] = {READ, WRITE, READ | WRITE, WRITE, WRITE, READ | WRITE};
    return needs[leaf];
}

static bool is_put(enum leaf leaf)
{
    return leaf == LEAF_PUT || leaf == LEAF_PUT_PREV || leaf == LEAF_PUT_LEASE;
}

static void put_leaf(struct buf *out, enum leaf leaf, const struct right *shape)
{
    pb_put_bytes(out, 1, bytes_from_text(shape->key));
    pb_put_bytes(out, 2, is_put(leaf) ? BYTES_LITERAL("v") : end_of(shape));
    if (leaf == LEAF_PUT_PREV) {
        pb_put_u64(out, 4, 1);
    } else if (leaf == LEAF_DELETE_PREV) {
        pb_put_u64(out, 3, 1);
    } else if (leaf == LEAF_PUT_LEASE) {
        pb_put_u64(out, 3, LEASE_E);
    }
}

static bool leaf_oracle(const struct principal *who, enum leaf leaf, const struct right *shape)
{
    static const struct right e = {0, "e", NULL};
    struct right single = {0, shape->key, is_put(leaf) ? NULL : shape->end};
    return oracle(who, leaf_needs(leaf), &single) &&
           (leaf != LEAF_PUT_LEASE || oracle(who, WRITE, &e));
}

/* The leaf as an operation of a transaction, below `depth` others, in the branch (2: success, 3:
 * failure). */
static void put_txn(struct buf *out, int depth, uint32_t branch, enum leaf leaf,
                    const struct right *shape)
{
    size_t mark = pb_begin_message(out, branch);
    uint32_t op = leaf == LEAF_RANGE ? 1 : is_put(leaf) ? 2 : 3;
    size_t inner = pb_begin_message(out, depth > 0 ? 4 : op);
    if (depth > 0) {
        put_txn(out, depth - 1, branch, leaf, shape);
    } else {
        put_leaf(out, leaf, shape);
    }
    pb_end_message(out, inner);
    pb_end_message(out, mark);
}

static void put_compare(struct buf *out, int depth, const struct right *shape)
{
    if (depth > 0) {
        size_t mark = pb_begin_message(out, 3);
        size_t inner = pb_begin_message(out, 4);
        put_compare(out, depth - 1, shape);
        pb_end_message(out, inner);
        pb_end_message(out, mark);
        return;
    }
    size_t mark = pb_begin_message(out, 1);
    pb_put_bytes(out, 3, bytes_from_text(shape->key));
    pb_put_bytes(out, 64, end_of(shape));
    pb_end_message(out, mark);
}

struct matrix {
    struct kv_world *world;
    unsigned cases;
    unsigned allowed;
};

static void expect(struct matrix *matrix, const struct principal *who, enum auth_rpc rpc,
                   enum etcd_error expected)
{
    uint64_t revision = auth_revision(kv_auth(matrix->world->kv));
    const struct auth_caller caller = {.username = bytes_from_text(who->name),
                                       .auth_revision = revision - (who->is_old ? 1 : 0)};
    enum etcd_error error =
        kv_authorize(matrix->world->kv, &caller, (int)rpc, buf_bytes(&matrix->world->request));
    if (error != expected) {
        fail_msg("%s as '%s', case %u: '%s', expected '%s'", auth_rpc_path(rpc), who->name,
                 matrix->cases, etcd_error_text(error), etcd_error_text(expected));
    }
    matrix->cases += 1;
    matrix->allowed += error == ETCD_OK ? 1 : 0;
    buf_clear(&matrix->world->request);
}

static void run_keys(struct matrix *matrix, const struct principal *who, const struct right *shape)
{
    struct buf *out = &matrix->world->request;
    static const enum auth_rpc rpcs[LEAVES] = {AUTH_RPC_RANGE,        AUTH_RPC_PUT,
                                               AUTH_RPC_PUT,          AUTH_RPC_PUT,
                                               AUTH_RPC_DELETE_RANGE, AUTH_RPC_DELETE_RANGE};
    for (int leaf = 0; leaf < LEAVES; leaf++) {
        enum etcd_error expected = expect_keys(who, leaf_oracle(who, (enum leaf)leaf, shape));
        put_leaf(out, (enum leaf)leaf, shape);
        expect(matrix, who, rpcs[leaf], expected);
        for (int depth = 0; depth <= 3; depth += 3) {
            for (uint32_t branch = 2; branch <= 3; branch++) {
                put_txn(out, depth, branch, (enum leaf)leaf, shape);
                expect(matrix, who, AUTH_RPC_TXN, expected);
            }
        }
    }
    enum etcd_error may_read = expect_keys(who, oracle(who, READ, shape));
    put_leaf(out, LEAF_RANGE, shape);
    expect(matrix, who, AUTH_RPC_RANGE_STREAM, may_read);
    for (int depth = 0; depth <= 2; depth += 2) {
        put_compare(out, depth, shape);
        expect(matrix, who, AUTH_RPC_TXN, may_read);
    }
    size_t mark = pb_begin_message(out, 1);
    put_leaf(out, LEAF_RANGE, shape);
    pb_end_message(out, mark);
    expect(matrix, who, AUTH_RPC_WATCH, may_read);
}

static void run_leases(struct matrix *matrix, const struct principal *who)
{
    static const struct right b = {0, "b", NULL};
    static const struct right e = {0, "e", NULL};
    static const enum auth_rpc writing[] = {AUTH_RPC_LEASE_REVOKE, AUTH_RPC_LEASE_KEEP_ALIVE};
    for (int64_t lease = LEASE_B; lease <= UNUSED_LEASE; lease++) {
        for (int what = READ; what <= WRITE; what++) {
            bool is_allowed =
                lease == UNUSED_LEASE || oracle(who, what, lease == LEASE_B ? &b : &e);
            for (int i = 0; i < 2; i++) {
                pb_put_i64(&matrix->world->request, 1, lease);
                /* A field of another wire type must not hide the id. */
                pb_put_bytes(&matrix->world->request, 1, BYTES_LITERAL("x"));
                pb_put_u64(&matrix->world->request, 2, what == READ ? 1 : 0); /* keys */
                expect(matrix, who, what == WRITE ? writing[i] : AUTH_RPC_LEASE_TIME_TO_LIVE,
                       expect_keys(who, is_allowed));
            }
        }
    }
    pb_put_i64(&matrix->world->request, 1, LEASE_B);
    expect(matrix, who, AUTH_RPC_LEASE_TIME_TO_LIVE, expect_keys(who, /* no keys asked */ true));
    expect(matrix, who, AUTH_RPC_LEASE_LEASES,
           expect_keys(who, oracle(who, READ, &b) && oracle(who, READ, &e)));
}

/* As etcd-api.md 1.12 says it: who is not root. */
static void run_plain(struct matrix *matrix, const struct principal *who)
{
    static const enum auth_rpc admin[] = {AUTH_RPC_COMPACT,
                                          AUTH_RPC_MEMBER_ADD,
                                          AUTH_RPC_MEMBER_REMOVE,
                                          AUTH_RPC_MEMBER_UPDATE,
                                          AUTH_RPC_MEMBER_PROMOTE,
                                          AUTH_RPC_HASH,
                                          AUTH_RPC_HASH_KV,
                                          AUTH_RPC_MOVE_LEADER,
                                          AUTH_RPC_DOWNGRADE,
                                          AUTH_RPC_DEFRAGMENT,
                                          AUTH_RPC_SNAPSHOT,
                                          AUTH_RPC_AUTH_ENABLE,
                                          AUTH_RPC_AUTH_DISABLE,
                                          AUTH_RPC_USER_ADD,
                                          AUTH_RPC_USER_LIST,
                                          AUTH_RPC_USER_DELETE,
                                          AUTH_RPC_USER_GRANT_ROLE,
                                          AUTH_RPC_USER_CHANGE_PASSWORD,
                                          AUTH_RPC_USER_REVOKE_ROLE,
                                          AUTH_RPC_ROLE_ADD,
                                          AUTH_RPC_ROLE_LIST,
                                          AUTH_RPC_ROLE_DELETE,
                                          AUTH_RPC_ROLE_GRANT_PERMISSION,
                                          AUTH_RPC_ROLE_REVOKE_PERMISSION};
    static const enum auth_rpc user[] = {AUTH_RPC_STATUS, AUTH_RPC_MEMBER_LIST,
                                         AUTH_RPC_LEASE_GRANT, AUTH_RPC_ALARM};
    static const enum auth_rpc public[] = {AUTH_RPC_AUTH_STATUS, AUTH_RPC_AUTHENTICATE,
                                           AUTH_RPC_HEALTH_CHECK, AUTH_RPC_HEALTH_WATCH};
    struct buf *out = &matrix->world->request;
    bool is_somebody = who->name[0] != 0;
    enum etcd_error denied = is_somebody ? ETCD_PERMISSION_DENIED : ETCD_USER_EMPTY;
    enum etcd_error for_admin = who->is_root ? ETCD_OK : denied;
    enum etcd_error for_user = is_somebody && !who->is_unknown ? ETCD_OK : denied;
    for (size_t i = 0; i < sizeof admin / sizeof admin[0]; i++) {
        expect(matrix, who, admin[i], for_admin);
    }
    for (size_t i = 0; i < sizeof user / sizeof user[0]; i++) {
        expect(matrix, who, user[i], for_user);
    }
    for (size_t i = 0; i < sizeof public / sizeof public[0]; i++) {
        expect(matrix, who, public[i], ETCD_OK);
    }
    for (uint64_t action = 1; action <= 2; action++) {
        pb_put_u64(out, 1, action);
        expect(matrix, who, AUTH_RPC_ALARM, for_admin);
    }
    pb_put_text(out, 1, who->name);
    expect(matrix, who, AUTH_RPC_USER_GET, for_user);
    pb_put_text(out, 1, who->name);
    expect(matrix, who, AUTH_RPC_ROLE_GET, for_user);
    pb_put_text(out, 1, "someone else");
    expect(matrix, who, AUTH_RPC_USER_GET, for_admin);
    pb_put_text(out, 1, "someone else");
    expect(matrix, who, AUTH_RPC_ROLE_GET, for_admin);
    expect(matrix, who, AUTH_RPC_NONE, is_somebody ? ETCD_PERMISSION_DENIED : ETCD_USER_EMPTY);
}

static void make_principals(struct kv_world *world)
{
    make_root(world);
    for (size_t i = 0; i < sizeof principals / sizeof principals[0]; i++) {
        const struct principal *who = &principals[i];
        if (who->name[0] == 0 || who->is_root || who->is_unknown) {
            continue;
        }
        make_user(world, who->name);
        for (int r = 0; r < 3 && who->rights[r].what != 0; r++) {
            uint64_t type =
                who->rights[r].what == (READ | WRITE) ? 2 : (uint64_t)who->rights[r].what - 1;
            assert_int_equal(grant(world, who->name, type, bytes_from_text(who->rights[r].key),
                                   end_of(&who->rights[r])),
                             ETCD_OK);
        }
    }
}

static void test_every_rpc_principal_and_shape_agrees_with_the_oracle(void **state)
{
    struct kv_world *world = *state;
    struct matrix matrix = {.world = world};
    make_principals(world);
    assert_int_equal(world_grant(world, LEASE_B, 60), ETCD_OK);
    assert_int_equal(world_grant(world, LEASE_E, 60), ETCD_OK);
    assert_int_equal(world_grant(world, UNUSED_LEASE, 60), ETCD_OK);
    (void)world_put_leased(world, "e", "v", LEASE_E);
    (void)world_put_leased(world, "b", "v", LEASE_B);
    assert_int_equal(apply_two(world, KV_OP_AUTH_ENABLE, "", ""), ETCD_OK);
    buf_clear(&world->request);
    for (size_t i = 0; i < sizeof principals / sizeof principals[0]; i++) {
        for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
            run_keys(&matrix, &principals[i], &shapes[s]);
        }
        run_leases(&matrix, &principals[i]);
        run_plain(&matrix, &principals[i]);
    }
    assert_true(matrix.cases >= 2000);
    assert_true(matrix.allowed >= matrix.cases / 10); /* it is not all denied */
}

/* --- the table ------------------------------------------------------------------------------- */

static void test_every_rpc_of_the_proto_files_has_a_rule(void **state)
{
    (void)state;
    static const ProtobufCServiceDescriptor *const services[] = {
        &etcdserverpb__kv__descriptor,          &etcdserverpb__watch__descriptor,
        &etcdserverpb__lease__descriptor,       &etcdserverpb__cluster__descriptor,
        &etcdserverpb__maintenance__descriptor, &etcdserverpb__auth__descriptor,
        &grpc__health__v1__health__descriptor,  &v3lockpb__lock__descriptor,
        &v3electionpb__election__descriptor};
    unsigned count = 0;
    for (size_t i = 0; i < sizeof services / sizeof services[0]; i++) {
        for (unsigned m = 0; m < services[i]->n_methods; m++) {
            char path[128];
            (void)snprintf(path, sizeof path, "/%s/%s", services[i]->name,
                           services[i]->methods[m].name);
            assert_true(auth_rpc_find(path) != AUTH_RPC_NONE);
            count += 1;
        }
    }
    assert_int_equal(count, AUTH_RPC_COUNT);
    assert_int_equal(auth_rpc_find("/etcdserverpb.KV/Unknown"), AUTH_RPC_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_enabling_needs_a_root_user_with_the_root_role, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_wrong_management_requests_get_their_errors, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_root_cannot_be_taken_away_while_auth_is_on, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_an_entry_of_an_older_auth_revision_is_refused_at_apply,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_users_and_roles_survive_a_restart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_token_lives_by_its_use_and_dies_with_the_password,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_every_rpc_principal_and_shape_agrees_with_the_oracle,
                                        set_up, tear_down),
        cmocka_unit_test(test_every_rpc_of_the_proto_files_has_a_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
