#include "kvstore/cluster/cluster.h"

#include "base/check.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/pb.h"
#include "kvstore/backend/backend.h"
#include "kvstore/cluster/cluster_internal.h"
#include "kvstore/mvcc/meta_key.h"

#define META_MEMBER BYTES_LITERAL("member/")
#define META_REMOVED BYTES_LITERAL("removed/")
#define META_VERSION BYTES_LITERAL("cluster/version")
#define META_DOWNGRADE BYTES_LITERAL("cluster/downgrade")

enum { META_SCAN = 16, VERSION_SIZE_MAX = 64 };

struct cluster {
    struct cluster_member members[CLUSTER_MEMBERS_MAX];
    uint32_t count;
    struct u64_map removed; /* id -> any pointer */
    char version[VERSION_SIZE_MAX];
    char downgrade[VERSION_SIZE_MAX];
};

struct cluster *cluster_new(void)
{
    struct cluster *cluster = mem_zalloc(sizeof *cluster);
    u64_map_init(&cluster->removed);
    return cluster;
}

void cluster_clear(struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->count; i++) {
        cluster_member_deinit(&cluster->members[i]);
    }
    cluster->count = 0;
    cluster->version[0] = 0;
    cluster->downgrade[0] = 0;
    u64_map_deinit(&cluster->removed);
}

void cluster_free(struct cluster *cluster)
{
    if (cluster == NULL) {
        return;
    }
    cluster_clear(cluster);
    mem_free(cluster);
}

/* --- facts ----------------------------------------------------------------------------------- */

uint32_t cluster_count(const struct cluster *cluster)
{
    return cluster->count;
}

const struct cluster_member *cluster_at(const struct cluster *cluster, uint32_t position)
{
    CHECK(position < cluster->count);
    return &cluster->members[position];
}

static uint32_t position_of(const struct cluster *cluster, uint64_t id)
{
    uint32_t at = 0;
    while (at < cluster->count && cluster->members[at].id < id) {
        at += 1;
    }
    return at;
}

const struct cluster_member *cluster_find(const struct cluster *cluster, uint64_t id)
{
    uint32_t at = position_of(cluster, id);
    return at < cluster->count && cluster->members[at].id == id ? &cluster->members[at] : NULL;
}

bool cluster_is_removed(const struct cluster *cluster, uint64_t id)
{
    return u64_map_find(&cluster->removed, id) != NULL;
}

const char *cluster_version(const struct cluster *cluster)
{
    return cluster->version;
}

const char *cluster_downgrade(const struct cluster *cluster)
{
    return cluster->downgrade;
}

void cluster_append_members(const struct cluster *cluster, struct buf *out, uint32_t number)
{
    for (uint32_t i = 0; i < cluster->count; i++) {
        size_t mark = pb_begin_message(out, number);
        cluster_member_encode(out, &cluster->members[i]);
        pb_end_message(out, mark);
    }
}

/* --- the meta table -------------------------------------------------------------------------- */

static void store_member(const struct cluster_member *member, struct backend_batch *batch)
{
    uint8_t key[META_KEY_SIZE_MAX];
    struct buf value = BUF_INIT;
    cluster_member_encode(&value, member);
    backend_batch_meta_put(batch, meta_key_make(key, META_MEMBER, member->id), buf_bytes(&value));
    buf_deinit(&value);
}

static void insert(struct cluster *cluster, struct cluster_member member)
{
    uint32_t at = position_of(cluster, member.id);
    CHECK(cluster->count < CLUSTER_MEMBERS_MAX);
    memmove(cluster->members + at + 1, cluster->members + at,
            (cluster->count - at) * sizeof cluster->members[0]);
    cluster->members[at] = member;
    cluster->count += 1;
}

static int load_member(struct cluster *cluster, const struct backend_meta *meta)
{
    struct cluster_member member;
    if (cluster->count == CLUSTER_MEMBERS_MAX || cluster_member_decode(meta->value, &member) != 0) {
        return ERR_CORRUPT;
    }
    if (member.id == 0 || cluster_find(cluster, member.id) != NULL) {
        cluster_member_deinit(&member);
        return ERR_CORRUPT;
    }
    insert(cluster, member);
    return 0;
}

static int load_removed(struct cluster *cluster, const struct backend_meta *meta)
{
    if (meta->key.size != META_REMOVED.size + META_ID_SIZE) {
        return ERR_CORRUPT;
    }
    (void)u64_map_set(&cluster->removed, meta_key_id(meta->key, META_REMOVED.size), cluster);
    return 0;
}

