#include "orchestrator/objects/kinds.h"
#include "orchestrator/objects/names.h"
#include "tests/unit/orchestrator/cunit.h"

static void test_names_follow_their_syntax(void **state)
{
    (void)state;
    assert_true(name_is_dns1123_subdomain("a.b-c.d9"));
    assert_false(name_is_dns1123_subdomain("A.b"));
    assert_false(name_is_dns1123_subdomain("a..b"));
    assert_false(name_is_dns1123_subdomain("-a"));
    assert_false(name_is_dns1123_subdomain("a-.b"));
    assert_false(name_is_dns1123_subdomain(""));
    assert_true(name_is_dns1123_label("9a"));
    assert_false(name_is_dns1035_label("9a"));
    assert_true(name_is_label_key("example.com/role"));
    assert_false(name_is_label_key("/role"));
    assert_false(name_is_label_key("a/b/c"));
    assert_true(name_is_label_value(""));
    assert_false(name_is_label_value("-x"));
    assert_true(name_is_port_name("http-2"));
    assert_false(name_is_port_name("123"));
    assert_false(name_is_port_name("a-very-long-port-name"));
    assert_true(name_is_config_key("app.conf"));
    assert_false(name_is_config_key("../x"));
}

static void test_each_kind_has_its_own_rule(void **state)
{
    (void)state;
    const struct kind *service = kinds_find_storage(NULL, "services");
    const struct kind *role = kinds_find_storage(NULL, "clusterroles");
    const struct kind *namespace = kinds_find_storage(NULL, "namespaces");
    assert_null(name_problem(service, "web"));
    assert_non_null(name_problem(service, "1web"));
    assert_null(name_problem(role, "system:node"));
    assert_non_null(name_problem(role, "a/b"));
    assert_non_null(name_problem(namespace, "a.b"));
}

static void test_generated_names_are_short_and_reproducible(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 1);
    CLEANUP(free) char *first = name_generate("web-", &prng);
    prng_init(&prng, 1);
    CLEANUP(free) char *again = name_generate("web-", &prng);
    assert_string_equal(first, again);
    assert_int_equal(strlen(first), 9);
    char base[100];
    memset(base, 'a', sizeof(base) - 1);
    base[sizeof(base) - 1] = '\0';
    CLEANUP(free) char *cut = name_generate(base, &prng);
    assert_int_equal(strlen(cut), 63);
}

static void test_uuids_have_version_4(void **state)
{
    (void)state;
    struct prng prng;
    char text[UUID_SIZE];
    prng_init(&prng, 9);
    for (int i = 0; i < 100; i++) {
        (void)uuid_generate(&prng, text);
        assert_int_equal(strlen(text), 36);
        assert_int_equal(text[14], '4');
        assert_non_null(strchr("89ab", text[19]));
    }
}

static void test_labels_that_are_wrong_are_told_by_field(void **state)
{
    (void)state;
    CLEANUP(json) json_t *labels = from_text("{'ok':'x','bad key':'y','k':'bad value'}");
    CLEANUP(causes) struct causes causes = {0};
    names_validate_labels(labels, "metadata.labels", &causes);
    assert_int_equal(json_array_size(causes.list), 2);
    assert_true(tree_has_text(json_array_get(causes.list, 0), "field", "metadata.labels"));
    assert_true(tree_has_text(json_array_get(causes.list, 0), "reason", "FieldValueInvalid"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_follow_their_syntax),
        cmocka_unit_test(test_each_kind_has_its_own_rule),
        cmocka_unit_test(test_generated_names_are_short_and_reproducible),
        cmocka_unit_test(test_uuids_have_version_4),
        cmocka_unit_test(test_labels_that_are_wrong_are_told_by_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
