/* What a container is made of: environment, words, files, limits, users. */
#include "orchestrator/agent/log_filter.h"
#include "orchestrator/agent/pod_env.h"
#include "orchestrator/agent/pull_secret.h"
#include "orchestrator/agent/unit_request.h"
#include "orchestrator/agent/volume_files.h"
#include "tests/unit/orchestrator/cunit.h"

static const json_t *find_object(void *context, const char *resource, const char *namespace,
                                 const char *name)
{
    CLEANUP(free) char *key = mem_printf("%s/%s/%s", resource, namespace, name);
    return json_object_get(context, key);
}

struct world {
    json_t *objects;
    json_t *services;
    json_t *allocatable;
    struct pod_surroundings around;
    struct pod_record *record;
};

static void world_init(struct world *world, const char *spec)
{
    world->objects = from_text(
        "{'configmaps/ns/m':{'kind':'ConfigMap','data':{'k':'v','bad/../key':'x'}},"
        "'secrets/ns/s':{'kind':'Secret','data':{'p':'c2VjcmV0'}},'configmaps/ns/none':null,"
        "'secrets/ns/login':{'data':{'.dockerconfigjson':"
        "'eyJhdXRocyI6eyJyLmlvIjp7ImF1dGgiOiJ4In19fQ=='}}}");
    world->services = from_text(
        "{'default/kubernetes':{'metadata':{'name':'kubernetes','namespace':'default'},'spec':"
        "{'clusterIP':'10.0.0.1','ports':[{'name':'https','port':443}]}},"
        "'ns/my-db':{'metadata':{'name':'my-db','namespace':'ns'},'spec':{'clusterIP':'10.0.0.2',"
        "'ports':[{'port':5432,'protocol':'TCP'}]}},"
        "'other/x':{'metadata':{'name':'x','namespace':'other'},'spec':{'clusterIP':'10.0.0.3',"
        "'ports':[{'port':1}]}}}");
    world->allocatable = from_text("{'cpu':'2','memory':'1Gi'}");
    world->around = (struct pod_surroundings){
        .objects = {.find = find_object, .context = world->objects},
        .services = world->services,
        .node_name = "n1",
        .node_ip = "192.0.2.1",
        .allocatable = world->allocatable,
    };
    json_t *pod = from_text("{'metadata':{'name':'p','namespace':'ns','uid':'u1','labels':"
                            "{'b':'2','a':'1'}},'status':{'qosClass':'Burstable'}}");
    json_object_set_new(pod, "spec", from_text(spec));
    world->record = pod_record_new(pod, 0);
    (void)snprintf(world->record->address, sizeof(world->record->address), "10.1.0.5");
}

static void world_deinit(struct world *world)
{
    pod_record_free(world->record);
    json_decref(world->objects);
    json_decref(world->services);
    json_decref(world->allocatable);
}

static int make_env(struct world *world, json_t **ret, struct err *err)
{
    return pod_env_make(world->record, &world->record->units[0], &world->around, ret, err);
}

static void assert_env(const json_t *env, const char *name, const char *value)
{
    const char *found = json_string_value(json_object_get(env, name));
    if (value == NULL) {
        assert_null(found);
    } else {
        assert_non_null(found);
        assert_string_equal(found, value);
    }
}

static void test_environment_has_services_maps_fields_and_expansions(void **state)
{
    (void)state;
    struct world world;
    struct err err;
    CLEANUP(json) json_t *env = NULL;
    world_init(
        &world,
        "{'containers':[{'name':'c','resources':{'requests':{'memory':'64Mi'}},"
        "'envFrom':[{'prefix':'M_','configMapRef':{'name':'m'}}],"
        "'env':[{'name':'P','valueFrom':{'secretKeyRef':{'name':'s','key':'p'}}},"
        "{'name':'NODE','valueFrom':{'fieldRef':{'fieldPath':'spec.nodeName'}}},"
        "{'name':'A','valueFrom':{'fieldRef':{'fieldPath':'metadata.labels[\\u0027a\\u0027]'}}},"
        "{'name':'CPU','valueFrom':{'resourceFieldRef':{'resource':'limits.cpu'}}},"
        "{'name':'MEM','valueFrom':{'resourceFieldRef':{'resource':'requests.memory',"
        "'divisor':'1Mi'}}},"
        "{'name':'OPT','valueFrom':{'configMapKeyRef':{'name':'none','key':'k',"
        "'optional':true}}},"
        "{'name':'ALL','value':'$(P)/$(M_k)/$$(P)/$(MISSING)/$('}]}]}");
    assert_int_equal(make_env(&world, &env, &err), 0);
    assert_env(env, "KUBERNETES_SERVICE_HOST", "10.0.0.1");
    assert_env(env, "KUBERNETES_SERVICE_PORT_HTTPS", "443");
    assert_env(env, "MY_DB_PORT_5432_TCP_ADDR", "10.0.0.2");
    assert_env(env, "X_SERVICE_HOST", NULL);
    assert_env(env, "M_k", "v");
    assert_env(env, "P", "secret");
    assert_env(env, "NODE", "n1");
    assert_env(env, "CPU", "2");
    assert_env(env, "MEM", "64");
    assert_env(env, "OPT", NULL);
    assert_env(env, "ALL", "secret/v/$(P)/$(MISSING)/$(");
    world_deinit(&world);
}

