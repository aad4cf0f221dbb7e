#include "tests/support/raft_scenario.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "raft/members.h"
#include "tests/support/raft_cluster.h"

enum { WORDS_MAX = 16 };

struct scenario {
    struct raft_cluster *cluster;
    struct buf trace;
    uint32_t append_bytes_max; /* 0: the default */
    uint32_t count;
    char *words[WORDS_MAX];
};

static uint64_t number(const struct scenario *scenario, uint32_t place)
{
    return place < scenario->count ? strtoull(scenario->words[place], NULL, 10) : 0;
}

static bool is_word(const struct scenario *scenario, uint32_t place, const char *word)
{
    return place < scenario->count && strcmp(scenario->words[place], word) == 0;
}

static void note_refusal(struct scenario *scenario, int rc)
{
    if (rc != 0) {
        buf_append_format(&scenario->trace, "refused: %s\n", err_name(rc));
    }
}

static void split(struct scenario *scenario, char *line)
{
    scenario->count = 0;
    char *rest = NULL;
    for (char *word = strtok_r(line, " ", &rest); word != NULL && scenario->count < WORDS_MAX;
         word = strtok_r(NULL, " ", &rest)) {
        scenario->words[scenario->count++] = word;
    }
}

static void run_cluster(struct scenario *scenario)
{
    raft_cluster_free(scenario->cluster);
    struct raft_options options = raft_cluster_options();
    if (scenario->append_bytes_max > 0) {
        options.append_bytes_max = scenario->append_bytes_max;
    }
    scenario->cluster =
        raft_cluster_new((uint32_t)number(scenario, 1), (uint32_t)number(scenario, 2), 1, &options);
    scenario->cluster->trace = &scenario->trace;
}

static void run_limit(struct scenario *scenario)
{
    scenario->append_bytes_max = (uint32_t)number(scenario, 1);
}

static void run_beat(struct scenario *scenario)
{
    for (uint64_t i = 0; i < number(scenario, 2); i++) {
        raft_cluster_tick(scenario->cluster, number(scenario, 1));
        raft_cluster_deliver(scenario->cluster);
    }
}

static void run_join(struct scenario *scenario)
{
    raft_cluster_join(scenario->cluster, number(scenario, 1));
}

static void run_elect(struct scenario *scenario)
{
    raft_cluster_elect(scenario->cluster, number(scenario, 1));
}

static void run_tick(struct scenario *scenario)
{
    raft_cluster_tick(scenario->cluster, number(scenario, 1));
}

static void run_wait(struct scenario *scenario)
{
    scenario->cluster->now += number(scenario, 1);
}

static void run_deliver(struct scenario *scenario)
{
    if (scenario->count == 1) {
        raft_cluster_deliver(scenario->cluster);
        return;
    }
    if (!raft_cluster_deliver_one(scenario->cluster, number(scenario, 1), number(scenario, 2))) {
        buf_append_text(&scenario->trace, "nothing to deliver\n");
    }
}

static void run_drop(struct scenario *scenario)
{
    raft_cluster_drop(scenario->cluster, number(scenario, 1), number(scenario, 2));
}

static void run_cut(struct scenario *scenario)
{
    raft_cluster_set_link(scenario->cluster, number(scenario, 1), number(scenario, 2),
                          CLUSTER_LINK_CUT);
}

static void run_hold(struct scenario *scenario)
{
    raft_cluster_set_link(scenario->cluster, number(scenario, 1), number(scenario, 2),
                          CLUSTER_LINK_HELD);
}

static void run_open(struct scenario *scenario)
{
    raft_cluster_set_link(scenario->cluster, number(scenario, 1), number(scenario, 2),
                          CLUSTER_LINK_OPEN);
}

static void run_isolate(struct scenario *scenario)
{
    raft_cluster_isolate(scenario->cluster, number(scenario, 1));
}

static void run_partition(struct scenario *scenario)
{
    uint32_t side_of[CLUSTER_NODES_MAX] = {0};
    uint32_t side = 1;
    for (uint32_t i = 1; i < scenario->count; i++) {
        if (is_word(scenario, i, "|")) {
            side++;
        } else if (number(scenario, i) < CLUSTER_NODES_MAX) {
            side_of[number(scenario, i)] = side;
        }
    }
    for (uint32_t a = 1; a < CLUSTER_NODES_MAX; a++) {
        for (uint32_t b = 1; b < CLUSTER_NODES_MAX; b++) {
            raft_cluster_set_link(scenario->cluster, a, b,
                                  side_of[a] == side_of[b] ? CLUSTER_LINK_OPEN : CLUSTER_LINK_CUT);
        }
    }
}

static void run_heal(struct scenario *scenario)
{
    raft_cluster_heal(scenario->cluster);
}

static void run_propose(struct scenario *scenario)
{
    const char *text = scenario->count > 2 ? scenario->words[2] : "";
    note_refusal(scenario, raft_cluster_propose(scenario->cluster, number(scenario, 1), text));
}

static void run_read(struct scenario *scenario)
{
    int rc = 0;
    (void)raft_cluster_read(scenario->cluster, number(scenario, 1), &rc);
    note_refusal(scenario, rc);
}

static void run_transfer(struct scenario *scenario)
{
    struct raft_event event = {.type = RAFT_TRANSFER, .transfer = {.peer = number(scenario, 2)}};
    note_refusal(scenario, raft_cluster_step(scenario->cluster, number(scenario, 1), event));
}

