#include "runtime/container/seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

enum { NUMBERS_MAX = 1024, ERRNO_MAX = 4095, ARGS_MAX = 6 };
#define X32_BIT UINT32_C(0x40000000)

const char *const seccomp_action_names[] = {"SCMP_ACT_ALLOW",       "SCMP_ACT_ERRNO",
                                            "SCMP_ACT_KILL",        "SCMP_ACT_KILL_PROCESS",
                                            "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG",
                                            "SCMP_ACT_NOTIFY",      "SCMP_ACT_TRACE",
                                            "SCMP_ACT_TRAP",        NULL};
static const uint32_t action_values[] = {
    SECCOMP_RET_ALLOW,        SECCOMP_RET_ERRNO,       SECCOMP_RET_KILL_THREAD,
    SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD, SECCOMP_RET_LOG,
    SECCOMP_RET_USER_NOTIF,   SECCOMP_RET_TRACE,       SECCOMP_RET_TRAP};

const char *const seccomp_operator_names[] = {"SCMP_CMP_EQ",        "SCMP_CMP_GE", "SCMP_CMP_GT",
                                              "SCMP_CMP_LE",        "SCMP_CMP_LT", "SCMP_CMP_NE",
                                              "SCMP_CMP_MASKED_EQ", NULL};

#if defined(__x86_64__)
enum { ARCH_NATIVE = SYSCALL_X86_64 };
const char *const seccomp_arch_names[] = {"SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_X86_64",
                                          NULL};
static const enum syscall_arch arch_values[] = {SYSCALL_X86, SYSCALL_X32, SYSCALL_X86_64};
#elif defined(__aarch64__)
enum { ARCH_NATIVE = SYSCALL_AARCH64 };
const char *const seccomp_arch_names[] = {"SCMP_ARCH_AARCH64", NULL};
static const enum syscall_arch arch_values[] = {SYSCALL_AARCH64};
#else
#error "syscall_table.c lacks this architecture"
#endif

const char *const seccomp_flag_names[] = {"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG",
                                          "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
                                          "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", NULL};
static const unsigned flag_values[] = {SECCOMP_FILTER_FLAG_TSYNC, SECCOMP_FILTER_FLAG_LOG,
                                       SECCOMP_FILTER_FLAG_SPEC_ALLOW,
                                       SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV};

struct compiler {
    struct arena *arena;
    struct err *err;
    uint32_t default_action;
    bool is_enabled[SYSCALL_ARCH_COUNT];
    int newest[SYSCALL_ARCH_COUNT]; /* highest number that a rule names; -1: none */
    struct seccomp_verdict *verdicts[SYSCALL_ARCH_COUNT]; /* NUMBERS_MAX each */
    bool has_notify;
    const char *unknown; /* the first call that is none */
};

static int find_name(const char *const *names, const char *name)
{
    for (int i = 0; name != NULL && names[i] != NULL; i++) {
        if (strcmp(names[i], name) == 0) {
            return i;
        }
    }
    return -1;
}

static int parse_action(struct compiler *compiler, const char *name,
                        const struct maybe_u64 *errno_ret, const char *field, size_t index,
                        uint32_t *ret)
{
    int number = find_name(seccomp_action_names, name);
    if (number < 0) {
        return err_set(compiler->err, ERR_INVALID,
                       "linux.seccomp.%s (rule %zu): unknown action '%s'", field, index,
                       name == NULL ? "" : name);
    }
    uint32_t action = action_values[number];
    if (action == SECCOMP_RET_ERRNO || action == SECCOMP_RET_TRACE) {
        uint64_t value = errno_ret->is_set ? errno_ret->value : EPERM;
        if (value > (action == SECCOMP_RET_ERRNO ? ERRNO_MAX : 0xffff)) {
            return err_set(compiler->err, ERR_INVALID,
                           "linux.seccomp.%s (rule %zu): errnoRet is too large", field, index);
        }
        action |= (uint32_t)value;
    }
    compiler->has_notify |= action == SECCOMP_RET_USER_NOTIF;
    *ret = action;
    return 0;
}

