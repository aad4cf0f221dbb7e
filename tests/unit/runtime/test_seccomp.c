#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/check.h"
#include "runtime/container/seccomp.h"

enum { ALLOW = SECCOMP_RET_ALLOW, REFUSE = SECCOMP_RET_ERRNO };

/* The kernel's classic BPF machine, as far as seccomp uses it: the oracle of these tests. */
static uint32_t run_filter(const struct seccomp_program *program, const struct seccomp_data *data)
{
    uint32_t a = 0;
    for (size_t at = 0; at < program->count; at++) {
        const struct sock_filter *i = &program->instructions[at];
        switch (i->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            CHECK(i->k % 4 == 0 && i->k < sizeof *data);
            memcpy(&a, (const char *)data + i->k, sizeof a);
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            a &= i->k;
            break;
        case BPF_JMP | BPF_JA | BPF_K:
            at += i->k;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            at += a == i->k ? i->jt : i->jf;
            break;
        case BPF_JMP | BPF_JGT | BPF_K:
            at += a > i->k ? i->jt : i->jf;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            at += a >= i->k ? i->jt : i->jf;
            break;
        case BPF_RET | BPF_K:
            return i->k;
        default:
            fail_msg("unexpected instruction %x", i->code);
        }
    }
    fail_msg("the filter runs off its end");
    return 0;
}

static int compile(struct arena *arena, const char *text, struct seccomp_program *program,
                   struct err *err)
{
    struct json_value *document = NULL;
    struct spec_seccomp spec = {.default_action = NULL};
    assert_int_equal(json_parse(arena, bytes_from_text(text), &document, err), 0);
    assert_int_equal(fields_read(arena, document, spec_seccomp_fields, &spec, err), 0);
    return seccomp_compile(arena, &spec, program, err);
}

static uint32_t ask(const char *profile, uint32_t arch, int number, uint64_t arg0, uint64_t arg1)
{
    struct arena arena = ARENA_INIT;
    struct seccomp_program program;
    struct err err = {.code = 0};
    assert_int_equal(compile(&arena, profile, &program, &err), 0);
    struct seccomp_data data = {.nr = number, .arch = arch, .args = {arg0, arg1}};
    uint32_t verdict = run_filter(&program, &data);
    arena_deinit(&arena);
    return verdict;
}

static const char simple[] =
    "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"architectures\":[\"SCMP_ARCH_X86_64\",\"SCMP_ARCH_"
    "X86\","
    "\"SCMP_ARCH_X32\"],\"syscalls\":[{\"names\":[\"read\",\"write\",\"nosuchcall\",\"openat2\"],"
    "\"action\":\"SCMP_ACT_ALLOW\"},{\"names\":[\"mkdir\"],\"action\":\"SCMP_ACT_ERRNO\","
    "\"errnoRet\":95}]}";

static void test_named_calls_get_their_action(void **state)
{
    (void)state;
    assert_int_equal(ask(simple, AUDIT_ARCH_X86_64, SYS_read, 0, 0), ALLOW);
    assert_int_equal(ask(simple, AUDIT_ARCH_X86_64, SYS_write, 0, 0), ALLOW);
    assert_int_equal(ask(simple, AUDIT_ARCH_X86_64, SYS_mkdir, 0, 0), REFUSE | 95);
    assert_int_equal(ask(simple, AUDIT_ARCH_X86_64, SYS_open, 0, 0), REFUSE | EPERM);
}

static void test_numbers_differ_by_architecture(void **state)
{
    (void)state;
    assert_int_equal(ask(simple, AUDIT_ARCH_I386, 3, 0, 0), ALLOW);            /* read */
    assert_int_equal(ask(simple, AUDIT_ARCH_I386, 5, 0, 0), REFUSE | EPERM);   /* open */
    assert_int_equal(ask(simple, AUDIT_ARCH_I386, 39, 0, 0), REFUSE | 95);     /* mkdir */
    assert_int_equal(ask(simple, AUDIT_ARCH_X86_64, 0x40000000, 0, 0), ALLOW); /* x32 read */
    assert_int_equal(ask(simple, AUDIT_ARCH_X86_64, 0x40000002, 0, 0), REFUSE | EPERM);
}

