/* Keys and values: get, put, del, txn, watch. */
#include "base/cleanup.h"
#include "kvstore/kvctl/go_text.h"
#include "kvstore/kvctl/printer.h"

static struct bytes binary_bytes(ProtobufCBinaryData data)
{
    return bytes_make(data.data, data.len);
}

static void simple_text(struct printer *p, ProtobufCBinaryData data)
{
    if (p->is_hex) {
        go_text_append_hex(p->out, binary_bytes(data));
    } else {
        buf_append(p->out, data.data, data.len);
    }
    buf_append_u8(p->out, '\n');
}

static void simple_kv(struct printer *p, const Mvccpb__KeyValue *kv)
{
    if (!p->is_value_only) {
        simple_text(p, kv->key);
    }
    simple_text(p, kv->value);
}

static void fields_kv(struct printer *p, const char *prefix, const Mvccpb__KeyValue *kv)
{
    buf_append_format(p->out, "\"%sKey\" : ", prefix);
    go_text_append_quoted(p->out, binary_bytes(kv->key));
    buf_append_format(p->out, "\n\"%sCreateRevision\" : %lld\n", prefix,
                      (long long)kv->create_revision);
    buf_append_format(p->out, "\"%sModRevision\" : %lld\n", prefix, (long long)kv->mod_revision);
    buf_append_format(p->out, "\"%sVersion\" : %lld\n", prefix, (long long)kv->version);
    buf_append_format(p->out, "\"%sValue\" : ", prefix);
    go_text_append_quoted(p->out, binary_bytes(kv->value));
    buf_append_format(p->out, p->is_hex ? "\n\"%sLease\" : %016llx\n" : "\n\"%sLease\" : %lld\n",
                      prefix, (long long)kv->lease);
}

int print_range(struct printer *p, const Etcdserverpb__RangeResponse *r, struct err *err)
{
    switch (p->format) {
    case OUTPUT_SIMPLE:
        for (size_t i = 0; i < r->n_kvs; i++) {
            simple_kv(p, r->kvs[i]);
        }
        return 0;
    case OUTPUT_FIELDS:
        print_fields_header(p, r->header);
        for (size_t i = 0; i < r->n_kvs; i++) {
            fields_kv(p, "", r->kvs[i]);
        }
        buf_append_format(p->out, "\"More\" : %s\n\"Count\" : %lld\n", r->more ? "true" : "false",
                          (long long)r->count);
        return 0;
    default:
        return print_header_only(p, &r->base, r->header, "", err);
    }
}

int print_put(struct printer *p, const Etcdserverpb__PutResponse *r, struct err *err)
{
    int result = print_header_only(p, &r->base, r->header, "OK", err);
    if (result == 0 && r->prev_kv != NULL) {
        if (p->format == OUTPUT_SIMPLE) {
            simple_kv(p, r->prev_kv);
        } else if (p->format == OUTPUT_FIELDS) {
            fields_kv(p, "Prev", r->prev_kv);
        }
    }
    return result;
}

int print_delete(struct printer *p, const Etcdserverpb__DeleteRangeResponse *r, struct err *err)
{
    switch (p->format) {
    case OUTPUT_SIMPLE:
        buf_append_format(p->out, "%lld\n", (long long)r->deleted);
        for (size_t i = 0; i < r->n_prev_kvs; i++) {
            simple_kv(p, r->prev_kvs[i]);
        }
        return 0;
    case OUTPUT_FIELDS:
        print_fields_header(p, r->header);
        buf_append_format(p->out, "\"Deleted\" : %lld\n", (long long)r->deleted);
        for (size_t i = 0; i < r->n_prev_kvs; i++) {
            fields_kv(p, "Prev", r->prev_kvs[i]);
        }
        return 0;
    default:
        return print_header_only(p, &r->base, r->header, "", err);
    }
}

