/* The texts that people and images give: options, users, ports, mounts, sizes, log lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/image/json.h"
#include "runtime/words/capabilities.h"
#include "runtime/words/format.h"
#include "runtime/words/log_line.h"
#include "runtime/words/mount_text.h"
#include "runtime/words/options.h"
#include "runtime/words/port_text.h"
#include "runtime/words/seccomp_profile.h"
#include "runtime/words/user_lookup.h"
#include "runtime/words/words.h"

static void test_options_are_read_as_docker_reads_them(void **state)
{
    (void)state;
    bool i = false, t = false, rm = true;
    const char *name = NULL;
    struct text_list p = {NULL, 0};
    struct text_list operands = {NULL, 0};
    struct err err;
    const struct option_spec specs[] = {
        {'i', "interactive", OPTION_FLAG, &i, NULL, ""}, {'t', "tty", OPTION_FLAG, &t, NULL, ""},
        {0, "rm", OPTION_FLAG, &rm, NULL, ""},           {0, "name", OPTION_TEXT, &name, "N", ""},
        {'p', "publish", OPTION_LIST, &p, "P", ""},      {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    const struct command command = {
        .usage = "run", .operands_min = 1, .operands_max = 10, .stops_at_operand = true};
    char *argv[] = {"run", "-itp80:80",   "--rm=false", "--name", "x",     "-p",
                    "1",   "--publish=2", "image",      "-i",     "--name"};
    assert_int_equal(options_parse(&command, specs, 11, argv, &operands, &err), 0);
    assert_true(i && t && !rm);
    assert_string_equal(name, "x");
    assert_int_equal(p.count, 3);
    assert_string_equal(p.items[0], "80:80");
    assert_int_equal(operands.count, 3);
    assert_string_equal(operands.items[2], "--name");
    text_list_deinit(&p);
    text_list_deinit(&operands);
    char *bad[][3] = {{"run", "--nothing", "x"},
                      {"run", "-z", "x"},
                      {"run", "--rm=maybe", "x"},
                      {"run", "--name", NULL},
                      {"run", NULL, NULL}};
    for (size_t k = 0; k < 5; k++) {
        int argc = bad[k][1] == NULL ? 1 : bad[k][2] == NULL ? 2 : 3;
        assert_int_equal(options_parse(&command, specs, argc, bad[k], &operands, &err),
                         ERR_INVALID);
        text_list_deinit(&operands);
    }
}

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
                             "broken line\n"
                             "huge:x:4294967295:1::/h:/s\n"
                             "user:x:1000:100:,,,:/home/user:/bin/sh\n"
                             "evil:x:1001:100::/home\nroot2:x:0:0::/x:\n";
static const char group[] =
    "root:x:0:\nusers:x:100:\nextra:x:200:user,other\nmore:x:300:other,user\n";

static int resolve(const char *text, struct user *user)
{
    struct err err;
    return user_resolve(text, bytes_from_text(passwd), bytes_from_text(group), NULL, 0, user, &err);
}

static void test_users_are_found_in_the_images_own_files(void **state)
{
    (void)state;
    struct user user;
    assert_int_equal(resolve("", &user), 0);
    assert_int_equal(user.uid, 0);
    assert_string_equal(user.home, "/root");
    assert_int_equal(resolve("user", &user), 0);
    assert_int_equal(user.uid, 1000);
    assert_int_equal(user.gid, 100);
    assert_int_equal(user.group_count, 2);
    assert_string_equal(user.home, "/home/user");
    assert_int_equal(resolve("1000", &user), 0);
    assert_int_equal(user.gid, 100);
    assert_int_equal(user.group_count, 2);
    assert_int_equal(resolve("user:extra", &user), 0);
    assert_int_equal(user.gid, 200);
    assert_int_equal(user.group_count, 0); /* image-spec: a group was given */
    assert_int_equal(resolve("77:88", &user), 0);
    assert_int_equal(user.uid, 77);
    assert_int_equal(user.gid, 88);
    assert_string_equal(user.home, "/");
}

static void test_numbers_that_wrap_and_unknown_names_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"nobody", "4294967295", "4294967296", "18446744073709551616",
                                      "-1",     "1000x",      "user:none",  "0:4294967295",
                                      "huge"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct user user;
        assert_int_equal(resolve(bad[i], &user), ERR_NOT_FOUND);
    }
}

