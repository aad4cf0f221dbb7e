/* What a pod needs next and what the API is told, step by step. */
#include "orchestrator/agent/eviction.h"
#include "orchestrator/agent/pod_record.h"
#include "orchestrator/agent/pod_status.h"
#include "orchestrator/agent/pod_step.h"
#include "orchestrator/agent/probe.h"
#include "tests/unit/orchestrator/cunit.h"

enum { NOW = 1000 * 1000 };

static struct pod_record *make_pod(const char *spec)
{
    json_t *pod = from_text("{'apiVersion':'v1','kind':'Pod','metadata':{'name':'p','namespace':"
                            "'default','uid':'u1'},'status':{'phase':'Pending'}}");
    json_object_set_new(pod, "spec", from_text(spec));
    return pod_record_new(pod, NOW);
}

static struct pod_record *make_prepared(const char *spec)
{
    struct pod_record *record = make_pod(spec);
    record->are_volumes_ready = true;
    record->sandbox = SANDBOX_READY;
    return record;
}

/* The steps as text: "start:a stop:b clean". */
static void assert_steps(struct pod_record *record, int64_t now_ms, const char *expected)
{
    static const char *const names[] = {"?",    "volumes", "sandbox", "start", "stop",
                                        "kill", "clean",   "remove",  "forget"};
    struct steps steps;
    char text[500] = "";
    pod_step(record, now_ms, &steps);
    for (size_t i = 0; i < steps.count; i++) {
        const struct step *step = &steps.items[i];
        size_t used = strlen(text);
        (void)snprintf(text + used, sizeof(text) - used, "%s%s%s%s", used == 0 ? "" : " ",
                       names[step->type], step->unit == NULL ? "" : ":",
                       step->unit == NULL ? "" : step->unit->name);
    }
    assert_string_equal(text, expected);
}

static void run(struct pod_record *record, const char *name, int64_t now_ms)
{
    struct unit *unit = pod_record_find(record, name);
    unit->attempt++;
    unit_set_running(unit, now_ms);
    unit_refresh(unit);
}

static void finish(struct pod_record *record, const char *name, int code, int64_t now_ms)
{
    unit_set_exited(pod_record_find(record, name), code, 0, code == 0 ? "Completed" : "Error",
                    now_ms);
}

static void assert_phase(const struct pod_record *record, const char *phase)
{
    CLEANUP(json) json_t *status = pod_status_make(record, "192.0.2.1", NOW);
    assert_string_equal(tree_text(status, "phase"), phase);
}

static void test_volumes_and_sandbox_come_before_containers(void **state)
{
    (void)state;
    struct pod_record *record = make_pod("{'containers':[{'name':'a'},{'name':'b'}]}");
    assert_steps(record, NOW, "volumes");
    record->are_volumes_ready = true;
    assert_steps(record, NOW, "sandbox");
    record->sandbox = SANDBOX_MAKING;
    assert_steps(record, NOW, "");
    record->sandbox = SANDBOX_READY;
    assert_steps(record, NOW, "start:a start:b");
    assert_phase(record, "Pending");
    run(record, "a", NOW);
    assert_phase(record, "Pending");
    run(record, "b", NOW);
    assert_steps(record, NOW, "");
    assert_phase(record, "Running");
    pod_record_free(record);
}

static void test_init_containers_run_one_after_the_other_and_sidecars_stay(void **state)
{
    (void)state;
    struct pod_record *record =
        make_prepared("{'initContainers':[{'name':'i'},{'name':'s','restartPolicy':'Always',"
                      "'lifecycle':{'postStart':{}}},{'name':'j'}],'containers':[{'name':'a'}]}");
    assert_steps(record, NOW, "start:i");
    run(record, "i", NOW);
    assert_steps(record, NOW, "");
    finish(record, "i", 0, NOW);
    assert_steps(record, NOW, "start:s");
    run(record, "s", NOW);
    assert_steps(record, NOW, ""); /* its postStart is not through */
    pod_record_find(record, "s")->is_hook_done = true;
    unit_refresh(pod_record_find(record, "s"));
    assert_steps(record, NOW, "start:j");
    run(record, "j", NOW);
    finish(record, "j", 0, NOW);
    assert_steps(record, NOW, "start:a");
    run(record, "a", NOW);
    finish(record, "s", 1, NOW);
    assert_steps(record, NOW, "start:s"); /* a sidecar comes back while the pod runs */
    pod_record_free(record);
}

