#include <openssl/evp.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pb.h"
#include "kvstore/server/service.h"
#include "kvstore/state/kv_snapshot.h"

/* Defragment answers when the compacted copy is in place; reads and writes go on meanwhile. */
struct defragment_call {
    struct grpc_call *call; /* a reference: the client may have gone */
};

static void on_defragmented(void *data, int code, const char *text)
{
    struct defragment_call *defragment = data;
    struct grpc_call *call = defragment->call;
    if (code == 0) {
        log_info("finished defragmenting");
        if (grpc_call_is_open(call)) {
            service_send(call, (struct bytes){NULL, 0});
            service_finish(call, GRPC_OK, NULL);
        }
    } else {
        log_error("cannot defragment", LOG_TEXT("error", text));
        if (grpc_call_is_open(call)) {
            service_finish(call, GRPC_UNKNOWN, text);
        }
    }
    grpc_call_unref(call);
    mem_free(defragment);
}

void maintenance_service_defragment(struct grpc_call *call)
{
    struct service *service = grpc_call_context(call);
    enum etcd_error error = auth_service_authorize(call, (struct bytes){NULL, 0});
    if (error != ETCD_OK) {
        service_fail(call, error);
        return;
    }
    if (node_is_learner(core_node(service->core))) {
        service_fail(call, ETCD_LEARNER_UNSUPPORTED);
        return;
    }
    struct defragment_call *defragment = mem_alloc(sizeof *defragment);
    defragment->call = grpc_call_ref(call);
    if (core_defragment(service->core, on_defragmented, defragment) != 0) {
        grpc_call_unref(call);
        mem_free(defragment);
        service_finish(call, GRPC_UNAVAILABLE, "a defragmentation is in progress");
    }
}

/* --- Snapshot ------------------------------------------------------------------------------- */

/* What etcdctl expects of a backup file: parts with the number of bytes that remain, a length that
 * is a multiple of 512, and the SHA-256 of all of it in a last part of 32 bytes. */
enum {
    SNAPSHOT_PART_BYTES = 64 << 10,
    SNAPSHOT_ALIGNMENT = 512,
    SNAPSHOT_HASH_BYTES = 32,
    SNAPSHOT_AGE_MAX_MS = 30 * 60 * 1000
};

struct snapshot_call {
    struct core_store_waiter waiter; /* until everything acknowledged is in the store */
    struct service *service;
    struct grpc_call *call;
    struct backend_snapshot *view;
    struct kv_snapshot_writer *writer;
    EVP_MD_CTX *hash;
    uint64_t size_bytes; /* an estimate until the end */
    uint64_t sent_bytes;
    bool is_done;
};

static void snapshot_free(struct snapshot_call *snapshot)
{
    core_store_cancel(&snapshot->waiter);
    grpc_call_set_data(snapshot->call, NULL);
    kv_snapshot_writer_free(snapshot->writer);
    backend_snapshot_close(snapshot->view);
    EVP_MD_CTX_free(snapshot->hash);
    mem_free(snapshot);
}

/* SnapshotResponse{remaining_bytes 2, blob 3, version 4}. */
static void send_part(struct snapshot_call *snapshot, struct bytes blob, uint64_t remaining)
{
    static const char version[] = "3.7.0";
    struct buf out = BUF_INIT;
    buf_append_u8(&out, 0x10);
    pb_put_varint(&out, remaining);
    buf_append_u8(&out, 0x1a);
    pb_put_varint(&out, blob.size);
    buf_append_bytes(&out, blob);
    buf_append_u8(&out, 0x22);
    pb_put_varint(&out, sizeof version - 1);
    buf_append_text(&out, version);
    service_send(snapshot->call, buf_bytes(&out));
    buf_deinit(&out);
}

static void send_end(struct snapshot_call *snapshot)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    int ok = EVP_DigestFinal_ex(snapshot->hash, digest, &size);
    CHECK(ok == 1 && size == SNAPSHOT_HASH_BYTES);
    send_part(snapshot, bytes_make(digest, size), 0);
    log_info("sent database snapshot to a client", LOG_U64("bytes", snapshot->sent_bytes));
    struct grpc_call *call = snapshot->call;
    snapshot_free(snapshot);
    service_finish(call, GRPC_OK, NULL);
}

