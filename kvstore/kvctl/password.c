#include "kvstore/kvctl/password.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>

#include "base/cleanup.h"

enum { PASSWORD_BYTES_MAX = 1024 };

int password_ask(const char *prompt, struct arena *arena, const char **ret, struct err *err)
{
    CLEANUP(file) FILE *terminal = fopen("/dev/tty", "r+e");
    if (terminal == NULL) {
        return err_set_errno(err, errno, "ask for the password on the terminal");
    }
    struct termios before;
    if (tcgetattr(fileno(terminal), &before) < 0) {
        return err_set_errno(err, errno, "ask for the password on the terminal");
    }
    struct termios silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    (void)tcsetattr(fileno(terminal), TCSAFLUSH, &silent);
    (void)fputs(prompt, terminal);
    (void)fflush(terminal);
    char line[PASSWORD_BYTES_MAX];
    const char *got = fgets(line, sizeof line, terminal);
    (void)tcsetattr(fileno(terminal), TCSAFLUSH, &before);
    (void)fputc('\n', terminal);
    if (got == NULL) {
        return err_set(err, ERR_INVALID, "no password was given");
    }
    line[strcspn(line, "\r\n")] = '\0';
    *ret = arena_strdup(arena, line);
    explicit_bzero(line, sizeof line);
    return 0;
}

int password_ask_new(const char *user, struct arena *arena, const char **ret, struct err *err)
{
    const char *first = NULL;
    const char *second = NULL;
    int result = password_ask(arena_printf(arena, "Password of %s: ", user), arena, &first, err);
    if (result < 0) {
        return result;
    }
    if (*first == '\0') {
        return err_set(err, ERR_INVALID, "empty password");
    }
    const char *again = arena_printf(arena, "Type password of %s again for confirmation: ", user);
    result = password_ask(again, arena, &second, err);
    if (result < 0) {
        return result;
    }
    if (strcmp(first, second) != 0) {
        return err_set(err, ERR_INVALID, "given passwords are different");
    }
    *ret = first;
    return 0;
}

int password_read_stdin(struct arena *arena, const char **ret, struct err *err)
{
    char word[PASSWORD_BYTES_MAX];
    _Static_assert(PASSWORD_BYTES_MAX == 1024, "the width below is one less");
    if (scanf("%1023s", word) != 1) {
        return err_set(err, ERR_INVALID, "no password on standard input");
    }
    *ret = arena_strdup(arena, word);
    explicit_bzero(word, sizeof word);
    return 0;
}
