/* flag.h - command line flags, parsed as the Go pflag library does, which etcdctl's users know.
 *
 * --name value, --name=value, -n value, -nvalue, -n=value; a boolean takes a value only after "=";
 * flags and arguments may be mixed; "--" ends the flags; the last one of several wins, except that
 * a list collects them all. */
#ifndef KVSTORE_KVCTL_FLAG_H
#define KVSTORE_KVCTL_FLAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

enum flag_type {
    FLAG_BOOL,
    FLAG_TEXT,
    FLAG_NUMBER,   /* int64; 0x and 0 prefixes as in C */
    FLAG_DURATION, /* Go's: "1.5s", "2m30s", "100ms" */
    FLAG_LIST,     /* comma separated; repeated flags add up */
};

struct flag {
    const char *name;    /* without dashes; NULL ends a table */
    char letter;         /* 0: none */
    enum flag_type type; /* */
    const char *initial; /* text of the default; NULL is "", false or 0 */
    const char *help;
    const char *choices; /* space separated values for shell completion; NULL: none */
    bool is_hidden;      /* accepted for compatibility, not shown */
};

struct flag_value {
    const struct flag *flag;
    const char *text; /* the value as given, or the default */
    bool is_set;      /* given on the command line or in the environment */
};

enum { FLAG_SET_SIZE_MAX = 64 };

struct flag_set {
    struct flag_value values[FLAG_SET_SIZE_MAX];
    size_t count;
};

void flag_set_init(struct flag_set *set);
/* Add a table of flags with their defaults. */
void flag_set_add(struct flag_set *set, const struct flag *table);
struct flag_value *flag_set_find(struct flag_set *set, const char *name); /* NULL: no such flag */
struct flag_value *flag_set_find_letter(struct flag_set *set, char letter);

/* Check text against the flag's type and store it. Error: ERR_INVALID with pflag's wording. */
MUST_USE int flag_value_assign(struct flag_value *value, const char *text, struct arena *arena,
                               struct err *err);

/* Parse words (borrowed; they must outlive set). Non-flags go to ret_arguments, an array that lives
 * in arena. Stops with ERR_INVALID at the first unknown or malformed flag. A "--help" or "-h" that
 * is no flag of the set stops with ERR_NOT_FOUND, so that the caller can show help. */
MUST_USE int flag_set_parse(struct flag_set *set, const char *const *words, int word_count,
                            struct arena *arena, const char *const **ret_arguments,
                            int *ret_argument_count, struct err *err);

/* Values by name; asking for a name that is not in the set is a bug. */
bool flag_bool(const struct flag_set *set, const char *name);
const char *flag_text(const struct flag_set *set, const char *name);
int64_t flag_number(const struct flag_set *set, const char *name);
uint64_t flag_duration_ms(const struct flag_set *set, const char *name);
bool flag_is_set(const struct flag_set *set, const char *name);

#endif
