/* make.h - a container of an image, as run, create and compose make it. */
#ifndef RUNTIME_WORDS_MAKE_H
#define RUNTIME_WORDS_MAKE_H

#include <jansson.h>

#include "base/err.h"
#include "runtime/image/store.h"
#include "runtime/words/container.h"
#include "runtime/words/run_options.h"

struct make_input {
    const struct run_options *options;
    const char *image;
    const char *const *command; /* instead of the image's; may be empty */
    size_t command_size;
    /* Keys that replace those of Config and HostConfig: what has no option of run. May be NULL. */
    const json_t *config_patch;
    const json_t *host_patch;
};

/* Make the container's directory with everything that describes it; pulls the image when
 * --pull says so. On failure nothing stays behind. */
MUST_USE int make_container(const struct store *store, const struct make_input *input,
                            struct container *container, struct err *err);

#endif
