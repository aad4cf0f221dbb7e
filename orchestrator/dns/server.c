#include "orchestrator/dns/server.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

struct connection {
    struct list link;
    struct dns_server *server; /* NULL: closing */
    uv_tcp_t tcp;
    uv_timer_t idle;
    struct buf in;
    unsigned handles_open;
    unsigned references; /* questions under way, and itself while it is open */
    bool is_busy;        /* with a question: the next one waits */
};

/* A question that was passed on, until its answer comes. */
struct asked {
    struct dns_server *server;
    struct connection *connection; /* NULL: by UDP; a reference */
    struct sockaddr_storage from;
    struct buf message;
    char target[DNS_NAME_TEXT_SIZE]; /* "": passed on as it is */
};

static void answer_next(struct connection *connection);

/* ---- answers ---- */

static void send_datagram(struct dns_server *server, const struct sockaddr *to, struct bytes data)
{
    const uv_buf_t buffer = uv_buf_init((char *)(uintptr_t)data.data, (unsigned)data.size);
    /* A full socket loses the answer, as any network may: the asker asks again. */
    (void)uv_udp_try_send(&server->udp, &buffer, 1, to);
}

struct sending {
    uv_write_t request;
    uint8_t *data;
};

static void on_sent(uv_write_t *request, int status)
{
    struct sending *sending = (struct sending *)request;
    (void)status; /* a broken connection ends by its read */
    mem_free(sending->data);
    mem_free(sending);
}

static void send_stream(struct connection *connection, struct bytes data)
{
    if (connection->server == NULL || data.size == 0) {
        return;
    }
    CHECK(data.data != NULL);
    struct sending *sending = mem_zalloc(sizeof(*sending));
    sending->data = mem_alloc(data.size + 2);
    sending->data[0] = (uint8_t)(data.size >> 8);
    sending->data[1] = (uint8_t)data.size;
    memcpy(sending->data + 2, data.data, data.size);
    const uv_buf_t buffer = uv_buf_init((char *)sending->data, (unsigned)data.size + 2);
    if (uv_write(&sending->request, (uv_stream_t *)&connection->tcp, &buffer, 1, on_sent) < 0) {
        on_sent(&sending->request, 0);
    }
}

static void unref_connection(struct connection *connection)
{
    if (--connection->references == 0) {
        buf_deinit(&connection->in);
        mem_free(connection);
    }
}

static void on_forwarded(void *context, struct bytes answer)
{
    struct asked *asked = context;
    struct dns_query query;
    struct buf reply = BUF_INIT;
    (void)dns_query_parse(buf_bytes(&asked->message), &query);
    size_t limit = asked->connection != NULL           ? DNS_TCP_SIZE_MAX
                   : query.udp_size < DNS_UDP_SIZE_MAX ? query.udp_size
                                                       : DNS_UDP_SIZE_MAX;
    if (*asked->target != '\0') {
        zone_finish_chase(&query, asked->target, answer, limit, &reply);
    } else if (answer.size > 0) {
        buf_append_bytes(&reply, answer);
    } else {
        dns_write_refusal(&reply, &query, DNS_SERVFAIL);
    }
    if (asked->connection != NULL) {
        asked->connection->is_busy = false;
        send_stream(asked->connection, buf_bytes(&reply));
        answer_next(asked->connection);
        unref_connection(asked->connection);
    } else if (!uv_is_closing((uv_handle_t *)&asked->server->udp)) {
        send_datagram(asked->server, (const struct sockaddr *)&asked->from, buf_bytes(&reply));
    }
    buf_deinit(&reply);
    buf_deinit(&asked->message);
    mem_free(asked);
}

