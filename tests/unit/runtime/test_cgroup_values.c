#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "runtime/container/cgroup_devices.h"
#include "runtime/container/cgroup_values.h"

static const uint32_t all_controllers = UINT32_MAX;

static void parse(struct arena *arena, const char *text, struct spec_resources *resources)
{
    struct err err = {.code = 0};
    assert_int_equal(spec_parse_resources(arena, bytes_from_text(text), resources, &err), 0);
}

/* "file=value;..." of the plan. */
static void expect_plan(const char *text, bool is_v2, const char *wanted)
{
    struct arena arena = ARENA_INIT;
    struct spec_resources resources;
    struct cgroup_plan plan = {.arena = &arena};
    struct err err = {.code = 0};
    parse(&arena, text, &resources);
    int rc = is_v2 ? cgroup_plan_v2(&resources, all_controllers, &plan, &err)
                   : cgroup_plan_v1(&resources, all_controllers, &plan, &err);
    assert_int_equal(rc, 0);
    struct buf out = BUF_INIT;
    for (size_t i = 0; i < plan.count; i++) {
        buf_append_format(&out, "%s=%s;", plan.items[i].file, plan.items[i].value);
    }
    assert_string_equal(buf_text(&out), wanted);
    buf_deinit(&out);
    arena_deinit(&arena);
}

static void test_shares_become_weights_as_runc_and_crun_have_it(void **state)
{
    (void)state;
    assert_int_equal(cgroup_weight_from_shares(0), 1);
    assert_int_equal(cgroup_weight_from_shares(2), 1);
    assert_int_equal(cgroup_weight_from_shares(1024), 100);
    assert_int_equal(cgroup_weight_from_shares(262144), 10000);
    assert_int_equal(cgroup_weight_from_shares(UINT64_MAX), 10000);
    uint64_t last = 0;
    for (uint64_t shares = 2; shares <= 262144; shares += 37) {
        uint64_t weight = cgroup_weight_from_shares(shares);
        assert_true(weight >= last && weight >= 1 && weight <= 10000);
        last = weight;
    }
    assert_int_equal(cgroup_io_weight_from_blkio(10), 1);
    assert_int_equal(cgroup_io_weight_from_blkio(1000), 10000);
}

static void test_memory(void **state)
{
    (void)state;
    static const char both[] = "{\"memory\":{\"limit\":100,\"swap\":300,\"reservation\":50}}";
    expect_plan(both, false,
                "memory.limit_in_bytes=100;memory.memsw.limit_in_bytes=300;"
                "memory.soft_limit_in_bytes=50;");
    expect_plan(both, true, "memory.swap.max=200;memory.max=100;memory.low=50;");
    expect_plan("{\"memory\":{\"limit\":-1}}", false,
                "memory.limit_in_bytes=-1;memory.memsw.limit_in_bytes=-1;");
    expect_plan("{\"memory\":{\"limit\":-1}}", true, "memory.swap.max=max;memory.max=max;");
    expect_plan("{\"memory\":{\"limit\":0,\"swap\":0}}", true, "");
    struct arena arena = ARENA_INIT;
    struct spec_resources resources;
    struct cgroup_plan plan = {.arena = &arena};
    struct err err = {.code = 0};
    parse(&arena, "{\"memory\":{\"swap\":300}}", &resources);
    assert_int_equal(cgroup_plan_v2(&resources, all_controllers, &plan, &err), ERR_INVALID);
    arena_deinit(&arena);
}

static void test_cpu(void **state)
{
    (void)state;
    static const char text[] = "{\"cpu\":{\"shares\":1024,\"quota\":5000,\"period\":10000,\"cpus\":"
                               "\"0-1\",\"burst\":7,\"mems\":\"0\"}}";
    expect_plan(text, false,
                "cpuset.cpus=0-1;cpuset.mems=0;cpu.shares=1024;cpu.cfs_period_us=10000;"
                "cpu.cfs_quota_us=5000;cpu.cfs_burst_us=7;");
    expect_plan(text, true,
                "cpuset.cpus=0-1;cpuset.mems=0;cpu.weight=100;cpu.max=5000 10000;"
                "cpu.max.burst=7;");
    expect_plan("{\"cpu\":{\"quota\":-1}}", true, "cpu.max=max 100000;");
    expect_plan("{\"cpu\":{\"quota\":20000}}", true, "cpu.max=20000 100000;");
    expect_plan("{\"cpu\":{\"shares\":2,\"idle\":1}}", true, "cpu.idle=1;");
}

static void test_pids_and_io(void **state)
{
    (void)state;
    expect_plan("{\"pids\":{\"limit\":-1}}", true, "pids.max=max;");
    expect_plan("{\"pids\":{\"limit\":0}}", true, "pids.max=1;");
    expect_plan("{\"pids\":{\"limit\":9}}", false, "pids.max=9;");
    static const char io[] =
        "{\"blockIO\":{\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":1,\"rate\":10}],"
        "\"throttleWriteIOPSDevice\":[{\"major\":8,\"minor\":1,\"rate\":20}]}}";
    expect_plan(io, false,
                "blkio.throttle.read_bps_device=8:1 10;blkio.throttle.write_iops_device=8:1 20;");
    expect_plan(io, true, "io.max=8:1 rbps=10;io.max=8:1 wiops=20;");
    expect_plan("{\"unified\":{\"memory.high\":\"5\"}}", true, "memory.high=5;");
}