static int load_all(struct cluster *cluster, struct backend *backend, struct bytes prefix,
                    int (*load)(struct cluster *, const struct backend_meta *), struct err *err)
{
    struct backend_meta found[META_SCAN];
    uint8_t last[META_KEY_SIZE_MAX];
    struct bytes after = {NULL, 0};
    uint32_t count = META_SCAN;
    while (count == META_SCAN) {
        int code = backend_meta_scan(backend, prefix, after, found, META_SCAN, &count, err);
        for (uint32_t i = 0; code == 0 && i < count; i++) {
            code = load(cluster, &found[i]);
            if (code != 0) {
                (void)err_set(err, code, "a stored member under '%.*s' cannot be decoded",
                              (int)prefix.size, (const char *)prefix.data);
            }
        }
        if (code != 0) {
            return code;
        }
        if (count > 0) {
            struct bytes key = found[count - 1].key;
            if (key.size > sizeof last) {
                return err_set(err, ERR_CORRUPT, "a stored member has a key of %zu bytes",
                               key.size);
            }
            memcpy(last, key.data, key.size);
            after = bytes_make(last, key.size);
        }
    }
    return 0;
}

static int restore_version(struct backend *backend, struct bytes key,
                           char version[static VERSION_SIZE_MAX], struct err *err)
{
    struct bytes stored;
    int code = backend_meta_get(backend, key, &stored, err);
    if (code == ERR_NOT_FOUND) {
        return 0;
    }
    if (code == 0 && stored.size >= VERSION_SIZE_MAX) {
        return err_set(err, ERR_CORRUPT, "the stored cluster version has %zu bytes", stored.size);
    }
    if (code == 0) {
        memcpy(version, stored.data, stored.size);
        version[stored.size] = 0;
    }
    return code;
}

int cluster_restore(struct cluster *cluster, struct backend *backend, struct err *err)
{
    cluster_clear(cluster);
    int code = load_all(cluster, backend, META_MEMBER, load_member, err);
    code = code != 0 ? code : load_all(cluster, backend, META_REMOVED, load_removed, err);
    if (code != 0) {
        return code;
    }
    code = restore_version(backend, META_VERSION, cluster->version, err);
    return code != 0 ? code : restore_version(backend, META_DOWNGRADE, cluster->downgrade, err);
}

void cluster_add_initial(struct cluster *cluster, const struct cluster_member *member,
                         struct backend_batch *batch)
{
    CHECK(cluster_find(cluster, member->id) == NULL);
    insert(cluster, cluster_member_copy(member));
    store_member(member, batch);
}

/* --- changes --------------------------------------------------------------------------------- */

static bool has_url_of_other(const struct cluster *cluster, const struct cluster_member *member)
{
    for (uint32_t i = 0; i < cluster->count; i++) {
        const struct cluster_urls *taken = &cluster->members[i].peer_urls;
        for (uint32_t a = 0; cluster->members[i].id != member->id && a < taken->count; a++) {
            for (uint32_t b = 0; b < member->peer_urls.count; b++) {
                if (strcmp(taken->url[a], member->peer_urls.url[b]) == 0) {
                    return true;
                }
            }
        }
    }
    return false;
}

static enum etcd_error check_add(const struct cluster *cluster, const struct cluster_member *member,
                                 uint32_t learners_max)
{
    if (cluster_find(cluster, member->id) != NULL) {
        return ETCD_MEMBER_EXISTS;
    }
    if (has_url_of_other(cluster, member)) {
        return ETCD_PEER_URL_EXISTS;
    }
    uint32_t learners = 0;
    for (uint32_t i = 0; i < cluster->count; i++) {
        learners += cluster->members[i].is_learner ? 1 : 0;
    }
    if (member->is_learner && learners_max != 0 && learners >= learners_max) {
        return ETCD_TOO_MANY_LEARNERS;
    }
    return cluster->count == CLUSTER_MEMBERS_MAX ? ETCD_TOO_MANY_MEMBERS : ETCD_OK;
}

enum etcd_error cluster_check(const struct cluster *cluster, const struct cluster_change *change,
                              uint32_t learners_max)
{
    const struct cluster_member *member = &change->member;
    const struct cluster_member *known = cluster_find(cluster, member->id);
    if (member->id == 0 || cluster_is_removed(cluster, member->id)) {
        return ETCD_MEMBER_NOT_FOUND; /* etcd: a removed id is gone for good */
    }
    switch (change->kind) {
    case CLUSTER_ADD:
        return check_add(cluster, member, learners_max);
    case CLUSTER_REMOVE:
        return known == NULL ? ETCD_MEMBER_NOT_FOUND : ETCD_OK;
    case CLUSTER_UPDATE:
        if (known == NULL) {
            return ETCD_MEMBER_NOT_FOUND;
        }
        return has_url_of_other(cluster, member) ? ETCD_PEER_URL_EXISTS : ETCD_OK;
    case CLUSTER_PROMOTE:
        if (known == NULL) {
            return ETCD_MEMBER_NOT_FOUND;
        }
        return known->is_learner ? ETCD_OK : ETCD_MEMBER_NOT_LEARNER;
    }
    return ETCD_MEMBER_NOT_FOUND;
}

