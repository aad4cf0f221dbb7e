/* seccomp.h - linux.seccomp compiled to classic BPF, and loaded.
 *
 * Own compiler instead of libseccomp: 10 ms less per start, all system calls of today known, and a
 * search tree with merged ranges, which loads faster and runs faster than a list.
 *
 * Meaning, where the specification is silent, as libseccomp and runc have it:
 *  - the native architecture is always filtered; calls of an architecture that is not listed kill
 *    the process;
 *  - a rule without args wins over rules with args for the same call; among those with args the
 * first match decides; args that name an index twice are alternatives, else all must hold;
 *  - calls newer than the newest one that the profile names get ENOSYS, not the default action, so
 * that C libraries fall back (runc #2151), unless the default is permissive. */
#ifndef RUNTIME_CONTAINER_SECCOMP_H
#define RUNTIME_CONTAINER_SECCOMP_H

#include <linux/filter.h>

#include "runtime/container/spec.h"
#include "runtime/container/syscall_table.h"

enum { SECCOMP_INSTRUCTIONS_MAX = 4096 }; /* BPF_MAXINSNS */

struct seccomp_program {
    const char *unknown; /* the first call of the profile that is not in our table; NULL: none */
    struct sock_filter *instructions; /* in the arena */
    size_t count;
    unsigned flags;  /* SECCOMP_FILTER_FLAG_ */
    bool has_notify; /* a listener descriptor will come of loading it */
};

/* Pure. ERR_INVALID names the field; ERR_TOO_LARGE: more than SECCOMP_INSTRUCTIONS_MAX. */
MUST_USE int seccomp_compile(struct arena *arena, const struct spec_seccomp *spec,
                             struct seccomp_program *ret, struct err *err);

/* The flags of seccomp(2) that seccomp_load gives. */
unsigned seccomp_flags(const struct seccomp_program *program);
/* Load into this thread. Returns the listener's descriptor if has_notify, else 0; -errno. */
MUST_USE int seccomp_load(const struct seccomp_program *program);

/* Names for `features`. NULL ends the lists. */
extern const char *const seccomp_action_names[];
extern const char *const seccomp_operator_names[];
extern const char *const seccomp_arch_names[];
extern const char *const seccomp_flag_names[];

/* Pure, for seccomp*.c: the tree of one architecture. verdicts[n] belongs to call number base + n.
 */
struct seccomp_chain {
    const struct spec_seccomp_arg *args;
    size_t arg_count;
    uint32_t action; /* SECCOMP_RET_ | data */
    struct seccomp_chain *next;
};
struct seccomp_verdict {
    bool is_known;   /* the kernel has such a call */
    bool is_named;   /* a rule without args: action decides, chains are not looked at */
    uint32_t action; /* is_named: what happens; else the default */
    struct seccomp_chain *chains;
};
struct seccomp_emitter {
    struct sock_filter *out;
    size_t count;
    size_t capacity;
    bool is_full;
};
struct seccomp_range {
    uint32_t first; /* number; the range ends before the next one's first */
    const struct seccomp_verdict *verdict;
};
void seccomp_emit(struct seccomp_emitter *emitter, uint16_t code, uint8_t jt, uint8_t jf,
                  uint32_t k);
/* A is the number already. */
void seccomp_emit_tree(struct seccomp_emitter *emitter, const struct seccomp_range *ranges,
                       size_t count);

#endif
