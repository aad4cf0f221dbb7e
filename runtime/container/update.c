#include "runtime/container/update.h"

#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "runtime/container/args.h"
#include "runtime/container/file.h"

static int read_signed(const char *text, const char *name, bool is_size, struct maybe_i64 *ret,
                       struct err *err)
{
    long long value = 0;
    if (text == NULL) {
        return 0;
    }
    if (!(is_size ? args_size(text, &value) : args_number(text, &value))) {
        return err_set(err, ERR_INVALID, "invalid value for --%s: '%s'", name, text);
    }
    *ret = (struct maybe_i64){true, value};
    return 0;
}

static int read_unsigned(const char *text, const char *name, struct maybe_u64 *ret, struct err *err)
{
    struct maybe_i64 value = {.is_set = false};
    int rc = read_signed(text, name, false, &value, err);
    if (rc == 0 && value.is_set && value.value < 0) {
        return err_set(err, ERR_INVALID, "invalid value for --%s: '%s'", name, text);
    }
    if (rc == 0 && value.is_set) {
        *ret = (struct maybe_u64){true, (uint64_t)value.value};
    }
    return rc;
}

static int read_file(struct arena *arena, const char *path, struct spec_resources *ret,
                     struct err *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    int rc =
        file_read(AT_FDCWD, strcmp(path, "-") == 0 ? "/dev/stdin" : path, JSON_SIZE_MAX, &text);
    if (rc < 0) {
        return err_set_errno(err, -rc, "--resources: read '%s'", path);
    }
    return spec_parse_resources(arena, buf_bytes(&text), ret, err);
}

int update_read(struct arena *arena, const struct update_options *o, struct spec_resources *ret,
                struct err *err)
{
    if (o->resources != NULL) {
        return read_file(arena, o->resources, ret, err);
    }
    struct spec_resources r = {.devices = {NULL, 0}};
    int rc = 0;
    if ((rc = read_unsigned(o->blkio_weight, "blkio-weight", &r.block_io.weight, err)) < 0 ||
        (rc = read_unsigned(o->cpu_period, "cpu-period", &r.cpu.period_us, err)) < 0 ||
        (rc = read_signed(o->cpu_quota, "cpu-quota", false, &r.cpu.quota_us, err)) < 0 ||
        (rc = read_unsigned(o->cpu_burst, "cpu-burst", &r.cpu.burst_us, err)) < 0 ||
        (rc = read_unsigned(o->cpu_share, "cpu-share", &r.cpu.shares, err)) < 0 ||
        (rc = read_signed(o->cpu_idle, "cpu-idle", false, &r.cpu.idle, err)) < 0 ||
        (rc = read_unsigned(o->cpu_rt_period, "cpu-rt-period", &r.cpu.realtime_period_us, err)) <
            0 ||
        (rc = read_signed(o->cpu_rt_runtime, "cpu-rt-runtime", false, &r.cpu.realtime_runtime_us,
                          err)) < 0 ||
        (rc = read_signed(o->memory, "memory", true, &r.memory.limit, err)) < 0 ||
        (rc = read_signed(o->memory_reservation, "memory-reservation", true, &r.memory.reservation,
                          err)) < 0 ||
        (rc = read_signed(o->memory_swap, "memory-swap", true, &r.memory.swap, err)) < 0 ||
        (rc = read_signed(o->pids_limit, "pids-limit", false, &r.pids.limit, err)) < 0) {
        return rc;
    }
    r.cpu.cpus = o->cpuset_cpus;
    r.cpu.mems = o->cpuset_mems;
    rc = spec_check_resources(&r, err);
    if (rc == 0) {
        *ret = r;
    }
    return rc;
}