/* True when it is under way. */
static bool pass_on(struct dns_server *server, struct bytes message, const char *target,
                    const struct dns_query *query, const struct sockaddr *from,
                    struct connection *connection)
{
    struct asked *asked = mem_zalloc(sizeof(*asked));
    struct buf own = BUF_INIT;
    asked->server = server;
    asked->connection = connection;
    if (from != NULL) {
        memcpy(&asked->from, from,
               from->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                           : sizeof(struct sockaddr_in));
    }
    (void)snprintf(asked->target, sizeof(asked->target), "%s", target);
    buf_append_bytes(&asked->message, message);
    bool is_asked = (*target == '\0' || dns_write_query(&own, query->id, target, query->type)) &&
                    forwarder_ask(server->forwarder, *target == '\0' ? message : buf_bytes(&own),
                                  connection != NULL, on_forwarded, asked);
    buf_deinit(&own);
    if (is_asked && connection != NULL) {
        connection->references++;
        connection->is_busy = true;
    } else if (!is_asked) {
        buf_deinit(&asked->message);
        mem_free(asked);
    }
    return is_asked;
}

/* reply stays empty when the answer comes later, or never. */
static void answer(struct dns_server *server, struct bytes message, const struct sockaddr *from,
                   struct connection *connection, struct buf *reply)
{
    struct dns_query query;
    char target[DNS_NAME_TEXT_SIZE] = "";
    int problem = dns_query_parse(message, &query);
    if (problem < 0) {
        return;
    }
    if (problem > 0 || !server->is_ready) {
        dns_write_refusal(reply, &query, problem > 0 ? (enum dns_code)problem : DNS_SERVFAIL);
        return;
    }
    size_t limit = connection != NULL                  ? DNS_TCP_SIZE_MAX
                   : query.udp_size < DNS_UDP_SIZE_MAX ? query.udp_size
                                                       : DNS_UDP_SIZE_MAX;
    enum zone_verdict verdict = zone_answer(server->zone, &query, limit, reply, target);
    if (verdict == ZONE_ANSWERED) {
        return;
    }
    if (!pass_on(server, message, verdict == ZONE_CHASE ? target : "", &query, from, connection)) {
        if (verdict == ZONE_CHASE) {
            zone_finish_chase(&query, target, bytes_make(NULL, 0), limit, reply);
        } else {
            dns_write_refusal(reply, &query,
                              server->forwarder->upstream_count == 0 ? DNS_REFUSED : DNS_SERVFAIL);
        }
    }
}

/* ---- UDP ---- */

static void on_datagram_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    struct dns_server *server = handle->data;
    (void)suggested;
    *ret = uv_buf_init((char *)server->datagram, sizeof(server->datagram));
}

static void on_datagram(uv_udp_t *udp, ssize_t size, const uv_buf_t *data,
                        const struct sockaddr *from, unsigned flags)
{
    struct dns_server *server = udp->data;
    if (size <= 0 || from == NULL || (flags & UV_UDP_PARTIAL) != 0) {
        return;
    }
    struct buf reply = BUF_INIT;
    answer(server, bytes_make(data->base, (size_t)size), from, NULL, &reply);
    if (buf_size(&reply) > 0) {
        send_datagram(server, from, buf_bytes(&reply));
    }
    buf_deinit(&reply);
}

/* ---- TCP ---- */

static void on_connection_closed(uv_handle_t *handle)
{
    struct connection *connection = handle->data;
    if (--connection->handles_open == 0) {
        unref_connection(connection);
    }
}

static void close_connection(struct connection *connection)
{
    if (connection->server == NULL) {
        return;
    }
    connection->server->connection_count--;
    connection->server = NULL;
    list_remove(&connection->link);
    uv_close((uv_handle_t *)&connection->tcp, on_connection_closed);
    uv_close((uv_handle_t *)&connection->idle, on_connection_closed);
}

static void on_idle(uv_timer_t *timer)
{
    close_connection(timer->data);
}