static void run_change(struct scenario *scenario)
{
    struct raft_members members = {0};
    for (uint32_t i = 2; i < scenario->count; i++) {
        bool is_learner = strchr(scenario->words[i], 'L') != NULL;
        int rc = raft_members_put(&members, number(scenario, i), !is_learner);
        note_refusal(scenario, rc);
    }
    note_refusal(scenario, raft_cluster_change(scenario->cluster, number(scenario, 1), &members));
}

static void run_unreachable(struct scenario *scenario)
{
    struct raft_event event = {.type = RAFT_PEER_UNREACHABLE,
                               .unreachable = {.peer = number(scenario, 2)}};
    (void)raft_cluster_step(scenario->cluster, number(scenario, 1), event);
}

static void run_compact(struct scenario *scenario)
{
    raft_cluster_compact(scenario->cluster, number(scenario, 1), number(scenario, 2));
}

static void run_disk(struct scenario *scenario)
{
    struct cluster_node *node = raft_cluster_node(scenario->cluster, number(scenario, 1));
    if (is_word(scenario, 2, "finish")) {
        raft_cluster_disk_finish(scenario->cluster, node->id, 1);
    } else {
        node->is_disk_held = is_word(scenario, 2, "hold");
    }
}

static void run_crash(struct scenario *scenario)
{
    raft_cluster_crash(scenario->cluster, number(scenario, 1), 0, 0);
}

static void run_restart(struct scenario *scenario)
{
    raft_cluster_restart(scenario->cluster, number(scenario, 1));
}

static void run_status(struct scenario *scenario)
{
    for (uint32_t i = 1; i < CLUSTER_NODES_MAX; i++) {
        if (scenario->cluster->nodes[i].raft != NULL) {
            raft_trace_status(&scenario->trace, scenario->cluster->nodes[i].raft);
            buf_append_text(&scenario->trace, "\n");
        }
    }
}

static void run_quiet(struct scenario *scenario)
{
    buf_clear(&scenario->trace);
}

static const struct {
    const char *name;
    uint32_t words_min;
    void (*run)(struct scenario *);
} commands[] = {
    {"cluster", 2, run_cluster}, {"limit", 2, run_limit},
    {"beat", 3, run_beat},       {"join", 2, run_join},
    {"elect", 2, run_elect},     {"tick", 2, run_tick},
    {"wait", 2, run_wait},       {"deliver", 1, run_deliver},
    {"drop", 3, run_drop},       {"cut", 3, run_cut},
    {"hold", 3, run_hold},       {"open", 3, run_open},
    {"isolate", 2, run_isolate}, {"partition", 4, run_partition},
    {"heal", 1, run_heal},       {"propose", 3, run_propose},
    {"read", 2, run_read},       {"transfer", 3, run_transfer},
    {"change", 3, run_change},   {"unreachable", 3, run_unreachable},
    {"compact", 3, run_compact}, {"disk", 3, run_disk},
    {"crash", 2, run_crash},     {"restart", 2, run_restart},
    {"status", 1, run_status},   {"quiet", 1, run_quiet},
};

static int run_command(struct scenario *scenario, const char *line, struct err *err)
{
    CLEANUP(free) char *copy = mem_strdup(line);
    split(scenario, copy);
    if (scenario->count == 0) {
        return 0;
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (!is_word(scenario, 0, commands[i].name)) {
            continue;
        }
        bool is_first = commands[i].run == run_cluster || commands[i].run == run_limit;
        if (scenario->count < commands[i].words_min || (scenario->cluster == NULL && !is_first)) {
            return err_set(err, ERR_MALFORMED, "too few words, or no cluster yet: '%s'", line);
        }
        commands[i].run(scenario);
        return 0;
    }
    return err_set(err, ERR_MALFORMED, "no such command: '%s'", line);
}

/* The trace, indented; then it starts anew. */
static void flush_trace(struct scenario *scenario, struct buf *out)
{
    if (scenario->cluster != NULL && scenario->cluster->violation[0] != '\0') {
        buf_append_format(&scenario->trace, "VIOLATION: %s\n", scenario->cluster->violation);
    }
    const char *text = buf_text(&scenario->trace);
    while (*text != '\0') {
        const char *end = strchr(text, '\n');
        size_t size = end == NULL ? strlen(text) : (size_t)(end - text);
        buf_append_format(out, "  %.*s\n", (int)size, text);
        text += size + (end == NULL ? 0 : 1);
    }
    buf_clear(&scenario->trace);
}

static int run_line(struct scenario *scenario, const char *line, struct buf *out, struct err *err)
{
    if (strncmp(line, "  ", 2) == 0) {
        return 0; /* an expected line: replaced by the real one */
    }
    buf_append_format(out, "%s\n", line);
    if (line[0] == '#' || line[0] == '\0') {
        return 0;
    }
    if (strcmp(line, "expect") == 0) {
        flush_trace(scenario, out);
        return 0;
    }
    return run_command(scenario, line, err);
}

int raft_scenario_run(const char *text, struct buf *out, struct err *err)
{
    struct scenario scenario = {.trace = BUF_INIT};
    int rc = 0;
    while (*text != '\0' && rc == 0) {
        const char *end = strchr(text, '\n');
        size_t size = end == NULL ? strlen(text) : (size_t)(end - text);
        CLEANUP(free) char *line = mem_printf("%.*s", (int)size, text);
        rc = run_line(&scenario, line, out, err);
        text += size + (end == NULL ? 0 : 1);
    }
    if (scenario.cluster != NULL && scenario.cluster->violation[0] != '\0') {
        flush_trace(&scenario, out); /* even if nobody expected anything any more */
    }
    raft_cluster_free(scenario.cluster);
    buf_deinit(&scenario.trace);
    return rc;
}