static void test_restarts_follow_the_policy_and_back_off(void **state)
{
    (void)state;
    struct pod_record *record =
        make_prepared("{'restartPolicy':'OnFailure','containers':[{'name':'a'}]}");
    run(record, "a", NOW);
    finish(record, "a", 1, NOW);
    assert_steps(record, NOW, "start:a"); /* the first time at once */
    run(record, "a", NOW);
    finish(record, "a", 1, NOW);
    assert_steps(record, NOW, "");
    CLEANUP(json) json_t *status = pod_status_make(record, "192.0.2.1", NOW);
    const json_t *container = json_array_get(json_object_get(status, "containerStatuses"), 0);
    assert_string_equal(tree_text(container, "state.waiting.reason"), "CrashLoopBackOff");
    assert_int_equal(tree_int(container, "lastState.terminated.exitCode", 0), 1);
    assert_steps(record, NOW + 10 * 1000, "start:a");
    run(record, "a", NOW);
    finish(record, "a", 1, NOW + 700 * 1000); /* it ran long: forgiven */
    assert_steps(record, NOW + 700 * 1000, "start:a");
    finish(record, "a", 0, NOW);
    assert_phase(record, "Succeeded");
    assert_steps(record, NOW, "clean");
    pod_record_free(record);
}

static void test_a_pod_that_never_restarts_fails_with_its_container(void **state)
{
    (void)state;
    struct pod_record *record =
        make_prepared("{'restartPolicy':'Never','initContainers':[{'name':'i'}],"
                      "'containers':[{'name':'a'}]}");
    run(record, "i", NOW);
    finish(record, "i", 3, NOW);
    assert_phase(record, "Failed");
    assert_steps(record, NOW, "clean");
    record->is_cleaned = true;
    assert_steps(record, NOW, "");
    pod_record_free(record);
}

static void test_deletion_stops_waits_kills_and_forgets(void **state)
{
    (void)state;
    struct pod_record *record =
        make_prepared("{'initContainers':[{'name':'s','restartPolicy':'Always'}],"
                      "'containers':[{'name':'a'}]}");
    run(record, "s", NOW);
    run(record, "a", NOW);
    tree_set_text(record->pod, "metadata.deletionTimestamp", "2026-01-01T00:00:00Z");
    tree_set_int(record->pod, "metadata.deletionGracePeriodSeconds", 5);
    assert_steps(record, NOW, "stop:a"); /* the sidecar later */
    struct unit *unit = pod_record_find(record, "a");
    unit->stop = STOP_TERM;
    unit->stopped_ms = NOW;
    unit->kill_ms = NOW + 5000;
    assert_steps(record, NOW + 4999, "");
    assert_steps(record, NOW + 5000, "kill:a");
    finish(record, "a", 137, NOW + 5000);
    assert_steps(record, NOW + 5000, "stop:s");
    finish(record, "s", 0, NOW + 5000);
    assert_steps(record, NOW + 5000, "remove");
    record->is_removed = true;
    assert_steps(record, NOW + 5000, "forget");
    pod_record_free(record);
}

static void test_a_pod_past_its_deadline_fails(void **state)
{
    (void)state;
    struct pod_record *record =
        make_prepared("{'activeDeadlineSeconds':60,'containers':[{'name':'a'}]}");
    run(record, "a", NOW);
    assert_steps(record, NOW + 59999, "");
    assert_steps(record, NOW + 60000, "stop:a");
    finish(record, "a", 143, NOW + 60000);
    CLEANUP(json) json_t *status = pod_status_make(record, "192.0.2.1", NOW);
    assert_string_equal(tree_text(status, "phase"), "Failed");
    assert_string_equal(tree_text(status, "reason"), "DeadlineExceeded");
    pod_record_free(record);
}

static void test_readiness_comes_from_probes_and_gates(void **state)
{
    (void)state;
    struct pod_record *record = make_prepared(
        "{'readinessGates':[{'conditionType':'x/y'}],'containers':[{'name':'a','readinessProbe':"
        "{'tcpSocket':{'port':1}},'startupProbe':{'tcpSocket':{'port':1}}}]}");
    run(record, "a", NOW);
    struct unit *unit = pod_record_find(record, "a");
    unit_refresh(unit);
    assert_false(unit->is_started);
    unit->probes[PROBE_STARTUP].verdict = PROBE_PASSED;
    unit_refresh(unit);
    assert_true(unit->is_started);
    assert_false(unit->is_ready);
    unit->probes[PROBE_READINESS].verdict = PROBE_PASSED;
    unit_refresh(unit);
    assert_true(unit->is_ready);
    CLEANUP(json) json_t *status = pod_status_make(record, "192.0.2.1", NOW);
    CLEANUP(json) json_t *object = json_pack("{s:O}", "status", status);
    assert_true(object_condition_is(object, "ContainersReady", "True"));
    assert_true(object_condition_is(object, "Ready", "False"));
    assert_string_equal(tree_text(object_condition(object, "Ready"), "reason"),
                        "ReadinessGatesNotReady");
    pod_record_free(record);
}

