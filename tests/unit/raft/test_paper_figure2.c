/* One test for each sentence of figure 2 of the Raft paper (Ongaro and Ousterhout, extended
 * version), in its order. Where this implementation says the same in another way, the comment says
 * how. */
#include "tests/support/test.h"

#include "tests/support/raft_solo.h"

#define TERMS(...) ((const raft_term[]){__VA_ARGS__, 0})

static struct raft_message vote_request(raft_id from, raft_term term, raft_index index,
                                        raft_term last)
{
    return (struct raft_message){
        .type = RAFT_MESSAGE_VOTE, .from = from, .term = term, .vote = {.last = {index, last}}};
}

static bool is_granted(struct raft_solo *solo)
{
    const struct raft_message *answer = raft_solo_take(solo, RAFT_MESSAGE_VOTE_RESPONSE, 0);
    assert_non_null(answer);
    return answer->vote_response.granted;
}

/* State: "Persistent state on all servers (updated on stable storage before responding to RPCs)".
 */
static void test_current_term_is_stored_before_responding(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, NULL, 1, 0);
    solo->is_disk_held = true;
    raft_solo_append(solo, 2, 5, (struct raft_position){7, 3}, NULL, 0);
    assert_null(raft_solo_take(solo, RAFT_MESSAGE_APPEND_RESPONSE, 2));
    assert_int_equal(solo->hard_state.term, 5);
    raft_solo_persist(solo);
    assert_non_null(raft_solo_take(solo, RAFT_MESSAGE_APPEND_RESPONSE, 2));
    raft_solo_free(solo);
}

static void test_voted_for_is_stored_before_responding(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, NULL, 1, 0);
    solo->is_disk_held = true;
    raft_solo_receive(solo, vote_request(2, 2, 0, 0));
    assert_null(raft_solo_take(solo, RAFT_MESSAGE_VOTE_RESPONSE, 2));
    assert_int_equal(solo->hard_state.vote, 2);
    assert_int_equal(solo->hard_state.term, 2); /* one record for both (R3) */
    raft_solo_persist(solo);
    assert_true(is_granted(solo));
    raft_solo_free(solo);
}

static void test_log_is_stored_before_responding(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1), 1, 0);
    solo->is_disk_held = true;
    raft_solo_append(solo, 2, 1, (struct raft_position){1, 1}, TERMS(1, 1), 0);
    assert_null(raft_solo_take(solo, RAFT_MESSAGE_APPEND_RESPONSE, 2));
    assert_int_equal(solo->written_from, 2);
    assert_int_equal(solo->written_to, 3);
    raft_solo_persist(solo);
    const struct raft_message *answer = raft_solo_take(solo, RAFT_MESSAGE_APPEND_RESPONSE, 2);
    assert_non_null(answer);
    assert_int_equal(answer->append_response.index, 3);
    raft_solo_free(solo);
}

/* "commitIndex: index of highest log entry known to be committed (initialized to 0, increases
 * monotonically)". */
static void test_commit_index_starts_at_0_and_never_falls(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1, 1, 1), 1, 0);
    assert_int_equal(raft_commit(solo->raft), 0);
    raft_solo_append(solo, 2, 1, (struct raft_position){3, 1}, NULL, 2);
    assert_int_equal(raft_commit(solo->raft), 2);
    raft_solo_append(solo, 2, 1, (struct raft_position){3, 1}, NULL, 1);
    assert_int_equal(raft_commit(solo->raft), 2);
    raft_solo_free(solo);
}

/* "lastApplied: ... (initialized to 0, increases monotonically)"; "nextIndex[]: initialized to
 * leader last log index + 1"; "matchIndex[]: initialized to 0, increases monotonically". */
static void test_next_index_starts_after_the_log_and_match_index_at_0(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1, 1), 1, 0);
    raft_solo_lead(solo, 3);
    struct raft_status status;
    raft_get_status(solo->raft, &status);
    assert_int_equal(status.peer_count, 2);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(status.peer[i].next, 3);
        assert_int_equal(status.peer[i].match, 0);
    }
    assert_int_equal(status.applied, 0);
    raft_solo_free(solo);
}