/* Questions of one connection are answered one after the other. */
static void answer_next(struct connection *connection)
{
    while (connection->server != NULL && !connection->is_busy) {
        struct bytes in = buf_bytes(&connection->in);
        size_t size = in.size < 2 ? 0 : (size_t)(in.data[0] << 8 | in.data[1]);
        if (in.size < 2 || in.size < 2 + size) {
            return;
        }
        struct buf reply = BUF_INIT;
        answer(connection->server, bytes_make(in.data + 2, size), NULL, connection, &reply);
        buf_consume(&connection->in, 2 + size);
        if (buf_size(&reply) > 0) {
            send_stream(connection, buf_bytes(&reply));
        }
        buf_deinit(&reply);
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    struct connection *connection = handle->data;
    (void)suggested;
    enum { ROOM = 4096 };
    *ret = uv_buf_init((char *)buf_reserve(&connection->in, ROOM), ROOM);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *data)
{
    struct connection *connection = stream->data;
    (void)data;
    if (size < 0) {
        close_connection(connection);
        return;
    }
    buf_commit(&connection->in, (size_t)size);
    if (buf_size(&connection->in) > DNS_TCP_SIZE_MAX + 2) {
        close_connection(connection); /* it asks faster than it can be answered */
        return;
    }
    (void)uv_timer_again(&connection->idle);
    answer_next(connection);
}

static void on_connection(uv_stream_t *stream, int status)
{
    struct dns_server *server = stream->data;
    if (status < 0) {
        return;
    }
    struct connection *connection = mem_zalloc(sizeof(*connection));
    connection->server = server;
    connection->references = 1;
    connection->handles_open = 2;
    list_init(&connection->link);
    (void)uv_tcp_init(server->loop, &connection->tcp);
    (void)uv_timer_init(server->loop, &connection->idle);
    connection->tcp.data = connection;
    connection->idle.data = connection;
    list_push_back(&server->connections, &connection->link);
    server->connection_count++;
    if (uv_accept(stream, (uv_stream_t *)&connection->tcp) < 0 ||
        server->connection_count > DNS_CONNECTIONS_MAX ||
        uv_read_start((uv_stream_t *)&connection->tcp, on_alloc, on_read) < 0) {
        close_connection(connection);
        return;
    }
    (void)uv_timer_start(&connection->idle, on_idle, DNS_CONNECTION_IDLE_MS,
                         DNS_CONNECTION_IDLE_MS);
}

/* ---- both ---- */

static int parse_address(const char *text, struct sockaddr_in *address, struct err *err)
{
    char host[64];
    unsigned port = 53;
    char rest = '\0';
    int found = sscanf(text, "%63[^:]:%5u%c", host, &port, &rest);
    if (found < 1 || found > 2 || port > UINT16_MAX || uv_ip4_addr(host, (int)port, address) != 0) {
        return err_set(err, ERR_INVALID, "--listen: '%s' is no address such as 192.0.2.1:53", text);
    }
    return 0;
}

int dns_server_open(struct dns_server *server, uv_loop_t *loop, const char *text, struct err *err)
{
    struct sockaddr_in address;
    int status = parse_address(text, &address, err);
    if (status != 0) {
        return status;
    }
    server->loop = loop;
    list_init(&server->connections);
    (void)uv_udp_init(loop, &server->udp);
    (void)uv_tcp_init(loop, &server->tcp);
    server->udp.data = server;
    server->tcp.data = server;
    const struct sockaddr *where = (const struct sockaddr *)&address;
    status = uv_udp_bind(&server->udp, where, UV_UDP_REUSEADDR);
    status = status != 0 ? status : uv_udp_recv_start(&server->udp, on_datagram_alloc, on_datagram);
    if (status != 0) {
        return err_set(err, ERR_IO, "listen on %s by UDP: %s", text, uv_strerror(status));
    }
    status = uv_tcp_bind(&server->tcp, where, 0);
    status = status != 0 ? status : uv_listen((uv_stream_t *)&server->tcp, 128, on_connection);
    return status == 0 ? 0
                       : err_set(err, ERR_IO, "listen on %s by TCP: %s", text, uv_strerror(status));
}

void dns_server_close(struct dns_server *server)
{
    list_foreach_safe (item, &server->connections) {
        close_connection(container_of(item, struct connection, link));
    }
    uv_close((uv_handle_t *)&server->udp, NULL);
    uv_close((uv_handle_t *)&server->tcp, NULL);
}
