#include "runtime/image/registry.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/image/challenge.h"
#include "runtime/image/json.h"

enum { CONNECT_TIMEOUT_S = 20, STALL_BYTES = 10, STALL_S = 60, TOKEN_SIZE_MAX = 1 << 20 };

/* ---- who may be spoken to without TLS ---- */

static bool is_local(const char *host)
{
    return strncmp(host, "localhost", 9) == 0 || strncmp(host, "127.", 4) == 0 ||
           strncmp(host, "[::1]", 5) == 0;
}

static bool is_listed(const char *host)
{
    const char *list = getenv("CORACLE_INSECURE_REGISTRIES");
    while (list != NULL && *list != '\0') {
        size_t size = strcspn(list, ",");
        if (strlen(host) == size && strncmp(list, host, size) == 0) {
            return true;
        }
        list += size + (list[size] == ',' ? 1 : 0);
    }
    return false;
}

/* ---- one transfer ---- */

struct transfer {
    struct registry_reply *reply;
    struct registry_body *body;
    size_t size_max;
    bool is_too_large;
};

static size_t on_body(char *data, size_t unit, size_t count, void *context)
{
    struct transfer *transfer = context;
    size_t size = unit * count;
    if (buf_size(&transfer->reply->body) + size > transfer->size_max) {
        transfer->is_too_large = true;
        return 0;
    }
    buf_append(&transfer->reply->body, data, size);
    return size;
}

static void take_header(const char *line, size_t size, const char *name, char *out, size_t room)
{
    size_t length = strlen(name);
    if (size <= length || strncasecmp(line, name, length) != 0 || line[length] != ':') {
        return;
    }
    const char *value = line + length + 1;
    size_t left = size - length - 1;
    while (left > 0 && isspace((unsigned char)*value)) {
        value++;
        left--;
    }
    while (left > 0 && isspace((unsigned char)value[left - 1])) {
        left--;
    }
    (void)snprintf(out, room, "%.*s", (int)left, value);
}

static size_t on_header(char *data, size_t unit, size_t count, void *context)
{
    struct transfer *transfer = context;
    struct registry_reply *reply = transfer->reply;
    size_t size = unit * count;
    take_header(data, size, "Content-Type", reply->content_type, sizeof(reply->content_type));
    take_header(data, size, "Location", reply->location, sizeof(reply->location));
    take_header(data, size, "Docker-Content-Digest", reply->digest, sizeof(reply->digest));
    take_header(data, size, "WWW-Authenticate", reply->authenticate, sizeof(reply->authenticate));
    return size;
}

static size_t on_upload(char *out, size_t unit, size_t count, void *context)
{
    struct registry_body *body = ((struct transfer *)context)->body;
    size_t room = unit * count;
    size_t left = (size_t)(body->size - body->sent);
    size_t size = left < room ? left : room;
    if (body->fd >= 0) {
        ssize_t got = pread(body->fd, out, size, body->sent);
        if (got < 0) {
            return CURL_READFUNC_ABORT;
        }
        size = (size_t)got;
    } else {
        memcpy(out, body->bytes.data + body->sent, size);
    }
    body->sent += (int64_t)size;
    if (body->progress != NULL) {
        body->progress(body->context, body->sent);
    }
    return size;
}

static int on_rewind(void *context, curl_off_t offset, int origin)
{
    if (origin != SEEK_SET) {
        return CURL_SEEKFUNC_CANTSEEK;
    }
    ((struct transfer *)context)->body->sent = offset;
    return CURL_SEEKFUNC_OK;
}

static void set_certificates(const struct registry *registry, CURL *curl)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "/etc/docker/certs.d/%.300s/ca.crt", registry->host);
    if (access(path, R_OK) == 0) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, path);
    }
    (void)snprintf(path, sizeof(path), "/etc/docker/certs.d/%.300s/client.cert", registry->host);
    if (access(path, R_OK) == 0) {
        curl_easy_setopt(curl, CURLOPT_SSLCERT, path);
        (void)snprintf(path, sizeof(path), "/etc/docker/certs.d/%.300s/client.key", registry->host);
        curl_easy_setopt(curl, CURLOPT_SSLKEY, path);
    }
}