static void test_match_index_never_falls(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1, 1), 1, 0);
    raft_solo_lead(solo, 3);
    raft_solo_ack(solo, 2, 3);
    raft_solo_ack(solo, 2, 1); /* an old acknowledgement arrives late */
    struct raft_status status;
    raft_get_status(solo->raft, &status);
    assert_int_equal(status.peer[0].id, 2);
    assert_int_equal(status.peer[0].match, 3);
    raft_solo_free(solo);
}

/* AppendEntries 1: "Reply false if term < currentTerm". */
static void test_append_of_an_older_term_is_refused(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1), 3, 0);
    raft_solo_append(solo, 2, 2, (struct raft_position){1, 1}, TERMS(2), 1);
    const struct raft_message *answer = raft_solo_take(solo, RAFT_MESSAGE_APPEND_RESPONSE, 2);
    assert_non_null(answer);
    assert_true(answer->append_response.rejected);
    assert_int_equal(answer->term, 3);
    assert_int_equal(raft_last(solo->raft).index, 1);
    assert_int_equal(raft_commit(solo->raft), 0);
    raft_solo_free(solo);
}

/* AppendEntries 2: "Reply false if log doesn't contain an entry at prevLogIndex whose term matches
 * prevLogTerm". */
static void test_append_without_the_previous_entry_is_refused(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1, 1), 2, 0);
    raft_solo_append(solo, 2, 2, (struct raft_position){3, 2}, TERMS(2), 0);
    const struct raft_message *answer = raft_solo_take(solo, RAFT_MESSAGE_APPEND_RESPONSE, 2);
    assert_true(answer->append_response.rejected);
    raft_solo_append(solo, 2, 2, (struct raft_position){2, 2}, TERMS(2), 0);
    answer = raft_solo_take(solo, RAFT_MESSAGE_APPEND_RESPONSE, 2);
    assert_true(answer->append_response.rejected);
    assert_int_equal(raft_last(solo->raft).index, 2);
    raft_solo_free(solo);
}

/* AppendEntries 3: "If an existing entry conflicts with a new one (same index but different terms),
 * delete the existing entry and all that follow it". */
static void test_a_conflicting_entry_and_all_after_it_are_deleted(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1, 1, 1, 1), 2, 0);
    raft_solo_append(solo, 2, 2, (struct raft_position){1, 1}, TERMS(1, 2), 0);
    assert_int_equal(raft_last(solo->raft).index, 3);
    assert_int_equal(raft_solo_term_at(solo, 2), 1);
    assert_int_equal(raft_solo_term_at(solo, 3), 2);
    raft_solo_free(solo);
}

static void test_entries_without_conflict_are_kept(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1, 1, 1, 1), 1, 0);
    raft_solo_append(solo, 2, 1, (struct raft_position){1, 1}, TERMS(1), 0);
    assert_int_equal(raft_last(solo->raft).index,
                     4); /* a short, stale append deletes nothing (R16) */
    raft_solo_free(solo);
}

/* AppendEntries 4: "Append any new entries not already in the log". */
static void test_only_new_entries_are_appended(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1, 1), 1, 0);
    raft_solo_append(solo, 2, 1, (struct raft_position){1, 1}, TERMS(1, 1, 1), 0);
    assert_int_equal(raft_last(solo->raft).index, 4);
    assert_int_equal(solo->written_from, 3);
    assert_int_equal(solo->written_to, 4);
    raft_solo_free(solo);
}

/* AppendEntries 5: "If leaderCommit > commitIndex, set commitIndex = min(leaderCommit, index of
 * last new entry)". */
static void test_commit_index_is_bounded_by_the_last_new_entry(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1, 1, 1, 1), 1, 0);
    raft_solo_append(solo, 2, 1, (struct raft_position){1, 1}, TERMS(1), 4);
    assert_int_equal(raft_commit(solo->raft), 2); /* entries 3 and 4 were not compared (R18) */
    raft_solo_append(solo, 2, 1, (struct raft_position){2, 1}, TERMS(1), 2);
    assert_int_equal(raft_commit(solo->raft), 2);
    raft_solo_free(solo);
}

