/* test_sim_planted - the simulator must find bugs that are planted on purpose (raft/planted.h,
 * kvstore/mvcc/planted.h): what it cannot find when it is there, it would not find by accident.
 *
 *     test_sim_planted [--all] [--seeds MOST] [NUMBER ...]
 *
 * Every bug is hunted in a child of its own, seed after seed, until a checker, a failed CHECK or
 * a crash shows it. Prints the table of docs/simulator.md. Exit 1: a bug was not found, or
 * something was found without a bug. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "raft/planted.h"
#include "tests/sim/sim.h"

int planted_bug = 0;

/* How far a hunt goes is counted in seeds, not in seconds: a slow machine finds the same. The limit
 * of CPU time only ends a run that would never end. */
enum { SAFETY_MS = 30000, SEEDS_MAX = 2000, ENDLESS_SECONDS = 600, CLEAN_SEEDS = 50 };

struct bug {
    int number;
    const char *name;
    const char *elsewhere; /* what finds it, if this simulator does not; NULL: it must */
};

static const struct bug bugs[] = {
    {1, "answer before the entries are durable", NULL},
    {2, "vote is not stored", NULL},
    {3, "vote is stored after the answer", NULL},
    {4, "leader counts itself before its disk", NULL},
    {5, "entries of old terms are committed by count", "test_raft_planted"},
    {6, "a short stale append truncates", NULL},
    {7, "follower commits what nobody has compared", NULL},
    {8, "no entry at the start of a term", "test_raft_planted"},
    {9, "reads before an entry of the term is committed", NULL},
    {10, "read ids are reused", "test_raft_planted"},
    {11, "read served before its index is applied", NULL},
    {13, "a pre-vote raises the term", "test_raft_planted"},
    {14, "pre-vote is granted with the own term", NULL},
    {15, "votes of an earlier attempt count", NULL},
    {16, "older terms get no answer", "test_raft_planted"},
    {17, "leader does not check its majority", "test_raft_planted"},
    {19, "match is taken from what was sent", NULL},
    {20, "acknowledgements of old terms count", "test_raft_planted"},
    {21, "late completion covers replaced entries", "test_raft_planted"},
    {22, "two membership changes at once", "test_raft_planted"},
    {23, "membership change before the term's first commit", "test_raft_planted"},
    {26, "no return to the member set before", NULL},
    {27, "a learner refuses its vote", "test_raft_planted"},
    {28, "learners count in majorities", NULL},
    {29, "a removed leader counts itself", "test_raft_planted"},
    {31, "an older snapshot replaces a newer log", "test_raft_planted"},
    {32, "a snapshot keeps a suffix it contradicts", "test_raft_planted"},
    {33, "log is released before the store is durable", NULL},
    {34, "lost acknowledgement stalls a peer", NULL},
    {35, "the window leaks", "test_raft_planted"},
    {36, "applied index in a transaction of its own", NULL},
    {49, "a transaction reads from before its writes", NULL},
    {50, "a watch replays the revision before its start", NULL},
    {51, "progress passes undelivered events", NULL},
    {52, "events of a slow watcher are lost", "test_kv_planted"},
    {53, "a delete event is lost at a compaction", NULL},
    {54, "a watch with a future start gets old events", NULL},
    {55, "a transaction without changes raises the revision", NULL},
    {56, "one revision is split over two responses", NULL},
    {57, "leases keep old deadlines after a leader change", NULL},
    {62, "a proposal is sent again", NULL},
    {63, "applying depends on the clock", NULL},
    {65, "a read joins an older read point", NULL},
    {67, "an unknown outcome is called certain", NULL},
    {68, "a forwarded answer overtakes its entry", NULL},
};

/* Shared with the child, which may die at any point. */
struct progress {
    uint64_t seed;
    char text[400];
};

static void hunt(struct progress *progress, uint64_t seeds)
{
    const struct rlimit limit = {ENDLESS_SECONDS, RLIM_INFINITY};
    (void)setrlimit(RLIMIT_CPU, &limit);
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    (void)dup2(null, STDERR_FILENO); /* a failed CHECK is how some are found */
    while (progress->seed < seeds) {
        struct sim_result result;
        progress->seed += 1;
        if (sim_run(progress->seed, SAFETY_MS, &result) != SIM_OK) {
            memcpy(progress->text, result.text, sizeof progress->text);
            _exit(1);
        }
    }
    _exit(0);
}

/* How it was found; NULL: it was not. */
static const char *find(int number, uint64_t seeds, struct progress *progress)
{
    static char how[64];
    *progress = (struct progress){0};
    (void)fflush(stdout);
    planted_bug = number;
    pid_t child = fork();
    if (child == 0) {
        hunt(progress, seeds);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) {
        perror("fork");
        exit(1);
    }
    if (WIFEXITED(status)) {
        return WEXITSTATUS(status) == 0 ? NULL : progress->text;
    }
    (void)snprintf(how, sizeof how, "%s",
                   WTERMSIG(status) == SIGXCPU   ? "runs for ever"
                   : WTERMSIG(status) == SIGABRT ? "a CHECK fails"
                                                 : strsignal(WTERMSIG(status)));
    return how;
}

static bool is_wanted(const struct bug *bug, const int *numbers, int count, bool all)
{
    for (int i = 0; i < count; i++) {
        if (numbers[i] == bug->number) {
            return true;
        }
    }
    return count == 0 && (all || bug->elsewhere == NULL);
}

int main(int argc, char **argv)
{
    int numbers[64];
    int count = 0;
    bool all = false;
    uint64_t seeds = SEEDS_MAX;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--all") == 0) {
            all = true;
        } else if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc) {
            seeds = strtoull(argv[++i], NULL, 10);
        } else if (count < (int)(sizeof numbers / sizeof numbers[0])) {
            numbers[count++] = (int)strtol(argv[i], NULL, 10);
        }
    }
    struct progress *progress =
        mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (progress == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    int missed = 0;
    int found = 0;
    const char *how = find(0, CLEAN_SEEDS, progress);
    if (how != NULL) {
        printf("without a bug, seed %llu fails: %s\n", (unsigned long long)progress->seed, how);
        return 1;
    }
    for (size_t i = 0; i < sizeof bugs / sizeof bugs[0]; i++) {
        if (!is_wanted(&bugs[i], numbers, count, all)) {
            continue;
        }
        how = find(bugs[i].number, seeds, progress);
        found += how != NULL;
        missed += how == NULL && bugs[i].elsewhere == NULL;
        printf("| %d | %s | %llu | %s |\n", bugs[i].number, bugs[i].name,
               (unsigned long long)progress->seed,
               how != NULL                 ? how
               : bugs[i].elsewhere != NULL ? bugs[i].elsewhere
                                           : "NOT FOUND");
        (void)fflush(stdout);
    }
    printf("%d found, %d missed\n", found, missed);
    return missed == 0 ? 0 : 1;
}
