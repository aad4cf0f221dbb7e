/* One line an endpoint: health, status, hash. */
#include "base/cleanup.h"
#include "kvstore/kvctl/go_text.h"
#include "kvstore/kvctl/json_message.h"
#include "kvstore/kvctl/printer.h"
#include "kvstore/kvctl/text_table.h"

static const char *bool_text(bool value)
{
    return value ? "true" : "false";
}

static void finish_table(struct printer *p, struct text_table *table)
{
    if (p->format == OUTPUT_TABLE) {
        text_table_append(table, p->out);
    } else {
        text_table_append_plain(table, p->out);
    }
    text_table_deinit(table);
}

static void quoted_line(struct printer *p, const char *name, const char *text)
{
    buf_append_format(p->out, "\"%s\" : ", name);
    go_text_append_quoted(p->out, bytes_from_text(text));
    buf_append_u8(p->out, '\n');
}

static void health_json(struct printer *p, const struct endpoint_health *list, size_t count)
{
    buf_append_u8(p->out, '[');
    for (size_t i = 0; i < count; i++) {
        buf_append_text(p->out, i == 0 ? "{\"endpoint\":" : ",{\"endpoint\":");
        go_text_append_json(p->out, bytes_from_text(list[i].endpoint));
        buf_append_format(p->out, ",\"health\":%s,\"took\":", bool_text(list[i].is_healthy));
        go_text_append_json(p->out, bytes_from_text(list[i].took));
        if (list[i].error[0] != '\0') {
            buf_append_text(p->out, ",\"error\":");
            go_text_append_json(p->out, bytes_from_text(list[i].error));
        }
        buf_append_u8(p->out, '}');
    }
    buf_append_text(p->out, "]\n");
}

static void health_table(struct printer *p, const struct endpoint_health *list, size_t count)
{
    struct text_table table;
    text_table_init(&table, "endpoint|health|took|error");
    for (size_t i = 0; i < count; i++) {
        text_table_add_row(&table);
        text_table_set(&table, 0, "%s", list[i].endpoint);
        text_table_set(&table, 1, "%s", bool_text(list[i].is_healthy));
        text_table_set(&table, 2, "%s", list[i].took);
        text_table_set(&table, 3, "%s", list[i].error);
    }
    finish_table(p, &table);
}

static void health_simple(struct printer *p, const struct endpoint_health *health,
                          struct buf *problems)
{
    if (health->error[0] == '\0') {
        buf_append_format(p->out, "%s is healthy: successfully committed proposal: took = %s\n",
                          health->endpoint, health->took);
    } else {
        buf_append_format(problems, "%s is unhealthy: failed to commit proposal: %s\n",
                          health->endpoint, health->error);
    }
}

int print_endpoint_health(struct printer *p, const struct endpoint_health *list, size_t count,
                          struct buf *problems, struct err *err)
{
    switch (p->format) {
    case OUTPUT_SIMPLE:
        for (size_t i = 0; i < count; i++) {
            health_simple(p, &list[i], problems);
        }
        return 0;
    case OUTPUT_FIELDS:
        for (size_t i = 0; i < count; i++) {
            quoted_line(p, "Endpoint", list[i].endpoint);
            buf_append_format(p->out, "\"Health\" : %s\n\"Took\" : %s\n\"Error\" : %s\n\n",
                              bool_text(list[i].is_healthy), list[i].took, list[i].error);
        }
        return 0;
    case OUTPUT_JSON:
        health_json(p, list, count);
        return 0;
    case OUTPUT_TABLE:
        health_table(p, list, count);
        return 0;
    case OUTPUT_PROTOBUF:
        break;
    }
    return print_unsupported(p, err);
}

static const char *size_text(struct buf *scratch, int64_t size_bytes)
{
    buf_clear(scratch);
    go_text_append_size(scratch, (uint64_t)size_bytes);
    return buf_text(scratch);
}

static const char *errors_text(struct buf *scratch, const Etcdserverpb__StatusResponse *r,
                               const char *separator)
{
    buf_clear(scratch);
    for (size_t i = 0; i < r->n_errors; i++) {
        buf_append_format(scratch, "%s%s", i == 0 ? "" : separator, r->errors[i]);
    }
    return buf_text(scratch);
}

static void status_row(struct text_table *table, const struct endpoint_status *status)
{
    static const Etcdserverpb__ResponseHeader no_header = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    CLEANUP(buf) struct buf scratch = BUF_INIT;
    const Etcdserverpb__StatusResponse *r = status->reply;
    const Etcdserverpb__ResponseHeader *header = r->header != NULL ? r->header : &no_header;
    const Etcdserverpb__DowngradeInfo *downgrade = r->downgradeinfo;
    long long unused = r->dbsize == 0 ? 0 : 100 - r->dbsizeinuse * 100 / r->dbsize;
    text_table_add_row(table);
    text_table_set(table, 0, "%s", status->endpoint);
    text_table_set(table, 1, "%llx", (unsigned long long)header->member_id);
    text_table_set(table, 2, "%s", r->version);
    text_table_set(table, 3, "%s", r->storageversion);
    text_table_set(table, 4, "%s", size_text(&scratch, r->dbsize));
    text_table_set(table, 5, "%s", size_text(&scratch, r->dbsizeinuse));
    text_table_set(table, 6, "%lld%%", unused);
    text_table_set(table, 7, "%s", size_text(&scratch, r->dbsizequota));
    text_table_set(table, 8, "%s", bool_text(r->leader == header->member_id));
    text_table_set(table, 9, "%s", bool_text(r->islearner));
    text_table_set(table, 10, "%llu", (unsigned long long)r->raftterm);
    text_table_set(table, 11, "%llu", (unsigned long long)r->raftindex);
    text_table_set(table, 12, "%llu", (unsigned long long)r->raftappliedindex);
    text_table_set(table, 13, "%s", errors_text(&scratch, r, ", "));
    text_table_set(table, 14, "%s", downgrade != NULL ? downgrade->targetversion : "");
    text_table_set(table, 15, "%s", bool_text(downgrade != NULL && downgrade->enabled));
}

