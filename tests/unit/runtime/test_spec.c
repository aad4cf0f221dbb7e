#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "runtime/container/caps.h"
#include "runtime/container/spec.h"

#define PROCESS "\"process\":{\"args\":[\"sh\"],\"cwd\":\"/\"}"

static int parse(struct arena *arena, const char *text, struct spec *spec, struct err *err)
{
    return spec_parse(arena, bytes_from_text(text), spec, err);
}

/* A configuration that is fine but for what is put in. */
static int parse_with(struct arena *arena, const char *member, struct spec *spec, struct err *err)
{
    char text[4096];
    (void)snprintf(text, sizeof text, "{\"ociVersion\":\"1.0.0\",\"root\":{\"path\":\"r\"}%s%s}",
                   member[0] == 0 ? "" : ",", member);
    return parse(arena, text, spec, err);
}

static void test_a_small_configuration_is_read(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    struct spec spec;
    struct err err = {.code = 0};
    assert_int_equal(parse_with(&arena,
                                PROCESS
                                ",\"hostname\":\"h\",\"linux\":{\"namespaces\":[{\"type\":\"uts\"},"
                                "{\"type\":\"network\",\"path\":\"/n\"}]}",
                                &spec, &err),
                     0);
    assert_string_equal(spec.process.args.items[0], "sh");
    assert_int_equal(spec_new_namespace_flags(&spec), CLONE_NEWUTS);
    assert_string_equal(spec_find_namespace(&spec, CLONE_NEWNET)->path, "/n");
    assert_null(spec_find_namespace(&spec, CLONE_NEWPID));
    arena_deinit(&arena);
}

static void test_every_mistake_names_its_field(void **state)
{
    (void)state;
    static const struct {
        const char *member;
        const char *error;
    } cases[] = {
        {"\"process\":{\"args\":[],\"cwd\":\"/\"}", "process.args: "},
        {"\"process\":{\"args\":[\"a\"],\"cwd\":\"x\"}", "process.cwd: "},
        {"\"process\":{\"args\":[\"a\"],\"cwd\":\"/\",\"env\":[\"X\"]}", "process.env[0]: "},
        {"\"process\":{\"args\":[\"a\"],\"cwd\":\"/\",\"oomScoreAdj\":2000}",
         "process.oomScoreAdj: "},
        {"\"process\":{\"args\":[\"a\"],\"cwd\":\"/\",\"rlimits\":[{\"type\":\"RLIMIT_X\"}]}",
         "process.rlimits[0].type: "},
        {"\"process\":{\"args\":[\"a\"],\"cwd\":\"/\",\"rlimits\":[{\"type\":\"RLIMIT_CPU\"},"
         "{\"type\":\"RLIMIT_CPU\"}]}",
         "process.rlimits[1].type: duplicated"},
        {"\"process\":{\"args\":[\"a\"],\"cwd\":\"/\",\"user\":{\"uid\":4294967295}}",
         "process.user: "},
        {"\"process\":{\"args\":[\"a\"],\"cwd\":\"/\",\"user\":{\"uid\":4294967296}}",
         "process.user.uid: "},
        {"\"process\":{\"args\":[\"a\"],\"cwd\":\"/\",\"user\":{\"additionalGids\":[-1]}}",
         "process.user.additionalGids[0]: "},
        {"\"process\":{\"args\":[\"a\"],\"cwd\":\"/\",\"scheduler\":{\"policy\":\"X\"}}",
         "process.scheduler.policy: "},
        {"\"process\":{\"args\":[\"a\"],\"cwd\":\"/\",\"ioPriority\":{\"class\":\"X\"}}",
         "process.ioPriority.class: "},
        {"\"mounts\":[{}]", "mounts[0].destination: "},
        {"\"hooks\":{\"poststop\":[{\"path\":\"x\"}]}", "hooks.poststop[0].path: "},
        {"\"hooks\":{\"prestart\":[{\"path\":\"/x\",\"timeout\":0}]}",
         "hooks.prestart[0].timeout: "},
        {"\"linux\":{\"namespaces\":[{\"type\":\"x\"}]}", "linux.namespaces[0].type: "},
        {"\"linux\":{\"namespaces\":[{\"type\":\"pid\",\"path\":\"x\"}]}",
         "linux.namespaces[0].path: "},
        {"\"linux\":{\"namespaces\":[{\"type\":\"user\"}]}", "linux.uidMappings"},
        {"\"linux\":{\"uidMappings\":[{\"size\":1}]}", "linux.uidMappings"},
        {"\"linux\":{\"devices\":[{\"path\":\"x\"}]}", "linux.devices[0].path: "},
        {"\"linux\":{\"devices\":[{\"path\":\"/x\",\"type\":\"q\"}]}", "linux.devices[0].type: "},
        {"\"linux\":{\"maskedPaths\":[\"x\"]}", "linux.maskedPaths[0]: "},
        {"\"linux\":{\"rootfsPropagation\":\"x\"}", "linux.rootfsPropagation: "},
        {"\"linux\":{\"timeOffsets\":{\"boottime\":{\"secs\":1}}}", "linux.timeOffsets: "},
        {"\"hostname\":\"x\"", "hostname: "},
        {"\"linux\":{\"resources\":{\"unified\":{\"../x\":\"1\"}}}", "linux.resources.unified: "},
        {"\"linux\":{\"resources\":{\"devices\":[{\"access\":\"q\"}]}}",
         "linux.resources.devices[0].access: "},
        {"\"linux\":{\"resources\":{\"memory\":{\"limit\":10,\"swap\":5}}}",
         "linux.resources.memory.swap: "},
        {"\"linux\":{\"resources\":{\"memory\":{\"swappiness\":101}}}",
         "linux.resources.memory.swappiness: "},
        {"\"linux\":{\"resources\":{\"hugepageLimits\":[{\"pageSize\":\"../x\"}]}}",
         "linux.resources.hugepageLimits[0].pageSize: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena arena = ARENA_INIT;
        struct spec spec;
        struct err err = {.code = 0};
        assert_int_equal(parse_with(&arena, cases[i].member, &spec, &err), ERR_INVALID);
        assert_memory_equal(err.text, cases[i].error, strlen(cases[i].error));
        arena_deinit(&arena);
    }
}

static void test_only_versions_1_are_accepted(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    struct spec spec;
    struct err err = {.code = 0};
    assert_int_equal(
        parse(&arena, "{\"ociVersion\":\"1.99.7-x\",\"root\":{\"path\":\"r\"}}", &spec, &err), 0);
    assert_int_equal(
        parse(&arena, "{\"ociVersion\":\"2.0.0\",\"root\":{\"path\":\"r\"}}", &spec, &err),
        ERR_UNSUPPORTED);
    assert_int_equal(parse(&arena, "{\"root\":{\"path\":\"r\"}}", &spec, &err), ERR_INVALID);
    assert_int_equal(parse(&arena, "{\"ociVersion\":\"1.0.0\"}", &spec, &err), ERR_INVALID);
    arena_deinit(&arena);
}

static void test_sysctls_of_the_host_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool is_allowed;
    } cases[] = {
        {"net.ipv4.ip_forward", true},
        {"net/ipv4/ip_forward", true},
        {"net.ipv4.conf.eth0/1.forwarding", true},
        {"kernel.msgmax", true},
        {"fs.mqueue.msg_max", true},
        {"kernel.core_pattern", false},
        {"kernel/core_pattern", false},
        {"vm.swappiness", false},
        {"fs.file-max", false},
        {"net/../kernel/core_pattern", false},
        {"net.//.kernel.core_pattern", false},
        {"net..kernel.core_pattern", false},
        {"kernel.hostname", false},
        {"kernel.shm_rmid_forced+kernel.core_pattern", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char member[512];
        struct arena arena = ARENA_INIT;
        struct spec spec;
        struct err err = {.code = 0};
        (void)snprintf(member, sizeof member,
                       "\"linux\":{\"namespaces\":[{\"type\":\"network\"},{\"type\":\"ipc\"},"
                       "{\"type\":\"uts\"}],\"sysctl\":{\"%s\":\"1\"}}",
                       cases[i].name);
        int rc = parse_with(&arena, member, &spec, &err);
        assert_int_equal(rc, cases[i].is_allowed ? 0 : ERR_INVALID);
        arena_deinit(&arena);
    }
}

