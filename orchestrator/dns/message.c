#include "orchestrator/dns/message.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"

enum {
    FLAG_ANSWER = 0x8000,
    FLAG_AUTHORITATIVE = 0x0400,
    FLAG_TRUNCATED = 0x0200,
    FLAG_WANTS_RECURSION = 0x0100,
    FLAG_HAS_RECURSION = 0x0080,
    CLASS_IN = 1,
    POINTERS_MAX = 64,
};

static uint16_t get_u16(struct bytes message, size_t offset)
{
    return (uint16_t)(message.data[offset] << 8 | message.data[offset + 1]);
}

static void put_u16(struct buf *out, uint16_t value)
{
    buf_append_u8(out, (uint8_t)(value >> 8));
    buf_append_u8(out, (uint8_t)value);
}

static void put_u32(struct buf *out, uint32_t value)
{
    put_u16(out, (uint16_t)(value >> 16));
    put_u16(out, (uint16_t)value);
}

/* One label as text behind *used bytes of it. A dot or another byte that would be misread becomes
 * \ddd (RFC 1035 section 5.1). */
static void append_label(char *text, size_t *used, const uint8_t *label, size_t size)
{
    if (*used > 0) {
        text[(*used)++] = '.';
    }
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = label[i];
        if (byte >= 'A' && byte <= 'Z') {
            byte = (uint8_t)(byte - 'A' + 'a');
        }
        if (byte > ' ' && byte < 127 && byte != '.' && byte != '\\') {
            text[(*used)++] = (char)byte;
        } else {
            *used += (size_t)snprintf(text + *used, 5, "\\%03u", byte);
        }
    }
}

int dns_name_read(struct bytes message, size_t *offset, char text[DNS_NAME_TEXT_SIZE])
{
    size_t at = *offset;
    size_t used = 0;
    size_t wire_size = 1;
    unsigned pointers = 0;
    for (;;) {
        if (at >= message.size) {
            return ERR_MALFORMED;
        }
        uint8_t size = message.data[at];
        if ((size & 0xc0) == 0xc0) {
            if (at + 1 >= message.size || pointers == POINTERS_MAX) {
                return ERR_MALFORMED;
            }
            size_t target = (size_t)(get_u16(message, at) & 0x3fff);
            if (pointers++ == 0) {
                *offset = at + 2;
            }
            if (target >= at) {
                return ERR_MALFORMED;
            }
            at = target;
            continue;
        }
        wire_size += size + 1U;
        if (size > DNS_LABEL_SIZE_MAX || wire_size > DNS_NAME_SIZE_MAX + 1U ||
            at + 1 + size > message.size) {
            return ERR_MALFORMED;
        }
        if (size == 0) {
            break;
        }
        append_label(text, &used, message.data + at + 1, size);
        at += 1U + size;
    }
    text[used] = '\0';
    if (pointers == 0) {
        *offset = at + 1;
    }
    return 0;
}

/* The next byte of a text name; false at a wrong \ddd. */
static bool next_byte(const char **text, uint8_t *ret)
{
    if (**text != '\\') {
        *ret = (uint8_t) * (*text)++;
        return true;
    }
    unsigned value = 0;
    for (int i = 1; i <= 3; i++) {
        char digit = (*text)[i];
        if (digit < '0' || digit > '9') {
            return false;
        }
        value = value * 10 + (unsigned)(digit - '0');
    }
    *text += 4;
    *ret = (uint8_t)value;
    return value <= UINT8_MAX;
}

bool dns_name_write(struct buf *out, const char *text)
{
    uint8_t wire[DNS_NAME_SIZE_MAX + 1];
    size_t size = 0;
    size_t label_at = 0;
    wire[size++] = 0;
    while (*text != '\0' && !(text[0] == '.' && text[1] == '\0')) {
        uint8_t byte = 0; /* of the label, or the length of the next one, which is 0 so far */
        if (*text == '.') {
            if (wire[label_at] == 0) {
                return false;
            }
            text++;
            label_at = size;
        } else if (!next_byte(&text, &byte) || ++wire[label_at] > DNS_LABEL_SIZE_MAX) {
            return false;
        }
        if (size >= DNS_NAME_SIZE_MAX - 1) {
            return false;
        }
        wire[size++] = byte;
    }
    if (wire[label_at] != 0) {
        wire[size++] = 0;
    }
    buf_append(out, wire, size);
    return true;
}