static void test_ports_are_read_and_written(void **state)
{
    (void)state;
    json_t *bindings = json_object();
    struct network_port *ports = NULL;
    size_t count = 0;
    struct err err;
    static const char *const good[] = {"80", "8080:80", "127.0.0.1:81:82/udp", "127.0.0.1::83",
                                       "90-91:92-93"};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(port_text_parse(good[i], bindings, &err), 0);
    }
    assert_int_equal(port_bindings_read(bindings, &ports, &count, &err), 0);
    assert_int_equal(count, 6);
    json_t *again = port_bindings_write(ports, count);
    assert_int_equal(json_object_size(again), json_object_size(bindings));
    json_t *udp = json_array_get(json_object_get(again, "82/udp"), 0);
    assert_string_equal(json_get_text(udp, "HostIp", ""), "127.0.0.1");
    assert_string_equal(json_get_text(udp, "HostPort", ""), "81");
    json_decref(again);
    mem_free(ports);
    static const char *const bad[] = {"",    "0",     "65536",         "a",
                                      "80:", "1-2:3", "300.1.1.1:1:2", "80/icmp",
                                      "2-1", "::",    "1:2:3:4:5"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(port_text_parse(bad[i], bindings, &err), ERR_INVALID);
    }
    json_decref(bindings);
}

static void test_mounts_are_told_apart(void **state)
{
    (void)state;
    json_t *mounts = json_array();
    struct err err;
    assert_int_equal(mount_text_parse_volume("/a:/b:ro,rslave", mounts, &err), 0);
    assert_int_equal(mount_text_parse_volume("name:/c", mounts, &err), 0);
    assert_int_equal(mount_text_parse_volume("/d", mounts, &err), 0);
    assert_int_equal(mount_text_parse_mount("type=bind,source=/x,target=/y,readonly", mounts, &err),
                     0);
    assert_int_equal(
        mount_text_parse_mount("type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=700", mounts, &err),
        0);
    static const char *const types[] = {"bind", "volume", "volume", "bind", "tmpfs"};
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(json_get_text(json_array_get(mounts, i), "Type", ""), types[i]);
    }
    assert_true(json_get_flag(json_array_get(mounts, 0), "ReadOnly"));
    assert_string_equal(json_get_text(json_array_get(mounts, 0), "Propagation", ""), "rslave");
    assert_string_equal(json_get_text(json_array_get(mounts, 4), "Options", ""),
                        "size=1m,mode=700");
    assert_int_equal(mount_text_check(mounts, &err), 0);
    assert_int_equal(mount_text_parse_volume("other:/b", mounts, &err), 0);
    assert_int_equal(mount_text_check(mounts, &err), ERR_INVALID);
    static const char *const bad[] = {"",     ":",      "a:",         ":/b",  "a:b",
                                      "/a:/", "a/b:/c", "/a:/b:what", "-x:/y"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(mount_text_parse_volume(bad[i], mounts, &err), ERR_INVALID);
    }
    static const char *const bad_mounts[] = {
        "",         "type=bind",          "type=bind,source=x,target=/y", "type=nfs,target=/x",
        "target=y", "what=ever,target=/x"};
    for (size_t i = 0; i < sizeof(bad_mounts) / sizeof(bad_mounts[0]); i++) {
        assert_int_equal(mount_text_parse_mount(bad_mounts[i], mounts, &err), ERR_INVALID);
    }
    json_decref(mounts);
}

static void test_sizes_and_ages_are_dockers(void **state)
{
    (void)state;
    int64_t size = 0;
    struct err err;
    char text[40];
    static const struct {
        const char *text;
        int64_t size;
    } sizes[] = {{"0", 0},          {"512", 512},  {"1k", 1024},      {"64m", 64 << 20},
                 {"1.5G", 3 << 29}, {"2kb", 2048}, {"1MiB", 1 << 20}, {"7b", 7}};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        assert_int_equal(parse_size(sizes[i].text, &size, &err), 0);
        assert_int_equal(size, sizes[i].size);
    }
    static const char *const bad[] = {"", "m", "-1", "1x", "1mm", "1e30", "nan", "1 m"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(parse_size(bad[i], &size, &err), ERR_INVALID);
    }
    format_size(1980000, text);
    assert_string_equal(text, "1.98MB");
    format_age(7200, text);
    assert_string_equal(text, "2 hours");
    assert_int_equal(parse_time("1970-01-02T00:00:01.5Z"), 86401);
    assert_int_equal(parse_time("1970-01-02T01:00:00+01:00"), 86400);
    assert_int_equal(parse_time("yesterday"), 0);
}

static void test_log_lines_are_taken_apart(void **state)
{
    (void)state;
    struct log_line line;
    assert_true(log_line_parse(BYTES_LITERAL("2026-01-02T03:04:05.1Z stderr P some text "), &line));
    assert_true(line.is_error && line.is_partial);
    assert_int_equal(line.text.size, strlen("some text "));
    assert_true(log_line_parse(BYTES_LITERAL("t stdout F "), &line));
    assert_int_equal(line.text.size, 0);
    assert_false(log_line_parse(BYTES_LITERAL(""), &line));
    assert_false(log_line_parse(BYTES_LITERAL("t stdout F"), &line));
    assert_false(log_line_parse(BYTES_LITERAL("t stdwhat F x"), &line));
}

