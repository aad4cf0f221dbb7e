#include "orchestrator/objects/yaml.h"
#include "tests/unit/orchestrator/cunit.h"

static void assert_yaml(const char *text, const char *expected)
{
    struct err err = {0};
    CLEANUP(json) json_t *documents = NULL;
    if (yaml_read(bytes_from_text(text), &documents, &err) != 0) {
        fail_msg("%s", err.text);
    }
    assert_json(documents, expected);
}

static void test_manifests_are_read(void **state)
{
    (void)state;
    assert_yaml("a: 1\nb: [x, 'y', \"z\"]\nc:\n  d: true\n  e: null\n",
                "[{'a':1,'b':['x','y','z'],'c':{'d':true,'e':null}}]");
    assert_yaml("---\na: 1\n---\n---\nb: 2\n", "[{'a':1},{'b':2}]");
    assert_yaml("a: '1'\nb: 0x10\nc: 1.5\nd: 1e3\ne: 010\nf: 1:2\n",
                "[{'a':'1','b':16,'c':1.5,'d':1000.0,'e':8,'f':'1:2'}]");
    assert_yaml("x: |\n  one\n  two\n", "[{'x':'one\\ntwo\\n'}]");
    assert_yaml("base: &b {k: v}\nuse: *b\n", "[{'base':{'k':'v'},'use':{'k':'v'}}]");
    assert_yaml("# only a comment\n", "[]");
}

static void assert_malformed(const char *text, const char *message)
{
    struct err err = {0};
    json_t *documents = NULL;
    assert_int_not_equal(yaml_read(bytes_from_text(text), &documents, &err), 0);
    assert_null(documents);
    if (strstr(err.text, message) == NULL) {
        fail_msg("'%s' does not contain '%s'", err.text, message);
    }
}

static void test_mistakes_are_told_with_their_line(void **state)
{
    (void)state;
    assert_malformed("a: 1\n b: 2\n", "line 2");
    assert_malformed("a: 1\na: 2\n", "line 2: key \"a\" already set");
    assert_malformed("{", "line");
    assert_malformed("? [a]\n: b\n", "not a scalar");
}

static void test_a_bomb_of_aliases_is_refused(void **state)
{
    (void)state;
    CLEANUP(buf) struct buf text = BUF_INIT;
    buf_append_text(&text, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for (int i = 1; i < 12; i++) {
        buf_append_format(&text, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i,
                          i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    }
    struct err err = {0};
    json_t *documents = NULL;
    assert_int_equal(yaml_read(buf_bytes(&text), &documents, &err), ERR_TOO_LARGE);
}

static void test_what_is_written_reads_back_the_same(void **state)
{
    (void)state;
    static const char *const values[] = {
        "{'a':1,'b':'true','c':'1','d':'','e':[],'f':{},'g':'x: y','h':'- x','i':' pad'}",
        "{'list':[{'a':1,'b':[1,2]},[],'x',[['y']]],'n':null,'t':true,'s':'two\\nlines'}",
        "{'k/1.io':'~','yes':'no','q':'it\\'s'}",
    };
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        CLEANUP(json) json_t *value = from_text(values[i]);
        CLEANUP(buf) struct buf text = BUF_INIT;
        CLEANUP(json) json_t *documents = NULL;
        struct err err = {0};
        yaml_write(&text, value);
        if (yaml_read(buf_bytes(&text), &documents, &err) != 0) {
            fail_msg("%s in %s", err.text, buf_text(&text));
        }
        if (!tree_equal(json_array_get(documents, 0), value)) {
            fail_msg("%s", buf_text(&text));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_manifests_are_read),
        cmocka_unit_test(test_mistakes_are_told_with_their_line),
        cmocka_unit_test(test_a_bomb_of_aliases_is_refused),
        cmocka_unit_test(test_what_is_written_reads_back_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