/* EDNS is the one thing that is looked for behind the question. */
static int read_edns(struct bytes message, size_t offset, unsigned count, struct dns_query *query)
{
    char name[DNS_NAME_TEXT_SIZE];
    for (unsigned i = 0; i < count; i++) {
        if (dns_name_read(message, &offset, name) != 0 || offset + 10 > message.size) {
            return DNS_FORMERR;
        }
        uint16_t type = get_u16(message, offset);
        if (type == DNS_OPT) {
            if (query->has_edns || *name != '\0') {
                return DNS_FORMERR; /* RFC 6891 section 6.1.1 */
            }
            query->has_edns = true;
            uint16_t size = get_u16(message, offset + 2);
            query->udp_size = size > DNS_UDP_SIZE_MIN ? size : DNS_UDP_SIZE_MIN;
            if (message.data[offset + 5] != 0) {
                return DNS_BADVERS;
            }
        }
        offset += 10U + get_u16(message, offset + 8);
        if (offset > message.size) {
            return DNS_FORMERR;
        }
    }
    return 0;
}

int dns_query_parse(struct bytes message, struct dns_query *query)
{
    *query = (struct dns_query){.udp_size = DNS_UDP_SIZE_MIN};
    if (message.size < DNS_HEADER_SIZE || (get_u16(message, 2) & FLAG_ANSWER) != 0) {
        return ERR_MALFORMED;
    }
    uint16_t flags = get_u16(message, 2);
    query->id = get_u16(message, 0);
    query->wants_recursion = (flags & FLAG_WANTS_RECURSION) != 0;
    if ((flags >> 11 & 15) != 0) {
        return DNS_NOTIMP;
    }
    size_t offset = DNS_HEADER_SIZE;
    if (get_u16(message, 4) != 1 || dns_name_read(message, &offset, query->name) != 0 ||
        offset + 4 > message.size) {
        return DNS_FORMERR;
    }
    query->type = get_u16(message, offset);
    query->class = get_u16(message, offset + 2);
    query->question = bytes_make(message.data + DNS_HEADER_SIZE, offset + 4 - DNS_HEADER_SIZE);
    unsigned records = (unsigned)get_u16(message, 6) + get_u16(message, 8) + get_u16(message, 10);
    int result = read_edns(message, offset + 4, records, query);
    return result != 0 ? result : query->class == CLASS_IN ? 0 : DNS_REFUSED;
}

enum { OPT_SIZE = 11 };

void dns_writer_init(struct dns_writer *writer, const struct dns_query *query, size_t limit)
{
    *writer = (struct dns_writer){.query = query, .limit = limit};
    static const uint8_t header[DNS_HEADER_SIZE];
    buf_append(&writer->out, header, sizeof(header));
    buf_append_bytes(&writer->out, query->question);
}

void dns_writer_deinit(struct dns_writer *writer)
{
    buf_deinit(&writer->out);
}

void dns_writer_add(struct dns_writer *writer, enum dns_section section, const char *name,
                    uint16_t type, uint32_t ttl_s, struct bytes data)
{
    size_t before = buf_size(&writer->out);
    if (writer->is_truncated) {
        return;
    }
    if (name == NULL) {
        put_u16(&writer->out, 0xc000 | DNS_HEADER_SIZE); /* a pointer to the question */
    } else if (!dns_name_write(&writer->out, name)) {
        return;
    }
    put_u16(&writer->out, type);
    put_u16(&writer->out, CLASS_IN);
    put_u32(&writer->out, ttl_s);
    put_u16(&writer->out, (uint16_t)data.size);
    buf_append_bytes(&writer->out, data);
    size_t room = writer->limit - (writer->query->has_edns ? OPT_SIZE : 0);
    if (data.size > UINT16_MAX || buf_size(&writer->out) > room) {
        buf_truncate(&writer->out, before);
        /* What is missing from the additional section the asker can ask for. */
        writer->is_truncated = section != DNS_ADDITIONAL;
        return;
    }
    writer->counts[section]++;
}

static void set_u16(struct buf *out, size_t offset, uint16_t value)
{
    out->data[out->start + offset] = (uint8_t)(value >> 8);
    out->data[out->start + offset + 1] = (uint8_t)value;
}

