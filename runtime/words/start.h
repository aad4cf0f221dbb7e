/* start.h - starting a container that was made: attached to a person, or in the background. */
#ifndef RUNTIME_WORDS_START_H
#define RUNTIME_WORDS_START_H

#include <stdbool.h>

#include "base/err.h"
#include "runtime/image/store.h"
#include "runtime/words/container.h"

struct start {
    const struct store *store;
    struct container *container;
    bool is_detached;
    const char *detach_keys;
    int lock; /* the container's, while it is being started; -1 */
};

/* Starting what runs is no error: nothing is done. Attached: waits for the end, *ret_code is the
 * exit code. What could not be started is cleaned up after. Isolates the mount namespace of the
 * calling process. */
MUST_USE int start_container(struct start *start, int *ret_code, struct err *err);

#endif
