#include "runtime/container/cgroup_devices.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define RULE(kind, major_number, minor_number, has_minor, access_text)                             \
    {                                                                                              \
        .allow = true, .type = (kind), .major = {true, (major_number)},                            \
        .minor = {(has_minor), (minor_number)}, .access = (access_text)                            \
    }

const struct spec_device_rule cgroup_devices_default_rules[] = {
    {.allow = true, .type = "c", .access = "m"},
    {.allow = true, .type = "b", .access = "m"},
    RULE("c", 1, 3, true, "rwm"),    /* null */
    RULE("c", 1, 5, true, "rwm"),    /* zero */
    RULE("c", 1, 7, true, "rwm"),    /* full */
    RULE("c", 1, 8, true, "rwm"),    /* random */
    RULE("c", 1, 9, true, "rwm"),    /* urandom */
    RULE("c", 5, 0, true, "rwm"),    /* tty */
    RULE("c", 5, 2, true, "rwm"),    /* ptmx */
    RULE("c", 136, 0, false, "rwm"), /* pts */
};
const size_t cgroup_devices_default_rule_count =
    sizeof cgroup_devices_default_rules / sizeof cgroup_devices_default_rules[0];

static bool is_wild(const struct maybe_i64 *number)
{
    return !number->is_set || number->value < 0;
}

static char rule_type(const struct spec_device_rule *rule)
{
    return rule->type == NULL || rule->type[0] == 0 ? 'a' : rule->type[0];
}

bool cgroup_devices_line(const struct spec_device_rule *rule, char *line, size_t size)
{
    if (rule_type(rule) == 'a') {
        (void)snprintf(line, size, "a");
        return false;
    }
    char major[24] = "*";
    char minor[24] = "*";
    if (!is_wild(&rule->major)) {
        (void)snprintf(major, sizeof major, "%" PRId64, rule->major.value);
    }
    if (!is_wild(&rule->minor)) {
        (void)snprintf(minor, sizeof minor, "%" PRId64, rule->minor.value);
    }
    bool has_access = rule->access != NULL && rule->access[0] != 0;
    (void)snprintf(line, size, "%c %s:%s %s", rule_type(rule), major, minor,
                   has_access ? rule->access : "rwm");
    return true;
}

struct emitter {
    struct bpf_insn *out;
    size_t count;
    size_t capacity;
};

static void emit(struct emitter *emitter, uint8_t code, uint8_t dst, uint8_t src, int16_t offset,
                 int32_t immediate)
{
    if (emitter->count < emitter->capacity) {
        struct bpf_insn *instruction = &emitter->out[emitter->count];
        *instruction = (struct bpf_insn){.code = code, .off = offset, .imm = immediate};
        /* The two registers share one byte (bit fields of 4). */
        uint8_t registers = (uint8_t)(dst | src << 4);
        memcpy((uint8_t *)instruction + 1, &registers, 1);
    }
    emitter->count++;
}

static uint32_t access_bits(const char *access)
{
    if (access == NULL || access[0] == 0) {
        return BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;
    }
    return (strchr(access, 'm') != NULL ? BPF_DEVCG_ACC_MKNOD : 0U) |
           (strchr(access, 'r') != NULL ? BPF_DEVCG_ACC_READ : 0U) |
           (strchr(access, 'w') != NULL ? BPF_DEVCG_ACC_WRITE : 0U);
}

/* r2 type, r3 access wanted, r4 major, r5 minor. A rule matches an access that it covers whole. */
static void emit_rule(struct emitter *emitter, const struct spec_device_rule *rule)
{
    char type = rule_type(rule);
    uint32_t bits = type == 'a' ? 7 : access_bits(rule->access);
    int length = 2;
    length += type == 'a' ? 0 : 1;
    length += bits == 7 ? 0 : 3;
    length += type == 'a' || is_wild(&rule->major) ? 0 : 1;
    length += type == 'a' || is_wild(&rule->minor) ? 0 : 1;
    size_t end = emitter->count + (size_t)length;
#define SKIP ((int16_t)(end - emitter->count - 1))
    if (type != 'a') {
        emit(emitter, BPF_JMP | BPF_JNE | BPF_K, 2, 0, SKIP,
             type == 'c' ? BPF_DEVCG_DEV_CHAR : BPF_DEVCG_DEV_BLOCK);
    }
    if (bits != 7) {
        emit(emitter, BPF_ALU | BPF_MOV | BPF_X, 1, 3, 0, 0);
        if (rule->allow) {
            /* all wanted bits within the rule's */
            emit(emitter, BPF_ALU | BPF_AND | BPF_K, 1, 0, 0, (int32_t)bits);
            emit(emitter, BPF_JMP | BPF_JNE | BPF_X, 1, 3, SKIP, 0);
        } else {
            /* one wanted bit among the rule's is enough to refuse */
            emit(emitter, BPF_ALU | BPF_AND | BPF_K, 1, 0, 0, (int32_t)bits);
            emit(emitter, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, SKIP, 0);
        }
    }
    if (type != 'a' && !is_wild(&rule->major)) {
        emit(emitter, BPF_JMP | BPF_JNE | BPF_K, 4, 0, SKIP, (int32_t)rule->major.value);
    }
    if (type != 'a' && !is_wild(&rule->minor)) {
        emit(emitter, BPF_JMP | BPF_JNE | BPF_K, 5, 0, SKIP, (int32_t)rule->minor.value);
    }
#undef SKIP
    emit(emitter, BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, rule->allow ? 1 : 0);
    emit(emitter, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

int cgroup_devices_compile(const struct spec_device_rule_list *rules, bool add_defaults,
                           struct bpf_insn *out, size_t capacity)
{
    struct emitter emitter = {out, 0, capacity};
    emit(&emitter, BPF_LDX | BPF_MEM | BPF_W, 2, 1, 0, 0); /* access_type: access << 16 | type */
    emit(&emitter, BPF_ALU | BPF_MOV | BPF_X, 3, 2, 0, 0);
    emit(&emitter, BPF_ALU | BPF_AND | BPF_K, 2, 0, 0, 0xffff);
    emit(&emitter, BPF_ALU | BPF_RSH | BPF_K, 3, 0, 0, 16);
    emit(&emitter, BPF_LDX | BPF_MEM | BPF_W, 4, 1, 4, 0);
    emit(&emitter, BPF_LDX | BPF_MEM | BPF_W, 5, 1, 8, 0);
    for (size_t i = add_defaults ? cgroup_devices_default_rule_count : 0; i > 0; i--) {
        emit_rule(&emitter, &cgroup_devices_default_rules[i - 1]);
    }
    bool is_open = true;
    for (size_t i = rules->count; i > 0 && is_open; i--) {
        emit_rule(&emitter, &rules->items[i - 1]);
        is_open = rule_type(&rules->items[i - 1]) != 'a'; /* what lies behind is never reached */
    }
    if (is_open) {
        emit(&emitter, BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0);
        emit(&emitter, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    }
    return emitter.count > capacity ? ERR_TOO_LARGE : (int)emitter.count;
}
