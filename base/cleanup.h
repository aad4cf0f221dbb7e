/* cleanup.h - resources that end with their scope, and the two ways to hand them on.
 *
 *     CLEANUP(close_fd) int fd = open(...);
 *     ...early returns close it...
 *     *ret_fd = TAKE_FD(fd);
 */
#ifndef BASE_CLEANUP_H
#define BASE_CLEANUP_H

#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"

#define CLEANUP(name) __attribute__((cleanup(cleanup_##name)))

#define TAKE_PTR(pointer)                                                                          \
    ({                                                                                             \
        __typeof__(pointer) taken_ = (pointer);                                                    \
        (pointer) = NULL;                                                                          \
        taken_;                                                                                    \
    })

#define TAKE_FD(fd)                                                                                \
    ({                                                                                             \
        int taken_ = (fd);                                                                         \
        (fd) = -1;                                                                                 \
        taken_;                                                                                    \
    })

static inline void cleanup_close_fd(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd); /* nothing is known that could be done about it */
    }
}

static inline void cleanup_free(void *pointer_to_pointer)
{
    mem_free(*(void **)pointer_to_pointer);
}

static inline void cleanup_file(FILE **file)
{
    if (*file != NULL) {
        (void)fclose(*file); /* a writer that must not lose data closes explicitly */
    }
}

#endif
