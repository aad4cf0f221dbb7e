/* snapshot save, status. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "kvstore/kvctl/command_table.h"
#include "kvstore/kvctl/go_text.h"
#include "kvstore/kvctl/progress_bar.h"
#include "kvstore/kvctl/restore_command.h"
#include "kvstore/kvctl/session.h"
#include "kvstore/kvctl/snapshot_count.h"
#include "kvstore/kvctl/snapshot_file.h"
#include "kvstore/kvctl/text_table.h"

struct saving {
    struct session *session;
    struct kv_stream *stream;
    struct snapshot_writer *writer;
    struct progress_bar bar;
    bool has_begun;
    bool is_finished;
    enum grpc_status status; /* of the stream */
    char *text;
    char *version;  /* of the server's storage; NULL: it did not say */
    struct err err; /* of the file; code 0: fine */
};

static void on_chunk(void *context, const void *message)
{
    struct saving *saving = context;
    const Etcdserverpb__SnapshotResponse *chunk = message;
    if (saving->err.code != 0) {
        return;
    }
    uint64_t now_ms = clock_monotonic_ms();
    if (!saving->has_begun) {
        saving->has_begun = true;
        progress_bar_init(&saving->bar, chunk->remaining_bytes + chunk->blob.len, true, now_ms);
    }
    if (chunk->version[0] != '\0' && saving->version == NULL) {
        saving->version = mem_strdup(chunk->version);
    }
    struct bytes data = bytes_make(chunk->blob.data, chunk->blob.len);
    if (snapshot_writer_append(saving->writer, data, &saving->err) < 0) {
        uv_stop(&saving->session->loop);
        return;
    }
    progress_bar_update(&saving->bar, snapshot_writer_size(saving->writer), now_ms);
}

static void on_end(void *context, enum grpc_status status, const char *text)
{
    struct saving *saving = context;
    saving->is_finished = true;
    saving->status = status;
    saving->text = mem_strdup(text);
    uv_stop(&saving->session->loop);
}

static int receive(struct invocation *inv, struct saving *saving)
{
    static const struct kv_stream_handler handler = {.on_message = on_chunk, .on_finish = on_end};
    const Etcdserverpb__SnapshotRequest request = ETCDSERVERPB__SNAPSHOT_REQUEST__INIT;
    /* A large store takes what it takes, unless the user sets a limit. */
    const struct kv_call_options options = {
        .timeout_ms = flag_is_set(&inv->flags, "command-timeout")
                          ? flag_duration_ms(&inv->flags, "command-timeout")
                          : 0,
    };
    saving->stream = kv_client_stream(inv->session->client, &kv_snapshot, &request.base, &options,
                                      &handler, saving);
    (void)uv_run(&inv->session->loop, UV_RUN_DEFAULT);
    progress_bar_finish(&saving->bar);
    if (!saving->is_finished) {
        kv_stream_close(saving->stream);
    }
    if (saving->err.code != 0) {
        return command_fail(EXIT_CODE_IO, "%s", saving->err.text);
    }
    if (saving->status != GRPC_OK) {
        CLEANUP(buf) struct buf text = BUF_INIT;
        kv_error_append_text(&text, saving->status, saving->text);
        return command_fail(EXIT_CODE_INTERRUPTED, "%s", buf_text(&text));
    }
    if (snapshot_writer_finish(saving->writer, &saving->err) < 0) {
        return command_fail(saving->err.code == ERR_CORRUPT ? EXIT_CODE_INTERRUPTED : EXIT_CODE_IO,
                            "%s", saving->err.text);
    }
    return EXIT_CODE_OK;
}

static int run_save(struct invocation *inv)
{
    if (inv->argument_count != 1) {
        return command_fail(EXIT_CODE_BAD_ARGS, "snapshot save expects one argument <filename>");
    }
    int code = session_connect(inv);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    const char *path = inv->arguments[0];
    struct saving saving = {.session = inv->session};
    if (snapshot_writer_open(path, &saving.writer, &saving.err) < 0) {
        return command_fail(EXIT_CODE_IO, "%s", saving.err.text);
    }
    code = receive(inv, &saving);
    if (code == EXIT_CODE_OK) {
        printf("Snapshot saved at %s\n", path);
        if (saving.version != NULL) {
            printf("Server version %s\n", saving.version);
        }
    }
    snapshot_writer_close(saving.writer);
    mem_free(saving.text);
    mem_free(saving.version);
    return code;
}

/* What snapshot status shows; revision and records are known for the formats we know. */
struct backup {
    struct snapshot_status file;
    struct snapshot_count count;
    bool is_counted;
    char hash[65];       /* SHA-256 of what stands before it */
    char short_hash[12]; /* of etcd's database: its own hash */
};

static int read_backup(const char *path, struct backup *backup)
{
    struct err err;
    if (snapshot_file_check(path, &backup->file, &err) < 0) {
        return command_fail(err.code == ERR_CORRUPT ? EXIT_CODE_ERROR : EXIT_CODE_IO, "%s",
                            err.text);
    }
    for (size_t i = 0; i < sizeof backup->file.sha256; i++) {
        (void)snprintf(backup->hash + 2 * i, 3, "%02x", backup->file.sha256[i]);
    }
    (void)snprintf(backup->short_hash, sizeof backup->short_hash, "%.8s", backup->hash);
    bool is_etcd = strcmp(backup->file.format, "etcd") == 0;
    backup->is_counted = is_etcd || strcmp(backup->file.format, "coracle") == 0;
    if (!backup->is_counted) {
        return EXIT_CODE_OK;
    }
    CLEANUP(file) FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        return command_fail(EXIT_CODE_IO, "open %s: %s", path, strerror(errno));
    }
    int code = is_etcd ? snapshot_count_read_etcd(file, &backup->count, &err)
                       : snapshot_count_read(file, &backup->count, &err);
    if (code < 0) {
        return command_fail(EXIT_CODE_ERROR, "%s", err.text);
    }
    if (is_etcd) {
        (void)snprintf(backup->short_hash, sizeof backup->short_hash, "%x", backup->count.hash);
    }
    return EXIT_CODE_OK;
}