/* RequestVote 1: "Reply false if term < currentTerm". */
static void test_vote_for_an_older_term_is_refused(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, NULL, 3, 0);
    raft_solo_receive(solo, vote_request(2, 2, 9, 2));
    const struct raft_message *answer = raft_solo_take(solo, RAFT_MESSAGE_VOTE_RESPONSE, 2);
    assert_false(answer->vote_response.granted);
    assert_int_equal(answer->term, 3);
    raft_solo_free(solo);
}

/* RequestVote 2: "If votedFor is null or candidateId, and candidate's log is at least as up-to-date
 * as receiver's log, grant vote". */
static void test_vote_is_granted_to_the_first_who_asks_and_again_to_the_same(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1), 1, 0);
    raft_solo_receive(solo, vote_request(2, 2, 1, 1));
    assert_true(is_granted(solo));
    raft_solo_receive(solo, vote_request(3, 2, 1, 1));
    assert_false(is_granted(solo));
    raft_solo_receive(solo, vote_request(2, 2, 1, 1));
    assert_true(is_granted(solo));
    raft_solo_free(solo);
}

static void test_vote_is_refused_when_the_candidate_log_is_older(void **state)
{
    (void)state;
    static const struct {
        struct raft_position last;
        bool granted;
    } cases[] = {
        /* Ours ends at 3/2. */
        {{3, 2}, true},  {{4, 2}, true},  {{1, 3}, true},  {{2, 2}, false},
        {{9, 1}, false}, {{3, 1}, false}, {{0, 0}, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct raft_solo *solo = raft_solo_new(3, TERMS(1, 1, 2), 3, 0);
        raft_solo_receive(solo, vote_request(2, 4, cases[i].last.index, cases[i].last.term));
        assert_int_equal(is_granted(solo), cases[i].granted);
        raft_solo_free(solo);
    }
}

/* All servers: "If commitIndex > lastApplied: increment lastApplied, apply log[lastApplied] to
 * state machine". */
static void test_committed_entries_are_applied_in_order(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1, 1, 1), 1, 0);
    raft_solo_append(solo, 2, 1, (struct raft_position){3, 1}, TERMS(1), 3);
    assert_int_equal(solo->applied, 3); /* the solo checks that no index is skipped */
    raft_solo_append(solo, 2, 1, (struct raft_position){4, 1}, NULL, 4);
    assert_int_equal(solo->applied, 4);
    raft_solo_free(solo);
}

/* All servers: "If RPC request or response contains term T > currentTerm: set currentTerm = T,
 * convert to follower". */
static void test_a_newer_term_makes_a_follower(void **state)
{
    (void)state;
    static const struct raft_message messages[] = {
        {.type = RAFT_MESSAGE_APPEND, .from = 2, .term = 9},
        {.type = RAFT_MESSAGE_APPEND_RESPONSE,
         .from = 2,
         .term = 9,
         .append_response = {.rejected = true}},
        {.type = RAFT_MESSAGE_HEARTBEAT, .from = 2, .term = 9},
        {.type = RAFT_MESSAGE_HEARTBEAT_RESPONSE, .from = 2, .term = 9},
        {.type = RAFT_MESSAGE_VOTE_RESPONSE, .from = 2, .term = 9},
        {.type = RAFT_MESSAGE_PRE_VOTE_RESPONSE, .from = 2, .term = 9},
        {.type = RAFT_MESSAGE_VOTE, .from = 2, .term = 9, .vote = {.is_transfer = true}},
    };
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        struct raft_solo *solo = raft_solo_new(3, TERMS(1), 1, 0);
        raft_solo_lead(solo, 3);
        raft_solo_receive(solo, messages[i]);
        assert_int_equal(raft_role(solo->raft), RAFT_FOLLOWER);
        assert_int_equal(raft_term_current(solo->raft), 9);
        raft_solo_free(solo);
    }
}

/* Followers: "Respond to RPCs from candidates and leaders". */
static void test_a_follower_answers_candidates_and_leaders(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, NULL, 1, 0);
    raft_solo_receive(solo, vote_request(2, 2, 0, 0));
    assert_non_null(raft_solo_take(solo, RAFT_MESSAGE_VOTE_RESPONSE, 2));
    raft_solo_append(solo, 2, 2, (struct raft_position){0, 0}, TERMS(2), 0);
    assert_non_null(raft_solo_take(solo, RAFT_MESSAGE_APPEND_RESPONSE, 2));
    raft_solo_receive(solo,
                      (struct raft_message){.type = RAFT_MESSAGE_HEARTBEAT, .from = 2, .term = 2});
    assert_non_null(raft_solo_take(solo, RAFT_MESSAGE_HEARTBEAT_RESPONSE, 2));
    raft_solo_free(solo);
}

