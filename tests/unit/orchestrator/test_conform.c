#include "orchestrator/objects/conform.h"
#include "tests/unit/orchestrator/cunit.h"

static json_t *conform(const char *storage, const char *text, json_t **ret_object,
                       json_t **ret_unknown)
{
    json_t *object = from_text(text);
    json_t *unknown = json_array();
    json_t *refusal = conform_object(object, kinds_find_storage(NULL, storage), unknown);
    *ret_object = object;
    *ret_unknown = unknown;
    return refusal;
}

static void test_unknown_fields_are_told_with_their_path_and_dropped(void **state)
{
    (void)state;
    CLEANUP(json) json_t *object = NULL;
    CLEANUP(json) json_t *unknown = NULL;
    assert_accepted(conform("pods", "{'spec':{'foo':1,'containers':[{'name':'a','imagee':'x'}]}}",
                            &object, &unknown));
    assert_json(object, "{'spec':{'containers':[{'name':'a'}]}}");
    assert_json(unknown, "['unknown field \\'spec.foo\\'',"
                         "'unknown field \\'spec.containers[0].imagee\\'']");
}

static void test_nulls_and_empty_values_go_as_in_go(void **state)
{
    (void)state;
    CLEANUP(json) json_t *object = NULL;
    CLEANUP(json) json_t *unknown = NULL;
    assert_accepted(conform("deployments",
                            "{'metadata':{'creationTimestamp':null,'labels':{}},"
                            "'spec':{'replicas':0,'paused':false,'template':{'spec':"
                            "{'containers':[{'name':'a','env':[],'image':''}],"
                            "'volumes':[{'name':'v','emptyDir':{}}]}}},'status':{}}",
                            &object, &unknown));
    /* replicas is a pointer in Go, and an emptyDir says something by being there. */
    assert_json(object, "{'spec':{'replicas':0,'template':{'spec':{'containers':[{'name':'a'}],"
                        "'volumes':[{'name':'v','emptyDir':{}}]}}}}");
    assert_int_equal(json_array_size(unknown), 0);
}

static void assert_wrong_type(const char *storage, const char *text, const char *message)
{
    CLEANUP(json) json_t *object = NULL;
    CLEANUP(json) json_t *unknown = NULL;
    assert_refusal(conform(storage, text, &object, &unknown), 400, message);
}

static void test_values_of_a_wrong_type_are_refused(void **state)
{
    (void)state;
    assert_wrong_type("deployments", "{'spec':{'replicas':'3'}}",
                      "cannot unmarshal string into Go struct field Deployment.spec.replicas of "
                      "type int32");
    assert_wrong_type("deployments", "{'spec':{'replicas':3000000000}}", "of type int32");
    assert_wrong_type("pods", "{'spec':[]}", "cannot unmarshal array");
    assert_wrong_type("pods", "{'spec':{'containers':{}}}", "of type []Container");
    assert_wrong_type("configmaps", "{'data':{'a':1}}", "ConfigMap.data.a of type string");
    assert_wrong_type("pods", "{'spec':{'containers':[{'resources':{'limits':{'cpu':'lots'}}}]}}",
                      "of type resource.Quantity");
    assert_wrong_type("pods", "{'metadata':{'deletionTimestamp':'soon'}}", "of type v1.Time");
    assert_wrong_type("pods", "[]", "not an object");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unknown_fields_are_told_with_their_path_and_dropped),
        cmocka_unit_test(test_nulls_and_empty_values_go_as_in_go),
        cmocka_unit_test(test_values_of_a_wrong_type_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
