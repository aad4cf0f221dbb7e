#include "orchestrator/scheduler/scheduler.h"
#include "tests/unit/orchestrator/cunit.h"

struct fixture {
    struct node_table table;
    struct cache *cache;
    struct prng prng;
};

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof(*f));
    node_table_init(&f->table);
    f->cache = cache_new(8);
    prng_init(&f->prng, 3);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    node_table_deinit(&f->table);
    cache_free(f->cache);
    mem_free(f);
    return 0;
}

static void add_node(struct fixture *f, const char *name, const char *more)
{
    CLEANUP(free)
    char *text =
        mem_printf("{'metadata':{'name':'%s','labels':{'kubernetes.io/hostname':'%s','zone':'%c'}},"
                   "'spec':{%s},'status':{'allocatable':{'cpu':'2','memory':'4Gi','pods':'10'}}}",
                   name, name, name[strlen(name) - 1], more);
    CLEANUP(json) json_t *node = from_text(text);
    node_table_set_node(&f->table, node);
}

static void add_pod(struct fixture *f, const char *uid, const char *node, const char *spec)
{
    CLEANUP(free)
    char *text = mem_printf("{'metadata':{'name':'%s','uid':'%s','namespace':'d',"
                            "'labels':{'app':'web'}},'spec':{%s}}",
                            uid, uid, spec);
    CLEANUP(json) json_t *pod = from_text(text);
    node_table_set_pod(&f->table, pod, node);
}

static void assert_placed(struct fixture *f, const char *spec, const char *node)
{
    CLEANUP(free)
    char *text = mem_printf(
        "{'metadata':{'name':'p','uid':'p','namespace':'d','labels':{'app':'web'}},'spec':{%s}}",
        spec);
    CLEANUP(json) json_t *pod = from_text(text);
    CLEANUP(decision) struct decision decision;
    schedule(&f->table, f->cache, pod, &f->prng, &decision);
    if (decision.node == NULL) {
        fail_msg("%s", decision.message);
    }
    assert_string_equal(decision.node, node);
}

static void assert_unplaced(struct fixture *f, const char *spec, const char *message)
{
    CLEANUP(free)
    char *text = mem_printf(
        "{'metadata':{'name':'p','uid':'p','namespace':'d','labels':{'app':'web'}},'spec':{%s}}",
        spec);
    CLEANUP(json) json_t *pod = from_text(text);
    CLEANUP(decision) struct decision decision;
    schedule(&f->table, f->cache, pod, &f->prng, &decision);
    assert_null(decision.node);
    assert_string_equal(decision.message, message);
}

#define CPU(amount) "'containers':[{'resources':{'requests':{'cpu':'" amount "'}}}]"

static void test_the_emptier_node_is_chosen(void **state)
{
    struct fixture *f = *state;
    add_node(f, "a", "");
    add_node(f, "b", "");
    add_pod(f, "1", "a", CPU("1"));
    assert_placed(f, CPU("500m"), "b");
    assert_placed(f, CPU("1500m"), "b");
    assert_unplaced(f, CPU("3"), "0/2 nodes are available: 2 Insufficient cpu.");
    node_table_remove_pod(&f->table, "1");
    add_pod(f, "2", "b", CPU("100m"));
    assert_placed(f, CPU("1"), "a");
}

static void test_reasons_are_counted(void **state)
{
    struct fixture *f = *state;
    add_node(f, "a", "'taints':[{'key':'k','value':'v','effect':'NoSchedule'}]");
    add_node(f, "b", "");
    add_node(f, "c", "");
    assert_unplaced(f, "'nodeSelector':{'x':'y'}",
                    "0/3 nodes are available: 1 node(s) had untolerated taint {k: v}, 2 node(s) "
                    "didn't match Pod's node affinity/selector.");
}

