#include "kvstore/kvctl/printer.h"

#include <string.h>

#include "kvstore/kvctl/go_text.h"
#include "kvstore/kvctl/json_message.h"

static const char *const format_names[] = {
    [OUTPUT_SIMPLE] = "simple", [OUTPUT_JSON] = "json",         [OUTPUT_FIELDS] = "fields",
    [OUTPUT_TABLE] = "table",   [OUTPUT_PROTOBUF] = "protobuf",
};

int output_format_parse(const char *text, enum output_format *ret)
{
    for (size_t i = 0; i < sizeof format_names / sizeof format_names[0]; i++) {
        if (strcmp(text, format_names[i]) == 0) {
            *ret = (enum output_format)i;
            return 0;
        }
    }
    return ERR_INVALID;
}

int print_unsupported(const struct printer *p, struct err *err)
{
    return err_set(err, ERR_UNSUPPORTED, "%s not supported as output format",
                   format_names[p->format]);
}

void print_json_line(struct printer *p, const ProtobufCMessage *message)
{
    json_message_append(p->out, message);
    buf_append_u8(p->out, '\n');
}

void print_protobuf(struct printer *p, const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    (void)protobuf_c_message_pack(message, buf_reserve(p->out, size));
    buf_commit(p->out, size);
}

void print_fields_id(struct printer *p, const char *name, uint64_t id)
{
    buf_append_format(p->out, p->is_hex ? "\"%s\" : %llx\n" : "\"%s\" : %llu\n", name,
                      (unsigned long long)id);
}

void print_fields_header(struct printer *p, const Etcdserverpb__ResponseHeader *header)
{
    static const Etcdserverpb__ResponseHeader none = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    header = header == NULL ? &none : header;
    print_fields_id(p, "ClusterID", header->cluster_id);
    print_fields_id(p, "MemberID", header->member_id);
    /* Membership replies carry no revision; a zero would only mislead. */
    if (header->revision > 0) {
        buf_append_format(p->out, "\"Revision\" : %lld\n", (long long)header->revision);
    }
    buf_append_format(p->out, "\"RaftTerm\" : %llu\n", (unsigned long long)header->raft_term);
}

int print_header_only(struct printer *p, const ProtobufCMessage *r,
                      const Etcdserverpb__ResponseHeader *header, const char *simple,
                      struct err *err)
{
    switch (p->format) {
    case OUTPUT_SIMPLE:
        buf_append_format(p->out, "%s\n", simple);
        return 0;
    case OUTPUT_JSON:
        print_json_line(p, r);
        return 0;
    case OUTPUT_FIELDS:
        print_fields_header(p, header);
        return 0;
    case OUTPUT_PROTOBUF:
        print_protobuf(p, r);
        return 0;
    case OUTPUT_TABLE:
        return print_unsupported(p, err);
    }
    return print_unsupported(p, err);
}