static void status_table(struct printer *p, const struct endpoint_status *list, size_t count)
{
    struct text_table table;
    text_table_init(&table, "endpoint|ID|version|storage version|db size|in use|"
                            "percentage not in use|quota|is leader|is learner|raft term|"
                            "raft index|raft applied index|errors|downgrade target version|"
                            "downgrade enabled");
    for (size_t i = 0; i < count; i++) {
        status_row(&table, &list[i]);
    }
    finish_table(p, &table);
}

static void status_fields(struct printer *p, const struct endpoint_status *status)
{
    CLEANUP(buf) struct buf scratch = BUF_INIT;
    const Etcdserverpb__StatusResponse *r = status->reply;
    const Etcdserverpb__DowngradeInfo *downgrade = r->downgradeinfo;
    print_fields_header(p, r->header);
    quoted_line(p, "Version", r->version);
    quoted_line(p, "StorageVersion", r->storageversion);
    buf_append_format(p->out, "\"DBSize\" : %lld\n", (long long)r->dbsize);
    buf_append_format(p->out, "\"DBSizeInUse\" : %lld\n", (long long)r->dbsizeinuse);
    buf_append_format(p->out, "\"DBSizeQuota\" : %lld\n", (long long)r->dbsizequota);
    buf_append_format(p->out, "\"Leader\" : %llu\n", (unsigned long long)r->leader);
    buf_append_format(p->out, "\"IsLearner\" : %s\n", bool_text(r->islearner));
    buf_append_format(p->out, "\"RaftIndex\" : %llu\n", (unsigned long long)r->raftindex);
    /* etcdctl prints the term under "RaftTerm" in the header only. */
    buf_append_format(p->out, "\"RaftAppliedIndex\" : %llu\n",
                      (unsigned long long)r->raftappliedindex);
    buf_append_format(p->out, "\"Errors\" : [%s]\n", errors_text(&scratch, r, " "));
    quoted_line(p, "Endpoint", status->endpoint);
    quoted_line(p, "DowngradeTargetVersion", downgrade != NULL ? downgrade->targetversion : "");
    buf_append_format(p->out, "\"DowngradeEnabled\" : %s\n\n",
                      bool_text(downgrade != NULL && downgrade->enabled));
}

/* [{"Endpoint":"...","<name>":{...}},...] */
static void json_entry(struct printer *p, size_t index, const char *endpoint, const char *name,
                       const ProtobufCMessage *reply)
{
    buf_append_text(p->out, index == 0 ? "{\"Endpoint\":" : ",{\"Endpoint\":");
    go_text_append_json(p->out, bytes_from_text(endpoint));
    buf_append_format(p->out, ",\"%s\":", name);
    json_message_append(p->out, reply);
    buf_append_u8(p->out, '}');
}

int print_endpoint_status(struct printer *p, const struct endpoint_status *list, size_t count,
                          struct err *err)
{
    switch (p->format) {
    case OUTPUT_SIMPLE:
    case OUTPUT_TABLE:
        status_table(p, list, count);
        return 0;
    case OUTPUT_FIELDS:
        for (size_t i = 0; i < count; i++) {
            status_fields(p, &list[i]);
        }
        return 0;
    case OUTPUT_JSON:
        buf_append_text(p->out, count == 0 ? "null" : "[");
        for (size_t i = 0; i < count; i++) {
            json_entry(p, i, list[i].endpoint, "Status", &list[i].reply->base);
        }
        buf_append_text(p->out, count == 0 ? "\n" : "]\n");
        return 0;
    case OUTPUT_PROTOBUF:
        break;
    }
    return print_unsupported(p, err);
}

static void hash_table(struct printer *p, const struct endpoint_hash *list, size_t count)
{
    struct text_table table;
    text_table_init(&table, "endpoint|hash|hash_revision");
    for (size_t i = 0; i < count; i++) {
        text_table_add_row(&table);
        text_table_set(&table, 0, "%s", list[i].endpoint);
        text_table_set(&table, 1, "%u", list[i].reply->hash);
        text_table_set(&table, 2, "%lld", (long long)list[i].reply->hash_revision);
    }
    finish_table(p, &table);
}

int print_endpoint_hash(struct printer *p, const struct endpoint_hash *list, size_t count,
                        struct err *err)
{
    switch (p->format) {
    case OUTPUT_SIMPLE:
    case OUTPUT_TABLE:
        hash_table(p, list, count);
        return 0;
    case OUTPUT_FIELDS:
        for (size_t i = 0; i < count; i++) {
            print_fields_header(p, list[i].reply->header);
            quoted_line(p, "Endpoint", list[i].endpoint);
            buf_append_format(p->out, "\"Hash\" : %u\n\"HashRevision\" : %lld\n\n",
                              list[i].reply->hash, (long long)list[i].reply->hash_revision);
        }
        return 0;
    case OUTPUT_JSON:
        buf_append_text(p->out, count == 0 ? "null" : "[");
        for (size_t i = 0; i < count; i++) {
            json_entry(p, i, list[i].endpoint, "HashKV", &list[i].reply->base);
        }
        buf_append_text(p->out, count == 0 ? "\n" : "]\n");
        return 0;
    case OUTPUT_PROTOBUF:
        break;
    }
    return print_unsupported(p, err);
}