static int print_operation(struct printer *p, const Etcdserverpb__ResponseOp *op, struct err *err)
{
    switch (op->response_case) {
    case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE:
        return print_range(p, op->response_range, err);
    case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_PUT:
        return print_put(p, op->response_put, err);
    case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_DELETE_RANGE:
        return print_delete(p, op->response_delete_range, err);
    case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_TXN:
        return print_txn(p, op->response_txn, err);
    default:
        buf_append_text(p->out, p->format == OUTPUT_FIELDS ? "\"Unknown\" : \"\"\n"
                                                           : "unexpected response\n");
        return 0;
    }
}

int print_txn(struct printer *p, const Etcdserverpb__TxnResponse *r, struct err *err)
{
    if (p->format != OUTPUT_SIMPLE && p->format != OUTPUT_FIELDS) {
        return print_header_only(p, &r->base, r->header, "", err);
    }
    if (p->format == OUTPUT_FIELDS) {
        print_fields_header(p, r->header);
        buf_append_format(p->out, "\"Succeeded\" : %s\n", r->succeeded ? "true" : "false");
    } else {
        buf_append_text(p->out, r->succeeded ? "SUCCESS\n" : "FAILURE\n");
    }
    for (size_t i = 0; i < r->n_responses; i++) {
        if (p->format == OUTPUT_SIMPLE) {
            buf_append_u8(p->out, '\n');
        }
        int result = print_operation(p, r->responses[i], err);
        if (result < 0) {
            return result;
        }
    }
    return 0;
}

static const char *event_type(const Mvccpb__Event *event)
{
    return event->type == MVCCPB__EVENT__EVENT_TYPE__DELETE ? "DELETE" : "PUT";
}

/* The client library's struct has no JSON names, hence the capitals. */
static void json_watch(struct printer *p, const Etcdserverpb__WatchResponse *r)
{
    static const Etcdserverpb__ResponseHeader none = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    Etcdserverpb__WatchResponse events_only;
    etcdserverpb__watch_response__init(&events_only);
    events_only.n_events = r->n_events;
    events_only.events = r->events;
    struct printer line = *p;
    CLEANUP(buf) struct buf text = BUF_INIT;
    line.out = &text;
    print_json_line(&line, r->header != NULL ? &r->header->base : &none.base);
    buf_truncate(&text, buf_size(&text) - 1);
    buf_append_format(p->out, "{\"Header\":%s,\"Events\":", buf_text(&text));
    buf_clear(&text);
    print_json_line(&line, &events_only.base); /* {"events":[...]}\n or {}\n */
    if (r->n_events > 0) {
        const size_t name_size = sizeof "{\"events\":" - 1;
        buf_truncate(&text, buf_size(&text) - 2);
        buf_consume(&text, name_size);
        buf_append_bytes(p->out, buf_bytes(&text));
    } else {
        buf_append_text(p->out, "[]");
    }
    buf_append_format(p->out, ",\"CompactRevision\":%lld,\"Canceled\":%s,\"Created\":%s",
                      (long long)r->compact_revision, r->canceled ? "true" : "false",
                      r->created ? "true" : "false");
    buf_append_text(p->out, ",\"CancelReason\":");
    go_text_append_json(p->out, bytes_from_text(r->cancel_reason));
    buf_append_text(p->out, "}\n");
}

int print_watch(struct printer *p, const Etcdserverpb__WatchResponse *r, struct err *err)
{
    switch (p->format) {
    case OUTPUT_SIMPLE:
        for (size_t i = 0; i < r->n_events; i++) {
            buf_append_format(p->out, "%s\n", event_type(r->events[i]));
            if (r->events[i]->prev_kv != NULL) {
                simple_kv(p, r->events[i]->prev_kv);
            }
            simple_kv(p, r->events[i]->kv);
        }
        return 0;
    case OUTPUT_FIELDS:
        print_fields_header(p, r->header);
        for (size_t i = 0; i < r->n_events; i++) {
            buf_append_format(p->out, "\"Type\" : %s\n", event_type(r->events[i]));
            if (r->events[i]->prev_kv != NULL) {
                fields_kv(p, "Prev", r->events[i]->prev_kv);
            }
            fields_kv(p, "", r->events[i]->kv);
        }
        return 0;
    case OUTPUT_JSON:
        json_watch(p, r);
        return 0;
    default:
        return print_header_only(p, &r->base, r->header, "", err);
    }
}
