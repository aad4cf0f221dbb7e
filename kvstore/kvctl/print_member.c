/* Members of the cluster. */
#include "base/cleanup.h"
#include "kvstore/kvctl/go_text.h"
#include "kvstore/kvctl/printer.h"
#include "kvstore/kvctl/text_table.h"

static void json_hex_header(struct printer *p, const Etcdserverpb__ResponseHeader *header)
{
    if (header == NULL) {
        buf_append_text(p->out, "{\"header\":null");
        return;
    }
    buf_append_format(p->out, "{\"header\":{\"cluster_id\":\"%llx\",\"member_id\":\"%llx\"",
                      (unsigned long long)header->cluster_id,
                      (unsigned long long)header->member_id);
    if (header->revision != 0) {
        buf_append_format(p->out, ",\"revision\":%lld", (long long)header->revision);
    }
    if (header->raft_term != 0) {
        buf_append_format(p->out, ",\"raft_term\":%llu", (unsigned long long)header->raft_term);
    }
    buf_append_u8(p->out, '}');
}

static void json_texts(struct printer *p, const char *name, char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_append_format(p->out, i == 0 ? ",\"%s\":[" : ",", name);
        go_text_append_json(p->out, bytes_from_text(texts[i]));
    }
    buf_append_text(p->out, count == 0 ? "" : "]");
}

static void json_hex_member(struct printer *p, const Etcdserverpb__Member *member)
{
    buf_append_format(p->out, "{\"ID\":\"%llx\"", (unsigned long long)member->id);
    if (member->name[0] != '\0') {
        buf_append_text(p->out, ",\"name\":");
        go_text_append_json(p->out, bytes_from_text(member->name));
    }
    json_texts(p, "peerURLs", member->peerurls, member->n_peerurls);
    json_texts(p, "clientURLs", member->clienturls, member->n_clienturls);
    buf_append_text(p->out, member->islearner ? ",\"isLearner\":true}" : "}");
}

static void json_hex(struct printer *p, const Etcdserverpb__ResponseHeader *header,
                     const Etcdserverpb__Member *added, Etcdserverpb__Member *const *members,
                     size_t count)
{
    json_hex_header(p, header);
    if (added != NULL) {
        buf_append_text(p->out, ",\"member\":");
        json_hex_member(p, added);
    }
    buf_append_text(p->out, ",\"members\":[");
    for (size_t i = 0; i < count; i++) {
        buf_append_text(p->out, i == 0 ? "" : ",");
        json_hex_member(p, members[i]);
    }
    buf_append_text(p->out, "]}\n");
}

/* A change of the membership; etcdctl has no fields or table format for these. */
static int print_change(struct printer *p, const ProtobufCMessage *r, const char *simple,
                        struct err *err)
{
    switch (p->format) {
    case OUTPUT_FIELDS:
    case OUTPUT_TABLE:
        return print_unsupported(p, err);
    default:
        return print_header_only(p, r, NULL, simple, err);
    }
}

static uint64_t cluster_id(const Etcdserverpb__ResponseHeader *header)
{
    return header == NULL ? 0 : header->cluster_id;
}

int print_member_add(struct printer *p, const Etcdserverpb__MemberAddResponse *r, struct err *err)
{
    if (p->format == OUTPUT_JSON && p->is_hex) {
        json_hex(p, r->header, r->member, r->members, r->n_members);
        return 0;
    }
    CLEANUP(buf) struct buf line = BUF_INIT;
    bool is_learner = r->member != NULL && r->member->islearner;
    buf_append_format(&line, "Member %16llx added%sto cluster %16llx",
                      r->member == NULL ? 0 : (unsigned long long)r->member->id,
                      is_learner ? " as learner " : " ", (unsigned long long)cluster_id(r->header));
    return print_change(p, &r->base, buf_text(&line), err);
}

int print_member_remove(struct printer *p, uint64_t id, const Etcdserverpb__MemberRemoveResponse *r,
                        struct err *err)
{
    if (p->format == OUTPUT_JSON && p->is_hex) {
        json_hex(p, r->header, NULL, r->members, r->n_members);
        return 0;
    }
    CLEANUP(buf) struct buf line = BUF_INIT;
    buf_append_format(&line, "Member %16llx removed from cluster %16llx", (unsigned long long)id,
                      (unsigned long long)cluster_id(r->header));
    return print_change(p, &r->base, buf_text(&line), err);
}