static void test_sysctls_need_their_namespace(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    struct spec spec;
    struct err err = {.code = 0};
    assert_int_equal(
        parse_with(&arena, "\"linux\":{\"sysctl\":{\"net.core.somaxconn\":\"1\"}}", &spec, &err),
        ERR_INVALID);
    assert_non_null(strstr(err.text, "not allowed in the hosts namespace"));
    arena_deinit(&arena);
}

static void test_capabilities_become_masks(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    struct spec_process process;
    struct err err = {.code = 0};
    static const char text[] =
        "{\"args\":[\"a\"],\"cwd\":\"/\",\"capabilities\":{\"bounding\":[\"CAP_CHOWN\",\"kill\","
        "\"CAP_CHECKPOINT_RESTORE\"],\"ambient\":[\"CAP_NOT_YET\"]}}";
    assert_int_equal(spec_parse_process(&arena, bytes_from_text(text), &process, &err), 0);
    assert_true(process.capabilities.is_set);
    assert_int_equal(process.capabilities.bounding,
                     UINT64_C(1) | UINT64_C(1) << 5 | UINT64_C(1) << 40);
    assert_int_equal(process.capabilities.ambient, 0);
    assert_string_equal(process.capabilities.unknown, "CAP_NOT_YET");
    arena_deinit(&arena);
}

static void test_every_capability_has_one_name(void **state)
{
    (void)state;
    for (int i = 0; i < CAPS_COUNT; i++) {
        assert_int_equal(caps_number(caps_name((unsigned)i)), i);
    }
    assert_null(caps_name(CAPS_COUNT));
    assert_int_equal(caps_number("CAP_"), -1);
    assert_int_equal(caps_number(""), -1);
}

static void test_rlimits_get_their_numbers(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    struct spec_process process;
    struct err err = {.code = 0};
    static const char text[] =
        "{\"args\":[\"a\"],\"cwd\":\"/\",\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"soft\":1,"
        "\"hard\":18446744073709551615},{\"type\":\"RLIMIT_RTTIME\",\"soft\":2,\"hard\":3}]}";
    assert_int_equal(spec_parse_process(&arena, bytes_from_text(text), &process, &err), 0);
    assert_int_equal(process.rlimits.items[0].resource, RLIMIT_NOFILE);
    assert_true(process.rlimits.items[0].hard == UINT64_MAX);
    assert_int_equal(process.rlimits.items[1].resource, RLIMIT_RTTIME);
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_small_configuration_is_read),
        cmocka_unit_test(test_every_mistake_names_its_field),
        cmocka_unit_test(test_only_versions_1_are_accepted),
        cmocka_unit_test(test_sysctls_of_the_host_are_refused),
        cmocka_unit_test(test_sysctls_need_their_namespace),
        cmocka_unit_test(test_capabilities_become_masks),
        cmocka_unit_test(test_every_capability_has_one_name),
        cmocka_unit_test(test_rlimits_get_their_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