/* Followers: "If election timeout elapses without receiving AppendEntries RPC from current leader
 * or granting vote to candidate: convert to candidate" (here by way of a pre-vote). */
static void test_a_follower_campaigns_when_it_hears_nobody(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, NULL, 1, 0);
    raft_time_ms first = raft_deadline(solo->raft);
    assert_in_range(first, 100, 199);
    solo->now = 90;
    raft_solo_append(solo, 2, 1, (struct raft_position){0, 0}, NULL, 0);
    assert_in_range(raft_deadline(solo->raft), 190, 289);
    solo->now = 180;
    raft_solo_receive(
        solo, (struct raft_message){
                  .type = RAFT_MESSAGE_VOTE, .from = 3, .term = 2, .vote = {.is_transfer = true}});
    assert_in_range(raft_deadline(solo->raft), 280, 379);
    raft_solo_tick(solo);
    assert_int_equal(raft_role(solo->raft), RAFT_PRE_CANDIDATE);
    raft_solo_free(solo);
}

/* Candidates: "On conversion to candidate, start election: increment currentTerm, vote for self,
 * reset election timer, send RequestVote RPCs to all other servers". */
static void test_a_candidate_raises_its_term_votes_for_itself_and_asks_all(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1), 1, 0);
    raft_solo_tick(solo);
    raft_solo_receive(solo, (struct raft_message){.type = RAFT_MESSAGE_PRE_VOTE_RESPONSE,
                                                  .from = 2,
                                                  .term = 2,
                                                  .vote_response = {.granted = true}});
    assert_int_equal(raft_role(solo->raft), RAFT_CANDIDATE);
    assert_int_equal(raft_term_current(solo->raft), 2);
    assert_int_equal(solo->hard_state.vote, 1);
    assert_in_range(raft_deadline(solo->raft), solo->now + 100, solo->now + 199);
    for (raft_id to = 2; to <= 3; to++) {
        const struct raft_message *request = raft_solo_take(solo, RAFT_MESSAGE_VOTE, to);
        assert_non_null(request);
        assert_int_equal(request->term, 2);
        assert_int_equal(request->vote.last.index, 1);
        assert_int_equal(request->vote.last.term, 1);
    }
    raft_solo_free(solo);
}

/* Candidates: "If votes received from majority of servers: become leader". */
static void test_a_majority_of_votes_makes_a_leader(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(5, NULL, 0, 0);
    raft_solo_tick(solo);
    for (raft_id from = 2; from <= 3; from++) {
        raft_solo_receive(solo, (struct raft_message){.type = RAFT_MESSAGE_PRE_VOTE_RESPONSE,
                                                      .from = from,
                                                      .term = 1,
                                                      .vote_response = {.granted = true}});
    }
    assert_int_equal(raft_role(solo->raft), RAFT_CANDIDATE);
    struct raft_message yes = {.type = RAFT_MESSAGE_VOTE_RESPONSE,
                               .from = 2,
                               .term = 1,
                               .vote_response = {.granted = true}};
    raft_solo_receive(solo, yes);
    raft_solo_receive(solo, yes); /* twice the same counts once */
    assert_int_equal(raft_role(solo->raft), RAFT_CANDIDATE);
    yes.from = 4;
    raft_solo_receive(solo, yes);
    assert_int_equal(raft_role(solo->raft), RAFT_LEADER);
    raft_solo_free(solo);
}