static void test_probes_count_to_their_thresholds(void **state)
{
    (void)state;
    CLEANUP(json)
    json_t *spec = from_text("{'initialDelaySeconds':3,'periodSeconds':2,'failureThreshold':2,"
                             "'successThreshold':2}");
    struct probe probe = {.verdict = PROBE_UNKNOWN};
    assert_int_equal(probe_due(&probe, spec, NOW), NOW + 3000);
    assert_false(probe_result(&probe, spec, true, NOW + 3000));
    assert_int_equal(probe.verdict, PROBE_UNKNOWN);
    assert_int_equal(probe_due(&probe, spec, NOW), NOW + 5000);
    assert_true(probe_result(&probe, spec, true, NOW + 5000));
    assert_int_equal(probe.verdict, PROBE_PASSED);
    assert_false(probe_result(&probe, spec, false, NOW + 7000));
    assert_int_equal(probe.verdict, PROBE_PASSED);
    assert_true(probe_result(&probe, spec, false, NOW + 9000));
    assert_int_equal(probe.verdict, PROBE_FAILED);
    probe.is_running = true;
    assert_true(probe_due(&probe, spec, NOW) == INT64_MAX);
}

static void test_conditions_keep_their_time_and_those_of_others(void **state)
{
    (void)state;
    struct pod_record *record = make_prepared("{'containers':[{'name':'a'}]}");
    json_object_set_new(json_object_get(record->pod, "status"), "conditions",
                        from_text("[{'type':'PodScheduled','status':'True','lastTransitionTime':"
                                  "'2020-01-01T00:00:00Z'},{'type':'x/y','status':'True'}]"));
    CLEANUP(json) json_t *status = pod_status_make(record, "192.0.2.1", NOW);
    CLEANUP(json) json_t *object = json_pack("{s:O}", "status", status);
    assert_string_equal(tree_text(object_condition(object, "PodScheduled"), "lastTransitionTime"),
                        "2020-01-01T00:00:00Z");
    assert_true(object_condition_is(object, "x/y", "True"));
    assert_true(object_condition_is(object, "Initialized", "True"));
    pod_record_free(record);
}

static void test_eviction_takes_the_greedy_first_then_the_unimportant(void **state)
{
    (void)state;
    struct pod_record *modest = make_prepared(
        "{'priority':1,'containers':[{'name':'a','resources':{'requests':{'memory':'100'}}}]}");
    struct pod_record *greedy = make_prepared("{'priority':9,'containers':[{'name':'a'}]}");
    struct pod_record *minor = make_prepared("{'priority':2,'containers':[{'name':'a'}]}");
    struct pod_record *critical =
        make_prepared("{'priority':2000001000,'containers':[{'name':'a'}]}");
    struct eviction_candidate candidates[] = {{modest, 99}, {greedy, 500}, {critical, 9999}};
    assert_ptr_equal(eviction_choose(candidates, 3), greedy);
    struct eviction_candidate both[] = {{greedy, 500}, {minor, 10}};
    assert_ptr_equal(eviction_choose(both, 2), minor);
    greedy->is_static = true;
    tree_set_text(minor->pod, "metadata.deletionTimestamp", "2026-01-01T00:00:00Z");
    assert_null(eviction_choose(both, 2));
    pod_record_free(modest);
    pod_record_free(greedy);
    pod_record_free(minor);
    pod_record_free(critical);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_volumes_and_sandbox_come_before_containers),
        cmocka_unit_test(test_init_containers_run_one_after_the_other_and_sidecars_stay),
        cmocka_unit_test(test_restarts_follow_the_policy_and_back_off),
        cmocka_unit_test(test_a_pod_that_never_restarts_fails_with_its_container),
        cmocka_unit_test(test_deletion_stops_waits_kills_and_forgets),
        cmocka_unit_test(test_a_pod_past_its_deadline_fails),
        cmocka_unit_test(test_readiness_comes_from_probes_and_gates),
        cmocka_unit_test(test_probes_count_to_their_thresholds),
        cmocka_unit_test(test_conditions_keep_their_time_and_those_of_others),
        cmocka_unit_test(test_eviction_takes_the_greedy_first_then_the_unimportant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
