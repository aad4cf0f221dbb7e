#include "orchestrator/dns/forwarder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "orchestrator/dns/message.h"

struct forward {
    struct forwarder *forwarder;
    struct buf question; /* with the size in front, for TCP */
    uint16_t own_id;     /* that the asker chose */
    bool by_tcp;
    unsigned tries;
    forward_done *done;
    void *context;
};

/* One try at one upstream. */
struct attempt {
    struct forward *forward; /* NULL: it is over */
    union {
        uv_handle_t handle;
        uv_udp_t udp;
        uv_tcp_t tcp;
    } socket;
    uv_timer_t timer;
    uv_connect_t connecting;
    uv_write_t writing;
    struct buf answer;
    uint16_t id;
    unsigned handles_open;
};

static void try_next(struct forward *forward);

static void on_closed(uv_handle_t *handle)
{
    struct attempt *attempt = handle->data;
    if (--attempt->handles_open == 0) {
        buf_deinit(&attempt->answer);
        mem_free(attempt);
    }
}

static void end_forward(struct forward *forward, struct bytes answer)
{
    forward->forwarder->under_way--;
    forward->done(forward->context, answer);
    buf_deinit(&forward->question);
    mem_free(forward);
}

static void end_attempt(struct attempt *attempt, struct bytes answer)
{
    struct forward *forward = TAKE_PTR(attempt->forward);
    if (forward == NULL) {
        return;
    }
    uv_close(&attempt->socket.handle, on_closed);
    uv_close((uv_handle_t *)&attempt->timer, on_closed);
    if (answer.size > 0) {
        end_forward(forward, answer);
    } else {
        try_next(forward);
    }
}

static void fail_attempt(struct attempt *attempt)
{
    end_attempt(attempt, bytes_make(NULL, 0));
}

/* The number must be ours and the question the same; then the asker's number is put back. */
static bool accept_answer(struct attempt *attempt, uint8_t *data, size_t size)
{
    const struct forward *forward = attempt->forward;
    struct bytes question = buf_bytes(&forward->question);
    struct dns_query asked;
    if (size < DNS_HEADER_SIZE || (data[0] << 8 | data[1]) != attempt->id ||
        (data[2] & 0x80) == 0 ||
        dns_query_parse(bytes_make(question.data + 2, question.size - 2), &asked) < 0 ||
        size < DNS_HEADER_SIZE + asked.question.size ||
        memcmp(data + DNS_HEADER_SIZE, asked.question.data, asked.question.size) != 0) {
        return false;
    }
    data[0] = (uint8_t)(forward->own_id >> 8);
    data[1] = (uint8_t)forward->own_id;
    return true;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    struct attempt *attempt = handle->data;
    (void)suggested;
    *ret = uv_buf_init((char *)buf_reserve(&attempt->answer, DNS_TCP_SIZE_MAX), DNS_TCP_SIZE_MAX);
}

static void on_datagram(uv_udp_t *udp, ssize_t size, const uv_buf_t *data,
                        const struct sockaddr *from, unsigned flags)
{
    struct attempt *attempt = udp->data;
    (void)flags;
    if (size < 0) {
        fail_attempt(attempt);
    } else if (from != NULL && attempt->forward != NULL &&
               accept_answer(attempt, (uint8_t *)data->base, (size_t)size)) {
        end_attempt(attempt, bytes_make(data->base, (size_t)size));
    }
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *data)
{
    struct attempt *attempt = stream->data;
    (void)data;
    if (size < 0) {
        fail_attempt(attempt);
        return;
    }
    buf_commit(&attempt->answer, (size_t)size);
    struct bytes all = buf_bytes(&attempt->answer);
    size_t wanted = all.size < 2 ? 2 : 2U + (size_t)(all.data[0] << 8 | all.data[1]);
    if (all.size < 2 || all.size < wanted || attempt->forward == NULL) {
        return;
    }
    buf_consume(&attempt->answer, 2);
    uint8_t *answer = attempt->answer.data + attempt->answer.start;
    if (accept_answer(attempt, answer, wanted - 2)) {
        end_attempt(attempt, bytes_make(answer, wanted - 2));
    } else {
        fail_attempt(attempt);
    }
}

static void on_written(uv_write_t *request, int status)
{
    if (status < 0) {
        fail_attempt(request->data);
    }
}

static void on_connected(uv_connect_t *request, int status)
{
    struct attempt *attempt = request->data;
    if (attempt->forward == NULL) {
        return;
    }
    struct bytes question = buf_bytes(&attempt->forward->question);
    const uv_buf_t data = uv_buf_init((char *)(uintptr_t)question.data, (unsigned)question.size);
    uv_stream_t *stream = (uv_stream_t *)&attempt->socket.tcp;
    attempt->writing.data = attempt;
    if (status < 0 || uv_read_start(stream, on_alloc, on_read) < 0 ||
        uv_write(&attempt->writing, stream, &data, 1, on_written) < 0) {
        fail_attempt(attempt);
    }
}

static void on_late(uv_timer_t *timer)
{
    fail_attempt(timer->data);
}

