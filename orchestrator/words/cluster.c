#include "orchestrator/words/cluster.h"

#include <string.h>

#include <curl/curl.h>

#include "base/cleanup.h"
#include "orchestrator/objects/tree.h"

#define TABLE_TYPE "application/json;as=Table;v=v1;g=meta.k8s.io"

struct transfer {
    struct buf body; /* or, for a stream, what came with an error */
    CURL *curl;
    cluster_bytes *on_bytes;
    void *context;
    bool is_ended; /* by on_bytes */
};

int cluster_open(struct cluster *cluster, const char *kubeconfig_path, struct err *err)
{
    *cluster = (struct cluster){0};
    int result = kubeconfig_read(&cluster->config, kubeconfig_path, err);
    if (result != 0) {
        return result;
    }
    kinds_init(&cluster->kinds);
    cluster->curl = curl_easy_init();
    return cluster->curl == NULL ? err_set(err, ERR_IO, "start libcurl") : 0;
}

void cluster_close(struct cluster *cluster)
{
    if (cluster->config.host != NULL) {
        curl_easy_cleanup(cluster->curl);
        kinds_deinit(&cluster->kinds);
        kubeconfig_deinit(&cluster->config);
    }
}

static size_t on_data(char *data, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    long code = 0;
    (void)curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &code);
    if (transfer->on_bytes != NULL && code < 300) {
        transfer->is_ended = !transfer->on_bytes(transfer->context, bytes_make(data, size * count));
        return transfer->is_ended ? 0 : size * count;
    }
    if (buf_size(&transfer->body) + size * count > CLUSTER_ANSWER_SIZE_MAX) {
        return 0;
    }
    buf_append(&transfer->body, data, size * count);
    return size * count;
}

static void set_security(struct cluster *cluster)
{
    const struct kubeconfig *config = &cluster->config;
    CURL *curl = cluster->curl;
    (void)curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, config->skips_verify ? 0L : 1L);
    (void)curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, config->skips_verify ? 0L : 2L);
    if (config->ca_file != NULL) {
        (void)curl_easy_setopt(curl, CURLOPT_CAINFO, config->ca_file);
    }
    if (config->certificate_file != NULL && config->key_file != NULL) {
        (void)curl_easy_setopt(curl, CURLOPT_SSLCERT, config->certificate_file);
        (void)curl_easy_setopt(curl, CURLOPT_SSLKEY, config->key_file);
    }
    /* A server of the cluster is not reached through a proxy of the environment. */
    (void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
}

static struct curl_slist *add_header(struct curl_slist *list, const char *name, const char *value)
{
    CLEANUP(free) char *line = mem_printf("%s: %s", name, value);
    return curl_slist_append(list, line);
}

static struct curl_slist *make_headers(const struct cluster *cluster,
                                       const struct cluster_call *call)
{
    struct curl_slist *list = add_header(
        NULL, "Accept", call->wants_table ? TABLE_TYPE ",application/json" : "application/json");
    if (call->body != NULL) {
        list = add_header(list, "Content-Type",
                          call->content_type == NULL ? "application/json" : call->content_type);
    }
    if (cluster->config.token != NULL) {
        CLEANUP(free) char *value = mem_printf("Bearer %s", cluster->config.token);
        list = add_header(list, "Authorization", value);
    }
    return add_header(list, "Expect", "");
}

static int error_code(long code)
{
    switch (code) {
    case 404:
        return ERR_NOT_FOUND;
    case 409:
        return ERR_EXISTS;
    case 429:
        return ERR_BUSY;
    case 401:
    case 403:
        return ERR_DENIED;
    default:
        return code < 500 ? ERR_INVALID : ERR_IO;
    }
}