static void test_paths(void **state)
{
    (void)state;
    static const struct {
        const char *configured;
        const char *path; /* NULL: refused */
    } cases[] = {
        {NULL, "/id"},
        {"", "/id"},
        {"/a/b", "/a/b"},
        {"a//b/./c/", "/a/b/c"},
        {"/", NULL},
        {"/a/../b", NULL},
        {"..", NULL},
        {"a\nb", NULL},
        {"system.slice:docker:x", "/system.slice/docker-x.scope"},
        {":podman:x", "/system.slice/podman-x.scope"},
        {"user-1000.slice::x", "/user.slice/user-1000.slice/x.scope"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char path[256] = "";
        struct err err = {.code = 0};
        int rc = cgroup_path_choose(cases[i].configured, "id", path, sizeof path, &err);
        assert_int_equal(rc, cases[i].path == NULL ? ERR_INVALID : 0);
        if (rc == 0) {
            assert_string_equal(path, cases[i].path);
        }
    }
}

static void test_device_lines(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    struct spec_resources resources;
    char line[80];
    parse(
        &arena,
        "{\"devices\":[{\"allow\":false,\"access\":\"rwm\"},{\"allow\":true,\"type\":\"c\","
        "\"major\":1,\"minor\":3,\"access\":\"rw\"},{\"allow\":true,\"type\":\"b\",\"major\":-1}]}",
        &resources);
    assert_false(cgroup_devices_line(&resources.devices.items[0], line, sizeof line));
    assert_string_equal(line, "a");
    assert_true(cgroup_devices_line(&resources.devices.items[1], line, sizeof line));
    assert_string_equal(line, "c 1:3 rw");
    assert_true(cgroup_devices_line(&resources.devices.items[2], line, sizeof line));
    assert_string_equal(line, "b *:* rwm");
    arena_deinit(&arena);
}

/* As much of the eBPF machine as the device programs use. */
static uint64_t run_device(const struct bpf_insn *program, int count, uint32_t access_type,
                           uint32_t major, uint32_t minor)
{
    uint64_t r[11] = {0};
    const uint32_t context[3] = {access_type, major, minor};
    for (int at = 0; at < count; at++) {
        const struct bpf_insn *i = &program[at];
        switch (i->code) {
        case BPF_LDX | BPF_MEM | BPF_W:
            r[i->dst_reg] = context[i->off / 4];
            break;
        case BPF_ALU | BPF_MOV | BPF_X:
            r[i->dst_reg] = (uint32_t)r[i->src_reg];
            break;
        case BPF_ALU64 | BPF_MOV | BPF_K:
            r[i->dst_reg] = (uint64_t)i->imm;
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            r[i->dst_reg] &= (uint32_t)i->imm;
            break;
        case BPF_ALU | BPF_RSH | BPF_K:
            r[i->dst_reg] = (uint32_t)r[i->dst_reg] >> i->imm;
            break;
        case BPF_JMP | BPF_JNE | BPF_K:
            at += r[i->dst_reg] != (uint64_t)i->imm ? i->off : 0;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            at += r[i->dst_reg] == (uint64_t)i->imm ? i->off : 0;
            break;
        case BPF_JMP | BPF_JNE | BPF_X:
            at += r[i->dst_reg] != r[i->src_reg] ? i->off : 0;
            break;
        case BPF_JMP | BPF_EXIT:
            return r[0];
        default:
            fail_msg("unexpected instruction %x", i->code);
        }
    }
    fail_msg("the program runs off its end");
    return 0;
}

static void test_the_device_program_decides_by_the_last_match(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    struct spec_resources resources;
    struct bpf_insn program[CGROUP_DEVICES_INSTRUCTIONS_MAX];
    parse(&arena,
          "{\"devices\":[{\"allow\":false},{\"allow\":true,\"type\":\"c\",\"major\":10,"
          "\"minor\":200,\"access\":\"rw\"},{\"allow\":true,\"type\":\"b\",\"major\":8,\"access\":"
          "\"r\"},{\"allow\":false,\"type\":\"b\",\"major\":8,\"minor\":3,\"access\":\"r\"}]}",
          &resources);
    int count =
        cgroup_devices_compile(&resources.devices, false, program, CGROUP_DEVICES_INSTRUCTIONS_MAX);
    assert_true(count > 0);
    enum { C = BPF_DEVCG_DEV_CHAR, B = BPF_DEVCG_DEV_BLOCK };
    enum {
        M = BPF_DEVCG_ACC_MKNOD << 16,
        R = BPF_DEVCG_ACC_READ << 16,
        W = BPF_DEVCG_ACC_WRITE << 16
    };
    assert_int_equal(run_device(program, count, C | R, 10, 200), 1);
    assert_int_equal(run_device(program, count, C | R | W, 10, 200), 1);
    assert_int_equal(run_device(program, count, C | M, 10, 200), 0);
    assert_int_equal(run_device(program, count, C | R, 10, 201), 0);
    assert_int_equal(run_device(program, count, B | R, 10, 200), 0);
    assert_int_equal(run_device(program, count, B | R, 8, 0), 1);
    assert_int_equal(run_device(program, count, B | W, 8, 0), 0);
    assert_int_equal(run_device(program, count, B | R, 8, 3), 0);
    assert_int_equal(run_device(program, count, C | R, 1, 3), 0);
    count =
        cgroup_devices_compile(&resources.devices, true, program, CGROUP_DEVICES_INSTRUCTIONS_MAX);
    assert_int_equal(run_device(program, count, C | R | W, 1, 3), 1);
    assert_int_equal(run_device(program, count, C | M, 99, 1), 1);
    assert_int_equal(run_device(program, count, C | R, 99, 1), 0);
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares_become_weights_as_runc_and_crun_have_it),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_cpu),
        cmocka_unit_test(test_pids_and_io),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_device_lines),
        cmocka_unit_test(test_the_device_program_decides_by_the_last_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
