#include "kvstore/kvctl/global_flags.h"

#include <ctype.h>

#include "base/buf.h"
#include "base/cleanup.h"

const struct flag global_flags[] = {
    {.name = "endpoints",
     .type = FLAG_LIST,
     .initial = "127.0.0.1:2379",
     .help = "members of the cluster: host:port or URLs, comma separated"},
    {.name = "write-out",
     .letter = 'w',
     .type = FLAG_TEXT,
     .initial = "simple",
     .choices = "fields json protobuf simple table",
     .help = "set the output format (fields, json, protobuf, simple, table)"},
    {.name = "hex", .type = FLAG_BOOL, .help = "print byte strings as hex encoded strings"},
    {.name = "dial-timeout",
     .type = FLAG_DURATION,
     .initial = "2s",
     .help = "how long to try to reach an endpoint"},
    {.name = "command-timeout",
     .type = FLAG_DURATION,
     .initial = "5s",
     .help = "timeout for short running commands"},
    {.name = "keepalive-time",
     .type = FLAG_DURATION,
     .initial = "2s",
     .help = "ping a quiet connection after this"},
    {.name = "keepalive-timeout",
     .type = FLAG_DURATION,
     .initial = "6s",
     .help = "give up a connection that does not answer a ping for this"},
    {.name = "cacert",
     .type = FLAG_TEXT,
     .help = "verify certificates of TLS-enabled secure servers using this CA bundle"},
    {.name = "cert",
     .type = FLAG_TEXT,
     .help = "identify secure client using this TLS certificate file"},
    {.name = "key", .type = FLAG_TEXT, .help = "identify secure client using this TLS key file"},
    {.name = "server-name",
     .type = FLAG_TEXT,
     .help = "name to expect in the server's certificate instead of the endpoint's host"},
    {.name = "insecure-transport",
     .type = FLAG_BOOL,
     .initial = "true",
     .help = "no TLS for endpoints without https:// (=false: use TLS)"},
    {.name = "insecure-skip-tls-verify",
     .type = FLAG_BOOL,
     .help = "skip server certificate verification (for tests only)"},
    {.name = "user",
     .type = FLAG_TEXT,
     .help = "username[:password] for authentication (prompt if password is not supplied)"},
    {.name = "password",
     .type = FLAG_TEXT,
     .help = "password for authentication (then --user is the name alone)"},
    {.name = "auth-jwt-token",
     .type = FLAG_TEXT,
     .help = "JWT to authenticate with instead of --user"},
    {.name = "debug",
     .type = FLAG_BOOL,
     .help = "say on standard error which settings are used and what each call does"},
    /* Accepted so that scripts written for etcdctl run. */
    {.name = "max-request-bytes", .type = FLAG_NUMBER, .help = "", .is_hidden = true},
    {.name = "max-recv-bytes", .type = FLAG_NUMBER, .help = "", .is_hidden = true},
    {.name = "insecure-discovery",
     .type = FLAG_BOOL,
     .initial = "true",
     .help = "",
     .is_hidden = true},
    {.name = NULL},
};

static const char *variable_name(const char *prefix, const char *flag, struct arena *arena)
{
    CLEANUP(buf) struct buf name = BUF_INIT;
    buf_append_text(&name, prefix);
    for (; *flag != '\0'; flag++) {
        buf_append_u8(&name, *flag == '-' ? '_' : (uint8_t)toupper((unsigned char)*flag));
    }
    return arena_text(arena, buf_bytes(&name));
}

int global_flags_read_environment(struct flag_set *set, const char *(*lookup)(const char *name),
                                  struct arena *arena, struct err *err)
{
    static const char *const prefixes[] = {"KVCTL_", "ETCDCTL_"};
    for (const struct flag *flag = global_flags; flag->name != NULL; flag++) {
        struct flag_value *value = flag_set_find(set, flag->name);
        for (size_t i = 0; i < 2 && value != NULL && !value->is_set; i++) {
            const char *name = variable_name(prefixes[i], flag->name, arena);
            const char *text = lookup(name);
            if (text == NULL || *text == '\0') {
                continue;
            }
            struct err reason;
            if (flag_value_assign(value, text, arena, &reason) < 0) {
                return err_set(err, ERR_INVALID, "%s: %s", name, reason.text);
            }
        }
    }
    return 0;
}
