#include "orchestrator/orchd/leader.h"

#include <string.h>

#include "base/list.h"
#include "orchestrator/objects/timestamp.h"

#define NAMESPACE "kube-system"

struct leader {
    struct leader_options options;
    struct timer timer;
    char *seen_version;  /* resourceVersion of the record we saw last */
    uint64_t seen_ms;    /* when it last changed, by our clock */
    uint64_t renewed_ms; /* our last successful renewal */
    bool is_held;
    bool is_busy;
};

static uint64_t now(const struct leader *leader)
{
    return leader->options.timers->now_ms;
}

static void set_held(struct leader *leader, bool is_held)
{
    if (leader->is_held != is_held) {
        leader->is_held = is_held;
        leader->options.on_change(leader->options.context, is_held);
    }
}

static void again(struct leader *leader, uint64_t delay_ms)
{
    timers_set(leader->options.timers, &leader->timer, now(leader) + delay_ms);
}

static void submit(struct leader *leader, enum request_verb verb, const char *storage,
                   const char *name, const json_t *body, registry_done *done)
{
    CLEANUP(json) json_t *groups = json_pack("[s]", "system:masters");
    const struct kind *kind = kinds_find_storage(NULL, storage);
    const struct request request = {
        .verb = verb,
        .kind = kind,
        .namespace = kind_has(kind, KIND_NAMESPACED) ? NAMESPACE : "",
        .name = name,
        .subresource = "",
        .body = body,
        .field_manager = "coracle",
        .user = {.name = "system:coracle", .uid = "", .groups = groups},
    };
    leader->is_busy = true;
    registry_submit(leader->options.registry, &request, done, leader);
}

static void namespace_made(void *context, const struct registry_reply *reply)
{
    (void)reply; /* somebody else may have made it */
    struct leader *leader = context;
    leader->is_busy = false;
    again(leader, 10);
}

static void written(void *context, const struct registry_reply *reply)
{
    struct leader *leader = context;
    leader->is_busy = false;
    if (reply->code < 300) {
        leader->renewed_ms = now(leader);
        set_held(leader, true);
    } else if (reply->code == 404) {
        CLEANUP(json) json_t *namespace = json_pack("{s:{s:s}}", "metadata", "name", NAMESPACE);
        submit(leader, REQUEST_CREATE, "namespaces", "", namespace, namespace_made);
        return;
    }
    again(leader, LEADER_RETRY_MS);
}

static json_t *make_record(const struct leader *leader, const json_t *old)
{
    char time[TIMESTAMP_SIZE];
    const char *identity = leader->options.identity;
    (void)timestamp_format_micro(registry_now_ms(leader->options.registry), time);
    json_t *lease = old == NULL ? json_pack("{s:{s:s, s:s}}", "metadata", "name",
                                            leader->options.name, "namespace", NAMESPACE)
                                : json_deep_copy(old);
    if (!tree_has_text(lease, "spec.holderIdentity", identity)) {
        tree_set_text(lease, "spec.acquireTime", time);
        tree_set_int(lease, "spec.leaseTransitions",
                     tree_int(lease, "spec.leaseTransitions", -1) + 1);
    }
    tree_set_text(lease, "spec.holderIdentity", identity);
    tree_set_text(lease, "spec.renewTime", time);
    tree_set_int(lease, "spec.leaseDurationSeconds", LEADER_LEASE_MS / 1000);
    return lease;
}

static bool is_free(struct leader *leader, const json_t *lease)
{
    const char *version = tree_text_or(lease, "metadata.resourceVersion", "");
    if (leader->seen_version == NULL || strcmp(leader->seen_version, version) != 0) {
        mem_free(leader->seen_version);
        leader->seen_version = mem_strdup(version);
        leader->seen_ms = now(leader);
    }
    return *tree_text_or(lease, "spec.holderIdentity", "") == '\0' ||
           now(leader) - leader->seen_ms >= LEADER_LEASE_MS;
}

static void try(struct leader *leader)
{
    struct registry *registry = leader->options.registry;
    if (leader->is_held && now(leader) - leader->renewed_ms > LEADER_RENEW_MS) {
        set_held(leader, false);
    }
    if (leader->is_busy || !registry_is_synced(registry)) {
        again(leader, leader->is_busy ? LEADER_RETRY_MS : 20);
        return;
    }
    const json_t *lease =
        cache_find(registry_cache(registry), "leases", NAMESPACE, leader->options.name);
    bool is_mine = tree_has_text(lease, "spec.holderIdentity", leader->options.identity);
    if (lease != NULL && !is_mine && !is_free(leader, lease)) {
        set_held(leader, false);
        again(leader, LEADER_RETRY_MS);
        return;
    }
    CLEANUP(json) json_t *record = make_record(leader, lease);
    submit(leader, lease == NULL ? REQUEST_CREATE : REQUEST_UPDATE, "leases",
           lease == NULL ? "" : leader->options.name, record, written);
}

static void timer_due(struct timer *timer)
{
    try(container_of(timer, struct leader, timer));
}

struct leader *leader_new(const struct leader_options *options)
{
    struct leader *leader = mem_zalloc(sizeof(*leader));
    leader->options = *options;
    timer_init(&leader->timer, timer_due);
    again(leader, 1);
    return leader;
}

void leader_free(struct leader *leader)
{
    if (leader == NULL) {
        return;
    }
    timers_clear(leader->options.timers, &leader->timer);
    mem_free(leader->seen_version);
    mem_free(leader);
}

bool leader_is_held(const struct leader *leader)
{
    return leader->is_held;
}
