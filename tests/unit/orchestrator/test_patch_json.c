/* RFC 6902 (with examples of its appendix A) and RFC 7396 (its appendix A). */
#include "orchestrator/objects/patch.h"
#include "tests/unit/orchestrator/cunit.h"

static void assert_patched(const char *document, const char *operations, const char *expected)
{
    CLEANUP(json) json_t *before = from_text(document);
    CLEANUP(json) json_t *patch = from_text(operations);
    CLEANUP(json) json_t *result = NULL;
    assert_accepted(patch_json(before, patch, &result));
    assert_json(result, expected);
    assert_json(before, document);
}

static void test_operations_do_what_the_rfc_says(void **state)
{
    (void)state;
    assert_patched("{'foo':'bar'}", "[{'op':'add','path':'/baz','value':'qux'}]",
                   "{'baz':'qux','foo':'bar'}");
    assert_patched("{'foo':['bar','baz']}", "[{'op':'add','path':'/foo/1','value':'qux'}]",
                   "{'foo':['bar','qux','baz']}");
    assert_patched("{'foo':['bar']}", "[{'op':'add','path':'/foo/-','value':['x']}]",
                   "{'foo':['bar',['x']]}");
    assert_patched("{'baz':'qux','foo':'bar'}", "[{'op':'remove','path':'/baz'}]", "{'foo':'bar'}");
    assert_patched("{'foo':['a','b','c']}", "[{'op':'remove','path':'/foo/1'}]",
                   "{'foo':['a','c']}");
    assert_patched("{'a':1}", "[{'op':'replace','path':'/a','value':{'b':2}}]", "{'a':{'b':2}}");
    assert_patched("{'foo':{'bar':'baz','waldo':'fred'},'qux':{'corge':'grault'}}",
                   "[{'op':'move','from':'/foo/waldo','path':'/qux/thud'}]",
                   "{'foo':{'bar':'baz'},'qux':{'corge':'grault','thud':'fred'}}");
    assert_patched("{'a':[1]}", "[{'op':'copy','from':'/a/0','path':'/b'}]", "{'a':[1],'b':1}");
    assert_patched("{'a/b':{'c~d':1}}", "[{'op':'test','path':'/a~1b/c~0d','value':1}]",
                   "{'a/b':{'c~d':1}}");
    assert_patched("{'a':1}", "[{'op':'replace','path':'','value':[1]}]", "[1]");
}

static json_t *refusal_of(const char *document, const char *operations)
{
    CLEANUP(json) json_t *before = from_text(document);
    CLEANUP(json) json_t *patch = from_text(operations);
    json_t *result = NULL;
    json_t *refusal = patch_json(before, patch, &result);
    assert_null(result);
    return refusal;
}

static void test_what_does_not_apply_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "[{'op':'remove','path':'/b'}]",
        "[{'op':'replace','path':'/b','value':1}]",
        "[{'op':'test','path':'/a','value':2}]",
        "[{'op':'add','path':'/l/3','value':2}]",
        "[{'op':'add','path':'/l/01','value':2}]",
        "[{'op':'add','path':'/x/y','value':2}]",
        "[{'op':'move','from':'/no','path':'/a'}]",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_refusal(refusal_of("{'a':1,'l':[1,2]}", bad[i]), 422, "does not apply");
    }
}

static void test_malformed_patches_are_refused(void **state)
{
    (void)state;
    assert_refusal(refusal_of("{}", "{}"), 400, "list of operations");
    assert_refusal(refusal_of("{}", "[{'op':'jump','path':'/a'}]"), 400, "malformed");
    assert_refusal(refusal_of("{}", "[{'op':'add','path':'/a'}]"), 400, "malformed");
    assert_refusal(refusal_of("{}", "[{'op':'add','path':'a','value':1}]"), 400, "malformed");
    assert_refusal(refusal_of("{}", "[{'op':'move','path':'/a'}]"), 400, "malformed");
}

static void assert_merged(const char *document, const char *patch_text, const char *expected)
{
    CLEANUP(json) json_t *before = from_text(document);
    CLEANUP(json) json_t *patch = from_text(patch_text);
    CLEANUP(json) json_t *result = patch_merge(before, patch);
    assert_json(result, expected);
    assert_json(before, document);
}

static void test_merge_patches_follow_the_table_of_the_rfc(void **state)
{
    (void)state;
    assert_merged("{'a':'b'}", "{'a':'c'}", "{'a':'c'}");
    assert_merged("{'a':'b'}", "{'b':'c'}", "{'a':'b','b':'c'}");
    assert_merged("{'a':'b'}", "{'a':null}", "{}");
    assert_merged("{'a':['b']}", "{'a':'c'}", "{'a':'c'}");
    assert_merged("{'a':{'b':'c'}}", "{'a':{'b':'d','c':null}}", "{'a':{'b':'d'}}");
    assert_merged("{'a':[{'b':'c'}]}", "{'a':[1]}", "{'a':[1]}");
    assert_merged("{'e':null}", "{'a':1}", "{'e':null,'a':1}");
    assert_merged("{}", "{'a':{'bb':{'ccc':null}}}", "{'a':{'bb':{}}}");
    assert_merged("[1,2]", "{'a':'b','c':null}", "{'a':'b'}");
    assert_merged("{'a':'b'}", "['c']", "['c']");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operations_do_what_the_rfc_says),
        cmocka_unit_test(test_what_does_not_apply_is_refused),
        cmocka_unit_test(test_malformed_patches_are_refused),
        cmocka_unit_test(test_merge_patches_follow_the_table_of_the_rfc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
