#include "runtime/image/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "runtime/image/in_root.h"
#include "runtime/image/json.h"

enum { FILE_SIZE_MAX = 1 << 20 };

static int digit_of(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c == '\0' ? NULL : strchr(digits, c);
    return at == NULL ? -1 : (int)(at - digits);
}

/* RFC 4648 section 4; the result is text. */
static bool decode_base64(const char *text, char *out, size_t room)
{
    unsigned bits = 0;
    int bit_count = 0;
    size_t size = 0;
    for (; *text != '\0' && *text != '='; text++) {
        int digit = digit_of(*text);
        if (digit < 0) {
            return false;
        }
        bits = (bits << 6 | (unsigned)digit) & 0xffffff;
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            if (size + 1 >= room) {
                return false;
            }
            out[size++] = (char)(bits >> bit_count);
        }
    }
    out[size] = '\0';
    return true;
}

static const json_t *find_entry(const json_t *auths, const char *host)
{
    const json_t *entry = json_object_get(auths, host);
    if (entry == NULL && strcmp(host, "docker.io") == 0) {
        entry = json_object_get(auths, "https://index.docker.io/v1/");
    }
    if (entry == NULL) {
        CLEANUP(free) char *url = mem_printf("https://%s", host);
        entry = json_object_get(auths, url);
    }
    return entry;
}

int credentials_parse(const json_t *document, const char *host, struct credentials *ret,
                      struct err *err)
{
    char pair[sizeof(ret->user) + sizeof(ret->password)];
    const json_t *entry = find_entry(json_object_get(document, "auths"), host);
    const char *encoded = json_get_text(entry, "auth", "");
    if (encoded[0] == '\0') {
        return err_set(err, ERR_NOT_FOUND, "no login for %s", host);
    }
    char *colon = decode_base64(encoded, pair, sizeof(pair)) ? strchr(pair, ':') : NULL;
    if (colon == NULL || (size_t)(colon - pair) >= sizeof(ret->user) ||
        strlen(colon + 1) >= sizeof(ret->password)) {
        return err_set(err, ERR_MALFORMED, "the stored login for %s is damaged; log in again",
                       host);
    }
    *colon = '\0';
    (void)snprintf(ret->user, sizeof(ret->user), "%.255s", pair);
    (void)snprintf(ret->password, sizeof(ret->password), "%.4095s", colon + 1);
    return 0;
}

static int look_in(const char *path, const char *host, struct credentials *ret, struct err *err)
{
    CLEANUP(close_fd) int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(buf) struct buf text = BUF_INIT;
    CLEANUP(json) json_t *document = NULL;
    int status = in_root_read_file(root, path, FILE_SIZE_MAX, &text);
    if (status != 0) {
        return ERR_NOT_FOUND; /* a file that cannot be read gives no login */
    }
    status = json_parse(buf_bytes(&text), path, &document, err);
    return status != 0 ? status : credentials_parse(document, host, ret, err);
}

int credentials_find(const char *host, struct credentials *ret, struct err *err)
{
    const char *docker = getenv("DOCKER_CONFIG");
    const char *home = getenv("HOME");
    const char *file = getenv("REGISTRY_AUTH_FILE");
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    CLEANUP(free)
    char *first = docker != NULL ? mem_printf("%s/config.json", docker)
                                 : mem_printf("%s/.docker/config.json", home == NULL ? "" : home);
    CLEANUP(free)
    char *second = file != NULL
                       ? mem_strdup(file)
                       : mem_printf("%s/containers/auth.json", runtime == NULL ? "" : runtime);
    const char *const paths[] = {first, second};
    *ret = (struct credentials){.user = ""};
    for (size_t i = 0; i < 2; i++) {
        int status = look_in(paths[i], host, ret, err);
        if (status != ERR_NOT_FOUND) {
            return status;
        }
    }
    return 0;
}
