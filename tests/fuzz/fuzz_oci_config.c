/* config.json to everything that is computed from it: cgroup writes, device programs, seccomp
 * filters, mount options, the cgroup's path. No input may do anything but succeed or be refused
 * with a text. */
#include <string.h>

#include "base/check.h"
#include "runtime/container/cgroup_devices.h"
#include "runtime/container/cgroup_values.h"
#include "runtime/container/mount_options.h"
#include "runtime/container/seccomp.h"
#include "tests/fuzz/fuzz.h"

static void check_error(int rc, const struct err *err)
{
    CHECK(rc >= 0 || (err->code == rc && err->text[0] != 0));
}

static void plan(struct arena *arena, const struct spec *spec)
{
    struct err err = {.code = 0};
    struct cgroup_plan v1 = {.arena = arena};
    struct cgroup_plan v2 = {.arena = arena};
    struct bpf_insn program[512];
    char path[256];
    const struct spec_resources *resources = &spec->linux_.resources;
    int rc = cgroup_plan_v1(resources, UINT32_MAX, &v1, &err);
    check_error(rc, &err);
    rc = cgroup_plan_v2(resources, UINT32_MAX, &v2, &err);
    check_error(rc, &err);
    rc = cgroup_path_choose(spec->linux_.cgroups_path, "id", path, sizeof path, &err);
    check_error(rc, &err);
    CHECK(rc < 0 || (path[0] == '/' && strstr(path, "/../") == NULL));
    rc = cgroup_devices_compile(&resources->devices, true, program, 512);
    CHECK(rc > 0 || rc == ERR_TOO_LARGE);
    for (size_t i = 0; i < spec->mounts.count; i++) {
        struct mount_options options;
        mount_options_parse(arena, &spec->mounts.items[i].options, &options);
    }
    if (spec->linux_.seccomp != NULL) {
        struct seccomp_program filter;
        rc = seccomp_compile(arena, spec->linux_.seccomp, &filter, &err);
        check_error(rc, &err);
        CHECK(rc < 0 || (filter.count > 0 && filter.count <= SECCOMP_INSTRUCTIONS_MAX));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = ARENA_INIT;
    struct spec spec;
    struct err err = {.code = 0};
    int rc = spec_parse(&arena, bytes_make(data, size), &spec, &err);
    check_error(rc, &err);
    if (rc == 0) {
        plan(&arena, &spec);
    }
    arena_deinit(&arena);
    return 0;
}