static void test_architectures_that_are_not_listed_kill(void **state)
{
    (void)state;
    static const char only[] = "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"architectures\":"
                               "[\"SCMP_ARCH_X86_64\"],\"syscalls\":[{\"names\":[\"read\"],"
                               "\"action\":\"SCMP_ACT_ALLOW\"}]}";
    assert_true(ask(only, AUDIT_ARCH_I386, 3, 0, 0) == SECCOMP_RET_KILL_PROCESS);
    assert_true(ask(only, AUDIT_ARCH_AARCH64, 63, 0, 0) == SECCOMP_RET_KILL_PROCESS);
    assert_true(ask(only, AUDIT_ARCH_X86_64, 0x40000000, 0, 0) == SECCOMP_RET_KILL_PROCESS);
    assert_int_equal(ask(only, AUDIT_ARCH_X86_64, 0, 0, 0), ALLOW);
}

static void test_calls_newer_than_the_profile_do_not_exist(void **state)
{
    (void)state;
    assert_int_equal(ask(simple, AUDIT_ARCH_X86_64, SYS_openat2, 0, 0), ALLOW);
    assert_int_equal(ask(simple, AUDIT_ARCH_X86_64, SYS_openat2 + 1, 0, 0), REFUSE | ENOSYS);
    assert_int_equal(ask(simple, AUDIT_ARCH_X86_64, 100000, 0, 0), REFUSE | ENOSYS);
    static const char open[] = "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":"
                               "[\"mkdir\"],\"action\":\"SCMP_ACT_ERRNO\"}]}";
    assert_int_equal(ask(open, AUDIT_ARCH_X86_64, 100000, 0, 0), ALLOW);
    assert_int_equal(ask("{\"defaultAction\":\"SCMP_ACT_ERRNO\"}", AUDIT_ARCH_X86_64, 5, 0, 0),
                     REFUSE | EPERM);
}

static uint32_t compare(const char *op, uint64_t value, uint64_t value_two, uint64_t arg)
{
    char text[512];
    (void)snprintf(text, sizeof text,
                   "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[\"read\"],"
                   "\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":1,\"value\":%llu,"
                   "\"valueTwo\":%llu,\"op\":\"SCMP_CMP_%s\"}]}]}",
                   (unsigned long long)value, (unsigned long long)value_two, op);
    return ask(text, AUDIT_ARCH_X86_64, SYS_read, 0, arg);
}

/* Every operator against numbers around each word's edges, compared with C's own operators. */
static void test_comparisons_are_those_of_64_bits(void **state)
{
    (void)state;
    static const uint64_t numbers[] = {
        0,           1,           2,           0x7fffffff, 0x80000000,     0xffffffff, 0x100000000,
        0x100000001, 0x1ffffffff, 0x200000000, INT64_MAX,  UINT64_MAX - 1, UINT64_MAX};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        for (size_t j = 0; j < sizeof numbers / sizeof numbers[0]; j++) {
            uint64_t value = numbers[i];
            uint64_t arg = numbers[j];
            assert_int_equal(compare("EQ", value, 0, arg) == ALLOW, arg == value);
            assert_int_equal(compare("NE", value, 0, arg) == ALLOW, arg != value);
            assert_int_equal(compare("LT", value, 0, arg) == ALLOW, arg < value);
            assert_int_equal(compare("LE", value, 0, arg) == ALLOW, arg <= value);
            assert_int_equal(compare("GT", value, 0, arg) == ALLOW, arg > value);
            assert_int_equal(compare("GE", value, 0, arg) == ALLOW, arg >= value);
            assert_int_equal(compare("MASKED_EQ", value, 1, arg) == ALLOW, (arg & value) == 1);
        }
    }
}

static void test_all_args_must_hold_but_one_index_twice_means_either(void **state)
{
    (void)state;
    static const char both[] =
        "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[\"read\"],\"action\":"
        "\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_EQ\"},"
        "{\"index\":1,\"value\":2,\"op\":\"SCMP_CMP_EQ\"}]}]}";
    static const char either[] =
        "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[\"read\"],\"action\":"
        "\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_EQ\"},"
        "{\"index\":0,\"value\":5,\"op\":\"SCMP_CMP_EQ\"}]}]}";
    assert_int_equal(ask(both, AUDIT_ARCH_X86_64, SYS_read, 1, 2), ALLOW);
    assert_int_equal(ask(both, AUDIT_ARCH_X86_64, SYS_read, 1, 3), REFUSE | EPERM);
    assert_int_equal(ask(both, AUDIT_ARCH_X86_64, SYS_read, 2, 2), REFUSE | EPERM);
    assert_int_equal(ask(either, AUDIT_ARCH_X86_64, SYS_read, 1, 0), ALLOW);
    assert_int_equal(ask(either, AUDIT_ARCH_X86_64, SYS_read, 5, 0), ALLOW);
    assert_int_equal(ask(either, AUDIT_ARCH_X86_64, SYS_read, 2, 0), REFUSE | EPERM);
}