static void test_what_is_missing_is_told(void **state)
{
    (void)state;
    struct world world;
    struct err err;
    json_t *env = NULL;
    world_init(&world,
               "{'containers':[{'name':'c','envFrom':[{'configMapRef':{'name':'none'}}]}]}");
    assert_int_equal(make_env(&world, &env, &err), ERR_NOT_FOUND);
    assert_string_equal(err.text, "configmap \"none\" not found");
    world_deinit(&world);
    world_init(&world, "{'containers':[{'name':'c','env':[{'name':'X','valueFrom':"
                       "{'configMapKeyRef':{'name':'m','key':'q'}}}]}]}");
    assert_int_equal(make_env(&world, &env, &err), ERR_NOT_FOUND);
    assert_string_equal(err.text, "couldn't find key q in ConfigMap ns/m");
    world_deinit(&world);
    world_init(&world, "{'containers':[{'name':'c','envFrom':[{'secretRef':{'name':'new'}}]}]}");
    assert_int_equal(make_env(&world, &env, &err), ERR_BUSY);
    world_deinit(&world);
}

static const char *token_of(void *context, const json_t *source)
{
    (void)source;
    return context;
}

static void test_projected_files_have_modes_and_safe_paths(void **state)
{
    (void)state;
    struct world world;
    struct err err;
    char token[] = "tok";
    CLEANUP(volume_files) struct volume_files files = {.items = NULL};
    world_init(&world,
               "{'containers':[{'name':'c'}],'volumes':[{'name':'v','projected':{'defaultMode':288,"
               "'sources':[{'secret':{'name':'s','items':[{'key':'p','path':'d/p','mode':256}]}},"
               "{'downwardAPI':{'items':[{'path':'labels','fieldRef':{'fieldPath':"
               "'metadata.labels'}}]}},{'serviceAccountToken':{'path':'token'}}]}},"
               "{'name':'w','configMap':{'name':'m'}}]}");
    const json_t *volumes = tree_find(world.record->pod, "spec.volumes");
    assert_int_equal(volume_files_make(world.record, json_array_get(volumes, 0), &world.around,
                                       token_of, token, &files, &err),
                     0);
    assert_int_equal(files.count, 3);
    assert_string_equal(files.items[0].path, "d/p");
    assert_int_equal(files.items[0].mode, 256);
    assert_string_equal(buf_text(&files.items[0].data), "secret");
    assert_string_equal(buf_text(&files.items[1].data), "a=\"1\"\nb=\"2\"");
    assert_int_equal(files.items[2].mode, 288);
    assert_string_equal(buf_text(&files.items[2].data), "tok");
    volume_files_deinit(&files);
    assert_int_equal(volume_files_make(world.record, json_array_get(volumes, 0), &world.around,
                                       token_of, NULL, &files, &err),
                     ERR_BUSY);
    assert_int_equal(volume_files_make(world.record, json_array_get(volumes, 1), &world.around,
                                       token_of, token, &files, &err),
                     ERR_INVALID);
    assert_int_equal(files.count, 0);
    world_deinit(&world);
}