static int parse_architectures(struct compiler *compiler, const struct spec_seccomp *spec)
{
    compiler->is_enabled[ARCH_NATIVE] = true;
    for (size_t i = 0; i < spec->architectures.count; i++) {
        const char *name = spec->architectures.items[i];
        int number = find_name(seccomp_arch_names, name);
        if (number >= 0) {
            compiler->is_enabled[arch_values[number]] = true;
        } else if (strncmp(name, "SCMP_ARCH_", 10) != 0) {
            return err_set(compiler->err, ERR_INVALID,
                           "linux.seccomp.architectures[%zu]: unknown architecture '%s'", i, name);
        }
        /* Another processor's architecture: no process here can make its calls. */
    }
    for (int arch = 0; arch < SYSCALL_ARCH_COUNT; arch++) {
        if (!compiler->is_enabled[arch]) {
            continue;
        }
        compiler->newest[arch] = -1;
        struct seccomp_verdict *verdicts =
            arena_zalloc(compiler->arena, NUMBERS_MAX * sizeof *verdicts);
        for (size_t i = 0; i < NUMBERS_MAX; i++) {
            verdicts[i].action = compiler->default_action;
        }
        for (size_t i = 0; i < syscall_table_count; i++) {
            int number = syscall_table[i].numbers[arch];
            if (number >= 0) {
                verdicts[number].is_known = true;
            }
        }
        compiler->verdicts[arch] = verdicts;
    }
    return 0;
}

static int parse_flags(struct compiler *compiler, const struct spec_seccomp *spec, unsigned *ret)
{
    /* Without a word in the profile: no speculation penalty for interpreters (runc #2430). */
    unsigned flags = spec->flags.items == NULL ? SECCOMP_FILTER_FLAG_SPEC_ALLOW : 0;
    for (size_t i = 0; i < spec->flags.count; i++) {
        CHECK(spec->flags.items != NULL);
        int number = find_name(seccomp_flag_names, spec->flags.items[i]);
        if (number < 0) {
            return err_set(compiler->err, ERR_INVALID,
                           "linux.seccomp.flags[%zu]: seccomp flags are not supported: '%s'", i,
                           spec->flags.items[i]);
        }
        flags |= flag_values[number];
    }
    *ret = flags;
    return 0;
}

static int check_args(struct compiler *compiler, const struct spec_seccomp_rule *rule, size_t index)
{
    for (size_t i = 0; i < rule->args.count; i++) {
        const struct spec_seccomp_arg *arg = &rule->args.items[i];
        if (arg->index >= ARGS_MAX) {
            return err_set(compiler->err, ERR_INVALID,
                           "linux.seccomp.syscalls[%zu].args[%zu].index: must be from 0 to 5",
                           index, i);
        }
        if (find_name(seccomp_operator_names, arg->op) < 0) {
            return err_set(compiler->err, ERR_INVALID,
                           "linux.seccomp.syscalls[%zu].args[%zu].op: unknown operator '%s'", index,
                           i, arg->op == NULL ? "" : arg->op);
        }
    }
    return 0;
}

static bool names_index_twice(const struct spec_seccomp_arg_list *args)
{
    unsigned seen = 0;
    for (size_t i = 0; i < args->count; i++) {
        if ((seen & 1U << args->items[i].index) != 0) {
            return true;
        }
        seen |= 1U << args->items[i].index;
    }
    return false;
}

static void add_chain(struct compiler *compiler, struct seccomp_verdict *verdict,
                      const struct spec_seccomp_arg *args, size_t count, uint32_t action)
{
    struct seccomp_chain *chain = arena_zalloc(compiler->arena, sizeof *chain);
    *chain = (struct seccomp_chain){.args = args, .arg_count = count, .action = action};
    struct seccomp_chain **tail = &verdict->chains;
    while (*tail != NULL) {
        tail = &(*tail)->next;
    }
    *tail = chain;
}

static void add_rule(struct compiler *compiler, struct seccomp_verdict *verdict,
                     const struct spec_seccomp_rule *rule, uint32_t action)
{
    if (rule->args.count == 0) {
        if (!verdict->is_named) {
            verdict->is_named = true;
            verdict->action = action;
        }
        return;
    }
    if (!names_index_twice(&rule->args)) {
        add_chain(compiler, verdict, rule->args.items, rule->args.count, action);
        return;
    }
    for (size_t i = 0; i < rule->args.count; i++) {
        add_chain(compiler, verdict, &rule->args.items[i], 1, action);
    }
}

