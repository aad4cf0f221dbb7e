/* cgroup_devices.h - which devices a container may use: lines for the version 1 controller, a BPF
 * program for version 2 (linux/bpf.h, BPF_PROG_TYPE_CGROUP_DEVICE). */
#ifndef RUNTIME_CONTAINER_CGROUP_DEVICES_H
#define RUNTIME_CONTAINER_CGROUP_DEVICES_H

#include <linux/bpf.h>

#include "runtime/container/spec.h"

enum { CGROUP_DEVICES_INSTRUCTIONS_MAX = 4096 };

/* The rules that every container gets after its own: the devices of /dev that the specification
 * promises (null zero full random urandom tty, ptmx, pts) may be used, any may be made by mknod. */
extern const struct spec_device_rule cgroup_devices_default_rules[];
extern const size_t cgroup_devices_default_rule_count;

/* Pure: the program for the rules, the last match decides, no match is refused. Returns the number
 * of instructions, or ERR_TOO_LARGE. */
MUST_USE int cgroup_devices_compile(const struct spec_device_rule_list *rules, bool add_defaults,
                                    struct bpf_insn *out, size_t capacity);
/* Pure: "c 1:3 rwm". Returns false when the rule denies or allows everything (then line is "a"). */
bool cgroup_devices_line(const struct spec_device_rule *rule, char *line, size_t size);

MUST_USE int cgroup_devices_write_v1(int dir, const struct spec_device_rule_list *rules,
                                     struct err *err);
/* Replaces a program that an earlier call attached. */
MUST_USE int cgroup_devices_attach_v2(int dir, const struct spec_device_rule_list *rules,
                                      struct err *err);

#endif
