#include "orchestrator/objects/defaults.h"
#include "orchestrator/objects/validate.h"
#include "tests/unit/orchestrator/cunit.h"

#define DEPLOYMENT(spec)                                                                           \
    "{'metadata':{'name':'d','namespace':'default'},'spec':{'selector':{'matchLabels':{'a':'b'}}," \
    "'template':{'metadata':{'labels':{'a':'b'}},'spec':" spec "}}}"

static json_t *refusal_of(const char *storage, const char *text)
{
    CLEANUP(json) json_t *object = from_text(text);
    defaults_apply(object, kinds_find_storage(NULL, storage));
    return validate_object(object, kinds_find_storage(NULL, storage));
}

/* The first cause has this field and reason. */
static void assert_cause(json_t *status, const char *field, const char *reason)
{
    CLEANUP(json) json_t *owned = status;
    assert_non_null(owned);
    assert_int_equal(status_code(owned), 422);
    const json_t *causes = tree_find(owned, "details.causes");
    for (size_t i = 0; i < json_array_size(causes); i++) {
        const json_t *cause = json_array_get(causes, i);
        if (tree_has_text(cause, "field", field) && tree_has_text(cause, "reason", reason)) {
            return;
        }
    }
    char *shown = json_dumps(owned, JSON_INDENT(1));
    fail_msg("no cause %s %s in %s", field, reason, shown);
}

static void test_a_good_deployment_passes(void **state)
{
    (void)state;
    assert_accepted(
        refusal_of("deployments", DEPLOYMENT("{'containers':[{'name':'c','image':'x'}]}")));
}

static void test_pod_mistakes_are_told_by_field(void **state)
{
    (void)state;
    static const struct {
        const char *spec;
        const char *field;
        const char *reason;
    } mistakes[] = {
        {"{}", "containers", "FieldValueRequired"},
        {"{'containers':[{'name':'c'}]}", "containers[0].image", "FieldValueRequired"},
        {"{'containers':[{'image':'x'}]}", "containers[0].name", "FieldValueRequired"},
        {"{'containers':[{'name':'C','image':'x'}]}", "containers[0].name", "FieldValueInvalid"},
        {"{'containers':[{'name':'c','image':'x'},{'name':'c','image':'x'}]}", "containers[1].name",
         "FieldValueDuplicate"},
        {"{'containers':[{'name':'c','image':'x','imagePullPolicy':'Sometimes'}]}",
         "containers[0].imagePullPolicy", "FieldValueNotSupported"},
        {"{'containers':[{'name':'c','image':'x','ports':[{'containerPort':0}]}]}",
         "containers[0].ports[0].containerPort", "FieldValueInvalid"},
        {"{'containers':[{'name':'c','image':'x','volumeMounts':[{'name':'v','mountPath':'/m'}]}]}",
         "containers[0].volumeMounts[0].name", "FieldValueNotFound"},
        {"{'containers':[{'name':'c','image':'x','env':[{'value':'v'}]}]}",
         "containers[0].env[0].name", "FieldValueRequired"},
        {"{'containers':[{'name':'c','image':'x','livenessProbe':{}}]}",
         "containers[0].livenessProbe", "FieldValueRequired"},
        {"{'containers':[{'name':'c','image':'x','resources':{'limits':{'cpu':'1'},"
         "'requests':{'cpu':'2'}}}]}",
         "containers[0].resources.requests[cpu]", "FieldValueInvalid"},
        {"{'containers':[{'name':'c','image':'x'}],'restartPolicy':'Never'}", "restartPolicy",
         "FieldValueNotSupported"},
        {"{'containers':[{'name':'c','image':'x'}],'volumes':[{'name':'v','emptyDir':{},"
         "'hostPath':{'path':'/x'}}]}",
         "volumes[0]", "FieldValueForbidden"},
    };
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        CLEANUP(free) char *text = mem_printf(DEPLOYMENT("%s"), mistakes[i].spec);
        CLEANUP(free) char *field = mem_printf("spec.template.spec.%s", mistakes[i].field);
        assert_cause(refusal_of("deployments", text), field, mistakes[i].reason);
    }
}

