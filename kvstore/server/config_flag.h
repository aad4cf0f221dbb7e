/* config_flag.h - the table of flags; private to the configuration. */
#ifndef KVSTORE_SERVER_CONFIG_FLAG_H
#define KVSTORE_SERVER_CONFIG_FLAG_H

#include <stddef.h>

#include "kvstore/server/config.h"

enum config_type {
    CONFIG_TEXT,
    CONFIG_BOOL,
    CONFIG_INTEGER,
    CONFIG_DURATION, /* flags: Go syntax; YAML: integer nanoseconds or Go syntax */
    CONFIG_IGNORED,  /* accepted, without effect, with a warning */
};

struct config_flag {
    const char *name;
    enum config_type type;
    size_t offset; /* in struct config */
    const char *initial;
    const char *section;
    const char *help;
};

extern const struct config_flag config_flags[];
extern const unsigned config_flag_count;

/* The flag of that name, also under the 3.6 name "experimental-<name>"; NULL: none. */
const struct config_flag *config_flag_find(const char *name);
/* Assign text to the flag's field. The source is for messages ("flag", "environment variable"). */
MUST_USE int config_flag_set(struct config *config, const struct config_flag *flag,
                             const char *text, struct err *err);
void config_warn(struct config *config, const char *warning);

/* Read a YAML or JSON file. */
MUST_USE int config_read_file(struct config *config, const char *path, struct err *err);
/* Check the values and fill the derived ones. */
MUST_USE int config_check(struct config *config, struct err *err);

#endif
