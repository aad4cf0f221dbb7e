#include "orchestrator/objects/field_set.h"
#include "tests/unit/orchestrator/cunit.h"

static const char pod[] = "{'apiVersion':'v1','metadata':{'name':'p','labels':{'a':'b'}},'spec':"
                          "{'hostname':'h','containers':[{'name':'c','image':'x',"
                          "'ports':[{'containerPort':80}]}]}}";

static void test_a_set_names_every_leaf_by_the_lists_keys(void **state)
{
    (void)state;
    CLEANUP(json) json_t *object = from_text(pod);
    CLEANUP(json) json_t *set = field_set_of(object, schema_find("Pod"));
    assert_json(set,
                "{'f:metadata':{'f:labels':{'f:a':{}}},'f:spec':{'f:hostname':{},'f:containers':{"
                "'k:{\\'name\\':\\'c\\'}':{'.':{},'f:name':{},'f:image':{},'f:ports':{"
                "'k:{\\'containerPort\\':80,\\'protocol\\':\\'TCP\\'}':{'.':{},"
                "'f:containerPort':{}}}}}}}");
}

static void test_only_what_differs_has_changed(void **state)
{
    (void)state;
    CLEANUP(json) json_t *old = from_text("{'data':{'a':'1','b':'2'}}");
    CLEANUP(json) json_t *new = from_text("{'data':{'a':'1','b':'3','c':'4'}}");
    CLEANUP(json) json_t *set = field_set_changed(old, new, schema_find("ConfigMap"));
    assert_json(set, "{'f:data':{'f:b':{},'f:c':{}}}");
    CLEANUP(json) json_t *none = field_set_changed(new, new, schema_find("ConfigMap"));
    assert_true(field_set_is_empty(none));
}

static void test_sets_are_united_intersected_and_subtracted(void **state)
{
    (void)state;
    CLEANUP(json) json_t *a = from_text("{'f:spec':{'f:x':{},'f:y':{}},'f:z':{}}");
    CLEANUP(json) json_t *b = from_text("{'f:spec':{'f:y':{},'f:w':{}}}");
    CLEANUP(json) json_t *both = field_set_union(a, b);
    CLEANUP(json) json_t *shared = field_set_intersection(a, b);
    CLEANUP(json) json_t *left = field_set_difference(a, b);
    assert_json(both, "{'f:spec':{'f:x':{},'f:y':{},'f:w':{}},'f:z':{}}");
    assert_json(shared, "{'f:spec':{'f:y':{}}}");
    assert_json(left, "{'f:spec':{'f:x':{}},'f:z':{}}");
}

static void test_merging_and_removing_follow_the_keys(void **state)
{
    (void)state;
    CLEANUP(json) json_t *live = from_text(pod);
    CLEANUP(json)
    json_t *applied = from_text("{'spec':{'containers':[{'name':'c','image':'y'},{'name':'d'}]}}");
    CLEANUP(json) json_t *merged = field_merge(live, applied, schema_find("Pod"));
    assert_json(tree_find(merged, "spec.containers"),
                "[{'name':'c','image':'y','ports':[{'containerPort':80}]},{'name':'d'}]");
    CLEANUP(json)
    json_t *set = from_text(
        "{'f:spec':{'f:hostname':{},'f:containers':{'k:{\\'name\\':\\'d\\'}':{'.':{}}}}}");
    field_remove(merged, set, schema_find("Pod"));
    assert_int_equal(tree_count(merged, "spec.containers"), 1);
    assert_null(tree_find(merged, "spec.hostname"));
}

static void test_paths_read_as_people_write_them(void **state)
{
    (void)state;
    CLEANUP(json)
    json_t *set = from_text(
        "{'f:spec':{'f:containers':{'k:{\\'name\\':\\'c\\'}':{'f:image':{}}},'f:x':{'v:1':{}}}}");
    CLEANUP(json) json_t *list = json_array();
    field_set_append_paths(set, list);
    assert_json(list, "['.spec.containers[name=\\'c\\'].image','.spec.x[=1]']");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_set_names_every_leaf_by_the_lists_keys),
        cmocka_unit_test(test_only_what_differs_has_changed),
        cmocka_unit_test(test_sets_are_united_intersected_and_subtracted),
        cmocka_unit_test(test_merging_and_removing_follow_the_keys),
        cmocka_unit_test(test_paths_read_as_people_write_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
