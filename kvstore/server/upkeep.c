#include "kvstore/server/upkeep.h"

#include "base/log.h"
#include "base/pb.h"
#include "kvstore/server/config.h"
#include "kvstore/server/service.h"

static void set_compaction_timer(struct upkeep *upkeep)
{
    timers_set(upkeep->timers, &upkeep->compaction_timer,
               upkeep->timers->now_ms + upkeep->compaction.look_interval_ms);
}

static void on_compacted(struct core_call *call, const struct node_reply *reply)
{
    struct upkeep *upkeep = container_of(call, struct upkeep, compaction_call);
    int64_t target = upkeep->compaction_target;
    upkeep->compaction_target = 0;
    if (reply->status == ETCD_OK || reply->status == ETCD_COMPACTED) {
        auto_compaction_done(&upkeep->compaction, core_now(upkeep->core), target);
        log_info("completed auto compaction", LOG_I64("compact-revision", target));
    } else {
        log_warn("failed auto compaction; trying again", LOG_I64("compact-revision", target),
                 LOG_TEXT("error", etcd_error_text(reply->status)));
    }
}

static void compact(struct upkeep *upkeep, int64_t revision)
{
    log_info("starting auto compaction", LOG_I64("compact-revision", revision));
    upkeep->compaction_target = revision;
    buf_clear(&upkeep->compaction_body);
    pb_put_i64(&upkeep->compaction_body, 1, revision);
    upkeep->compaction_call = (struct core_call){.method = NODE_COMPACT,
                                                 .body = buf_bytes(&upkeep->compaction_body),
                                                 .is_internal = true,
                                                 .on_reply = on_compacted};
    core_submit(upkeep->core, &upkeep->compaction_call);
}

static void on_compaction_timer(struct timer *timer)
{
    struct upkeep *upkeep = container_of(timer, struct upkeep, compaction_timer);
    struct node *node = core_node(upkeep->core);
    set_compaction_timer(upkeep);
    if (upkeep->compaction_target != 0) {
        return; /* the last one is not answered yet */
    }
    int64_t target = auto_compaction_look(&upkeep->compaction, core_now(upkeep->core),
                                          kv_revision(node_kv(node)), node_is_leader(node));
    if (target > kv_compact_revision(node_kv(node))) {
        compact(upkeep, target);
    } else if (target != 0) {
        auto_compaction_done(&upkeep->compaction, core_now(upkeep->core), target);
    }
}

/* --- fence ----------------------------------------------------------------------------------- */

static void set_tick_timer(struct upkeep *upkeep)
{
    timers_set(upkeep->timers, &upkeep->tick_timer, upkeep->timers->now_ms + UPKEEP_TICK_MS);
}

/* A member whose data differs leads nobody, and tells nobody what it thinks has changed. */
static void look_at_fence(struct upkeep *upkeep)
{
    struct node *node = core_node(upkeep->core);
    bool is_fenced = kv_is_fenced(node_kv(node));
    if (is_fenced && !upkeep->is_fenced) {
        log_error("this member's data is corrupt: it answers no request about keys");
        service_close_watches(upkeep->service, ETCD_CORRUPT);
    } else if (!is_fenced && upkeep->is_fenced) {
        log_warn("the CORRUPT alarm was taken back: this member answers again");
    }
    upkeep->is_fenced = is_fenced;
    metric_set(upkeep->metrics, METRIC_KVD_FENCED, is_fenced);
    if (is_fenced && node_hand_over(node, core_now(upkeep->core))) {
        core_wake(upkeep->core);
    }
}

static void on_tick(struct timer *timer)
{
    struct upkeep *upkeep = container_of(timer, struct upkeep, tick_timer);
    set_tick_timer(upkeep);
    look_at_fence(upkeep);
    corruption_check_tick(&upkeep->corruption);
}

void upkeep_start(struct upkeep *upkeep, struct service *service, struct timers *timers,
                  const struct config *config)
{
    struct core *core = service->core;
    *upkeep = (struct upkeep){
        .core = core, .service = service, .timers = timers, .metrics = service->metrics};
    corruption_check_init(&upkeep->corruption, core, upkeep->metrics,
                          (uint64_t)config->corrupt_check_time_ns / 1000000U);
    timer_init(&upkeep->tick_timer, on_tick);
    set_tick_timer(upkeep);
    auto_compaction_init(&upkeep->compaction, (uint64_t)config->auto_compaction_period_ms,
                         config->auto_compaction_revisions, core_now(core),
                         kv_revision(node_kv(core_node(core))));
    timer_init(&upkeep->compaction_timer, on_compaction_timer);
    if (upkeep->compaction.look_interval_ms != 0) {
        set_compaction_timer(upkeep);
    }
}

void upkeep_stop(struct upkeep *upkeep)
{
    if (upkeep->timers != NULL) {
        timers_clear(upkeep->timers, &upkeep->compaction_timer);
        timers_clear(upkeep->timers, &upkeep->tick_timer);
    }
}

void upkeep_deinit(struct upkeep *upkeep)
{
    auto_compaction_deinit(&upkeep->compaction);
    corruption_check_deinit(&upkeep->corruption);
    buf_deinit(&upkeep->compaction_body);
}
