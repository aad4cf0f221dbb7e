/* snapshot save, status. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "kvstore/kvctl/command_table.h"
#include "kvstore/kvctl/go_text.h"
#include "kvstore/kvctl/progress_bar.h"
#include "kvstore/kvctl/session.h"
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

static int run_status(struct invocation *inv)
{
    if (inv->argument_count != 1) {
        return command_fail(EXIT_CODE_BAD_ARGS, "snapshot status requires exactly one argument");
    }
    int code = session_open(inv);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    struct printer *printer = &inv->session->printer;
    struct snapshot_status status;
    struct err err;
    if (snapshot_file_check(inv->arguments[0], &status, &err) < 0) {
        return command_fail(err.code == ERR_CORRUPT ? EXIT_CODE_ERROR : EXIT_CODE_IO, "%s",
                            err.text);
    }
    char hash[65];
    for (size_t i = 0; i < sizeof status.sha256; i++) {
        (void)snprintf(hash + 2 * i, 3, "%02x", status.sha256[i]);
    }
    CLEANUP(buf) struct buf size = BUF_INIT;
    go_text_append_size(&size, status.size_bytes);
    struct text_table table;
    switch (printer->format) {
    case OUTPUT_JSON:
        buf_append_format(printer->out,
                          "{\"sha256\":\"%s\",\"format\":\"%s\",\"totalSize\":%llu}\n", hash,
                          status.format, (unsigned long long)status.size_bytes);
        break;
    case OUTPUT_FIELDS:
        buf_append_format(printer->out,
                          "\"SHA256\" : \"%s\"\n\"Format\" : \"%s\"\n\"Size\" : %llu\n", hash,
                          status.format, (unsigned long long)status.size_bytes);
        break;
    default:
        text_table_init(&table, "SHA-256|Format|Total Size");
        text_table_add_row(&table);
        text_table_set(&table, 0, "%s", hash);
        text_table_set(&table, 1, "%s", status.format);
        text_table_set(&table, 2, "%s", buf_text(&size));
        if (printer->format == OUTPUT_TABLE) {
            text_table_append(&table, printer->out);
        } else {
            text_table_append_plain(&table, printer->out);
        }
        text_table_deinit(&table);
        break;
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
        .examples = "$ kvctl snapshot status backup.db",
    },
    {.path = NULL},
};
