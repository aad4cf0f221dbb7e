/* Reading Compose files and planning, on texts alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/compose/duration.h"
#include "runtime/compose/env_text.h"
#include "runtime/compose/interpolate.h"
#include "runtime/compose/kubernetes.h"
#include "runtime/compose/load.h"
#include "runtime/compose/plan.h"
#include "runtime/compose/service.h"
#include "runtime/compose/shell_words.h"
#include "runtime/image/json.h"

struct file {
    const char *path;
    const char *text;
};

static int read_file(void *context, const char *path, struct buf *out, struct err *err)
{
    for (const struct file *file = context; file->path != NULL; file++) {
        if (strcmp(file->path, path) == 0) {
            buf_append_text(out, file->text);
            return 0;
        }
    }
    return err_set_errno(err, 2, "open '%s'", path);
}

static int load(const struct file *files, size_t count, struct project *ret, struct err *err)
{
    const char *paths[8];
    CLEANUP(json) json_t *environment = json_pack("{ss ss}", "HOME", "/home/me", "TAG", "7");
    for (size_t i = 0; i < count; i++) {
        paths[i] = files[i].path;
    }
    const struct load_input input = {
        .files = paths,
        .file_count = count,
        .directory = "/p/My Shop",
        .environment = environment,
        .read_file = read_file,
        .context = (void *)(uintptr_t)files,
    };
    return project_load(&input, ret, err);
}

static const char *interpolated(const char *text, struct buf *out)
{
    CLEANUP(json) json_t *environment = json_pack("{ss ss}", "A", "one", "EMPTY", "");
    static struct err err;
    buf_clear(out);
    return interpolate_text(text, environment, NULL, out, &err) == 0 ? buf_text(out) : err.text;
}

static void test_variables_are_replaced(void **state)
{
    (void)state;
    CLEANUP(buf) struct buf out = BUF_INIT;
    assert_string_equal(interpolated("$A-${A}-$$A", &out), "one-one-$A");
    assert_string_equal(interpolated("${NO:-d}${EMPTY:-d}${EMPTY-d}${NO-d}", &out), "ddd");
    assert_string_equal(interpolated("${A:+r}${EMPTY:+r}${EMPTY+r}", &out), "rr");
    assert_string_equal(interpolated("${NO:-${EMPTY:-x${A}}}", &out), "xone");
    assert_string_equal(interpolated("${NO:?say it}", &out),
                        "required variable NO is missing a value: say it");
    assert_non_null(strstr(interpolated("${A", &out), "invalid interpolation"));
    assert_non_null(strstr(interpolated("a $", &out), "write $$"));
}

static void test_env_files_have_quotes_and_comments(void **state)
{
    (void)state;
    CLEANUP(json) json_t *environment = json_pack("{ss}", "OUT", "o");
    CLEANUP(json) json_t *values = json_object();
    struct err err;
    const char *text = "A=1 # c\nexport B = two words \nC='$OUT'\nD=\"${OUT}\\n$A\"\nE\n"
                       "F=a#b\nG=\"over\nlines\"\n";
    assert_int_equal(env_text_parse(bytes_from_text(text), "e", false, environment, values, &err),
                     0);
    assert_string_equal(json_get_text(values, "A", ""), "1");
    assert_string_equal(json_get_text(values, "B", ""), "two words");
    assert_string_equal(json_get_text(values, "C", ""), "$OUT");
    assert_string_equal(json_get_text(values, "D", ""), "o\n1");
    assert_true(json_is_null(json_object_get(values, "E")));
    assert_string_equal(json_get_text(values, "F", ""), "a#b");
    assert_string_equal(json_get_text(values, "G", ""), "over\nlines");
    assert_int_not_equal(
        env_text_parse(bytes_from_text("A=1\nB=\"x\n"), "e", false, environment, values, &err), 0);
    assert_string_equal(err.text, "e:2: the quote has no end");
}

static void test_words_and_durations(void **state)
{
    (void)state;
    json_t *words = NULL;
    int64_t ns = 0;
    assert_int_equal(shell_words_split("a 'b c' \"d\\\" $e\" f\\ g ''", &words, NULL), 0);
    CLEANUP(json) json_t *expected = json_pack("[sssss]", "a", "b c", "d\" $e", "f g", "");
    assert_true(json_equal(words, expected));
    json_decref(words);
    assert_int_equal(shell_words_split("a 'b", &words, NULL), ERR_MALFORMED);
    assert_int_equal(duration_parse("1m30s", &ns), 0);
    assert_int_equal(ns, INT64_C(90000000000));
    assert_int_equal(duration_parse("1h2ms", &ns), 0);
    assert_int_equal(ns, INT64_C(3600002000000));
    assert_int_equal(duration_parse("soon", &ns), ERR_MALFORMED);
    assert_int_equal(duration_parse("", &ns), ERR_MALFORMED);
}

static void test_files_are_merged_by_the_rules_of_their_keys(void **state)
{
    (void)state;
    const struct file files[] = {
        {"/p/a.yaml", "services:\n  w:\n    image: a:${TAG}\n    command: one two\n"
                      "    ports: ['80:80', '81:81']\n    environment: {A: '1', B: '2'}\n"
                      "    volumes: ['./x:/v', 'd:/d']\n    dns: 1.1.1.1\nvolumes: {d: }\n"},
        {"/p/b.yaml", "services:\n  w:\n    command: [three]\n    ports: !override ['9:9']\n"
                      "    environment: [B=3, C=4]\n    volumes: ['./y:/v']\n    dns: [8.8.8.8]\n"},
        {NULL, NULL},
    };
    struct project project;
    struct err err;
    assert_int_equal(load(files, 2, &project, &err), 0);
    const json_t *w = json_object_get(json_object_get(project.document, "services"), "w");
    CLEANUP(json)
    json_t *expected =
        json_pack("{ss s[s] s{ss ss ss} s[ss]}", "image", "a:7", "command", "three", "environment",
                  "A", "1", "B", "3", "C", "4", "dns", "1.1.1.1", "8.8.8.8");
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(expected, key, value)
    {
        assert_true(json_equal(json_object_get(w, key), value));
    }
    assert_int_equal(json_array_size(json_object_get(w, "ports")), 1);
    const json_t *volumes = json_object_get(w, "volumes");
    assert_int_equal(json_array_size(volumes), 2);
    assert_string_equal(json_get_text(json_array_get(volumes, 0), "source", ""), "/p/My Shop/y");
    assert_string_equal(json_get_text(project.document, "name", ""), "myshop");
    project_deinit(&project);
}

static void test_what_is_not_supported_is_named(void **state)
{
    (void)state;
    const struct file files[] = {
        {"/p/a.yaml", "services:\n  w:\n    image: a\n    isolation: hyperv\n    x-mine: 1\n"},
        {NULL, NULL},
    };
    struct project project;
    struct err err;
    assert_int_equal(load(files, 1, &project, &err), 0);
    assert_int_equal(json_array_size(project.warnings), 1);
    assert_non_null(strstr(json_string_value(json_array_get(project.warnings, 0)),
                           "/p/a.yaml:4: services.w.isolation: is not supported"));
    project_deinit(&project);
}

static enum plan_action action_of(const json_t *steps, size_t index)
{
    return (enum plan_action)json_get_integer(json_array_get(steps, index), "Action", -1);
}

static void test_a_plan_changes_only_what_changed(void **state)
{
    (void)state;
    CLEANUP(json)
    json_t *existing =
        json_pack("[{ss si ss ss ss} {ss si ss ss ss} {ss si ss ss ss} {ss si ss ss ss}]",
                  "Service", "w", "Number", 1, "Hash", "h", "Image", "i", "Status", "running",
                  "Service", "w", "Number", 2, "Hash", "old", "Image", "i", "Status", "running",
                  "Service", "w", "Number", 3, "Hash", "h", "Image", "i", "Status", "exited",
                  "Service", "w", "Number", 5, "Hash", "h", "Image", "i", "Status", "running");
    const struct plan_service service = {.name = "w", .scale = 4, .hash = "h", .image = "i"};
    const struct plan_options options = {.starts = true};
    CLEANUP(json) json_t *steps = plan_make(&service, existing, &options);
    assert_int_equal(json_array_size(steps), 5);
    assert_int_equal(action_of(steps, 0), PLAN_KEEP);
    assert_int_equal(action_of(steps, 1), PLAN_RECREATE);
    assert_int_equal(action_of(steps, 2), PLAN_START);
    assert_int_equal(action_of(steps, 3), PLAN_CREATE);
    assert_int_equal(action_of(steps, 4), PLAN_REMOVE);
    const struct plan_options forced = {.starts = true, .is_forced = true};
    CLEANUP(json) json_t *all = plan_make(&service, existing, &forced);
    assert_int_equal(action_of(all, 0), PLAN_RECREATE);
    CLEANUP(json) json_t *none = json_object();
    CLEANUP(json) json_t *orphans = plan_orphans(none, none, existing);
    assert_int_equal(json_array_size(orphans), 4);
}

static void test_a_service_becomes_options_of_run(void **state)
{
    (void)state;
    const struct file files[] = {
        {"/p/a.yaml",
         "services:\n  w:\n    image: a\n    ports: ['127.0.0.1:8080:80/udp']\n"
         "    deploy: {resources: {limits: {cpus: 0.5, memory: 64M}}}\n"
         "    restart: unless-stopped\n    entrypoint: [x, y]\n    volumes: ['/h:/c:ro']\n"},
        {NULL, NULL},
    };
    struct project project;
    struct err err;
    struct arena arena = ARENA_INIT;
    struct service_container container;
    assert_int_equal(load(files, 1, &project, &err), 0);
    const struct service_input input = {
        .project = project.document,
        .name = "w",
        .service = json_object_get(json_object_get(project.document, "services"), "w"),
        .number = 2,
        .hash = "h",
        .config_files = "",
        .directory = "/p",
        .secrets_directory = "/s",
    };
    service_translate(&input, &arena, &container);
    assert_string_equal(container.options.name, "myshop-w-2");
    assert_string_equal(container.options.publish.items[0], "127.0.0.1:8080:80/udp");
    assert_string_equal(container.options.cpus, "0.5");
    assert_string_equal(container.options.memory, "64M");
    assert_string_equal(container.options.restart, "unless-stopped");
    assert_string_equal(container.options.volume.items[0], "/h:/c:ro");
    assert_string_equal(container.options.network, "myshop_default");
    assert_int_equal(json_array_size(json_object_get(container.config_patch, "Entrypoint")), 2);
    service_container_deinit(&container);
    arena_deinit(&arena);
    project_deinit(&project);
}

static void test_a_project_becomes_objects_of_a_cluster(void **state)
{
    (void)state;
    const struct file files[] = {
        {"/p/a.yaml", "services:\n  w_1:\n    image: a\n    expose: ['80']\n    scale: 3\n"
                      "    volumes: ['d:/d']\n  once: {image: a, restart: 'no'}\nvolumes: {d: }\n"},
        {NULL, NULL},
    };
    static const char *const kinds[] = {"PersistentVolumeClaim", "Service", "Deployment", "Job"};
    struct project project;
    struct err err;
    json_t *objects = NULL;
    assert_int_equal(load(files, 1, &project, &err), 0);
    const struct kubernetes_input input = {.project = project.document};
    assert_int_equal(kubernetes_convert(&input, &objects, &err), 0);
    assert_int_equal(json_array_size(objects), 4);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(json_get_text(json_array_get(objects, i), "kind", ""), kinds[i]);
    }
    const json_t *deployment = json_array_get(objects, 2);
    assert_string_equal(json_get_text(json_object_get(deployment, "metadata"), "name", ""), "w-1");
    assert_int_equal(json_get_integer(json_object_get(deployment, "spec"), "replicas", 0), 3);
    json_decref(objects);
    project_deinit(&project);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_variables_are_replaced),
        cmocka_unit_test(test_env_files_have_quotes_and_comments),
        cmocka_unit_test(test_words_and_durations),
        cmocka_unit_test(test_files_are_merged_by_the_rules_of_their_keys),
        cmocka_unit_test(test_what_is_not_supported_is_named),
        cmocka_unit_test(test_a_plan_changes_only_what_changed),
        cmocka_unit_test(test_a_service_becomes_options_of_run),
        cmocka_unit_test(test_a_project_becomes_objects_of_a_cluster),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