static int compare_entry(const void *name, const void *entry)
{
    return strcmp(name, ((const struct syscall_entry *)entry)->name);
}

static void add_name(struct compiler *compiler, const char *name,
                     const struct spec_seccomp_rule *rule, uint32_t action)
{
    const struct syscall_entry *entry =
        bsearch(name, syscall_table, syscall_table_count, sizeof *syscall_table, compare_entry);
    if (entry == NULL) {
        /* Profiles are written for many kernels: unknown names are normal. */
        compiler->unknown = compiler->unknown == NULL ? name : compiler->unknown;
        return;
    }
    for (int arch = 0; arch < SYSCALL_ARCH_COUNT; arch++) {
        int number = entry->numbers[arch];
        if (!compiler->is_enabled[arch] || number < 0) {
            continue;
        }
        compiler->newest[arch] = number > compiler->newest[arch] ? number : compiler->newest[arch];
        if (action != compiler->default_action) {
            CHECK(compiler->verdicts[arch] != NULL); /* of every enabled one */
            add_rule(compiler, &compiler->verdicts[arch][number], rule, action);
        }
    }
}

static int parse_rules(struct compiler *compiler, const struct spec_seccomp *spec)
{
    for (size_t i = 0; i < spec->syscalls.count; i++) {
        const struct spec_seccomp_rule *rule = &spec->syscalls.items[i];
        uint32_t action = 0;
        int rc = parse_action(compiler, rule->action, &rule->errno_ret, "syscalls", i, &action);
        if (rc < 0 || (rc = check_args(compiler, rule, i)) < 0) {
            return rc;
        }
        if (rule->names.count == 0) {
            return err_set(compiler->err, ERR_INVALID,
                           "linux.seccomp.syscalls[%zu].names: must not be empty", i);
        }
        for (size_t j = 0; j < rule->names.count; j++) {
            /* The first write after loading tells the descriptor of the listener. */
            if (action == SECCOMP_RET_USER_NOTIF && strcmp(rule->names.items[j], "write") == 0) {
                return err_set(compiler->err, ERR_INVALID,
                               "linux.seccomp.syscalls[%zu]: SCMP_ACT_NOTIFY cannot be used for "
                               "the write syscall",
                               i);
            }
            add_name(compiler, rule->names.items[j], rule, action);
        }
    }
    return 0;
}

static bool is_permissive(uint32_t action)
{
    uint32_t kind = action & SECCOMP_RET_ACTION_FULL;
    return kind == SECCOMP_RET_ALLOW || kind == SECCOMP_RET_LOG || kind == SECCOMP_RET_TRACE;
}

static bool is_same(const struct seccomp_verdict *a, const struct seccomp_verdict *b)
{
    bool a_plain = a->is_named || a->chains == NULL;
    bool b_plain = b->is_named || b->chains == NULL;
    return a_plain && b_plain && a->action == b->action;
}

static size_t add_range(struct seccomp_range *ranges, size_t count, uint32_t first,
                        const struct seccomp_verdict *verdict)
{
    if (count > 0 && is_same(ranges[count - 1].verdict, verdict)) {
        return count;
    }
    ranges[count] = (struct seccomp_range){first, verdict};
    return count + 1;
}

/* Numbers base .. of one table; what lies above the newest named one is `above`. */
static size_t add_table(const struct compiler *compiler, enum syscall_arch arch, uint32_t base,
                        struct seccomp_range *ranges, size_t count,
                        const struct seccomp_verdict *above)
{
    const struct seccomp_verdict *verdicts = compiler->verdicts[arch];
    bool is_first = true;
    CHECK(verdicts != NULL);
    if (compiler->newest[arch] < 0) {
        return add_range(ranges, count, base, &verdicts[NUMBERS_MAX - 1]); /* the default */
    }
    for (int number = 0; number <= compiler->newest[arch]; number++) {
        /* A number that no call has can go with its neighbour: the kernel refuses it anyway. */
        if (verdicts[number].is_known || is_first) {
            count = add_range(ranges, count, base + (uint32_t)number, &verdicts[number]);
            is_first = false;
        }
    }
    return add_range(ranges, count, base + (uint32_t)(compiler->newest[arch] + 1), above);
}