static void test_a_rule_without_args_wins(void **state)
{
    (void)state;
    static const char text[] =
        "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[\"read\"],\"action\":"
        "\"SCMP_ACT_KILL_PROCESS\",\"args\":[{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_EQ\"}]},"
        "{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\"}]}";
    assert_int_equal(ask(text, AUDIT_ARCH_X86_64, SYS_read, 1, 0), ALLOW);
}

/* Alternating verdicts: as many ranges as can be, so that jumps need the long form. */
static void test_every_call_keeps_its_verdict_in_a_large_tree(void **state)
{
    (void)state;
    struct buf text = BUF_INIT;
    buf_append_text(&text, "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"action\":"
                           "\"SCMP_ACT_ALLOW\",\"names\":[\"file_setattr\"");
    for (size_t i = 0; i < syscall_table_count; i++) {
        if (syscall_table[i].numbers[SYSCALL_X86_64] % 2 == 0) {
            buf_append_format(&text, ",\"%s\"", syscall_table[i].name);
        }
    }
    buf_append_text(&text, "]}]}");
    struct arena arena = ARENA_INIT;
    struct seccomp_program program;
    struct err err = {.code = 0};
    assert_int_equal(compile(&arena, buf_text(&text), &program, &err), 0);
    for (size_t i = 0; i < syscall_table_count; i++) {
        int number = syscall_table[i].numbers[SYSCALL_X86_64];
        if (number < 0 || strcmp(syscall_table[i].name, "file_setattr") == 0) {
            continue;
        }
        struct seccomp_data data = {.nr = number, .arch = AUDIT_ARCH_X86_64};
        assert_int_equal(run_filter(&program, &data), number % 2 == 0 ? ALLOW : (REFUSE | EPERM));
    }
    arena_deinit(&arena);
    buf_deinit(&text);
}

static void test_mistakes_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *error;
    } cases[] = {
        {"{}", "linux.seccomp.defaultAction"},
        {"{\"defaultAction\":\"SCMP_ACT_NOTIFY\"}", "linux.seccomp.defaultAction"},
        {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"X\"]}",
         "linux.seccomp.architectures[0]"},
        {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[\"X\"]}", "linux.seccomp.flags[0]"},
        {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"action\":\"SCMP_ACT_ALLOW\"}]}",
         "linux.seccomp.syscalls[0].names"},
        {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],\"action\":"
         "\"SCMP_ACT_KILL\",\"args\":[{\"index\":6,\"op\":\"SCMP_CMP_EQ\"}]}]}",
         "linux.seccomp.syscalls[0].args[0].index"},
        {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],\"action\":"
         "\"SCMP_ACT_KILL\",\"args\":[{\"index\":1,\"op\":\"X\"}]}]}",
         "linux.seccomp.syscalls[0].args[0].op"},
        {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"write\"],\"action\":"
         "\"SCMP_ACT_NOTIFY\"}]}",
         "linux.seccomp.syscalls[0]"},
        {"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":5000}",
         "linux.seccomp.defaultAction"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena arena = ARENA_INIT;
        struct seccomp_program program;
        struct err err = {.code = 0};
        assert_int_equal(compile(&arena, cases[i].text, &program, &err), ERR_INVALID);
        assert_memory_equal(err.text, cases[i].error, strlen(cases[i].error));
        arena_deinit(&arena);
    }
}

static void test_the_table_is_sorted(void **state)
{
    (void)state;
    for (size_t i = 1; i < syscall_table_count; i++) {
        assert_true(strcmp(syscall_table[i - 1].name, syscall_table[i].name) < 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_named_calls_get_their_action),
        cmocka_unit_test(test_numbers_differ_by_architecture),
        cmocka_unit_test(test_architectures_that_are_not_listed_kill),
        cmocka_unit_test(test_calls_newer_than_the_profile_do_not_exist),
        cmocka_unit_test(test_comparisons_are_those_of_64_bits),
        cmocka_unit_test(test_all_args_must_hold_but_one_index_twice_means_either),
        cmocka_unit_test(test_a_rule_without_args_wins),
        cmocka_unit_test(test_every_call_keeps_its_verdict_in_a_large_tree),
        cmocka_unit_test(test_mistakes_are_named),
        cmocka_unit_test(test_the_table_is_sorted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
