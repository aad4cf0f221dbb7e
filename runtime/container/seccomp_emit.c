/* seccomp_emit.c - from ranges of call numbers to BPF: a balanced search tree, args at its leaves.
 */
#include <linux/seccomp.h>
#include <string.h>

#include "runtime/container/seccomp.h"

enum { TO_FAIL = 254, TO_PASS = 255 }; /* jump targets inside one chain, patched at its end */

void seccomp_emit(struct seccomp_emitter *emitter, uint16_t code, uint8_t jt, uint8_t jf,
                  uint32_t k)
{
    if (emitter->count == emitter->capacity) {
        emitter->is_full = true;
        return;
    }
    emitter->out[emitter->count++] = (struct sock_filter){code, jt, jf, k};
}

static void load_word(struct seccomp_emitter *emitter, uint32_t index, bool high)
{
    uint32_t offset = (uint32_t)offsetof(struct seccomp_data, args) + 8 * index + (high ? 4 : 0);
    seccomp_emit(emitter, BPF_LD | BPF_W | BPF_ABS, 0, 0, offset);
}

static void jump(struct seccomp_emitter *emitter, uint16_t how, uint32_t k, uint8_t jt, uint8_t jf)
{
    seccomp_emit(emitter, (uint16_t)(BPF_JMP | how | BPF_K), jt, jf, k);
}

/* Words are compared unsigned, the high one first. */
static void emit_order(struct seccomp_emitter *emitter, const struct spec_seccomp_arg *arg,
                       uint16_t how, bool negate)
{
    uint8_t yes = negate ? TO_FAIL : TO_PASS;
    uint8_t no = negate ? TO_PASS : TO_FAIL;
    uint32_t high = (uint32_t)(arg->value >> 32);
    load_word(emitter, arg->index, true);
    jump(emitter, BPF_JGT, high, yes, 0);
    jump(emitter, BPF_JEQ, high, 0, no);
    load_word(emitter, arg->index, false);
    jump(emitter, how, (uint32_t)arg->value, yes, no);
}

static void emit_equal(struct seccomp_emitter *emitter, const struct spec_seccomp_arg *arg,
                       uint64_t mask, uint64_t value, bool negate)
{
    uint8_t yes = negate ? TO_FAIL : TO_PASS;
    uint8_t no = negate ? TO_PASS : TO_FAIL;
    load_word(emitter, arg->index, true);
    if ((uint32_t)(mask >> 32) != UINT32_MAX) {
        seccomp_emit(emitter, BPF_ALU | BPF_AND | BPF_K, 0, 0, (uint32_t)(mask >> 32));
    }
    jump(emitter, BPF_JEQ, (uint32_t)(value >> 32), 0, no);
    load_word(emitter, arg->index, false);
    if ((uint32_t)mask != UINT32_MAX) {
        seccomp_emit(emitter, BPF_ALU | BPF_AND | BPF_K, 0, 0, (uint32_t)mask);
    }
    jump(emitter, BPF_JEQ, (uint32_t)value, yes, no);
}

/* Falls through to the instruction after it when the comparison holds. */
static void emit_comparison(struct seccomp_emitter *emitter, const struct spec_seccomp_arg *arg)
{
    const char *op = arg->op + strlen("SCMP_CMP_");
    if (strcmp(op, "EQ") == 0) {
        emit_equal(emitter, arg, UINT64_MAX, arg->value, false);
    } else if (strcmp(op, "NE") == 0) {
        emit_equal(emitter, arg, UINT64_MAX, arg->value, true);
    } else if (strcmp(op, "MASKED_EQ") == 0) {
        emit_equal(emitter, arg, arg->value, arg->value_two, false);
    } else if (strcmp(op, "GT") == 0) {
        emit_order(emitter, arg, BPF_JGT, false);
    } else if (strcmp(op, "GE") == 0) {
        emit_order(emitter, arg, BPF_JGE, false);
    } else if (strcmp(op, "LT") == 0) {
        emit_order(emitter, arg, BPF_JGE, true);
    } else { /* LE */
        emit_order(emitter, arg, BPF_JGT, true);
    }
}

static void patch(struct seccomp_emitter *emitter, size_t begin, size_t end, uint8_t mark,
                  size_t target)
{
    for (size_t i = begin; i < end; i++) {
        struct sock_filter *at = &emitter->out[i];
        if (BPF_CLASS(at->code) != BPF_JMP) {
            continue;
        }
        if (at->jt == mark) {
            at->jt = (uint8_t)(target - i - 1);
        }
        if (at->jf == mark) {
            at->jf = (uint8_t)(target - i - 1);
        }
    }
}

static void emit_chain(struct seccomp_emitter *emitter, const struct seccomp_chain *chain)
{
    size_t begin = emitter->count;
    for (size_t i = 0; i < chain->arg_count; i++) {
        size_t before = emitter->count;
        emit_comparison(emitter, &chain->args[i]);
        patch(emitter, before, emitter->count, TO_PASS, emitter->count);
    }
    seccomp_emit(emitter, BPF_RET | BPF_K, 0, 0, chain->action);
    patch(emitter, begin, emitter->count, TO_FAIL, emitter->count);
}

static void emit_leaf(struct seccomp_emitter *emitter, const struct seccomp_verdict *verdict)
{
    const struct seccomp_chain *chain = verdict->is_named ? NULL : verdict->chains;
    for (; chain != NULL && !emitter->is_full; chain = chain->next) {
        emit_chain(emitter, chain);
    }
    seccomp_emit(emitter, BPF_RET | BPF_K, 0, 0, verdict->action);
}

void seccomp_emit_tree(struct seccomp_emitter *emitter, const struct seccomp_range *ranges,
                       size_t count)
{
    if (count == 1 || emitter->is_full) {
        emit_leaf(emitter, ranges[0].verdict);
        return;
    }
    size_t middle = count / 2;
    size_t branch = emitter->count;
    jump(emitter, BPF_JGE, ranges[middle].first, 0, 0);
    seccomp_emit_tree(emitter, ranges, middle);
    size_t left = emitter->count - branch - 1;
    if (emitter->is_full) {
        return;
    }
    if (left <= 253) { /* 254 and 255 are marks */
        emitter->out[branch].jt = (uint8_t)left;
    } else {
        /* Too far for a conditional jump: one more instruction jumps over the left half. */
        seccomp_emit(emitter, BPF_RET | BPF_K, 0, 0, 0);
        if (emitter->is_full) {
            return;
        }
        memmove(&emitter->out[branch + 2], &emitter->out[branch + 1], left * sizeof *emitter->out);
        emitter->out[branch].jf = 1;
        emitter->out[branch + 1] =
            (struct sock_filter){BPF_JMP | BPF_JA | BPF_K, 0, 0, (uint32_t)left};
    }
    seccomp_emit_tree(emitter, ranges + middle, count - middle);
}
