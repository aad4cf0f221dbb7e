#include "orchestrator/remote/flags.h"

#include <string.h>

static const struct flag *find(const struct flag *flags, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(flags[i].name, name) == 0) {
            return &flags[i];
        }
    }
    return NULL;
}

int flags_parse(const struct flag *flags, size_t count, int argc, char *argv[], struct err *err)
{
    for (int i = 1; i < argc; i++) {
        char *value = strncmp(argv[i], "--", 2) == 0 ? strchr(argv[i], '=') : NULL;
        if (value != NULL) {
            *value++ = '\0';
        }
        const struct flag *flag = find(flags, count, argv[i]);
        if (flag == NULL) {
            return err_set(err, ERR_INVALID, "unknown argument '%s'; see --help", argv[i]);
        }
        if (flag->is_given != NULL) {
            if (value != NULL) {
                return err_set(err, ERR_INVALID, "%s takes no value", flag->name);
            }
            *flag->is_given = true;
            continue;
        }
        if (value == NULL && i + 1 == argc) {
            return err_set(err, ERR_INVALID, "%s needs a value", flag->name);
        }
        *flag->text = value != NULL ? value : argv[++i];
    }
    return 0;
}