static void test_a_selector_must_choose_the_template(void **state)
{
    (void)state;
    assert_cause(refusal_of("deployments",
                            "{'metadata':{'name':'d'},'spec':{'selector':{'matchLabels':{'a':'b'}},"
                            "'template':{'metadata':{'labels':{'a':'c'}},'spec':"
                            "{'containers':[{'name':'c','image':'x'}]}}}}"),
                 "spec.template.metadata.labels", "FieldValueInvalid");
    assert_cause(refusal_of("deployments", "{'metadata':{'name':'d'},'spec':{}}"), "spec.selector",
                 "FieldValueRequired");
}

static void test_other_kinds_have_rules_of_their_own(void **state)
{
    (void)state;
    assert_cause(refusal_of("services", "{'metadata':{'name':'s'},'spec':{}}"), "spec.ports",
                 "FieldValueRequired");
    assert_cause(refusal_of("services",
                            "{'metadata':{'name':'s'},'spec':{'ports':[{'port':1},{'port':2}]}}"),
                 "spec.ports[0].name", "FieldValueRequired");
    assert_cause(refusal_of("configmaps", "{'metadata':{'name':'c'},'data':{'a b':'x'}}"),
                 "data[a b]", "FieldValueInvalid");
    assert_cause(refusal_of("secrets", "{'metadata':{'name':'c'},'data':{'a':'!'}}"), "data[a]",
                 "FieldValueInvalid");
    assert_cause(refusal_of("jobs", "{'metadata':{'name':'j'},'spec':{'template':{'spec':"
                                    "{'containers':[{'name':'c','image':'x'}]}}}}"),
                 "spec.template.spec.restartPolicy", "FieldValueRequired");
    assert_cause(refusal_of("roles", "{'metadata':{'name':'r'},'rules':[{'resources':['pods']}]}"),
                 "rules[0].verbs", "FieldValueRequired");
    assert_cause(refusal_of("configmaps", "{'metadata':{'name':'Bad'}}"), "metadata.name",
                 "FieldValueInvalid");
    assert_cause(refusal_of("configmaps", "{'metadata':{'name':'c','finalizers':['no sense']}}"),
                 "metadata.finalizers", "FieldValueInvalid");
}

static json_t *update_refusal(const char *storage, const char *old_text, const char *text)
{
    CLEANUP(json) json_t *old = from_text(old_text);
    CLEANUP(json) json_t *object = from_text(text);
    return validate_update(object, old, kinds_find_storage(NULL, storage));
}

static void test_immutable_fields_stay(void **state)
{
    (void)state;
    assert_cause(update_refusal("deployments",
                                "{'metadata':{'name':'d'},'spec':{'selector':{'a':1}}}",
                                "{'metadata':{'name':'d'},'spec':{'selector':{'a':2}}}"),
                 "spec.selector", "FieldValueInvalid");
    assert_cause(update_refusal("configmaps", "{'metadata':{},'immutable':true,'data':{'a':'b'}}",
                                "{'metadata':{},'immutable':true,'data':{'a':'c'}}"),
                 "data", "FieldValueForbidden");
    assert_cause(update_refusal("pods", "{'spec':{'containers':[{'name':'a','image':'x'}]}}",
                                "{'spec':{'containers':[{'name':'a','image':'x','tty':true}]}}"),
                 "spec", "FieldValueForbidden");
    assert_accepted(update_refusal("pods", "{'spec':{'containers':[{'name':'a','image':'x'}]}}",
                                   "{'spec':{'containers':[{'name':'a','image':'y'}]}}"));
    assert_cause(
        update_refusal("configmaps", "{'metadata':{'deletionTimestamp':'t','finalizers':['a/b']}}",
                       "{'metadata':{'deletionTimestamp':'t','finalizers':['a/b','a/c']}}"),
        "metadata.finalizers", "FieldValueForbidden");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_good_deployment_passes),
        cmocka_unit_test(test_pod_mistakes_are_told_by_field),
        cmocka_unit_test(test_a_selector_must_choose_the_template),
        cmocka_unit_test(test_other_kinds_have_rules_of_their_own),
        cmocka_unit_test(test_immutable_fields_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
