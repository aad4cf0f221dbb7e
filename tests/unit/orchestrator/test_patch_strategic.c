#include "orchestrator/objects/patch.h"
#include "tests/unit/orchestrator/cunit.h"

static void assert_patched(const char *type, const char *document, const char *patch_text,
                           const char *expected)
{
    CLEANUP(json) json_t *before = from_text(document);
    CLEANUP(json) json_t *patch = from_text(patch_text);
    CLEANUP(json) json_t *result = NULL;
    assert_accepted(patch_strategic(before, patch, schema_find(type), &result));
    assert_json(result, expected);
    assert_json(before, document);
}

static void test_lists_merge_by_their_keys(void **state)
{
    (void)state;
    assert_patched("PodSpec", "{'containers':[{'name':'a','image':'x'},{'name':'b','image':'y'}]}",
                   "{'containers':[{'name':'b','image':'z'},{'name':'c','image':'w'}]}",
                   "{'containers':[{'name':'a','image':'x'},{'name':'b','image':'z'},"
                   "{'name':'c','image':'w'}]}");
    assert_patched("ServiceSpec", "{'ports':[{'port':80,'name':'a'}]}",
                   "{'ports':[{'port':80,'nodePort':30000}]}",
                   "{'ports':[{'port':80,'name':'a','nodePort':30000}]}");
}

static void test_lists_without_a_key_are_replaced(void **state)
{
    (void)state;
    assert_patched("NodeSpec", "{'taints':[{'key':'a','effect':'NoSchedule'}]}",
                   "{'taints':[{'key':'b','effect':'NoExecute'}]}",
                   "{'taints':[{'key':'b','effect':'NoExecute'}]}");
    assert_patched("Container", "{'command':['a','b']}", "{'command':['c']}", "{'command':['c']}");
}

static void test_directives_delete_replace_and_order(void **state)
{
    (void)state;
    assert_patched("PodSpec", "{'containers':[{'name':'a'},{'name':'b'}]}",
                   "{'containers':[{'name':'a','$patch':'delete'}]}",
                   "{'containers':[{'name':'b'}]}");
    assert_patched("PodSpec", "{'containers':[{'name':'a'},{'name':'b'}]}",
                   "{'containers':[{'name':'c'},{'$patch':'replace'}]}",
                   "{'containers':[{'name':'c'}]}");
    assert_patched("PodSpec", "{'containers':[{'name':'a'},{'name':'b'}]}",
                   "{'$setElementOrder/containers':[{'name':'c'},{'name':'b'},{'name':'a'}],"
                   "'containers':[{'name':'c'}]}",
                   "{'containers':[{'name':'c'},{'name':'b'},{'name':'a'}]}");
    assert_patched("DaemonSetSpec", "{'template':{'metadata':{'labels':{'a':'b'}}}}",
                   "{'template':{'$patch':'replace','spec':{'hostname':'x'}}}",
                   "{'template':{'spec':{'hostname':'x'}}}");
}

static void test_primitive_lists_gain_and_lose_items(void **state)
{
    (void)state;
    assert_patched("ObjectMeta", "{'finalizers':['a','b']}", "{'finalizers':['c','a']}",
                   "{'finalizers':['a','b','c']}");
    assert_patched("ObjectMeta", "{'finalizers':['a','b']}",
                   "{'$deleteFromPrimitiveList/finalizers':['a']}", "{'finalizers':['b']}");
}

static void test_retained_keys_drop_the_others(void **state)
{
    (void)state;
    assert_patched("DeploymentSpec",
                   "{'strategy':{'type':'RollingUpdate','rollingUpdate':{'maxSurge':1}}}",
                   "{'strategy':{'$retainKeys':['type'],'type':'Recreate'}}",
                   "{'strategy':{'type':'Recreate'}}");
}

static void test_null_removes_a_field(void **state)
{
    (void)state;
    assert_patched("DeploymentSpec", "{'paused':true,'replicas':1}", "{'paused':null}",
                   "{'replicas':1}");
}

static void test_an_item_without_its_key_is_refused(void **state)
{
    (void)state;
    CLEANUP(json) json_t *before = from_text("{'containers':[{'name':'a'}]}");
    CLEANUP(json) json_t *patch = from_text("{'containers':[{'image':'x'}]}");
    json_t *result = NULL;
    assert_refusal(patch_strategic(before, patch, schema_find("PodSpec"), &result), 400,
                   "does not contain declared merge key: name");
    CLEANUP(json) json_t *text = from_text("'x'");
    assert_refusal(patch_strategic(before, text, schema_find("PodSpec"), &result), 400,
                   "is an object");
    assert_null(result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists_merge_by_their_keys),
        cmocka_unit_test(test_lists_without_a_key_are_replaced),
        cmocka_unit_test(test_directives_delete_replace_and_order),
        cmocka_unit_test(test_primitive_lists_gain_and_lose_items),
        cmocka_unit_test(test_retained_keys_drop_the_others),
        cmocka_unit_test(test_null_removes_a_field),
        cmocka_unit_test(test_an_item_without_its_key_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
