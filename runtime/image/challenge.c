#include "runtime/image/challenge.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* A token or a quoted string with \-escapes; *at moves behind it. */
static bool take_value(const char **at, char *out, size_t room)
{
    size_t size = 0;
    const char *text = *at;
    bool is_quoted = *text == '"';
    text += is_quoted ? 1 : 0;
    while (*text != '\0' && (is_quoted ? *text != '"' : strchr(", \t", *text) == NULL)) {
        if (is_quoted && *text == '\\' && text[1] != '\0') {
            text++;
        }
        if (size + 1 >= room) {
            return false;
        }
        out[size++] = *text++;
    }
    if (is_quoted && *text != '"') {
        return false;
    }
    out[size] = '\0';
    *at = text + (is_quoted ? 1 : 0);
    return true;
}

/* key=value, key="value", … until the text ends or another scheme begins. */
static bool take_parameters(const char **at, struct challenge *out)
{
    for (;;) {
        *at += strspn(*at, ", \t");
        size_t size = strcspn(*at, "=, \t\"");
        if (size == 0 || (*at)[size] != '=') {
            return true;
        }
        const char *key = *at;
        char value[1024];
        *at += size + 1;
        if (!take_value(at, value, sizeof(value))) {
            return false;
        }
        if (size == 5 && strncasecmp(key, "realm", size) == 0) {
            (void)snprintf(out->realm, sizeof(out->realm), "%s", value);
        } else if (size == 7 && strncasecmp(key, "service", size) == 0) {
            (void)snprintf(out->service, sizeof(out->service), "%.255s", value);
        } else if (size == 5 && strncasecmp(key, "scope", size) == 0) {
            (void)snprintf(out->scope, sizeof(out->scope), "%.511s", value);
        }
    }
}

int challenge_parse(const char *text, struct challenge *ret, struct err *err)
{
    const char *at = text;
    for (;;) {
        at += strspn(at, ", \t");
        if (*at == '\0') {
            return err_set(err, ERR_UNSUPPORTED, "the registry asks for an unknown login: '%.100s'",
                           text);
        }
        struct challenge out = {.scheme = 0};
        size_t size = strcspn(at, " \t,=");
        if (size == 6 && strncasecmp(at, "Bearer", size) == 0) {
            out.scheme = CHALLENGE_BEARER;
        } else if (size == 5 && strncasecmp(at, "Basic", size) == 0) {
            out.scheme = CHALLENGE_BASIC;
        }
        if (size == 0) {
            at++; /* an equals sign without a name */
            continue;
        }
        at += size;
        at += *at == '=' ? 1 : 0;
        if (!take_parameters(&at, &out) ||
            (out.scheme == CHALLENGE_BEARER && out.realm[0] == '\0')) {
            return err_set(err, ERR_MALFORMED, "the registry's login header is malformed: '%.100s'",
                           text);
        }
        if (out.scheme != 0) {
            *ret = out;
            return 0;
        }
    }
}
