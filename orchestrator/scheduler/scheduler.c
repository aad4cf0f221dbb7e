#include "orchestrator/scheduler/scheduler.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "orchestrator/scheduler/preempt.h"

void decision_deinit(struct decision *decision)
{
    json_decref(decision->victims);
    decision->victims = NULL;
}

/* Reasons, and on how many nodes each was found. */
struct reasons {
    char *texts[SCHEDULER_REASONS_MAX];
    int counts[SCHEDULER_REASONS_MAX];
    size_t count;
};

static void add_reason(struct reasons *reasons, const char *text)
{
    for (size_t i = 0; i < reasons->count; i++) {
        if (strcmp(reasons->texts[i], text) == 0) {
            reasons->counts[i]++;
            return;
        }
    }
    if (reasons->count < SCHEDULER_REASONS_MAX) {
        reasons->texts[reasons->count] = mem_strdup(text);
        reasons->counts[reasons->count++] = 1;
    }
}

static void write_message(struct reasons *reasons, size_t nodes, struct decision *ret)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    buf_append_format(&text, "0/%zu nodes are available", nodes);
    for (size_t i = 0; i < reasons->count; i++) {
        buf_append_format(&text, "%s%d %s", i == 0 ? ": " : ", ", reasons->counts[i],
                          reasons->texts[i]);
        mem_free(reasons->texts[i]);
    }
    buf_append_text(&text, ".");
    (void)snprintf(ret->message, sizeof(ret->message), "%s", buf_text(&text));
}

void schedule(const struct node_table *table, const struct cache *cache, const json_t *pod,
              struct prng *prng, struct decision *ret)
{
    *ret = (struct decision){0};
    struct pod_query query;
    struct reasons reasons = {0};
    char buffer[256];
    pod_query_init(&query, table, pod);
    int64_t best = INT64_MIN;
    uint64_t ties = 0;
    size_t nodes = 0;
    for (size_t n = 0; n < table->count; n++) {
        const struct node_info *node = table->nodes[n];
        if (node->node == NULL) {
            continue;
        }
        nodes++;
        const char *reason = pod_query_misfit(&query, cache, node, buffer, sizeof(buffer));
        if (reason != NULL) {
            add_reason(&reasons, reason);
            continue;
        }
        int64_t score = pod_query_score(&query, node);
        ties = score == best ? ties + 1 : 1;
        bool wins_tie = score == best && prng_below(prng, ties) == 0;
        if (score > best || wins_tie) {
            best = score;
            ret->node = node->name;
        }
    }
    write_message(&reasons, nodes, ret);
    if (ret->node == NULL) {
        preempt(&query, table, cache, ret);
    }
    pod_query_deinit(&query);
}
