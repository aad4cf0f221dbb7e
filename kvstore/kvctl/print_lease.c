/* Leases. The JSON is the Go client's own structs, not the messages: the header's members come
 * first, on the same level, and nothing is left out. */
#include "base/cleanup.h"
#include "kvstore/kvctl/go_text.h"
#include "kvstore/kvctl/json_message.h"
#include "kvstore/kvctl/printer.h"

/* "{" and the header's members, with a comma after them if there are any. */
static void json_open(struct printer *p, const Etcdserverpb__ResponseHeader *header)
{
    if (header == NULL) {
        buf_append_u8(p->out, '{');
        return;
    }
    CLEANUP(buf) struct buf text = BUF_INIT;
    json_message_append(&text, &header->base);
    bool is_empty = buf_size(&text) == 2;
    buf_truncate(&text, buf_size(&text) - 1);
    buf_append_bytes(p->out, buf_bytes(&text));
    buf_append_text(p->out, is_empty ? "" : ",");
}

static void fields_lease_id(struct printer *p, int64_t id)
{
    buf_append_format(p->out, p->is_hex ? "\"ID\" : %016llx\n" : "\"ID\" : %lld\n", (long long)id);
}

static void fields_lease(struct printer *p, const Etcdserverpb__ResponseHeader *header, int64_t id,
                         int64_t ttl)
{
    print_fields_header(p, header);
    fields_lease_id(p, id);
    buf_append_format(p->out, "\"TTL\" : %lld\n", (long long)ttl);
}

int print_lease_grant(struct printer *p, const Etcdserverpb__LeaseGrantResponse *r, struct err *err)
{
    switch (p->format) {
    case OUTPUT_SIMPLE:
        buf_append_format(p->out, "lease %016llx granted with TTL(%llds)\n",
                          (unsigned long long)r->id, (long long)r->ttl);
        return 0;
    case OUTPUT_FIELDS:
        fields_lease(p, r->header, r->id, r->ttl);
        return 0;
    case OUTPUT_JSON:
        json_open(p, r->header);
        buf_append_format(p->out, "\"ID\":%lld,\"TTL\":%lld,\"Error\":", (long long)r->id,
                          (long long)r->ttl);
        go_text_append_json(p->out, bytes_from_text(r->error));
        buf_append_text(p->out, "}\n");
        return 0;
    default:
        return print_header_only(p, &r->base, r->header, "", err);
    }
}

int print_lease_revoke(struct printer *p, int64_t id, const Etcdserverpb__LeaseRevokeResponse *r,
                       struct err *err)
{
    CLEANUP(buf) struct buf line = BUF_INIT;
    buf_append_format(&line, "lease %016llx revoked", (unsigned long long)id);
    return print_header_only(p, &r->base, r->header, buf_text(&line), err);
}

int print_lease_keep_alive(struct printer *p, const Etcdserverpb__LeaseKeepAliveResponse *r,
                           struct err *err)
{
    switch (p->format) {
    case OUTPUT_SIMPLE:
        buf_append_format(p->out, "lease %016llx keepalived with TTL(%lld)\n",
                          (unsigned long long)r->id, (long long)r->ttl);
        return 0;
    case OUTPUT_FIELDS:
        fields_lease(p, r->header, r->id, r->ttl);
        return 0;
    case OUTPUT_JSON:
        json_open(p, r->header);
        buf_append_format(p->out, "\"ID\":%lld,\"TTL\":%lld}\n", (long long)r->id,
                          (long long)r->ttl);
        return 0;
    default:
        return print_header_only(p, &r->base, r->header, "", err);
    }
}

static void simple_time_to_live(struct printer *p, const Etcdserverpb__LeaseTimeToLiveResponse *r,
                                bool with_keys)
{
    if (r->grantedttl == 0 && r->ttl == -1) {
        buf_append_format(p->out, "lease %016llx already expired\n", (unsigned long long)r->id);
        return;
    }
    buf_append_format(p->out, "lease %016llx granted with TTL(%llds), remaining(%llds)",
                      (unsigned long long)r->id, (long long)r->grantedttl, (long long)r->ttl);
    if (with_keys) {
        buf_append_text(p->out, ", attached keys([");
        for (size_t i = 0; i < r->n_keys; i++) {
            buf_append_text(p->out, i == 0 ? "" : " ");
            buf_append(p->out, r->keys[i].data, r->keys[i].len);
        }
        buf_append_text(p->out, "])");
    }
    buf_append_u8(p->out, '\n');
}

static void json_time_to_live(struct printer *p, const Etcdserverpb__LeaseTimeToLiveResponse *r)
{
    json_open(p, r->header);
    buf_append_format(p->out,
                      "\"id\":%lld,\"ttl\":%lld,\"granted-ttl\":%lld,\"keys\":", (long long)r->id,
                      (long long)r->ttl, (long long)r->grantedttl);
    for (size_t i = 0; i < r->n_keys; i++) {
        buf_append_text(p->out, i == 0 ? "[" : ",");
        go_text_append_json_base64(p->out, bytes_make(r->keys[i].data, r->keys[i].len));
    }
    buf_append_text(p->out, r->n_keys == 0 ? "null}\n" : "]}\n");
}

int print_lease_time_to_live(struct printer *p, const Etcdserverpb__LeaseTimeToLiveResponse *r,
                             bool with_keys, struct err *err)
{
    switch (p->format) {
    case OUTPUT_SIMPLE:
        simple_time_to_live(p, r, with_keys);
        return 0;
    case OUTPUT_FIELDS:
        fields_lease(p, r->header, r->id, r->ttl);
        buf_append_format(p->out, "\"GrantedTTL\" : %lld\n", (long long)r->grantedttl);
        for (size_t i = 0; i < r->n_keys; i++) {
            buf_append_text(p->out, "\"Key\" : ");
            go_text_append_quoted(p->out, bytes_make(r->keys[i].data, r->keys[i].len));
            buf_append_u8(p->out, '\n');
        }
        return 0;
    case OUTPUT_JSON:
        json_time_to_live(p, r);
        return 0;
    default:
        return print_header_only(p, &r->base, r->header, "", err);
    }
}

int print_leases(struct printer *p, const Etcdserverpb__LeaseLeasesResponse *r, struct err *err)
{
    switch (p->format) {
    case OUTPUT_SIMPLE:
        buf_append_format(p->out, "found %zu leases\n", r->n_leases);
        for (size_t i = 0; i < r->n_leases; i++) {
            buf_append_format(p->out, "%016llx\n", (unsigned long long)r->leases[i]->id);
        }
        return 0;
    case OUTPUT_FIELDS:
        print_fields_header(p, r->header);
        for (size_t i = 0; i < r->n_leases; i++) {
            fields_lease_id(p, r->leases[i]->id);
        }
        return 0;
    case OUTPUT_JSON:
        json_open(p, r->header);
        buf_append_text(p->out, "\"leases\":[");
        for (size_t i = 0; i < r->n_leases; i++) {
            buf_append_format(p->out, "%s{\"id\":%lld}", i == 0 ? "" : ",",
                              (long long)r->leases[i]->id);
        }
        buf_append_text(p->out, "]}\n");
        return 0;
    default:
        return print_header_only(p, &r->base, r->header, "", err);
    }
}
