/* test_words.c - command lines, tables and manifests of kvctl's workload words. */
#include "tests/unit/orchestrator/cunit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "orchestrator/words/arguments.h"
#include "orchestrator/words/manifest.h"
#include "orchestrator/words/resource.h"
#include "orchestrator/words/screen.h"
#include "orchestrator/words/usage.h"

enum { WORDS_MAX = 16 };

/* words: separated by spaces. */
static int parse(struct arguments *arguments, char *words, struct err *err)
{
    char *argv[WORDS_MAX] = {NULL};
    static char *kept[WORDS_MAX];
    int argc = 0;
    for (char *word = strsep(&words, " "); word != NULL && argc < WORDS_MAX - 1;
         word = strsep(&words, " ")) {
        argv[argc++] = word;
    }
    memcpy(kept, argv, sizeof(kept)); /* arguments.command points into it */
    return arguments_parse(arguments, argc, kept, err);
}

static void test_flags_stand_anywhere(void **state)
{
    (void)state;
    struct arguments a;
    struct err err;
    char line[] = "kvctl ls -n shop pods -oyaml --selector=app=web deploy -A";
    assert_int_equal(parse(&a, line, &err), 0);
    assert_string_equal(a.word, "ls");
    assert_int_equal(a.plain_count, 2);
    assert_string_equal(a.plain[1], "deploy");
    assert_string_equal(a.namespace, "shop");
    assert_string_equal(a.output, "yaml");
    assert_string_equal(a.selector, "app=web");
    assert_true(a.all_namespaces);
}

static void test_what_follows_two_dashes_is_the_command(void **state)
{
    (void)state;
    struct arguments a;
    struct err err;
    char line[] = "kvctl exec pod/web -it -c c1 -- ls -l --color";
    assert_int_equal(parse(&a, line, &err), 0);
    assert_true(a.interactive && a.tty);
    assert_string_equal(a.container, "c1");
    assert_string_equal(a.command[1], "-l");
    assert_string_equal(a.command[2], "--color");
    assert_null(a.command[3]);
}

static void test_the_letter_f_is_a_file_and_for_logs_it_follows(void **state)
{
    (void)state;
    struct arguments a;
    struct err err;
    char apply[] = "kvctl apply -f a.yaml -fb.yaml --filename c.yaml";
    assert_int_equal(parse(&a, apply, &err), 0);
    assert_int_equal(a.file_count, 3);
    assert_string_equal(a.files[1], "b.yaml");
    char logs[] = "kvctl logs -f pod/web --tail 5";
    assert_int_equal(parse(&a, logs, &err), 0);
    assert_true(a.follow);
    assert_string_equal(a.plain[0], "pod/web");
}

static void test_wrong_flags_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *text;
    } cases[] = {
        {"kvctl ls --colour", "--colour"},
        {"kvctl ls -x", "-x"},
        {"kvctl ls pods -o table", "table"},
        {"kvctl ls pods -n", "needs a value"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arguments a;
        struct err err = {0};
        CLEANUP(free) char *line = mem_strdup(cases[i].line);
        assert_int_equal(parse(&a, line, &err), ERR_INVALID);
        assert_non_null(strstr(err.text, cases[i].text));
    }
}

static void test_tables_are_cut_to_the_terminal(void **state)
{
    (void)state;
    const struct screen narrow = {.is_terminal = false, .width = 40};
    const struct screen wide = {.is_terminal = false};
    CLEANUP(screen_table) struct screen_table table;
    CLEANUP(buf) struct buf out = BUF_INIT;
    screen_table_init(&table, 3);
    static const char *const cells[] = {
        "NAME", "IMAGE", "AGE", "web", "registry.example/a/very/long/name/of/an/image:1.2.3", "5m"};
    for (size_t i = 0; i < 6; i++) {
        screen_table_add(&table, "%s", cells[i]);
    }
    screen_table_append(&table, &wide, &out);
    assert_non_null(strstr(buf_text(&out), "image:1.2.3   5m\n"));
    buf_clear(&out);
    screen_table_append(&table, &narrow, &out);
    assert_non_null(strstr(buf_text(&out), "…   5m\n"));
    size_t width = 0;
    for (const char *c = buf_text(&out); *c != '\0'; c++) {
        width = *c == '\n' ? 0 : width + (((unsigned char)*c & 0xc0) != 0x80);
        assert_true(width <= 40);
    }
}