static void test_tolerations_open_tainted_nodes(void **state)
{
    struct fixture *f = *state;
    add_node(f, "a", "'taints':[{'key':'k','value':'v','effect':'NoSchedule'}]");
    assert_placed(f, "'tolerations':[{'key':'k','operator':'Equal','value':'v'}]", "a");
    assert_placed(f, "'tolerations':[{'operator':'Exists'}]", "a");
    assert_unplaced(f, "'tolerations':[{'key':'k','value':'w'}]",
                    "0/1 nodes are available: 1 node(s) had untolerated taint {k: v}.");
}

#define NODE_TERM(operator, values)                                                                \
    "'affinity':{'nodeAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':"                \
    "{'nodeSelectorTerms':[{'matchExpressions':[{'key':'zone','operator':'"                        \
    operator"','values':[" values "]}]}]}}}"

static void test_node_affinity_is_kept(void **state)
{
    struct fixture *f = *state;
    add_node(f, "a", "");
    add_node(f, "b", "");
    assert_placed(f, NODE_TERM("In", "'b'"), "b");
    assert_placed(f, NODE_TERM("NotIn", "'b'"), "a");
}

#define POD_TERM(kind)                                                                             \
    "'affinity':{'" kind "':{'requiredDuringSchedulingIgnoredDuringExecution':[{'labelSelector':"  \
    "{'matchLabels':{'app':'web'}},'topologyKey':'kubernetes.io/hostname'}]}}"

static void test_pods_keep_together_or_apart(void **state)
{
    struct fixture *f = *state;
    add_node(f, "a", "");
    add_node(f, "b", "");
    assert_placed(f, POD_TERM("podAffinity") ",'nodeName':''", "a");
    add_pod(f, "1", "b", "");
    assert_placed(f, POD_TERM("podAffinity"), "b");
    assert_placed(f, POD_TERM("podAntiAffinity"), "a");
    add_pod(f, "2", "a", POD_TERM("podAntiAffinity"));
    assert_placed(f, "'x':1", "b"); /* the pod on a refuses its likes */
}

static void test_spread_constraints_bound_the_skew(void **state)
{
    struct fixture *f = *state;
    add_node(f, "a", "");
    add_node(f, "b", "");
    add_pod(f, "1", "a", "");
    static const char spread[] =
        "'topologySpreadConstraints':[{'maxSkew':1,'topologyKey':'zone','whenUnsatisfiable':"
        "'DoNotSchedule','labelSelector':{'matchLabels':{'app':'web'}}}]";
    assert_placed(f, spread, "b");
    add_node(f, "b", "'taints':[{'key':'k','effect':'NoSchedule'}]");
    assert_unplaced(f, spread,
                    "0/2 nodes are available: 1 node(s) didn't match pod topology spread "
                    "constraints, 1 node(s) had untolerated taint {k: }.");
}

static void test_host_ports_are_taken_once(void **state)
{
    struct fixture *f = *state;
    add_node(f, "a", "");
    static const char port[] = "'containers':[{'ports':[{'hostPort':80,'containerPort':80}]}]";
    add_pod(f, "1", "a", port);
    assert_unplaced(f, port,
                    "0/1 nodes are available: 1 node(s) didn't have free ports for the requested "
                    "pod ports.");
}

static void test_claims_must_be_there_and_bound(void **state)
{
    struct fixture *f = *state;
    add_node(f, "a", "");
    static const char claim[] = "'volumes':[{'persistentVolumeClaim':{'claimName':'c'}}]";
    assert_unplaced(f, claim, "0/1 nodes are available: 1 persistentvolumeclaim \"c\" not found.");
    cache_put(f->cache, "persistentvolumeclaims", "d", "c",
              from_text("{'metadata':{'name':'c','resourceVersion':'1'},'spec':"
                        "{'volumeName':'v'}}"),
              1);
    assert_unplaced(f, claim,
                    "0/1 nodes are available: 1 pod has unbound immediate "
                    "PersistentVolumeClaims.");
    cache_put(f->cache, "persistentvolumes", "", "v",
              from_text("{'metadata':{'name':'v','resourceVersion':'2'}}"), 2);
    assert_placed(f, claim, "a");
}