/* Candidates: "If AppendEntries RPC received from new leader: convert to follower". */
static void test_a_candidate_follows_a_new_leader(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, NULL, 1, 0);
    raft_solo_tick(solo);
    raft_solo_receive(solo, (struct raft_message){.type = RAFT_MESSAGE_PRE_VOTE_RESPONSE,
                                                  .from = 2,
                                                  .term = 2,
                                                  .vote_response = {.granted = true}});
    assert_int_equal(raft_role(solo->raft), RAFT_CANDIDATE);
    raft_solo_append(solo, 3, 2, (struct raft_position){0, 0}, NULL, 0);
    assert_int_equal(raft_role(solo->raft), RAFT_FOLLOWER);
    assert_int_equal(raft_leader(solo->raft), 3);
    raft_solo_free(solo);
}

/* Candidates: "If election timeout elapses: start new election". */
static void test_a_candidate_without_a_majority_starts_anew(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, NULL, 1, 0);
    raft_solo_tick(solo);
    struct raft_message yes = {.type = RAFT_MESSAGE_PRE_VOTE_RESPONSE,
                               .from = 2,
                               .term = 2,
                               .vote_response = {.granted = true}};
    raft_solo_receive(solo, yes);
    assert_int_equal(raft_role(solo->raft), RAFT_CANDIDATE);
    raft_solo_forget(solo);
    raft_solo_tick(solo);
    assert_int_equal(raft_role(solo->raft), RAFT_PRE_CANDIDATE);
    const struct raft_message *asked = raft_solo_take(solo, RAFT_MESSAGE_PRE_VOTE, 2);
    assert_non_null(asked);
    assert_int_equal(asked->term, 3);
    raft_solo_free(solo);
}

/* Leaders: "Upon election: send initial empty AppendEntries RPCs (heartbeat) to each server; repeat
 * during idle periods to prevent election timeouts". Here the first carries the entry of the new
 * term. */
static void test_a_leader_announces_itself_and_goes_on_doing_so(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, NULL, 1, 0);
    raft_solo_lead(solo, 3);
    for (raft_id to = 2; to <= 3; to++) {
        const struct raft_message *first = raft_solo_take(solo, RAFT_MESSAGE_APPEND, to);
        assert_non_null(first);
        assert_int_equal(first->append.count, 1);
        assert_int_equal(first->append.entries[0].type, RAFT_ENTRY_NOOP);
    }
    assert_int_equal(raft_deadline(solo->raft), solo->now + 20);
    raft_solo_tick(solo);
    assert_non_null(raft_solo_take(solo, RAFT_MESSAGE_HEARTBEAT, 2));
    assert_non_null(raft_solo_take(solo, RAFT_MESSAGE_HEARTBEAT, 3));
    raft_solo_free(solo);
}

/* Leaders: "If command received from client: append entry to local log, respond after entry applied
 * to state machine". */
static void test_a_command_is_appended_and_applied_after_a_majority_has_it(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, NULL, 1, 0);
    raft_solo_lead(solo, 3);
    assert_int_equal(raft_solo_propose(solo, "x"), 0);
    assert_int_equal(raft_last(solo->raft).index, 2);
    assert_int_equal(solo->applied, 0);
    raft_solo_ack(solo, 2, 2);
    assert_int_equal(solo->applied, 2);
    raft_solo_free(solo);
}

/* Leaders: "If last log index >= nextIndex for a follower: send AppendEntries RPC with log entries
 * starting at nextIndex". */
static void test_entries_are_sent_from_next_index_on(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1, 1), 1, 0);
    raft_solo_lead(solo, 3);
    raft_solo_ack(solo, 2, 3);
    raft_solo_forget(solo);
    assert_int_equal(raft_solo_propose(solo, "x"), 0);
    const struct raft_message *append = raft_solo_take(solo, RAFT_MESSAGE_APPEND, 2);
    assert_non_null(append);
    assert_int_equal(append->append.previous.index, 3);
    assert_int_equal(append->append.count, 1);
    assert_int_equal(append->append.entries[0].at.index, 4);
    raft_solo_free(solo);
}

/* Leaders: "If successful: update nextIndex and matchIndex for follower". */
static void test_success_updates_next_and_match_index(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1, 1), 1, 0);
    raft_solo_lead(solo, 3);
    raft_solo_ack(solo, 2, 3);
    struct raft_status status;
    raft_get_status(solo->raft, &status);
    assert_int_equal(status.peer[0].match, 3);
    assert_int_equal(status.peer[0].next, 4);
    assert_int_equal(status.peer[0].state, RAFT_PEER_REPLICATE);
    raft_solo_free(solo);
}