static void emit_return(struct seccomp_emitter *emitter, uint32_t action)
{
    seccomp_emit(emitter, BPF_RET | BPF_K, 0, 0, action);
}

/* if (arch == audit) { tree } */
static void emit_arch(const struct compiler *compiler, struct seccomp_emitter *emitter,
                      uint32_t audit, enum syscall_arch arch, const struct seccomp_verdict *above)
{
    static const struct seccomp_verdict kill = {.is_named = true,
                                                .action = SECCOMP_RET_KILL_PROCESS};
    struct seccomp_range *ranges =
        arena_alloc(compiler->arena, (2 * NUMBERS_MAX + 8) * sizeof *ranges);
    size_t count = add_table(compiler, arch, 0, ranges, 0, above);
    if (audit == AUDIT_ARCH_X86_64) {
        if (compiler->is_enabled[SYSCALL_X32]) {
            count = add_table(compiler, SYSCALL_X32, X32_BIT, ranges, count, above);
        } else {
            count = add_range(ranges, count, X32_BIT, &kill);
        }
    }
    size_t branch = emitter->count;
    seccomp_emit(emitter, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, audit);
    seccomp_emit(emitter, BPF_JMP | BPF_JA | BPF_K, 0, 0, 0);
    seccomp_emit(emitter, BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr));
    seccomp_emit_tree(emitter, ranges, count);
    emitter->out[branch + 1].k = (uint32_t)(emitter->count - branch - 2);
}

static void emit_program(const struct compiler *compiler, struct seccomp_emitter *emitter)
{
    static const uint32_t audits[SYSCALL_ARCH_COUNT] = {
        [SYSCALL_X86_64] = AUDIT_ARCH_X86_64,
        [SYSCALL_X86] = AUDIT_ARCH_I386,
        [SYSCALL_AARCH64] = AUDIT_ARCH_AARCH64,
    };
    bool keep_default = is_permissive(compiler->default_action);
    const struct seccomp_verdict above = {.is_named = true,
                                          .action = keep_default ? compiler->default_action
                                                                 : SECCOMP_RET_ERRNO | ENOSYS};
    seccomp_emit(emitter, BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, arch));
    for (int arch = 0; arch < SYSCALL_ARCH_COUNT; arch++) {
        if (compiler->is_enabled[arch] && arch != SYSCALL_X32) {
            emit_arch(compiler, emitter, audits[arch], (enum syscall_arch)arch, &above);
        }
    }
    emit_return(emitter, SECCOMP_RET_KILL_PROCESS);
}

int seccomp_compile(struct arena *arena, const struct spec_seccomp *spec,
                    struct seccomp_program *ret, struct err *err)
{
    struct compiler compiler = {.arena = arena, .err = err};
    struct seccomp_program program = {.instructions = NULL};
    int rc = parse_action(&compiler, spec->default_action, &spec->default_errno_ret,
                          "defaultAction", 0, &compiler.default_action);
    if (rc < 0) {
        return rc;
    }
    if (compiler.has_notify) {
        return err_set(
            err, ERR_INVALID,
            "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be used as default action");
    }
    if ((rc = parse_architectures(&compiler, spec)) < 0 ||
        (rc = parse_flags(&compiler, spec, &program.flags)) < 0 ||
        (rc = parse_rules(&compiler, spec)) < 0) {
        return rc;
    }
    /* A listener is made for whoever asks for one, even if no rule uses it yet. */
    program.has_notify = compiler.has_notify || spec->listener_path != NULL;
    program.instructions =
        arena_alloc(arena, SECCOMP_INSTRUCTIONS_MAX * sizeof *program.instructions);
    struct seccomp_emitter emitter = {.out = program.instructions,
                                      .capacity = SECCOMP_INSTRUCTIONS_MAX};
    emit_program(&compiler, &emitter);
    if (emitter.is_full) {
        return err_set(err, ERR_TOO_LARGE,
                       "linux.seccomp: the filter has more than %d instructions",
                       SECCOMP_INSTRUCTIONS_MAX);
    }
    program.count = emitter.count;
    program.unknown = compiler.unknown;
    *ret = program;
    return 0;
}