void registry_set_up(const struct registry *registry, CURL *curl, const char *accept,
                     struct curl_slist **ret_headers)
{
    struct curl_slist *headers = NULL;
    curl_easy_reset(curl);
    if (registry->authorization != NULL) {
        headers = curl_slist_append(headers, registry->authorization);
    }
    if (accept != NULL) {
        CLEANUP(free) char *line = mem_printf("Accept: %s", accept);
        headers = curl_slist_append(headers, line);
    }
    headers = curl_slist_append(headers, "Expect:"); /* no pause before uploads */
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "coracle");
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, (long)STALL_BYTES);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)STALL_S);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, registry->may_be_plain ? "https,http" : "https");
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR,
                     registry->may_be_plain ? "https,http" : "https");
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 5L);
    set_certificates(registry, curl);
    *ret_headers = headers;
}

static int perform(struct registry *registry, const char *method, const char *url,
                   const char *accept, struct registry_body *body, size_t reply_size_max,
                   struct registry_reply *reply, struct err *err)
{
    struct transfer transfer = {.reply = reply, .body = body, .size_max = reply_size_max};
    struct curl_slist *headers = NULL;
    char problem[CURL_ERROR_SIZE] = "";
    registry_reply_deinit(reply);
    *reply = (struct registry_reply){.status = 0};
    registry_set_up(registry, registry->curl, accept, &headers);
    if (body != NULL) {
        CLEANUP(free) char *line = mem_printf("Content-Type: %s", body->content_type);
        headers = curl_slist_append(headers, line);
        curl_easy_setopt(registry->curl, CURLOPT_HTTPHEADER, headers);
        body->sent = 0;
        curl_easy_setopt(registry->curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(registry->curl, CURLOPT_READFUNCTION, on_upload);
        curl_easy_setopt(registry->curl, CURLOPT_READDATA, &transfer);
        curl_easy_setopt(registry->curl, CURLOPT_SEEKFUNCTION, on_rewind);
        curl_easy_setopt(registry->curl, CURLOPT_SEEKDATA, &transfer);
        curl_easy_setopt(registry->curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)body->size);
    } else if (strcmp(method, "POST") == 0) {
        curl_easy_setopt(registry->curl, CURLOPT_POSTFIELDS, "");
    }
    if (strcmp(method, "HEAD") == 0) {
        curl_easy_setopt(registry->curl, CURLOPT_NOBODY, 1L);
    } else {
        curl_easy_setopt(registry->curl, CURLOPT_CUSTOMREQUEST, method);
    }
    curl_easy_setopt(registry->curl, CURLOPT_FOLLOWLOCATION, strcmp(method, "GET") == 0 ? 1L : 0L);
    curl_easy_setopt(registry->curl, CURLOPT_URL, url);
    curl_easy_setopt(registry->curl, CURLOPT_ERRORBUFFER, problem);
    curl_easy_setopt(registry->curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(registry->curl, CURLOPT_WRITEDATA, &transfer);
    curl_easy_setopt(registry->curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(registry->curl, CURLOPT_HEADERDATA, &transfer);
    CURLcode code = curl_easy_perform(registry->curl);
    curl_easy_getinfo(registry->curl, CURLINFO_RESPONSE_CODE, &reply->status);
    curl_slist_free_all(headers);
    if (transfer.is_too_large) {
        return err_set(err, ERR_TOO_LARGE, "%s: the answer is larger than %zu bytes",
                       registry->host, reply_size_max);
    }
    if (code != CURLE_OK) {
        return err_set(err, code == CURLE_COULDNT_CONNECT ? -ECONNREFUSED : ERR_IO, "%s: %s",
                       registry->host, problem[0] != '\0' ? problem : curl_easy_strerror(code));
    }
    return 0;
}

/* ---- login ---- */

static void set_authorization(struct registry *registry, char *take_line)
{
    mem_free(registry->authorization);
    registry->authorization = take_line;
}

static char *basic_line(const struct credentials *credentials)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    CLEANUP(free) char *pair = mem_printf("%s:%s", credentials->user, credentials->password);
    CLEANUP(buf) struct buf out = BUF_INIT;
    size_t size = strlen(pair);
    buf_append_text(&out, "Authorization: Basic ");
    for (size_t i = 0; i < size; i += 3) {
        unsigned bits = (unsigned)(unsigned char)pair[i] << 16;
        bits |= i + 1 < size ? (unsigned)(unsigned char)pair[i + 1] << 8 : 0;
        bits |= i + 2 < size ? (unsigned)(unsigned char)pair[i + 2] : 0;
        for (size_t k = 0; k < 4; k++) {
            buf_append_u8(&out, (uint8_t)(i + k <= size ? digits[bits >> (18 - 6 * k) & 63] : '='));
        }
    }
    return mem_strdup(buf_text(&out));
}

/* The token endpoint (distribution "Token Authentication Specification"). */
static int fetch_token(struct registry *registry, const struct challenge *challenge,
                       struct err *err)
{
    char scope[512];
    (void)snprintf(scope, sizeof(scope), "repository:%.255s:%s", registry->path,
                   registry->pushes ? "pull,push" : "pull");
    CLEANUP(registry_reply) struct registry_reply reply = {.status = 0};
    char *service_text = curl_easy_escape(registry->curl, challenge->service, 0);
    char *scope_text = curl_easy_escape(registry->curl, scope, 0);
    CLEANUP(free)
    char *url =
        mem_printf("%s%cservice=%s&scope=%s", challenge->realm,
                   strchr(challenge->realm, '?') == NULL ? '?' : '&', service_text, scope_text);
    curl_free(service_text);
    curl_free(scope_text);
    set_authorization(registry, registry->credentials.user[0] == '\0'
                                    ? NULL
                                    : basic_line(&registry->credentials));
    int status =
        perform(registry, "GET", url, "application/json", NULL, TOKEN_SIZE_MAX, &reply, err);
    set_authorization(registry, NULL);
    if (status != 0) {
        return err_prefix(err, "log in");
    }
    if (reply.status != 200) {
        return registry_fail(registry, &reply, "log in", err);
    }
    CLEANUP(json) json_t *root = NULL;
    status = json_parse(buf_bytes(&reply.body), "the registry's token", &root, err);
    const char *token = json_get_text(root, "token", json_get_text(root, "access_token", ""));
    if (status == 0 && (token[0] == '\0' || strpbrk(token, "\r\n") != NULL)) {
        status = err_set(err, ERR_PROTOCOL, "the registry's login gave no token");
    }
    if (status == 0) {
        set_authorization(registry, mem_printf("Authorization: Bearer %s", token));
    }
    return status;
}

static int log_in(struct registry *registry, const char *header, struct err *err)
{
    struct challenge challenge;
    int status = challenge_parse(header, &challenge, err);
    if (status != 0) {
        return status;
    }
    if (challenge.scheme == CHALLENGE_BEARER) {
        return fetch_token(registry, &challenge, err);
    }
    if (registry->credentials.user[0] == '\0') {
        return err_set(err, ERR_DENIED, "%s asks for a login, and none is stored for it",
                       registry->host);
    }
    set_authorization(registry, basic_line(&registry->credentials));
    return 0;
}

/* ---- the interface ---- */

int registry_open(struct registry *registry, const struct reference *reference, bool pushes,
                  bool is_insecure, struct err *err)
{
    *registry = (struct registry){.pushes = pushes};
    bool is_hub = strcmp(reference->host, "docker.io") == 0;
    (void)snprintf(registry->host, sizeof(registry->host), "%s",
                   is_hub ? "registry-1.docker.io" : reference->host);
    (void)snprintf(registry->path, sizeof(registry->path), "%s", reference->path);
    (void)snprintf(registry->base, sizeof(registry->base), "https://%.280s", registry->host);
    registry->may_be_plain = is_insecure || is_local(registry->host) || is_listed(registry->host);
    int status = credentials_find(reference->host, &registry->credentials, err);
    if (status != 0) {
        return status;
    }
    registry->curl = curl_easy_init();
    if (registry->curl == NULL) {
        return err_set(err, ERR_IO, "start libcurl");
    }
    if (registry->may_be_plain) {
        /* TLS if it is spoken there, else not. */
        CLEANUP(registry_reply) struct registry_reply reply = {.status = 0};
        CLEANUP(free) char *url = mem_printf("%s/v2/", registry->base);
        struct err ignored;
        if (perform(registry, "GET", url, NULL, NULL, TOKEN_SIZE_MAX, &reply, &ignored) != 0) {
            (void)snprintf(registry->base, sizeof(registry->base), "http://%.280s", registry->host);
        }
    }
    return 0;
}

void registry_close(struct registry *registry)
{
    if (registry->curl != NULL) {
        curl_easy_cleanup(registry->curl);
    }
    mem_free(registry->authorization);
    explicit_bzero(&registry->credentials, sizeof(registry->credentials));
    registry->curl = NULL;
    registry->authorization = NULL;
}

void registry_reply_deinit(struct registry_reply *reply)
{
    buf_deinit(&reply->body);
    buf_init(&reply->body);
}

void registry_blob_url(const struct registry *registry, const char *digest, char *out)
{
    (void)snprintf(out, 1024, "%s/v2/%s/blobs/%s", registry->base, registry->path, digest);
}

int registry_request(struct registry *registry, const char *method, const char *path,
                     const char *accept, struct registry_body *body, size_t reply_size_max,
                     struct registry_reply *reply, struct err *err)
{
    bool is_url = strncmp(path, "http://", 7) == 0 || strncmp(path, "https://", 8) == 0;
    bool is_from_top = path[0] == '/' && strncmp(path, "/v2/", 4) == 0;
    CLEANUP(free)
    char *url = is_url        ? mem_strdup(path)
                : is_from_top ? mem_printf("%s%s", registry->base, path)
                              : mem_printf("%s/v2/%s%s", registry->base, registry->path, path);
    int status = perform(registry, method, url, accept, body, reply_size_max, reply, err);
    if (status == 0 && reply->status == 401 && reply->authenticate[0] != '\0') {
        status = log_in(registry, reply->authenticate, err);
        if (status == 0) {
            status = perform(registry, method, url, accept, body, reply_size_max, reply, err);
        }
    }
    return status;
}

int registry_fail(const struct registry *registry, const struct registry_reply *reply,
                  const char *what, struct err *err)
{
    CLEANUP(json) json_t *root = NULL;
    const char *message = "";
    if (json_parse(buf_bytes(&reply->body), "error", &root, NULL) == 0) {
        const json_t *first = json_array_get(json_object_get(root, "errors"), 0);
        message = json_get_text(first, "message", json_get_text(root, "message", ""));
    }
    int code = reply->status == 404                           ? ERR_NOT_FOUND
               : reply->status == 401 || reply->status == 403 ? ERR_DENIED
               : reply->status == 429                         ? ERR_BUSY
                                                              : ERR_IO;
    const char *hint = reply->status == 401   ? " (a login is needed, or the image does not exist)"
                       : reply->status == 429 ? " (too many requests; log in or try later)"
                                              : "";
    return err_set(err, code, "%s: %s: %s%s(HTTP %ld)%s", registry->host, what, message,
                   message[0] == '\0' ? "" : " ", reply->status, hint);
}
