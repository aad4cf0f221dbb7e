/* syscall_table.h - system call numbers of the architectures that this kernel can be asked to
 * filter. */
#ifndef RUNTIME_CONTAINER_SYSCALL_TABLE_H
#define RUNTIME_CONTAINER_SYSCALL_TABLE_H

#include <stddef.h>
#include <stdint.h>

enum syscall_arch { SYSCALL_X86_64, SYSCALL_X86, SYSCALL_X32, SYSCALL_AARCH64, SYSCALL_ARCH_COUNT };

struct syscall_entry {
    const char *name;
    int16_t numbers[SYSCALL_ARCH_COUNT]; /* -1: the architecture has no such call */
};

extern const struct syscall_entry syscall_table[]; /* sorted by name */
extern const size_t syscall_table_count;

#endif
