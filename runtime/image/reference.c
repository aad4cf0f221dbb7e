#include "runtime/image/reference.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

static const char digest_prefix[] = "sha256:";
enum { DIGEST_HEX_SIZE = 64 };

bool digest_is_valid(const char *digest)
{
    size_t prefix = sizeof(digest_prefix) - 1;
    if (strncmp(digest, digest_prefix, prefix) != 0) {
        return false;
    }
    size_t digits = strspn(digest + prefix, "0123456789abcdef");
    return digits == DIGEST_HEX_SIZE && digest[prefix + digits] == '\0';
}

const char *digest_hex(const char *digest)
{
    CHECK(digest_is_valid(digest));
    return digest + sizeof(digest_prefix) - 1;
}

static bool is_lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*, between start and end. */
static bool is_path_component(const char *start, const char *end)
{
    const char *at = start;
    while (at < end) {
        const char *word = at;
        while (at < end && is_lower_or_digit(*at)) {
            at++;
        }
        if (at == word) {
            return false;
        }
        if (at == end) {
            return true;
        }
        const char *separator = at;
        while (at < end && *at == *separator && (*at == '.' || *at == '_' || *at == '-')) {
            at++;
        }
        size_t run = (size_t)(at - separator);
        size_t allowed = *separator == '-'   ? run
                         : *separator == '_' ? 2
                         : *separator == '.' ? 1
                                             : 0;
        if (run == 0 || run > allowed) {
            return false;
        }
    }
    return false;
}

static bool is_path(const char *path)
{
    for (const char *start = path;;) {
        const char *end = strchrnul(start, '/');
        if (!is_path_component(start, end)) {
            return false;
        }
        if (*end == '\0') {
            return true;
        }
        start = end + 1;
    }
}

static bool is_tag(const char *tag)
{
    size_t size = strlen(tag);
    if (size == 0 || size > REFERENCE_TAG_MAX || tag[0] == '.' || tag[0] == '-') {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        if (!isalnum((unsigned char)tag[i]) && strchr("._-", tag[i]) == NULL) {
            return false;
        }
    }
    return true;
}

/* host[:port]: letters, digits, '.', '-', or [IPv6]; the port is digits. */
static bool is_host(const char *host)
{
    const char *port = NULL;
    if (host[0] == '[') {
        size_t inside = strspn(host + 1, "0123456789abcdefABCDEF:.");
        if (inside == 0 || host[1 + inside] != ']') {
            return false;
        }
        const char *rest = host + inside + 2;
        if (*rest == '\0') {
            return true;
        }
        port = *rest == ':' ? rest + 1 : NULL;
    } else {
        size_t name = 0;
        while (isalnum((unsigned char)host[name]) || host[name] == '.' || host[name] == '-') {
            name++;
        }
        if (name == 0 || host[0] == '-' || host[0] == '.') {
            return false;
        }
        if (host[name] == '\0') {
            return true;
        }
        port = host[name] == ':' ? host + name + 1 : NULL;
    }
    size_t digits = port == NULL ? 0 : strspn(port, "0123456789");
    return digits > 0 && digits <= 5 && port[digits] == '\0';
}

/* The first component is a host when it cannot be a path: Docker's rule. */
static bool looks_like_host(const char *name, size_t size)
{
    if (size == strlen("localhost") && memcmp(name, "localhost", size) == 0) {
        return true;
    }
    for (size_t i = 0; i < size; i++) {
        if (name[i] == '.' || name[i] == ':' || isupper((unsigned char)name[i])) {
            return true;
        }
    }
    return false;
}

/* Cut "@digest" and ":tag" off the end of name. */
static int take_suffixes(char *name, struct reference *out, const char *text, struct err *err)
{
    char *at = strchr(name, '@');
    if (at != NULL) {
        *at = '\0';
        if (!digest_is_valid(at + 1)) {
            return err_set(err, ERR_INVALID,
                           "image name '%s': the digest must be sha256: and 64 hexadecimal digits",
                           text);
        }
        (void)snprintf(out->digest, sizeof(out->digest), "%s", at + 1);
    }
    char *slash = strrchr(name, '/');
    char *colon = strrchr(slash == NULL ? name : slash, ':');
    if (colon != NULL) {
        *colon = '\0';
        if (!is_tag(colon + 1)) {
            return err_set(err, ERR_INVALID, "image name '%s': invalid tag '%.140s'", text,
                           colon + 1);
        }
        (void)snprintf(out->tag, sizeof(out->tag), "%s", colon + 1);
    }
    return 0;
}

