/* What `run` makes of an image's configuration and its options: Config, HostConfig, config.json. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/image/json.h"
#include "runtime/words/run_options.h"
#include "runtime/words/spec.h"

static json_t *image_config(void)
{
    return json_pack("{s[ss] s[s] s[ss] ss s{s{}} s{ss}}", "Entrypoint", "/entry", "-x", "Cmd",
                     "default", "Env", "PATH=/image", "KEEP=1", "WorkingDir", "/work",
                     "ExposedPorts", "80/tcp", "Labels", "a", "image");
}

static json_t *merge(const struct run_options *options, const char *const *command, size_t size)
{
    json_t *image = image_config();
    json_t *config = NULL;
    struct err err;
    assert_int_equal(run_config_merge(options, image, command, size, &config, &err), 0);
    json_decref(image);
    return config;
}

static const char *item(const json_t *object, const char *key, size_t index)
{
    return json_string_value(json_array_get(json_object_get(object, key), index));
}

static void test_a_command_replaces_only_the_images_command(void **state)
{
    (void)state;
    struct run_options options = {.name = NULL};
    const char *command[] = {"mine"};
    json_t *config = merge(&options, command, 1);
    assert_string_equal(item(config, "Entrypoint", 0), "/entry");
    assert_string_equal(item(config, "Cmd", 0), "mine");
    assert_int_equal(json_array_size(json_object_get(config, "Cmd")), 1);
    assert_string_equal(json_get_text(config, "WorkingDir", ""), "/work");
    json_decref(config);
}

static void test_an_entrypoint_takes_the_images_command_away(void **state)
{
    (void)state;
    struct run_options options = {.entrypoint = "other"};
    json_t *config = merge(&options, NULL, 0);
    assert_string_equal(item(config, "Entrypoint", 0), "other");
    assert_int_equal(json_array_size(json_object_get(config, "Cmd")), 0);
    json_decref(config);
    struct err err;
    struct run_options empty = {.entrypoint = ""};
    json_t *image = image_config();
    assert_int_equal(run_config_merge(&empty, image, NULL, 0, &config, &err), ERR_INVALID);
    json_decref(image);
}

static void test_variables_replace_those_of_the_image_in_place(void **state)
{
    (void)state;
    struct run_options options = {.name = NULL};
    text_list_add(&options.env, "PATH=/mine");
    text_list_add(&options.env, "NEW=2");
    text_list_add(&options.env, "CORACLE_TEST_UNSET");
    unsetenv("CORACLE_TEST_UNSET");
    text_list_add(&options.label, "a=mine");
    json_t *config = merge(&options, NULL, 0);
    assert_string_equal(item(config, "Env", 0), "PATH=/mine");
    assert_string_equal(item(config, "Env", 1), "KEEP=1");
    assert_string_equal(item(config, "Env", 2), "NEW=2");
    assert_int_equal(json_array_size(json_object_get(config, "Env")), 3);
    assert_string_equal(json_get_text(json_object_get(config, "Labels"), "a", ""), "mine");
    json_decref(config);
    run_options_deinit(&options);
}

static void test_odd_image_configurations_do_no_harm(void **state)
{
    (void)state;
    static const char *const odd[] = {
        "{}",
        "{\"Env\":null,\"Cmd\":null,\"Entrypoint\":null,\"Labels\":null,\"Volumes\":null}",
        "{\"Env\":[1,\"NOEQUALS\",null],\"Cmd\":\"text\",\"ExposedPorts\":{\"x\":{},\"99999\":{}}}",
        "{\"Env\":{},\"Labels\":[],\"Volumes\":[],\"Healthcheck\":3,\"User\":7,\"WorkingDir\":[]}",
    };
    const char *command[] = {"true"};
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        struct run_options options = {.name = NULL};
        struct err err;
        json_t *image = NULL;
        json_t *config = NULL;
        assert_int_equal(json_parse(bytes_from_text(odd[i]), "odd", &image, &err), 0);
        assert_int_equal(run_config_merge(&options, image, command, 1, &config, &err), 0);
        assert_int_equal(json_object_size(json_object_get(config, "ExposedPorts")), 0);
        assert_string_equal(item(config, "Env", 0),
                            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        json_decref(config);
        json_decref(image);
    }
}

static void test_options_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    static const struct run_options bad[] = {
        {.memory = "1m"},
        {.memory = "x"},
        {.memory_swap = "1g"},
        {.memory = "1g", .memory_swap = "512m"},
        {.cpus = "0"},
        {.cpus = "x"},
        {.cpus = "1", .cpu_quota = "5000"},
        {.pids_limit = "many"},
        {.restart = "sometimes"},
        {.restart = "always:3"},
        {.restart = "always", .is_removed = true},
        {.pid = "mine"},
        {.ipc = "mine"},
        {.uts = "mine"},
        {.ip = "1.2.3"},
        {.log_driver = "syslog"},
        {.oom_score_adj = "2000"},
        {.restart = "on-failure:x"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        json_t *host = NULL;
        struct err err = {.code = 0};
        int status = run_host_config(&bad[i], &host, &err);
        if (status == 0) {
            print_message("case %zu was accepted\n", i);
        }
        assert_true(status < 0);
        assert_true(err.text[0] != '\0');
    }
    static const char *const sysctls[] = {"kernel.core_pattern=x", "net.ipv4.x",
                                          "net.a=1\nkernel.b=2", "kernel.msgmaxx=1",
                                          "net.../../kernel/x=1"};
    for (size_t i = 0; i < sizeof(sysctls) / sizeof(sysctls[0]); i++) {
        struct run_options options = {.name = NULL};
        json_t *host = NULL;
        struct err err;
        text_list_add(&options.sysctl, sysctls[i]);
        assert_int_equal(run_host_config(&options, &host, &err), ERR_INVALID);
        run_options_deinit(&options);
    }
}

static json_t *make_spec(const struct run_options *options)
{
    json_t *host = NULL;
    json_t *spec = NULL;
    struct err err;
    json_t *config = merge(options, NULL, 0);
    struct user user = {.uid = 5, .gid = 6, .home = "/"};
    json_t *mounts = json_array();
    assert_int_equal(run_host_config(options, &host, &err), 0);
    const struct spec_input input = {
        .id = "id",
        .hostname = "host",
        .root_path = "/root",
        .directory = "/dir",
        .init_path = "/init",
        .config = config,
        .host = host,
        .mounts = mounts,
        .user = &user,
    };
    assert_int_equal(spec_make(&input, &spec, &err), 0);
    json_decref(config);
    json_decref(host);
    json_decref(mounts);
    return spec;
}

static const json_t *at(const json_t *object, const char *a, const char *b)
{
    return json_object_get(json_object_get(object, a), b);
}

static void test_limits_reach_the_specification(void **state)
{
    (void)state;
    struct run_options options = {
        .memory = "64m", .cpus = "0.5", .pids_limit = "9", .is_read_only = true};
    json_t *spec = make_spec(&options);
    const json_t *resources = at(spec, "linux", "resources");
    assert_int_equal(json_integer_value(at(resources, "memory", "limit")), 64 << 20);
    assert_int_equal(json_integer_value(at(resources, "memory", "swap")), 128 << 20);
    assert_int_equal(json_integer_value(at(resources, "cpu", "quota")), 50000);
    assert_int_equal(json_integer_value(at(resources, "cpu", "period")), 100000);
    assert_int_equal(json_integer_value(at(resources, "pids", "limit")), 9);
    assert_true(json_is_true(at(spec, "root", "readonly")));
    const json_t *process = json_object_get(spec, "process");
    assert_int_equal(json_integer_value(at(process, "user", "uid")), 5);
    assert_string_equal(item(process, "args", 0), "/entry");
    assert_string_equal(item(process, "args", 2), "default");
    assert_int_equal(json_array_size(at(process, "capabilities", "ambient")), 0);
    assert_int_equal(json_array_size(at(process, "capabilities", "inheritable")), 0);
    assert_non_null(at(spec, "linux", "seccomp"));
    assert_true(json_array_size(at(spec, "linux", "maskedPaths")) >= 10);
    json_decref(spec);
}

static void test_privileged_opens_what_is_closed(void **state)
{
    (void)state;
    struct run_options options = {.is_privileged = true};
    json_t *spec = make_spec(&options);
    assert_null(at(spec, "linux", "seccomp"));
    assert_null(at(spec, "linux", "maskedPaths"));
    json_t *rules = json_object_get(at(spec, "linux", "resources"), "devices");
    assert_true(json_is_true(json_object_get(json_array_get(rules, 0), "allow")));
    json_decref(spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_command_replaces_only_the_images_command),
        cmocka_unit_test(test_an_entrypoint_takes_the_images_command_away),
        cmocka_unit_test(test_variables_replace_those_of_the_image_in_place),
        cmocka_unit_test(test_odd_image_configurations_do_no_harm),
        cmocka_unit_test(test_options_that_make_no_sense_are_refused),
        cmocka_unit_test(test_limits_reach_the_specification),
        cmocka_unit_test(test_privileged_opens_what_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