static void assert_victims(struct fixture *f, const char *spec, const char *node,
                           const char *const *uids, size_t count)
{
    CLEANUP(free)
    char *text = mem_printf(
        "{'metadata':{'name':'p','uid':'p','namespace':'d','labels':{'app':'web'}},'spec':{%s}}",
        spec);
    CLEANUP(json) json_t *pod = from_text(text);
    CLEANUP(decision) struct decision decision;
    schedule(&f->table, f->cache, pod, &f->prng, &decision);
    assert_null(decision.node);
    assert_int_equal(json_array_size(decision.victims), count);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(object_uid(json_array_get(decision.victims, i)), uids[i]);
    }
    if (count > 0) {
        assert_string_equal(decision.nominated, node);
    }
}

static void test_only_those_go_that_must(void **state)
{
    struct fixture *f = *state;
    add_node(f, "a", "");
    add_pod(f, "small", "a", "'priority':1," CPU("100m"));
    add_pod(f, "large", "a", "'priority':2," CPU("1500m"));
    add_pod(f, "equal", "a", "'priority':9," CPU("300m"));
    /* The small one alone does not help, and with the large one gone it can stay. */
    assert_victims(f, "'priority':9," CPU("1"), "a", (const char *const[]){"large"}, 1);
    assert_victims(f, "'priority':1," CPU("1"), "a", NULL, 0);
    assert_victims(f, "'priority':9,'preemptionPolicy':'Never'," CPU("1"), "a", NULL, 0);
    assert_victims(f, "'priority':9," CPU("3"), "a", NULL, 0);
}

static void test_the_least_important_goes_first(void **state)
{
    struct fixture *f = *state;
    add_node(f, "a", "");
    add_node(f, "b", "");
    add_pod(f, "1", "a", "'priority':5," CPU("2"));
    add_pod(f, "2", "b", "'priority':3," CPU("1"));
    add_pod(f, "3", "b", "'priority':3," CPU("1"));
    assert_victims(f, "'priority':9," CPU("2"), "b", (const char *const[]){"2", "3"}, 2);
    node_table_remove_pod(&f->table, "1");
    add_pod(f, "1", "a", "'priority':3," CPU("2"));
    assert_victims(f, "'priority':9," CPU("2"), "a", (const char *const[]){"1"}, 1);
}

static void test_a_pod_that_refuses_others_may_have_to_go(void **state)
{
    struct fixture *f = *state;
    add_node(f, "a", "");
    add_pod(f, "1", "a", "'priority':1," POD_TERM("podAntiAffinity"));
    add_pod(f, "2", "a", "'priority':0");
    assert_victims(f, "'priority':9", "a", (const char *const[]){"1"}, 1);
    /* Nothing of the attempt is left in the table. */
    assert_victims(f, "'priority':1", "a", NULL, 0);
}

static void test_cordoned_nodes_are_for_those_who_tolerate_it(void **state)
{
    struct fixture *f = *state;
    add_node(f, "a", "'unschedulable':true");
    assert_unplaced(f, CPU("1"), "0/1 nodes are available: 1 node(s) were unschedulable.");
    assert_placed(
        f, "'tolerations':[{'key':'node.kubernetes.io/unschedulable','operator':'Exists'}]", "a");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_the_emptier_node_is_chosen),
        T(test_reasons_are_counted),
        T(test_tolerations_open_tainted_nodes),
        T(test_node_affinity_is_kept),
        T(test_pods_keep_together_or_apart),
        T(test_spread_constraints_bound_the_skew),
        T(test_host_ports_are_taken_once),
        T(test_claims_must_be_there_and_bound),
        T(test_only_those_go_that_must),
        T(test_the_least_important_goes_first),
        T(test_a_pod_that_refuses_others_may_have_to_go),
        T(test_cordoned_nodes_are_for_those_who_tolerate_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
