/* password.h - asking for a password. */
#ifndef KVSTORE_KVCTL_PASSWORD_H
#define KVSTORE_KVCTL_PASSWORD_H

#include "base/arena.h"
#include "base/err.h"

/* On the terminal, without echo. Error: there is no terminal, or its end. */
MUST_USE int password_ask(const char *prompt, struct arena *arena, const char **ret,
                          struct err *err);
/* Twice, until both are equal or not: ERR_INVALID "given passwords are different", "empty
 * password".
 */
MUST_USE int password_ask_new(const char *user, struct arena *arena, const char **ret,
                              struct err *err);
/* The first word of standard input, for scripts. */
MUST_USE int password_read_stdin(struct arena *arena, const char **ret, struct err *err);

#endif
