#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kvstore/server/config.h"

enum { PORT_MAX = 65535 };

struct duration_unit {
    const char *name;
    int64_t ns;
};

/* Longer names first where one is the start of another. */
static const struct duration_unit units[] = {
    {"ns", 1},
    {"us", 1000},
    {"\xc2\xb5s", 1000},
    {"ms", 1000000},
    {"s", 1000000000},
    {"m", 60 * INT64_C(1000000000)},
    {"h", 3600 * INT64_C(1000000000)},
};

static const struct duration_unit *read_unit(const char **text)
{
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        size_t length = strlen(units[i].name);
        bool is_minute_of_ms = strcmp(units[i].name, "m") == 0 && strncmp(*text, "ms", 2) == 0;
        if (strncmp(*text, units[i].name, length) == 0 && !is_minute_of_ms) {
            *text += length;
            return &units[i];
        }
    }
    return NULL;
}

int config_parse_duration(const char *text, int64_t *ret_ns)
{
    bool is_negative = text[0] == '-';
    text += text[0] == '-' || text[0] == '+';
    if (strcmp(text, "0") == 0) {
        *ret_ns = 0;
        return 0;
    }
    double total = 0;
    if (*text == 0) {
        return ERR_INVALID;
    }
    while (*text != 0) {
        if ((*text < '0' || *text > '9') && *text != '.') {
            return ERR_INVALID;
        }
        char *end = NULL;
        double number = strtod(text, &end);
        if (end == text || number < 0) {
            return ERR_INVALID;
        }
        text = end;
        const struct duration_unit *unit = read_unit(&text);
        if (unit == NULL) {
            return ERR_INVALID;
        }
        total += number * (double)unit->ns;
    }
    if (total > 9.2e18) {
        return ERR_INVALID;
    }
    *ret_ns = is_negative ? -(int64_t)total : (int64_t)total;
    return 0;
}

static int parse_port(const char *text, uint16_t *ret)
{
    char *end = NULL;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != 0 || value > PORT_MAX) {
        return ERR_INVALID;
    }
    *ret = (uint16_t)value;
    return 0;
}

/* host:port, [v6]:port */
static int parse_authority(struct arena *arena, const char *text, struct config_url *url,
                           struct err *err)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL || strchr(colon, ']') != NULL) {
        return err_set(err, ERR_INVALID, "URL address does not have the form \"host:port\": %s",
                       url->text);
    }
    size_t length = (size_t)(colon - text);
    if (length >= 2 && text[0] == '[' && text[length - 1] == ']') {
        text += 1;
        length -= 2;
    }
    url->host = arena_text(arena, bytes_make(text, length));
    if (parse_port(colon + 1, &url->port) != 0) {
        return err_set(err, ERR_INVALID, "invalid port in URL %s", url->text);
    }
    return 0;
}

int config_parse_url(struct arena *arena, const char *text, struct config_url *ret, struct err *err)
{
    struct config_url url = {.text = arena_strdup(arena, text)};
    const char *rest = strstr(text, "://");
    if (rest == NULL) {
        return err_set(err, ERR_INVALID, "URL scheme must be http, https, unix, or unixs: %s",
                       text);
    }
    const char *scheme = arena_text(arena, bytes_make(text, (size_t)(rest - text)));
    rest += 3;
    url.is_unix = strcmp(scheme, "unix") == 0 || strcmp(scheme, "unixs") == 0;
    url.is_tls = strcmp(scheme, "https") == 0 || strcmp(scheme, "unixs") == 0;
    if (!url.is_unix && strcmp(scheme, "http") != 0 && !url.is_tls) {
        return err_set(err, ERR_INVALID, "URL scheme must be http, https, unix, or unixs: %s",
                       text);
    }
    size_t length = strlen(rest);
    while (length > 0 && rest[length - 1] == '/' && !url.is_unix) {
        length -= 1;
    }
    const char *authority = arena_text(arena, bytes_make(rest, length));
    if (url.is_unix) {
        url.host = authority;
    } else if (strchr(authority, '/') != NULL) {
        return err_set(err, ERR_INVALID, "URL must not contain a path: %s", text);
    } else {
        int code = parse_authority(arena, authority, &url, err);
        if (code != 0) {
            return code;
        }
    }
    *ret = url;
    return 0;
}

int config_parse_urls(struct arena *arena, const char *flag, const char *text,
                      struct config_urls *ret, struct err *err)
{
    struct config_urls urls = {0};
    char *copy = arena_strdup(arena, text);
    char *rest = copy;
    for (char *part = strsep(&rest, ","); part != NULL; part = strsep(&rest, ",")) {
        while (*part == ' ') {
            part += 1;
        }
        if (*part == 0) {
            continue;
        }
        if (urls.count == CONFIG_URLS_MAX) {
            return err_set(err, ERR_TOO_LARGE, "--%s has more than %d URLs", flag, CONFIG_URLS_MAX);
        }
        int code = config_parse_url(arena, part, &urls.url[urls.count], err);
        if (code != 0) {
            return err == NULL ? code : err_prefix(err, "--%s", flag);
        }
        urls.count += 1;
    }
    *ret = urls;
    return 0;
}

static struct config_member *member_named(struct config *config, const char *name)
{
    for (unsigned i = 0; i < config->member_count; i++) {
        if (strcmp(config->members[i].name, name) == 0) {
            return &config->members[i];
        }
    }
    if (config->member_count == CONFIG_MEMBERS_MAX) {
        return NULL;
    }
    struct config_member *member = &config->members[config->member_count++];
    *member = (struct config_member){.name = arena_strdup(&config->arena, name)};
    return member;
}

int config_parse_cluster(struct config *config, const char *text, struct err *err)
{
    config->member_count = 0;
    char *rest = arena_strdup(&config->arena, text);
    const char *name = "";
    for (char *part = strsep(&rest, ","); part != NULL; part = strsep(&rest, ",")) {
        if (*part == 0) {
            continue;
        }
        char *equals = strchr(part, '=');
        const char *url_text = part;
        if (equals != NULL) {
            *equals = 0;
            name = part;
            url_text = equals + 1;
        }
        struct config_member *member = member_named(config, name);
        if (member == NULL) {
            return err_set(err, ERR_TOO_LARGE, "--initial-cluster has more than %d members",
                           CONFIG_MEMBERS_MAX);
        }
        if (name[0] == 0 || member->peer_urls.count == CONFIG_URLS_MAX) {
            return err_set(err, ERR_INVALID, "--initial-cluster: want name=URL, got \"%s\"", part);
        }
        int code = config_parse_url(&config->arena, url_text,
                                    &member->peer_urls.url[member->peer_urls.count], err);
        if (code != 0) {
            return err == NULL ? code : err_prefix(err, "--initial-cluster");
        }
        member->peer_urls.count += 1;
    }
    return 0;
}

bool config_has_gate(const struct config *config, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = strstr(config->feature_gates, name); at != NULL;
         at = strstr(at + 1, name)) {
        bool is_start = at == config->feature_gates || at[-1] == ',';
        if (is_start && strncmp(at + length, "=true", 5) == 0) {
            return true;
        }
    }
    return false;
}