static int split_name(const char *name, struct reference *out, const char *text, struct err *err)
{
    const char *slash = strchr(name, '/');
    const char *path = name;
    if (slash != NULL && looks_like_host(name, (size_t)(slash - name))) {
        (void)snprintf(out->host, sizeof(out->host), "%.*s", (int)(slash - name), name);
        path = slash + 1;
        if (!is_host(out->host)) {
            return err_set(err, ERR_INVALID, "image name '%s': invalid host '%s'", text, out->host);
        }
    } else {
        (void)snprintf(out->host, sizeof(out->host), "docker.io");
    }
    if (strcmp(out->host, "index.docker.io") == 0) {
        (void)snprintf(out->host, sizeof(out->host), "docker.io");
    }
    bool is_official = strcmp(out->host, "docker.io") == 0 && strchr(path, '/') == NULL;
    int size = snprintf(out->path, sizeof(out->path), "%s%s", is_official ? "library/" : "", path);
    if (size < 0 || (size_t)size + strlen(out->host) + 1 > REFERENCE_NAME_MAX) {
        return err_set(err, ERR_INVALID, "image name '%.60s…': longer than %d characters", text,
                       REFERENCE_NAME_MAX);
    }
    if (!is_path(out->path)) {
        return err_set(err, ERR_INVALID,
                       "image name '%s': invalid repository '%s' (lower-case letters, digits, and "
                       "single . _ - between them)",
                       text, path);
    }
    return 0;
}

int reference_parse(const char *text, struct reference *ret, struct err *err)
{
    char name[REFERENCE_TEXT_MAX + 1];
    size_t size = strlen(text);
    if (size == 0) {
        return err_set(err, ERR_INVALID, "image name is empty");
    }
    if (size > REFERENCE_TEXT_MAX) {
        return err_set(err, ERR_INVALID, "image name '%.60s…' is too long", text);
    }
    memcpy(name, text, size + 1);
    struct reference out = {.host = ""};
    int status = take_suffixes(name, &out, text, err);
    if (status == 0) {
        status = split_name(name, &out, text, err);
    }
    if (status != 0) {
        return status;
    }
    if (out.tag[0] == '\0' && out.digest[0] == '\0') {
        (void)snprintf(out.tag, sizeof(out.tag), "latest");
    }
    *ret = out;
    return 0;
}

static void append_suffixes(const struct reference *reference, char *out, size_t at)
{
    size_t room = REFERENCE_TEXT_MAX + 1 - at;
    (void)snprintf(out + at, room, "%s%s%s%s", reference->tag[0] != '\0' ? ":" : "", reference->tag,
                   reference->digest[0] != '\0' ? "@" : "", reference->digest);
}

void reference_format(const struct reference *reference, char *out)
{
    int size = snprintf(out, REFERENCE_TEXT_MAX + 1, "%s/%s", reference->host, reference->path);
    CHECK(size > 0 && size <= REFERENCE_TEXT_MAX);
    append_suffixes(reference, out, (size_t)size);
}

void reference_format_repository(const struct reference *reference, char *out)
{
    const char *path = reference->path;
    if (strcmp(reference->host, "docker.io") != 0) {
        int size = snprintf(out, REFERENCE_NAME_MAX + 1, "%s/%s", reference->host, path);
        CHECK(size > 0 && size <= REFERENCE_NAME_MAX);
        return;
    }
    if (strncmp(path, "library/", 8) == 0 && strchr(path + 8, '/') == NULL) {
        path += 8;
    }
    (void)snprintf(out, REFERENCE_NAME_MAX + 1, "%s", path);
}

void reference_format_familiar(const struct reference *reference, char *out)
{
    reference_format_repository(reference, out);
    append_suffixes(reference, out, strlen(out));
}
