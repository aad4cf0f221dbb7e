/* SRV records of a domain. The resolver is the system's: it knows /etc/resolv.conf, search lists,
 * time-outs. */
#include <arpa/nameser.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "kvstore/server/discovery.h"

enum { ANSWER_BYTES = 65536, TARGET_BYTES = 256 };

struct lookup {
    struct config *config;
    struct buf text;    /* name=URL,... */
    unsigned next_name; /* of members that are not us */
    unsigned count;
};

/* Do host and port mean one of our own advertised URLs? */
static bool is_self(const struct config *config, const char *host, uint16_t port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *theirs = NULL;
    bool is_equal = false;
    if (getaddrinfo(host, NULL, &hints, &theirs) != 0) {
        return false;
    }
    for (unsigned i = 0; i < config->initial_advertise_peer_urls.count && !is_equal; i++) {
        const struct config_url *url = &config->initial_advertise_peer_urls.url[i];
        struct addrinfo *ours = NULL;
        if (url->port != port || getaddrinfo(url->host, NULL, &hints, &ours) != 0) {
            continue;
        }
        for (struct addrinfo *a = theirs; a != NULL; a = a->ai_next) {
            for (struct addrinfo *b = ours; b != NULL; b = b->ai_next) {
                is_equal = is_equal || (a->ai_addrlen == b->ai_addrlen &&
                                        memcmp(a->ai_addr, b->ai_addr, a->ai_addrlen) == 0);
            }
        }
        freeaddrinfo(ours);
    }
    freeaddrinfo(theirs);
    return is_equal;
}

static int add_record(struct lookup *lookup, const char *scheme, const char *target, uint16_t port,
                      struct err *err)
{
    struct config *config = lookup->config;
    bool is_own = is_self(config, target, port);
    const struct config_url *own = &config->initial_advertise_peer_urls.url[0];
    if (is_own && own->is_tls != (strcmp(scheme, "https") == 0)) {
        return err_set(err, ERR_INVALID, "%s at %s:%u from DNS has scheme %s", own->text, target,
                       port, scheme);
    }
    buf_append_text(&lookup->text, lookup->count++ == 0 ? "" : ",");
    if (is_own) {
        buf_append_text(&lookup->text, config->name);
    } else {
        buf_append_format(&lookup->text, "%u", lookup->next_name++);
    }
    buf_append_format(&lookup->text, "=%s://%s:%u", scheme, target, port);
    return 0;
}

/* RFC 2782: priority, weight, port, target. */
static int add_answer(struct lookup *lookup, const char *scheme, const uint8_t *answer, int size,
                      struct err *err)
{
    ns_msg message;
    if (ns_initparse(answer, size, &message) != 0) {
        return err_set(err, ERR_MALFORMED, "the answer of the name server cannot be read");
    }
    for (int i = 0; i < ns_msg_count(message, ns_s_an); i++) {
        ns_rr record;
        char target[TARGET_BYTES];
        if (ns_parserr(&message, ns_s_an, i, &record) != 0) {
            return err_set(err, ERR_MALFORMED, "the answer of the name server cannot be read");
        }
        if (ns_rr_type(record) != ns_t_srv || ns_rr_rdlen(record) < 7) {
            continue;
        }
        const uint8_t *data = ns_rr_rdata(record);
        uint16_t port = (uint16_t)(data[4] << 8 | data[5]);
        if (ns_name_uncompress(ns_msg_base(message), ns_msg_end(message), data + 6, target,
                               sizeof target) < 0) {
            return err_set(err, ERR_MALFORMED, "the answer of the name server cannot be read");
        }
        int code = add_record(lookup, scheme, target, port, err);
        if (code != 0) {
            return code;
        }
    }
    return 0;
}

static int look_up(struct lookup *lookup, const char *service, const char *scheme, struct err *err)
{
    const struct config *config = lookup->config;
    bool has_name = config->discovery_srv_name[0] != '\0';
    CLEANUP(free)
    char *name = mem_printf("_%s%s%s._tcp.%s", service, has_name ? "-" : "",
                            config->discovery_srv_name, config->discovery_srv);
    CLEANUP(free) uint8_t *answer = mem_alloc(ANSWER_BYTES);
    struct __res_state state = {0};
    if (res_ninit(&state) != 0) {
        return err_set(err, ERR_IO, "the resolver cannot start");
    }
    int size = res_nquery(&state, name, ns_c_in, ns_t_srv, answer, ANSWER_BYTES);
    res_nclose(&state);
    return size < 0 ? 0
                    : add_answer(lookup, scheme, answer, size, err); /* the other may be there */
}

int discovery_srv_cluster(struct config *config, const char **ret_text, struct err *err)
{
    struct lookup lookup = {.config = config};
    int code = look_up(&lookup, "etcd-server-ssl", "https", err);
    code = code != 0 ? code : look_up(&lookup, "etcd-server", "http", err);
    if (code == 0 && lookup.count == 0) {
        code = err_set(err, ERR_NOT_FOUND,
                       "error querying DNS SRV records of _etcd-server%s%s "
                       "(with and without -ssl) for domain %s",
                       config->discovery_srv_name[0] == '\0' ? "" : "-", config->discovery_srv_name,
                       config->discovery_srv);
    }
    if (code == 0) {
        *ret_text = arena_strdup(&config->arena, buf_text(&lookup.text));
    }
    buf_deinit(&lookup.text);
    return code;
}
