/* flags.h - command lines of "--name value" and "--name=value". */
#ifndef ORCHESTRATOR_REMOTE_FLAGS_H
#define ORCHESTRATOR_REMOTE_FLAGS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct flag {
    const char *name;  /* "--kubeconfig" */
    const char **text; /* gets the value, or */
    bool *is_given;    /* a flag without a value */
};

/* argv[0] is skipped; values point into argv, which is changed. ERR_INVALID names the flag. */
MUST_USE int flags_parse(const struct flag *flags, size_t count, int argc, char *argv[],
                         struct err *err);

#endif