static void test_cells_cannot_move_the_cursor(void **state)
{
    (void)state;
    const struct screen screen = {.is_terminal = false};
    CLEANUP(screen_table) struct screen_table table;
    CLEANUP(buf) struct buf out = BUF_INIT;
    screen_table_init(&table, 1);
    screen_table_add(&table, "%s", "a\033[2Jb\nc");
    screen_table_append(&table, &screen, &out);
    assert_string_equal(buf_text(&out), "a [2Jb c\n");
}

static void test_colour_is_for_terminals(void **state)
{
    (void)state;
    const struct screen plain = {.is_terminal = false};
    const struct screen colour = {.is_terminal = true};
    CLEANUP(buf) struct buf out = BUF_INIT;
    screen_append(&plain, &out, screen_tone_of("CrashLoopBackOff"), "x");
    assert_string_equal(buf_text(&out), "x");
    buf_clear(&out);
    screen_append(&colour, &out, screen_tone_of("CrashLoopBackOff"), "x");
    assert_string_equal(buf_text(&out), "\033[31mx\033[0m");
}

static void test_amounts_are_short(void **state)
{
    (void)state;
    char text[USAGE_TEXT_SIZE];
    assert_string_equal(usage_cpu_text(250, text), "250m");
    assert_string_equal(usage_cpu_text(2000, text), "2");
    assert_string_equal(usage_memory_text(0, text), "0");
    assert_string_equal(usage_memory_text(1536LL << 20, text), "1.5Gi");
    assert_string_equal(usage_memory_text(24LL << 30, text), "24Gi");
    CLEANUP(json)
    json_t *pod = from_text("{'spec':{'containers':[{'resources':{'requests':{'cpu':'100m','memory'"
                            ":'1Mi'}}},{'resources':{'requests':{'cpu':1}}}]}}");
    struct usage usage = usage_of_pod(pod);
    assert_int_equal(usage.cpu_milli, 1100);
    assert_int_equal(usage.memory_bytes, 1 << 20);
}

static void test_paths_are_those_of_the_api(void **state)
{
    (void)state;
    const struct kind *deployments = kinds_find_storage(NULL, "deployments");
    const struct kind *nodes = kinds_find_storage(NULL, "nodes");
    CLEANUP(free) char *one = resource_path(deployments, "shop", "web", "scale");
    CLEANUP(free) char *all = resource_path(deployments, "", "", "");
    CLEANUP(free) char *node = resource_path(nodes, "shop", "n1", "");
    CLEANUP(free) char *title = resource_title(deployments, "web");
    assert_string_equal(one, "/apis/apps/v1/namespaces/shop/deployments/web/scale");
    assert_string_equal(all, "/apis/apps/v1/deployments");
    assert_string_equal(node, "/api/v1/nodes/n1");
    assert_string_equal(title, "deployment.apps/web");
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    (void)fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void test_manifests_are_files_folders_and_lists(void **state)
{
    (void)state;
    char folder[] = "/tmp/coracle-words-XXXXXX";
    assert_non_null(mkdtemp(folder));
    CLEANUP(free) char *a = mem_printf("%s/a.yaml", folder);
    CLEANUP(free) char *b = mem_printf("%s/b.json", folder);
    CLEANUP(free) char *c = mem_printf("%s/c.txt", folder);
    write_file(a, "apiVersion: v1\nkind: Pod\n---\n---\napiVersion: v1\nkind: List\nitems:\n"
                  "- {apiVersion: v1, kind: Service}\n- {apiVersion: v1, kind: Secret}\n");
    write_file(b, "{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\"}");
    write_file(c, "not a manifest");
    struct err err = {0};
    CLEANUP(json) json_t *objects = json_array();
    assert_int_equal(manifest_read(folder, objects, &err), 0);
    assert_int_equal(json_array_size(objects), 4);
    assert_true(tree_has_text(json_array_get(objects, 3), "kind", "ConfigMap"));
    assert_int_equal(manifest_read(c, objects, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, c));
    (void)unlink(a);
    (void)unlink(b);
    (void)unlink(c);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flags_stand_anywhere),
        cmocka_unit_test(test_what_follows_two_dashes_is_the_command),
        cmocka_unit_test(test_the_letter_f_is_a_file_and_for_logs_it_follows),
        cmocka_unit_test(test_wrong_flags_are_named),
        cmocka_unit_test(test_tables_are_cut_to_the_terminal),
        cmocka_unit_test(test_cells_cannot_move_the_cursor),
        cmocka_unit_test(test_colour_is_for_terminals),
        cmocka_unit_test(test_amounts_are_short),
        cmocka_unit_test(test_paths_are_those_of_the_api),
        cmocka_unit_test(test_manifests_are_files_folders_and_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
