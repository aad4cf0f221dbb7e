/* message.h - DNS messages (RFC 1035 section 4, EDNS RFC 6891): queries in, answers out. Pure. */
#ifndef ORCHESTRATOR_DNS_MESSAGE_H
#define ORCHESTRATOR_DNS_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"

enum {
    DNS_NAME_SIZE_MAX = 255,   /* RFC 1035 section 2.3.4 */
    DNS_NAME_TEXT_SIZE = 1024, /* of a name as text with its NUL: an odd byte takes four */
    DNS_LABEL_SIZE_MAX = 63,
    DNS_HEADER_SIZE = 12,
    DNS_UDP_SIZE_MIN = 512,
    DNS_UDP_SIZE_MAX = 1232, /* what passes everywhere without fragments (DNS flag day 2020) */
    DNS_TCP_SIZE_MAX = 65535,
};

enum dns_type {
    DNS_A = 1,
    DNS_NS = 2,
    DNS_CNAME = 5,
    DNS_SOA = 6,
    DNS_PTR = 12,
    DNS_TXT = 16,
    DNS_AAAA = 28,
    DNS_SRV = 33,
    DNS_OPT = 41,
    DNS_ANY = 255,
};

enum dns_code {
    DNS_NOERROR = 0,
    DNS_FORMERR = 1,
    DNS_SERVFAIL = 2,
    DNS_NXDOMAIN = 3,
    DNS_NOTIMP = 4,
    DNS_REFUSED = 5,
    DNS_BADVERS = 16,
};

struct dns_query {
    uint16_t id;
    bool wants_recursion;
    char name[DNS_NAME_TEXT_SIZE]; /* lower case, labels with dots between, none at the end; bytes
                                      that no host name has are \ddd */
    struct bytes question;         /* as it came: borrowed from the message */
    uint16_t type;
    uint16_t class;
    bool has_edns;
    uint16_t udp_size; /* the largest answer that the asker takes by UDP */
};

/* 0; a dns_code to answer with (query->id and question are set as far as they are known); or
 * ERR_MALFORMED for what deserves no answer: too short, or itself an answer. */
int dns_query_parse(struct bytes message, struct dns_query *query);

/* The name at *offset, which moves behind it; pointers are followed (only backwards).
 * ERR_MALFORMED.
 */
int dns_name_read(struct bytes message, size_t *offset, char text[DNS_NAME_TEXT_SIZE]);
/* The wire form of a text name, appended; false (and nothing appended) when it is no name. */
bool dns_name_write(struct buf *out, const char *text);

enum dns_section { DNS_ANSWER = 0, DNS_AUTHORITY, DNS_ADDITIONAL };

/* An answer in the making. Records that do not fit are left out and the answer says so (TC). */
struct dns_writer {
    struct buf out;
    const struct dns_query *query; /* borrowed */
    size_t limit;
    uint16_t counts[3];
    bool is_truncated;
};

/* limit: the answer's largest size, at least DNS_UDP_SIZE_MIN. */
void dns_writer_init(struct dns_writer *writer, const struct dns_query *query, size_t limit);
void dns_writer_deinit(struct dns_writer *writer);
/* In the order of sections. name NULL: the one that was asked for. */
void dns_writer_add(struct dns_writer *writer, enum dns_section section, const char *name,
                    uint16_t type, uint32_t ttl_s, struct bytes data);
/* Complete; is_ours: the name is in a zone that we know all of. The bytes stay the writer's. */
struct bytes dns_writer_finish(struct dns_writer *writer, enum dns_code code, bool is_ours);

/* The whole of an answer without records. */
void dns_write_refusal(struct buf *out, const struct dns_query *query, enum dns_code code);
/* A query of ours. False when name is none. */
bool dns_write_query(struct buf *out, uint16_t id, const char *name, uint16_t type);

/* Records of type in an upstream's answer, along its chain of CNAMEs: each is added as it is to the
 * writer's answer section. ERR_MALFORMED. *ret_code is the upstream's. */
int dns_copy_answers(struct dns_writer *writer, struct bytes message, enum dns_code *ret_code);

#endif