/* Leaders: "If AppendEntries fails because of log inconsistency: decrement nextIndex and retry"
 * (here by more than one where the hint allows it, R20). */
static void test_failure_moves_next_index_back_and_retries(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1, 1, 2, 2), 2, 0);
    raft_solo_lead(solo, 3);
    raft_solo_forget(solo);
    raft_solo_receive(solo, (struct raft_message){
                                .type = RAFT_MESSAGE_APPEND_RESPONSE,
                                .from = 2,
                                .term = 3,
                                .append_response = {.rejected = true, .index = 4, .hint = {3, 1}}});
    const struct raft_message *retry = raft_solo_take(solo, RAFT_MESSAGE_APPEND, 2);
    assert_non_null(retry);
    assert_int_equal(retry->append.previous.index, 2); /* our last entry of a term up to 1 */
    assert_int_equal(retry->append.count, 3);
    raft_solo_free(solo);
}

/* Leaders: "If there exists an N such that N > commitIndex, a majority of matchIndex[i] >= N, and
 * log[N].term == currentTerm: set commitIndex = N". */
static void test_commit_needs_a_majority_and_an_entry_of_the_own_term(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(5, TERMS(1, 1), 1, 0);
    raft_solo_lead(solo, 5);
    raft_solo_ack(solo, 2, 2);
    raft_solo_ack(solo, 3, 2);
    raft_solo_ack(solo, 4, 2);
    assert_int_equal(raft_commit(solo->raft), 0); /* a majority has entry 2, of an old term */
    raft_solo_ack(solo, 2, 3);
    assert_int_equal(raft_commit(solo->raft), 0);
    raft_solo_ack(solo, 3, 3);
    assert_int_equal(raft_commit(solo->raft), 3);
    raft_solo_free(solo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_current_term_is_stored_before_responding),
        cmocka_unit_test(test_voted_for_is_stored_before_responding),
        cmocka_unit_test(test_log_is_stored_before_responding),
        cmocka_unit_test(test_commit_index_starts_at_0_and_never_falls),
        cmocka_unit_test(test_next_index_starts_after_the_log_and_match_index_at_0),
        cmocka_unit_test(test_match_index_never_falls),
        cmocka_unit_test(test_append_of_an_older_term_is_refused),
        cmocka_unit_test(test_append_without_the_previous_entry_is_refused),
        cmocka_unit_test(test_a_conflicting_entry_and_all_after_it_are_deleted),
        cmocka_unit_test(test_entries_without_conflict_are_kept),
        cmocka_unit_test(test_only_new_entries_are_appended),
        cmocka_unit_test(test_commit_index_is_bounded_by_the_last_new_entry),
        cmocka_unit_test(test_vote_for_an_older_term_is_refused),
        cmocka_unit_test(test_vote_is_granted_to_the_first_who_asks_and_again_to_the_same),
        cmocka_unit_test(test_vote_is_refused_when_the_candidate_log_is_older),
        cmocka_unit_test(test_committed_entries_are_applied_in_order),
        cmocka_unit_test(test_a_newer_term_makes_a_follower),
        cmocka_unit_test(test_a_follower_answers_candidates_and_leaders),
        cmocka_unit_test(test_a_follower_campaigns_when_it_hears_nobody),
        cmocka_unit_test(test_a_candidate_raises_its_term_votes_for_itself_and_asks_all),
        cmocka_unit_test(test_a_majority_of_votes_makes_a_leader),
        cmocka_unit_test(test_a_candidate_follows_a_new_leader),
        cmocka_unit_test(test_a_candidate_without_a_majority_starts_anew),
        cmocka_unit_test(test_a_leader_announces_itself_and_goes_on_doing_so),
        cmocka_unit_test(test_a_command_is_appended_and_applied_after_a_majority_has_it),
        cmocka_unit_test(test_entries_are_sent_from_next_index_on),
        cmocka_unit_test(test_success_updates_next_and_match_index),
        cmocka_unit_test(test_failure_moves_next_index_back_and_retries),
        cmocka_unit_test(test_commit_needs_a_majority_and_an_entry_of_the_own_term),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
