/* The random runs must find every planted bug (docs/raft.md lists them). A bug shows as a violation
 * of a checker, as a failed CHECK (the child aborts) or as an endless run (the alarm ends it). */
#include "tests/support/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "raft/planted.h"
#include "tests/support/raft_chaos.h"
#include "tests/support/raft_scenario.h"

int planted_bug = 0;

enum { SEEDS_MAX = 600, ROUNDS = 300, SECONDS_MAX = 60 };

/* What finds a bug fastest: the random runs, or a golden scenario (then the trace differs). Bugs
 * that need one rare order of events are left to a scenario that makes it. */
static const struct {
    int number;
    const char *name;
    const char *scenario; /* NULL: the random runs */
} bugs[] = {
    {1, "answer before the entries are durable", NULL},
    {2, "vote is not stored", NULL},
    {3, "vote is stored after the answer", NULL},
    {4, "leader counts itself before its disk", NULL},
    {5, "entries of old terms are committed by count", "figure_8"},
    {6, "a short stale append truncates", NULL},
    {7, "follower commits what nobody has compared", NULL},
    {8, "no entry at the start of a term", NULL},
    {9, "reads before an entry of the term is committed", NULL},
    {10, "read ids are reused", "read_delayed_heartbeat"},
    {13, "a pre-vote raises the term", "pre_vote_shield_lost"},
    {14, "pre-vote is granted with the own term", NULL},
    {15, "votes of an earlier attempt count", NULL},
    {16, "older terms get no answer", "isolated_candidate"},
    {17, "leader does not check its majority", "one_way_link"},
    {19, "match is taken from what was sent", NULL},
    {20, "acknowledgements of old terms count", "old_ack"},
    {21, "late completion covers replaced entries", "aba_persist"},
    {22, "two membership changes at once", "membership"},
    {23, "membership change before the term's first commit", "change_before_first_commit"},
    {26, "no return to the member set before", NULL},
    {27, "a learner refuses its vote", "promoted_learner_votes"},
    {28, "learners count in majorities", NULL},
    {29, "a removed leader counts itself", "removed_leader"},
    {31, "an older snapshot replaces a newer log", NULL},
    {32, "a snapshot keeps a suffix it contradicts", NULL},
    {34, "lost acknowledgement stalls a peer", NULL},
    {35, "the window leaks", NULL},
};

static bool scenario_differs(const char *name)
{
    CLEANUP(free) char *path = mem_printf("tests/scenario/%s.txt", name);
    CLEANUP(file) FILE *file = fopen(path, "re");
    CLEANUP(buf) struct buf wanted = BUF_INIT;
    CLEANUP(buf) struct buf got = BUF_INIT;
    if (file == NULL) {
        return false; /* a missing scenario finds nothing */
    }
    char chunk[4096];
    size_t size = 0;
    while ((size = fread(chunk, 1, sizeof chunk, file)) > 0) {
        buf_append(&wanted, chunk, size);
    }
    struct err err;
    if (raft_scenario_run(buf_text(&wanted), &got, &err) != 0) {
        return false;
    }
    return !bytes_equal(buf_bytes(&wanted), buf_bytes(&got));
}

/* In the child: 0 nothing found, 1 found. */
static int hunt(int number, uint64_t first, uint64_t count)
{
    planted_bug = number;
    for (uint64_t seed = first; seed < first + count; seed++) {
        struct raft_chaos_result result;
        raft_chaos_run(seed, ROUNDS, &result);
        if (result.violation[0] != '\0') {
            printf("bug %d: seed %llu: %s\n", number, (unsigned long long)seed, result.violation);
            return 1;
        }
    }
    return 0;
}

static bool is_found(int number, const char *scenario)
{
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        (void)alarm(SECONDS_MAX);
        int null = open("/dev/null", O_WRONLY);
        (void)dup2(null, STDERR_FILENO); /* a failed CHECK is the expected end of some */
        planted_bug = number;
        int rc =
            scenario == NULL ? hunt(number, 1, SEEDS_MAX) : (scenario_differs(scenario) ? 1 : 0);
        (void)fflush(stdout);
        _exit(rc);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status)) {
        printf("bug %d: signal %d\n", number, WTERMSIG(status));
    }
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static void test_every_planted_bug_is_found(void **state)
{
    (void)state;
    int missed = 0;
    for (size_t i = 0; i < sizeof bugs / sizeof bugs[0]; i++) {
        if (!is_found(bugs[i].number, bugs[i].scenario)) {
            printf("bug %d is not found: %s\n", bugs[i].number, bugs[i].name);
            missed++;
        }
    }
    assert_int_equal(missed, 0);
}

static void test_without_a_planted_bug_nothing_is_found(void **state)
{
    (void)state;
    assert_int_equal(hunt(0, 1, 40), 0);
    for (size_t i = 0; i < sizeof bugs / sizeof bugs[0]; i++) {
        if (bugs[i].scenario != NULL) {
            assert_false(scenario_differs(bugs[i].scenario));
        }
    }
}

int main(int argc, char **argv)
{
    if (argc == 3) { /* one bug, from one seed: to look at it */
        return hunt(atoi(argv[1]), strtoull(argv[2], NULL, 0), 1);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_planted_bug_is_found),
        cmocka_unit_test(test_without_a_planted_bug_nothing_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