static int begin_udp(struct attempt *attempt, const struct sockaddr *upstream,
                     struct bytes question)
{
    uv_udp_t *udp = &attempt->socket.udp;
    const uv_buf_t data =
        uv_buf_init((char *)(uintptr_t)question.data + 2, (unsigned)question.size - 2);
    int status = uv_udp_connect(udp, upstream);
    if (status == 0) {
        status = uv_udp_try_send(udp, &data, 1, NULL);
    }
    return status < 0 ? status : uv_udp_recv_start(udp, on_alloc, on_datagram);
}

static void set_id(struct attempt *attempt)
{
    struct buf *question = &attempt->forward->question;
    uint8_t *id = question->data + question->start + 2;
    if (getrandom(id, 2, 0) != 2) {
        /* Then only the port is unpredictable: the kernel is hardly up. */
        id[0] ^= (uint8_t)(uintptr_t)attempt;
    }
    attempt->id = (uint16_t)(id[0] << 8 | id[1]);
}

static void try_next(struct forward *forward)
{
    struct forwarder *forwarder = forward->forwarder;
    if (forward->tries == FORWARD_TRIES_MAX) {
        end_forward(forward, bytes_make(NULL, 0));
        return;
    }
    const struct sockaddr *upstream = (const struct sockaddr *)&forwarder
                                          ->upstreams[forward->tries++ % forwarder->upstream_count];
    struct attempt *attempt = mem_zalloc(sizeof(*attempt));
    attempt->forward = forward;
    attempt->handles_open = 2;
    set_id(attempt);
    if (forward->by_tcp) {
        (void)uv_tcp_init(forwarder->loop, &attempt->socket.tcp);
    } else {
        (void)uv_udp_init(forwarder->loop, &attempt->socket.udp);
    }
    (void)uv_timer_init(forwarder->loop, &attempt->timer);
    attempt->socket.handle.data = attempt;
    attempt->timer.data = attempt;
    attempt->connecting.data = attempt;
    int status = forward->by_tcp ? uv_tcp_connect(&attempt->connecting, &attempt->socket.tcp,
                                                  upstream, on_connected)
                                 : begin_udp(attempt, upstream, buf_bytes(&forward->question));
    /* What fails at once is tried again by the timer, so that no completion runs inside the call.
     */
    (void)uv_timer_start(&attempt->timer, on_late, status < 0 ? 1 : FORWARD_TRY_MS, 0);
}

bool forwarder_ask(struct forwarder *forwarder, struct bytes question, bool by_tcp,
                   forward_done *done, void *context)
{
    if (forwarder->upstream_count == 0 || forwarder->under_way == FORWARDS_MAX ||
        question.size < DNS_HEADER_SIZE || question.size > DNS_TCP_SIZE_MAX) {
        return false;
    }
    struct forward *forward = mem_zalloc(sizeof(*forward));
    *forward = (struct forward){
        .forwarder = forwarder, .by_tcp = by_tcp, .done = done, .context = context};
    forward->own_id = (uint16_t)(question.data[0] << 8 | question.data[1]);
    buf_append_u8(&forward->question, (uint8_t)(question.size >> 8));
    buf_append_u8(&forward->question, (uint8_t)question.size);
    buf_append_bytes(&forward->question, question);
    forwarder->under_way++;
    try_next(forward);
    return true;
}

static bool add_upstream(struct forwarder *forwarder, const char *text)
{
    char host[64];
    unsigned port = 53;
    char rest = '\0';
    struct sockaddr_storage *slot = &forwarder->upstreams[forwarder->upstream_count];
    if (strlen(text) >= sizeof(host) || forwarder->upstream_count == UPSTREAMS_MAX) {
        return false;
    }
    bool is_ip6 = strchr(text, ':') != strrchr(text, ':');
    if (is_ip6) {
        (void)snprintf(host, sizeof(host), "%s", text);
    } else if (sscanf(text, "%63[^:]:%5u%c", host, &port, &rest) > 2 || port == 0 ||
               port > UINT16_MAX) {
        return false;
    }
    int status = is_ip6 ? uv_ip6_addr(host, (int)port, (struct sockaddr_in6 *)slot)
                        : uv_ip4_addr(host, (int)port, (struct sockaddr_in *)slot);
    forwarder->upstream_count += status == 0;
    return status == 0;
}

static void read_resolv_conf(struct forwarder *forwarder, const char *path)
{
    CLEANUP(file) FILE *file = fopen(path, "re");
    char line[256];
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        char address[64];
        if (sscanf(line, " nameserver %63s", address) == 1) {
            (void)add_upstream(forwarder, address); /* resolvers pass over what they cannot read */
        }
    }
}

int forwarder_init(struct forwarder *forwarder, uv_loop_t *loop, const char *text,
                   const char *resolv_conf, struct err *err)
{
    *forwarder = (struct forwarder){.loop = loop};
    if (text == NULL) {
        read_resolv_conf(forwarder, resolv_conf);
        return 0;
    }
    CLEANUP(free) char *copy = mem_strdup(text);
    char *rest = copy;
    for (char *part = strsep(&rest, ","); part != NULL; part = strsep(&rest, ",")) {
        if (*part != '\0' && !add_upstream(forwarder, part)) {
            return err_set(err, ERR_INVALID, "--upstream: '%s' is no address of a name server",
                           part);
        }
    }
    return 0;
}
