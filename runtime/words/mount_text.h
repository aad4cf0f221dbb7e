/* mount_text.h - the texts of -v, --mount and --tmpfs. Pure, but for the working directory. */
#ifndef RUNTIME_WORDS_MOUNT_TEXT_H
#define RUNTIME_WORDS_MOUNT_TEXT_H

#include <jansson.h>

#include "base/err.h"

/* Each appends an object {"Type":"bind|volume|tmpfs","Source":…,"Target":…,"ReadOnly":…,
 * "Propagation":…,"NoCopy":…,"Options":…} to mounts. A volume without a name has Source "". */
MUST_USE int mount_text_parse_volume(const char *text, json_t *mounts, struct err *err);
MUST_USE int mount_text_parse_mount(const char *text, json_t *mounts, struct err *err);
/* Sets tmpfs[path] = options. */
MUST_USE int mount_text_parse_tmpfs(const char *text, json_t *tmpfs, struct err *err);
/* Two mounts at one place are a mistake. */
MUST_USE int mount_text_check(const json_t *mounts, struct err *err);

#endif