struct bytes dns_writer_finish(struct dns_writer *writer, enum dns_code code, bool is_ours)
{
    struct buf *out = &writer->out;
    const struct dns_query *query = writer->query;
    unsigned flags = FLAG_ANSWER | FLAG_HAS_RECURSION | ((unsigned)code & 15);
    flags |= query->wants_recursion ? FLAG_WANTS_RECURSION : 0;
    flags |= is_ours ? FLAG_AUTHORITATIVE : 0;
    flags |= writer->is_truncated ? FLAG_TRUNCATED : 0;
    set_u16(out, 0, query->id);
    set_u16(out, 2, (uint16_t)flags);
    set_u16(out, 4, query->question.size > 0);
    for (size_t i = 0; i < 3; i++) {
        set_u16(out, 6 + 2 * i, writer->counts[i]);
    }
    if (query->has_edns) {
        buf_append_u8(out, 0);
        put_u16(out, DNS_OPT);
        put_u16(out, DNS_UDP_SIZE_MAX);
        put_u32(out, (uint32_t)code >> 4 << 24);
        put_u16(out, 0);
        set_u16(out, 10, (uint16_t)(writer->counts[DNS_ADDITIONAL] + 1));
    }
    return buf_bytes(out);
}

void dns_write_refusal(struct buf *out, const struct dns_query *query, enum dns_code code)
{
    struct dns_writer writer;
    dns_writer_init(&writer, query, DNS_UDP_SIZE_MIN);
    buf_append_bytes(out, dns_writer_finish(&writer, code, false));
    dns_writer_deinit(&writer);
}

bool dns_write_query(struct buf *out, uint16_t id, const char *name, uint16_t type)
{
    put_u16(out, id);
    put_u16(out, FLAG_WANTS_RECURSION);
    put_u16(out, 1);
    put_u32(out, 0);
    put_u16(out, 0);
    if (!dns_name_write(out, name)) {
        return false;
    }
    put_u16(out, type);
    put_u16(out, CLASS_IN);
    return true;
}

/* One record of an upstream's answer; names in it are written out, because pointers point into
 * their message. */
static int copy_record(struct dns_writer *writer, struct bytes message, size_t *offset)
{
    char owner[DNS_NAME_TEXT_SIZE];
    if (dns_name_read(message, offset, owner) != 0 || *offset + 10 > message.size) {
        return ERR_MALFORMED;
    }
    uint16_t type = get_u16(message, *offset);
    uint32_t ttl_s = (uint32_t)get_u16(message, *offset + 4) << 16 | get_u16(message, *offset + 6);
    size_t size = get_u16(message, *offset + 8);
    size_t data_at = *offset + 10;
    *offset = data_at + size;
    if (*offset > message.size) {
        return ERR_MALFORMED;
    }
    if (type == DNS_CNAME) {
        char target[DNS_NAME_TEXT_SIZE];
        struct buf data = BUF_INIT;
        int result = dns_name_read(message, &data_at, target);
        if (result == 0 && dns_name_write(&data, target)) {
            dns_writer_add(writer, DNS_ANSWER, owner, type, ttl_s, buf_bytes(&data));
        }
        buf_deinit(&data);
        return result;
    }
    if (type == writer->query->type && (type == DNS_A || type == DNS_AAAA || type == DNS_TXT)) {
        dns_writer_add(writer, DNS_ANSWER, owner, type, ttl_s,
                       bytes_make(message.data + data_at, size));
    }
    return 0;
}

int dns_copy_answers(struct dns_writer *writer, struct bytes message, enum dns_code *ret_code)
{
    if (message.size < DNS_HEADER_SIZE) {
        return ERR_MALFORMED;
    }
    size_t offset = DNS_HEADER_SIZE;
    char name[DNS_NAME_TEXT_SIZE];
    for (unsigned i = get_u16(message, 4); i > 0; i--) {
        if (dns_name_read(message, &offset, name) != 0 || offset + 4 > message.size) {
            return ERR_MALFORMED;
        }
        offset += 4;
    }
    for (unsigned i = get_u16(message, 6); i > 0; i--) {
        int result = copy_record(writer, message, &offset);
        if (result != 0) {
            return result;
        }
    }
    *ret_code = (enum dns_code)(get_u16(message, 2) & 15);
    return 0;
}