static int perform(struct cluster *cluster, const struct cluster_call *call,
                   struct transfer *transfer, long *ret_code, struct err *err)
{
    CURL *curl = cluster->curl;
    CLEANUP(free) char *base = kubeconfig_url(&cluster->config);
    CLEANUP(free) char *url = mem_printf("%s%s", base, call->path);
    CLEANUP(free) char *body = call->body == NULL ? NULL : json_dumps(call->body, JSON_COMPACT);
    struct curl_slist *headers = make_headers(cluster, call);
    curl_easy_reset(curl);
    set_security(cluster);
    transfer->curl = curl;
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(curl, CURLOPT_USERAGENT, "kvctl");
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CLUSTER_CONNECT_S);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
    if (body != NULL) {
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    }
    CURLcode status = curl_easy_perform(curl);
    curl_slist_free_all(headers);
    if (status != CURLE_OK && !(status == CURLE_WRITE_ERROR && transfer->is_ended)) {
        return err_set(err, ERR_IO, "ask the API server %s: %s", base, curl_easy_strerror(status));
    }
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, ret_code);
    return 0;
}

static json_t *parse_body(const struct transfer *transfer)
{
    struct bytes text = buf_bytes(&transfer->body);
    return text.size == 0 ? NULL : json_loadb((const char *)text.data, text.size, 0, NULL);
}

static int judge(long code, const json_t *body, struct bytes text, struct err *err)
{
    if (code < 300) {
        return 0;
    }
    const char *message = tree_text(body, "message");
    if (message != NULL) {
        return err_set(err, error_code(code), "%s", message);
    }
    return err_set(err, error_code(code), "the API server answered %ld %.*s", code,
                   (int)(text.size > 200 ? 200 : text.size),
                   text.size == 0 ? "" : (const char *)text.data);
}

int cluster_ask(struct cluster *cluster, const struct cluster_call *call, long *ret_code,
                json_t **ret_body, struct err *err)
{
    struct transfer transfer = {.body = BUF_INIT};
    long code = 0;
    int result = perform(cluster, call, &transfer, &code, err);
    if (result == 0) {
        CLEANUP(json) json_t *body = parse_body(&transfer);
        result = judge(code, body, buf_bytes(&transfer.body), err);
        if (ret_code != NULL) {
            *ret_code = code;
        }
        if (ret_body != NULL && result == 0) {
            *ret_body = json_incref(body);
        }
    }
    buf_deinit(&transfer.body);
    return result;
}

int cluster_get(struct cluster *cluster, const char *path, json_t **ret_body, struct err *err)
{
    const struct cluster_call call = {.method = "GET", .path = path};
    return cluster_ask(cluster, &call, NULL, ret_body, err);
}

int cluster_stream(struct cluster *cluster, const char *path, cluster_bytes *on_bytes,
                   void *context, struct err *err)
{
    const struct cluster_call call = {.method = "GET", .path = path};
    struct transfer transfer = {.body = BUF_INIT, .on_bytes = on_bytes, .context = context};
    long code = 0;
    int result = perform(cluster, &call, &transfer, &code, err);
    if (result == 0) {
        CLEANUP(json) json_t *body = parse_body(&transfer);
        result = judge(code, body, buf_bytes(&transfer.body), err);
    }
    buf_deinit(&transfer.body);
    return result;
}

int cluster_connect(struct cluster *cluster, int *ret_socket, struct err *err)
{
    CURL *curl = cluster->curl;
    CLEANUP(free) char *url = kubeconfig_url(&cluster->config);
    curl_socket_t socket = CURL_SOCKET_BAD;
    curl_easy_reset(curl);
    set_security(cluster);
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CLUSTER_CONNECT_S);
    CURLcode status = curl_easy_perform(curl);
    if (status == CURLE_OK) {
        status = curl_easy_getinfo(curl, CURLINFO_ACTIVESOCKET, &socket);
    }
    if (status != CURLE_OK) {
        return err_set(err, ERR_IO, "connect to %s: %s", url, curl_easy_strerror(status));
    }
    *ret_socket = socket;
    return 0;
}

ssize_t cluster_send(struct cluster *cluster, const void *data, size_t size)
{
    size_t sent = 0;
    CURLcode status = curl_easy_send(cluster->curl, data, size, &sent);
    return status == CURLE_OK ? (ssize_t)sent : status == CURLE_AGAIN ? 0 : ERR_IO;
}

ssize_t cluster_receive(struct cluster *cluster, void *data, size_t size)
{
    size_t received = 0;
    CURLcode status = curl_easy_recv(cluster->curl, data, size, &received);
    if (status == CURLE_AGAIN) {
        return 0;
    }
    return status != CURLE_OK ? ERR_IO : received == 0 ? ERR_CLOSED : (ssize_t)received;
}
