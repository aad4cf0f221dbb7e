#include "kvstore/server/core_internal.h"

struct node *core_node(struct core *core)
{
    return core->node;
}

struct backend *core_backend(struct core *core)
{
    return core->backend;
}

uint64_t core_cluster_id(const struct core *core)
{
    return core->cluster_id;
}

uint64_t core_member_id(const struct core *core)
{
    return core->member_id;
}

uint64_t core_log_id(const struct core *core)
{
    return core->log_id;
}

uint64_t core_incarnation(const struct core *core)
{
    return core->incarnation;
}

struct peer_registry *core_registry(struct core *core)
{
    return core->registry;
}

bool core_is_first_start(const struct core *core)
{
    return core->is_first_start;
}

uint64_t core_log_wait_ms(const struct core *core)
{
    return wal_thread_oldest_ms(core->wal_thread);
}

uint64_t core_now(const struct core *core)
{
    return uv_now(core->options.loop);
}