static void append_status_json(struct buf *out, const struct backup *backup)
{
    buf_append_format(out, "{\"sha256\":\"%s\",\"format\":\"%s\"", backup->hash,
                      backup->file.format);
    if (strcmp(backup->file.format, "etcd") == 0) {
        buf_append_format(out, ",\"hash\":%u", backup->count.hash);
    }
    if (backup->is_counted) {
        buf_append_format(out, ",\"revision\":%lld,\"totalKey\":%llu",
                          (long long)backup->count.revision,
                          (unsigned long long)backup->count.record_count);
    }
    buf_append_format(out, ",\"totalSize\":%llu}\n", (unsigned long long)backup->file.size_bytes);
}

static void append_status_fields(struct buf *out, const struct backup *backup)
{
    buf_append_format(out, "\"SHA256\" : \"%s\"\n\"Format\" : \"%s\"\n", backup->hash,
                      backup->file.format);
    if (backup->is_counted) {
        buf_append_format(out, "\"Revision\" : %lld\n\"Keys\" : %llu\n",
                          (long long)backup->count.revision,
                          (unsigned long long)backup->count.record_count);
    }
    buf_append_format(out, "\"Size\" : %llu\n", (unsigned long long)backup->file.size_bytes);
}

static void append_status_table(struct buf *out, const struct backup *backup, bool is_framed)
{
    CLEANUP(buf) struct buf size = BUF_INIT;
    struct text_table table;
    go_text_append_size(&size, backup->file.size_bytes);
    text_table_init(&table, "hash|revision|total keys|total size|format");
    text_table_add_row(&table);
    text_table_set(&table, 0, "%s", backup->short_hash);
    if (backup->is_counted) {
        text_table_set(&table, 1, "%lld", (long long)backup->count.revision);
        text_table_set(&table, 2, "%llu", (unsigned long long)backup->count.record_count);
    }
    text_table_set(&table, 3, "%s", buf_text(&size));
    text_table_set(&table, 4, "%s", backup->file.format);
    if (is_framed) {
        text_table_append(&table, out);
    } else {
        text_table_append_plain(&table, out);
    }
    text_table_deinit(&table);
}

static int run_status(struct invocation *inv)
{
    if (inv->argument_count != 1) {
        return command_fail(EXIT_CODE_BAD_ARGS, "snapshot status requires exactly one argument");
    }
    struct backup backup;
    int code = session_open(inv);
    if (code == EXIT_CODE_OK) {
        code = read_backup(inv->arguments[0], &backup);
    }
    if (code != EXIT_CODE_OK) {
        return code;
    }
    struct printer *printer = &inv->session->printer;
    struct err err;
    switch (printer->format) {
    case OUTPUT_JSON:
        append_status_json(printer->out, &backup);
        break;
    case OUTPUT_FIELDS:
        append_status_fields(printer->out, &backup);
        break;
    case OUTPUT_SIMPLE:
    case OUTPUT_TABLE:
        append_status_table(printer->out, &backup, printer->format == OUTPUT_TABLE);
        break;
    case OUTPUT_PROTOBUF:
        return session_show(inv, print_unsupported(printer, &err), &err);
    }
    return session_show(inv, 0, &err);
}

const struct command snapshot_commands[] = {
    {
        .path = "snapshot save",
        .group = "maintenance",
        .summary = "Save a backup of the store",
        .arguments = "<file>",
        .run = run_save,
        .examples = "$ kvctl snapshot save backup.db\n"
                    "$ kvctl --endpoints 10.0.0.1:2379 snapshot save /backup/$(date +%F).db",
        .more = "The file is written as <file>.part and gets its name when it is complete, its "
                "SHA-256\n"
                "checked and the disk has it.",
    },
    {
        .path = "snapshot status",
        .group = "maintenance",
        .summary = "Check a backup",
        .arguments = "<file>",
        .run = run_status,
        .has_table = true,
        .examples = "$ kvctl snapshot status backup.db\n"
                    "5a0352ba, 1234, 98765, 17 MB, coracle",
    },
    {
        .path = "snapshot restore",
        .group = "maintenance",
        .summary = "Make a member's data directory from a backup",
        .arguments = "<file>",
        .flags = restore_snapshot_flags,
        .run = restore_command_run,
        .examples = "$ kvctl snapshot restore backup.db --data-dir m1 --name m1 \\\n"
                    "    --initial-cluster m1=http://10.0.0.1:2380,m2=http://10.0.0.2:2380 \\\n"
                    "    --initial-advertise-peer-urls http://10.0.0.1:2380",
        .more =
            "Restore every member of the new cluster from the same file, each with its own name "
            "and\n"
            "URLs, then start them with kvd and the same flags. They keep keys, revisions, leases\n"
            "and users, and get new ids, so that members of the old cluster cannot disturb them.\n"
            "A snapshot of etcd is understood, too. Where clients remember revisions of the old\n"
            "cluster (Kubernetes does), add --bump-revision 1000000000 --mark-compacted.",
    },
    {.path = NULL},
};