static void test_templates_are_expanded(void **state)
{
    (void)state;
    json_t *row = json_pack("{ss s{si}}", "ID", "abc", "State", "Pid", 7);
    struct buf out = BUF_INIT;
    format_expand("{{.ID}}\\t{{ .State.Pid }} {{json .State}} {{.None}} {{open", row, &out);
    assert_string_equal(buf_text(&out), "abc\t7 {\"Pid\":7} <no value> {{open");
    buf_deinit(&out);
    json_decref(row);
}

static void test_capabilities_follow_dockers_rules(void **state)
{
    (void)state;
    uint64_t set = 0;
    struct err err;
    json_t *none = json_array();
    json_t *all = json_pack("[s]", "ALL");
    json_t *admin = json_pack("[s]", "cap_net_admin");
    json_t *bad = json_pack("[s]", "NONSENSE");
    assert_int_equal(capabilities_merge(none, none, &set, &err), 0);
    assert_int_equal(set, CAPABILITIES_DEFAULT);
    json_t *list = capabilities_list(set);
    assert_int_equal(json_array_size(list), 14);
    json_decref(list);
    assert_int_equal(capabilities_merge(admin, all, &set, &err), 0);
    assert_int_equal(set, UINT64_C(1) << 12);
    assert_int_equal(capabilities_merge(all, admin, &set, &err), 0);
    assert_int_equal(set & UINT64_C(1) << 12, 0);
    assert_int_equal(capabilities_merge(bad, none, &set, &err), ERR_INVALID);
    json_decref(none);
    json_decref(all);
    json_decref(admin);
    json_decref(bad);
}

/* The action of an unconditional rule for a name, "" when only conditional, NULL when none. */
static const char *rule_for(const json_t *profile, const char *name)
{
    const json_t *rules = json_object_get(profile, "syscalls");
    const char *found = NULL;
    for (size_t i = 0; i < json_array_size(rules); i++) {
        const json_t *rule = json_array_get(rules, i);
        const json_t *names = json_object_get(rule, "names");
        for (size_t k = 0; k < json_array_size(names); k++) {
            if (strcmp(json_string_value(json_array_get(names, k)), name) == 0) {
                found = json_object_get(rule, "args") != NULL ? ""
                                                              : json_get_text(rule, "action", NULL);
            }
        }
    }
    return found;
}

static void test_the_default_profile_lets_programs_live_and_keeps_the_kernel_shut(void **state)
{
    (void)state;
    json_t *none = json_array();
    json_t *admin = json_pack("[s]", "CAP_SYS_ADMIN");
    json_t *profile = seccomp_profile_default(none);
    json_t *wide = seccomp_profile_default(admin);
    static const char *const allowed[] = {"read", "execve", "futex",      "openat2",  "clone",
                                          "rseq", "ptrace", "epoll_wait", "renameat2"};
    static const char *const denied[] = {"mount",          "unshare",
                                         "setns",          "bpf",
                                         "io_uring_setup", "keyctl",
                                         "add_key",        "userfaultfd",
                                         "kexec_load",     "open_by_handle_at",
                                         "init_module",    "reboot",
                                         "swapon",         "perf_event_open",
                                         "move_pages",     "clock_settime",
                                         "iopl",           "pivot_root"};
    assert_string_equal(json_get_text(profile, "defaultAction", ""), "SCMP_ACT_ERRNO");
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
        assert_non_null(rule_for(profile, allowed[i]));
    }
    for (size_t i = 0; i < sizeof(denied) / sizeof(denied[0]); i++) {
        assert_null(rule_for(profile, denied[i]));
    }
    assert_string_equal(rule_for(profile, "socket"), "");
    assert_string_equal(rule_for(profile, "personality"), "");
    assert_string_equal(rule_for(profile, "clone"), "");
    assert_string_equal(rule_for(profile, "clone3"), "SCMP_ACT_ERRNO");
    assert_string_equal(rule_for(wide, "clone3"), "SCMP_ACT_ALLOW");
    assert_string_equal(rule_for(wide, "mount"), "SCMP_ACT_ALLOW");
    assert_null(rule_for(wide, "init_module"));
    json_decref(none);
    json_decref(admin);
    json_decref(profile);
    json_decref(wide);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_are_read_as_docker_reads_them),
        cmocka_unit_test(test_users_are_found_in_the_images_own_files),
        cmocka_unit_test(test_numbers_that_wrap_and_unknown_names_are_refused),
        cmocka_unit_test(test_ports_are_read_and_written),
        cmocka_unit_test(test_mounts_are_told_apart),
        cmocka_unit_test(test_sizes_and_ages_are_dockers),
        cmocka_unit_test(test_log_lines_are_taken_apart),
        cmocka_unit_test(test_templates_are_expanded),
        cmocka_unit_test(test_capabilities_follow_dockers_rules),
        cmocka_unit_test(test_the_default_profile_lets_programs_live_and_keeps_the_kernel_shut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