static void remove_member(struct cluster *cluster, uint64_t id, struct backend_batch *batch)
{
    uint8_t key[META_KEY_SIZE_MAX];
    uint32_t at = position_of(cluster, id);
    cluster_member_deinit(&cluster->members[at]);
    cluster->count -= 1;
    memmove(cluster->members + at, cluster->members + at + 1,
            (cluster->count - at) * sizeof cluster->members[0]);
    (void)u64_map_set(&cluster->removed, id, cluster);
    backend_batch_meta_delete(batch, meta_key_make(key, META_MEMBER, id));
    backend_batch_meta_put(batch, meta_key_make(key, META_REMOVED, id), BYTES_LITERAL("1"));
}

enum etcd_error cluster_apply(struct cluster *cluster, const struct cluster_change *change,
                              struct backend_batch *batch)
{
    enum etcd_error error = cluster_check(cluster, change, 0);
    if (error != ETCD_OK) {
        return error;
    }
    uint32_t at = position_of(cluster, change->member.id);
    switch (change->kind) {
    case CLUSTER_ADD:
        insert(cluster, cluster_member_copy(&change->member));
        break;
    case CLUSTER_REMOVE:
        remove_member(cluster, change->member.id, batch);
        return ETCD_OK;
    case CLUSTER_UPDATE:
        cluster_urls_deinit(&cluster->members[at].peer_urls);
        cluster_urls_copy(&cluster->members[at].peer_urls, &change->member.peer_urls);
        break;
    case CLUSTER_PROMOTE:
        cluster->members[at].is_learner = false;
        break;
    }
    store_member(&cluster->members[at], batch);
    return ETCD_OK;
}

static int decode_attributes(struct bytes encoded, char **ret_name, struct cluster_urls *ret_urls)
{
    struct pb_reader reader = pb_reader_make(encoded);
    struct pb_field field;
    int code = 0;
    while (code == 0 && pb_next(&reader, &field)) {
        if (field.key == PB_BYTES(1)) {
            mem_free(*ret_name);
            *ret_name = cluster_text(field.bytes);
        } else if (field.key == PB_BYTES(2)) {
            code = cluster_urls_add(ret_urls, field.bytes);
        }
    }
    return code == 0 && reader.failed ? ERR_MALFORMED : code;
}

int cluster_apply_attributes(struct cluster *cluster, struct bytes request,
                             struct backend_batch *batch)
{
    uint64_t id = 0;
    struct bytes attributes = {NULL, 0};
    struct pb_reader reader = pb_reader_make(request);
    struct pb_field field;
    while (pb_next(&reader, &field)) {
        if (field.key == PB_VARINT(1)) {
            id = field.value;
        } else if (field.key == PB_BYTES(2)) {
            attributes = field.bytes;
        }
    }
    char *name = NULL;
    struct cluster_urls urls = {0};
    int code = reader.failed ? ERR_MALFORMED : decode_attributes(attributes, &name, &urls);
    if (code != 0 || cluster_find(cluster, id) == NULL) {
        mem_free(name);
        cluster_urls_deinit(&urls);
        return code;
    }
    struct cluster_member *member = &cluster->members[position_of(cluster, id)];
    mem_free(member->name);
    cluster_urls_deinit(&member->client_urls);
    member->name = name == NULL ? mem_strdup("") : name;
    member->client_urls = urls;
    store_member(member, batch);
    return 0;
}

int cluster_apply_version(struct cluster *cluster, struct bytes request,
                          struct backend_batch *batch)
{
    struct bytes version = {NULL, 0};
    struct pb_reader reader = pb_reader_make(request);
    struct pb_field field;
    while (pb_next(&reader, &field)) {
        if (field.key == PB_BYTES(1)) {
            version = field.bytes;
        }
    }
    if (reader.failed || version.size >= sizeof cluster->version) {
        return ERR_MALFORMED;
    }
    if (version.size > 0) {
        memcpy(cluster->version, version.data, version.size);
    }
    cluster->version[version.size] = 0;
    backend_batch_meta_put(batch, META_VERSION, version);
    return 0;
}

int cluster_apply_downgrade(struct cluster *cluster, struct bytes request,
                            struct backend_batch *batch)
{
    struct bytes version = {NULL, 0};
    bool is_enabled = false;
    struct pb_reader reader = pb_reader_make(request);
    struct pb_field field;
    while (pb_next(&reader, &field)) {
        if (field.key == PB_VARINT(1)) {
            is_enabled = field.value != 0;
        } else if (field.key == PB_BYTES(2)) {
            version = field.bytes;
        }
    }
    if (reader.failed || version.size >= sizeof cluster->downgrade) {
        return ERR_MALFORMED;
    }
    version.size = is_enabled ? version.size : 0;
    if (version.size > 0) {
        memcpy(cluster->downgrade, version.data, version.size);
    }
    cluster->downgrade[version.size] = 0;
    backend_batch_meta_put(batch, META_DOWNGRADE, version);
    return 0;
}