static void test_requests_have_limits_security_and_mounts(void **state)
{
    (void)state;
    struct world world;
    struct err err;
    world_init(&world,
               "{'securityContext':{'runAsUser':5,'fsGroup':7},'containers':[{'name':'c','image':"
               "'i:1','command':['run','$(A)'],'resources':{'limits':{'cpu':'250m','memory':'1Mi'},"
               "'requests':{'memory':'512Mi'}},'securityContext':{'runAsUser':6,"
               "'allowPrivilegeEscalation':false,'readOnlyRootFilesystem':true,'capabilities':"
               "{'drop':['ALL']}},'volumeMounts':[{'name':'v','mountPath':'/x','subPathExpr':"
               "'$(A)/y','readOnly':true}]}]}");
    CLEANUP(json) json_t *env = from_text("{'A':'b'}");
    CLEANUP(json) json_t *request = NULL;
    world.record->volume_paths = from_text("{'v':'/vol'}");
    const struct unit_places places = {.pod_directory = "/p",
                                       .directory = "/p/c/0",
                                       .cgroup = "/g",
                                       .id = "1",
                                       .pid_path = "",
                                       .memory_capacity = INT64_C(1) << 30};
    struct unit *unit = &world.record->units[0];
    assert_int_equal(unit_request_make(world.record, unit, env, &places, &request, &err), 0);
    assert_json(json_object_get(request, "command"), "['run','b']");
    assert_int_equal(tree_int(request, "runAsUser", 0), 6);
    assert_json(json_object_get(request, "groups"), "[7]");
    assert_json(json_object_get(json_object_get(request, "config"), "Env"), "['A=b']");
    const json_t *host = json_object_get(request, "host");
    assert_int_equal(tree_int(host, "CpuQuota", 0), 25000);
    assert_int_equal(tree_int(host, "CpuShares", 0), 256);
    assert_int_equal(tree_int(host, "Memory", 0), 1 << 20);
    assert_int_equal(tree_int(host, "OomScoreAdj", 0), 500);
    assert_true(tree_list_has_text(json_object_get(host, "SecurityOpt"), "no-new-privileges"));
    assert_json(json_array_get(json_object_get(request, "mounts"), 0),
                "{'source':'/vol','destination':'/x','readOnly':true,'propagation':'rprivate',"
                "'subPath':'b/y'}");
    json_object_set_new(env, "A", json_string(".."));
    json_t *refused = NULL;
    assert_int_equal(unit_request_make(world.record, unit, env, &places, &refused, &err),
                     ERR_INVALID);
    CLEANUP(free) char *cgroup = pod_cgroup(world.record, "/top");
    assert_string_equal(cgroup, "/top/kubepods/burstable/podu1");
    world_deinit(&world);
}

static void test_pull_secrets_become_one_login_file(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, "{'containers':[],'imagePullSecrets':[{'name':'nosuch'},{'name':'login'}]}");
    CLEANUP(json) json_t *config = pull_secret_config(world.record, &world.around);
    assert_json(config, "{'auths':{'r.io':{'auth':'x'}}}");
    world_deinit(&world);
}

static void assert_shown(struct log_filter filter, const char *lines, const char *expected)
{
    CLEANUP(buf) struct buf out = BUF_INIT;
    CLEANUP(free) char *copy = mem_strdup(lines);
    char *rest = copy;
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        log_filter_line(&filter, bytes_from_text(line), &out);
    }
    assert_string_equal(buf_text(&out), expected);
}

static void test_logs_are_joined_filtered_and_cut(void **state)
{
    (void)state;
    static const char lines[] = "2026-01-01T00:00:01.5Z stdout F one\n"
                                "2026-01-01T00:00:02.5Z stdout P tw\n"
                                "2026-01-01T00:00:02.6Z stdout F o\nnonsense\n"
                                "2026-01-01T00:00:03.5Z stderr F three\n";
    int64_t missing = 0;
    assert_shown((struct log_filter){.bytes_left = INT64_MAX}, lines, "one\ntwo\nthree\n");
    assert_shown((struct log_filter){.bytes_left = INT64_MAX, .has_timestamps = true}, lines,
                 "2026-01-01T00:00:01.5Z one\n2026-01-01T00:00:02.5Z two\n"
                 "2026-01-01T00:00:03.5Z three\n");
    assert_shown((struct log_filter){.bytes_left = 6}, lines, "one\ntw");
    assert_shown((struct log_filter){.bytes_left = INT64_MAX, .since_ms = 1767225603000}, lines,
                 "three\n");
    size_t from = log_tail_offset(bytes_from_text(lines), 2, &missing);
    assert_shown((struct log_filter){.bytes_left = INT64_MAX}, lines + from, "two\nthree\n");
    assert_int_equal(missing, 0);
    assert_int_equal(log_tail_offset(bytes_from_text(lines), 0, &missing), sizeof(lines) - 1);
    assert_int_equal(log_tail_offset(bytes_from_text(lines), 9, &missing), 0);
    assert_int_equal(missing, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_environment_has_services_maps_fields_and_expansions),
        cmocka_unit_test(test_what_is_missing_is_told),
        cmocka_unit_test(test_projected_files_have_modes_and_safe_paths),
        cmocka_unit_test(test_requests_have_limits_security_and_mounts),
        cmocka_unit_test(test_pull_secrets_become_one_login_file),
        cmocka_unit_test(test_logs_are_joined_filtered_and_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
