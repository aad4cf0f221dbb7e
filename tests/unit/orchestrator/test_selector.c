#include "orchestrator/objects/selector.h"
#include "tests/unit/orchestrator/cunit.h"

static bool matches(const char *selector_text, const char *labels_text)
{
    CLEANUP(label_selector) struct label_selector selector = {0};
    CLEANUP(json) json_t *labels = from_text(labels_text);
    assert_accepted(label_selector_parse(&selector, selector_text));
    return label_selector_matches(&selector, labels);
}

static void test_every_operator_of_label_selectors_works(void **state)
{
    (void)state;
    static const char labels[] = "{'app':'web','tier':'front','n':'5'}";
    assert_true(matches("", labels));
    assert_true(matches("app=web", labels));
    assert_true(matches("app==web,tier!=back", labels));
    assert_true(matches("missing!=x", labels));
    assert_true(matches("app in (web, db)", labels));
    assert_true(matches("app notin (db),!gone", labels));
    assert_true(matches("tier", labels));
    assert_true(matches("n>4,n<6", labels));
    assert_false(matches("app=db", labels));
    assert_false(matches("app notin (web)", labels));
    assert_false(matches("!app", labels));
    assert_false(matches("gone", labels));
    assert_false(matches("n>5", labels));
}

static void test_malformed_label_selectors_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"=x", "a=b=c", "a in b", "a in (b", "a,,b", "-a", "a b"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct label_selector selector;
        assert_refusal(label_selector_parse(&selector, bad[i]), 400, "unable to parse");
        label_selector_deinit(&selector);
    }
}

static void test_an_absent_selector_object_selects_nothing_and_an_empty_one_everything(void **state)
{
    (void)state;
    CLEANUP(json) json_t *labels = from_text("{'a':'b'}");
    CLEANUP(json) json_t *empty = json_object();
    assert_false(label_selector_object_matches(NULL, labels));
    assert_true(label_selector_object_matches(empty, labels));
    assert_false(label_map_matches(NULL, labels));
    assert_false(label_map_matches(empty, labels));
    CLEANUP(json)
    json_t *selector = from_text(
        "{'matchLabels':{'a':'b'},'matchExpressions':[{'key':'c','operator':'DoesNotExist'}]}");
    assert_true(label_selector_object_matches(selector, labels));
    CLEANUP(free) char *text = label_selector_object_text(selector);
    assert_string_equal(text, "a=b,!c");
}

static bool field_matches(const char *storage, const char *text, const char *object_text)
{
    CLEANUP(field_selector) struct field_selector selector = {0};
    CLEANUP(json) json_t *object = from_text(object_text);
    assert_accepted(field_selector_parse(&selector, kinds_find_storage(NULL, storage), text));
    return field_selector_matches(&selector, object);
}

static void test_fields_select_objects(void **state)
{
    (void)state;
    static const char pod[] = "{'metadata':{'name':'p'},'spec':{'nodeName':'n1'},"
                              "'status':{'phase':'Running'}}";
    assert_true(field_matches("pods", "metadata.name=p", pod));
    assert_true(field_matches("pods", "spec.nodeName=n1,status.phase!=Failed", pod));
    assert_false(field_matches("pods", "spec.nodeName=n2", pod));
    assert_true(field_matches("pods", "spec.hostNetwork=false", pod));
    assert_true(field_matches("nodes", "spec.unschedulable=false", "{'spec':{}}"));
    assert_true(
        field_matches("nodes", "spec.unschedulable=true", "{'spec':{'unschedulable':true}}"));
    /* Events of cluster-wide objects have no namespace, and are asked for by "". */
    assert_true(field_matches("events", "involvedObject.namespace=,involvedObject.name=n1",
                              "{'involvedObject':{'name':'n1'}}"));
}

static void test_unknown_fields_are_refused(void **state)
{
    (void)state;
    struct field_selector selector;
    const struct kind *kind = kinds_find_storage(NULL, "configmaps");
    assert_refusal(field_selector_parse(&selector, kind, "data.a=b"), 400,
                   "field label not supported: data.a");
    assert_refusal(field_selector_parse(&selector, kind, "metadata.name"), 400, "can't understand");
}

static void test_the_name_a_field_selector_wants_is_known(void **state)
{
    (void)state;
    CLEANUP(field_selector) struct field_selector selector = {0};
    const struct kind *kind = kinds_find_storage(NULL, "pods");
    assert_accepted(field_selector_parse(&selector, kind, "status.phase!=Failed,metadata.name=x"));
    assert_string_equal(field_selector_name(&selector), "x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_operator_of_label_selectors_works),
        cmocka_unit_test(test_malformed_label_selectors_are_refused),
        cmocka_unit_test(
            test_an_absent_selector_object_selects_nothing_and_an_empty_one_everything),
        cmocka_unit_test(test_fields_select_objects),
        cmocka_unit_test(test_unknown_fields_are_refused),
        cmocka_unit_test(test_the_name_a_field_selector_wants_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