int print_member_update(struct printer *p, uint64_t id, const Etcdserverpb__MemberUpdateResponse *r,
                        struct err *err)
{
    if (p->format == OUTPUT_JSON && p->is_hex) {
        json_hex(p, r->header, NULL, r->members, r->n_members);
        return 0;
    }
    CLEANUP(buf) struct buf line = BUF_INIT;
    buf_append_format(&line, "Member %16llx updated in cluster %16llx", (unsigned long long)id,
                      (unsigned long long)cluster_id(r->header));
    return print_change(p, &r->base, buf_text(&line), err);
}

int print_member_promote(struct printer *p, uint64_t id,
                         const Etcdserverpb__MemberPromoteResponse *r, struct err *err)
{
    if (p->format == OUTPUT_JSON && p->is_hex) {
        json_hex(p, r->header, NULL, r->members, r->n_members);
        return 0;
    }
    CLEANUP(buf) struct buf line = BUF_INIT;
    buf_append_format(&line, "Member %16llx promoted in cluster %16llx", (unsigned long long)id,
                      (unsigned long long)cluster_id(r->header));
    return print_change(p, &r->base, buf_text(&line), err);
}

static const char *joined(struct buf *scratch, char *const *texts, size_t count)
{
    buf_clear(scratch);
    for (size_t i = 0; i < count; i++) {
        buf_append_format(scratch, "%s%s", i == 0 ? "" : ",", texts[i]);
    }
    return buf_text(scratch);
}

static void list_table(struct printer *p, const Etcdserverpb__MemberListResponse *r)
{
    CLEANUP(buf) struct buf scratch = BUF_INIT;
    struct text_table table;
    text_table_init(&table, "ID|Status|Name|Peer Addrs|Client Addrs|Is Learner");
    for (size_t i = 0; i < r->n_members; i++) {
        const Etcdserverpb__Member *member = r->members[i];
        text_table_add_row(&table);
        text_table_set(&table, 0, "%llx", (unsigned long long)member->id);
        text_table_set(&table, 1, "%s", member->name[0] == '\0' ? "unstarted" : "started");
        text_table_set(&table, 2, "%s", member->name);
        text_table_set(&table, 3, "%s", joined(&scratch, member->peerurls, member->n_peerurls));
        text_table_set(&table, 4, "%s", joined(&scratch, member->clienturls, member->n_clienturls));
        text_table_set(&table, 5, "%s", member->islearner ? "true" : "false");
    }
    if (p->format == OUTPUT_TABLE) {
        text_table_append(&table, p->out);
    } else {
        text_table_append_plain(&table, p->out);
    }
    text_table_deinit(&table);
}

static void fields_texts(struct printer *p, const char *name, char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_append_format(p->out, "\"%s\" : ", name);
        go_text_append_quoted(p->out, bytes_from_text(texts[i]));
        buf_append_u8(p->out, '\n');
    }
}

static void list_fields(struct printer *p, const Etcdserverpb__MemberListResponse *r)
{
    print_fields_header(p, r->header);
    for (size_t i = 0; i < r->n_members; i++) {
        const Etcdserverpb__Member *member = r->members[i];
        print_fields_id(p, "ID", member->id);
        fields_texts(p, "Name", &member->name, 1);
        fields_texts(p, "PeerURL", member->peerurls, member->n_peerurls);
        fields_texts(p, "ClientURL", member->clienturls, member->n_clienturls);
        buf_append_format(p->out, "\"IsLearner\" : %s\n\n", member->islearner ? "true" : "false");
    }
}

int print_member_list(struct printer *p, const Etcdserverpb__MemberListResponse *r, struct err *err)
{
    switch (p->format) {
    case OUTPUT_SIMPLE:
    case OUTPUT_TABLE:
        list_table(p, r);
        return 0;
    case OUTPUT_FIELDS:
        list_fields(p, r);
        return 0;
    case OUTPUT_JSON:
        if (p->is_hex) {
            json_hex(p, r->header, NULL, r->members, r->n_members);
            return 0;
        }
        break;
    case OUTPUT_PROTOBUF:
        break;
    }
    return print_header_only(p, &r->base, r->header, "", err);
}