static void pad(struct snapshot_call *snapshot, struct buf *part)
{
    size_t over = (size_t)((snapshot->sent_bytes + buf_size(part)) % SNAPSHOT_ALIGNMENT);
    if (over > 0) {
        size_t zeros = SNAPSHOT_ALIGNMENT - over;
        memset(buf_reserve(part, zeros), 0, zeros);
        buf_commit(part, zeros);
    }
}

/* One part; false: the store could not be read, and the call is finished. */
static bool send_next(struct snapshot_call *snapshot, struct buf *part)
{
    struct err err = {0};
    buf_clear(part);
    if (kv_snapshot_writer_next(snapshot->writer, part, SNAPSHOT_PART_BYTES, &snapshot->is_done,
                                &err) != 0) {
        struct grpc_call *call = snapshot->call;
        snapshot_free(snapshot);
        service_finish(call, GRPC_UNAVAILABLE, err.text);
        return false;
    }
    if (snapshot->is_done) {
        pad(snapshot, part);
    }
    struct bytes bytes = buf_bytes(part);
    int ok = EVP_DigestUpdate(snapshot->hash, bytes.data, bytes.size);
    CHECK(ok == 1);
    snapshot->sent_bytes += bytes.size;
    uint64_t remaining = snapshot->size_bytes > snapshot->sent_bytes
                             ? snapshot->size_bytes - snapshot->sent_bytes
                             : SNAPSHOT_ALIGNMENT;
    send_part(snapshot, bytes, snapshot->is_done ? SNAPSHOT_HASH_BYTES : remaining);
    return true;
}

static void pump(struct snapshot_call *snapshot)
{
    struct buf part = BUF_INIT;
    bool ok = true;
    while (ok && !snapshot->is_done && grpc_call_is_writable(snapshot->call)) {
        ok = send_next(snapshot, &part);
    }
    buf_deinit(&part);
    if (ok && snapshot->is_done) {
        send_end(snapshot);
    }
}

static void start_snapshot(struct core_store_waiter *waiter)
{
    struct snapshot_call *snapshot = container_of(waiter, struct snapshot_call, waiter);
    struct core *core = snapshot->service->core;
    struct grpc_call *call = snapshot->call;
    struct err err = {0};
    if (backend_snapshot_open(core_backend(core), SNAPSHOT_AGE_MAX_MS, &snapshot->view, &err) !=
        0) {
        snapshot_free(snapshot);
        service_finish(call, GRPC_UNAVAILABLE, err.text);
        return;
    }
    snapshot->size_bytes = backend_snapshot_size_bytes(snapshot->view);
    const struct kv_snapshot_header header = {.cluster_id = core_cluster_id(core),
                                              .size_bytes = snapshot->size_bytes};
    snapshot->writer = kv_snapshot_writer_new(snapshot->view, &header);
    snapshot->hash = EVP_MD_CTX_new();
    CHECK(snapshot->hash != NULL);
    int ok = EVP_DigestInit_ex(snapshot->hash, EVP_sha256(), NULL);
    CHECK(ok == 1);
    log_info("sending database snapshot to a client", LOG_U64("size-bytes", snapshot->size_bytes));
    pump(snapshot);
}

void maintenance_service_snapshot(struct grpc_call *call)
{
    struct service *service = grpc_call_context(call);
    enum etcd_error error = auth_service_authorize(call, (struct bytes){NULL, 0});
    if (error != ETCD_OK) {
        service_fail(call, error);
        return;
    }
    struct snapshot_call *snapshot = mem_zalloc(sizeof *snapshot);
    snapshot->service = service;
    snapshot->call = call;
    snapshot->waiter.done = start_snapshot;
    grpc_call_set_data(call, snapshot);
    core_store_all(service->core, &snapshot->waiter);
}

void maintenance_service_snapshot_writable(struct grpc_call *call)
{
    struct snapshot_call *snapshot = grpc_call_data(call);
    if (snapshot != NULL && snapshot->writer != NULL) {
        pump(snapshot);
    }
}

void maintenance_service_snapshot_cancel(struct grpc_call *call)
{
    struct snapshot_call *snapshot = grpc_call_data(call);
    if (snapshot != NULL) {
        snapshot_free(snapshot);
    }
}
