/* The reader of snapshots. First byte even: a raw stream. Odd: frames of one byte type, two bytes
 * length and a payload, for which right checksums are made, so that the content is reached. What
 * is complete is restored and must pass every invariant. */
#include "kvstore/state/kv_snapshot.h"

#include "base/check.h"
#include "base/crc32c.h"
#include "base/pb.h"
#include "kvstore/backend/memory.h"
#include "tests/fuzz/fuzz.h"

static void put_frame(struct buf *stream, uint8_t type, struct bytes payload, uint32_t *crcs)
{
    uint8_t head[9];
    uint32_t crc = crc32c(crc32c(0, &type, 1), payload.data, payload.size);
    for (unsigned i = 0; i < 4; i++) {
        head[i] = (uint8_t)(payload.size >> (8 * i));
        head[4 + i] = (uint8_t)(crc >> (8 * i));
    }
    head[8] = type;
    buf_append(stream, head, sizeof head);
    buf_append_bytes(stream, payload);
    *crcs = crc32c(*crcs, head + 4, 4);
}

static void build_stream(struct buf *stream, const uint8_t *data, size_t size)
{
    uint32_t crcs = 0;
    uint64_t frames = 0;
    buf_append_text(stream, "CRCLSNP1");
    while (size >= 3) {
        size_t length = (size_t)data[1] | (size_t)data[2] << 8;
        length = length < size - 3 ? length : size - 3;
        put_frame(stream, data[0] % 4, bytes_make(data + 3, length), &crcs);
        frames += 1;
        data += 3 + length;
        size -= 3 + length;
    }
    struct buf trailer = BUF_INIT;
    pb_put_u64(&trailer, 1, frames);
    pb_put_u64(&trailer, 2, crcs);
    put_frame(stream, 4, buf_bytes(&trailer), &crcs);
    buf_deinit(&trailer);
}

static int read_all(struct kv_snapshot_reader *reader, struct backend *backend, struct bytes stream)
{
    struct err err;
    int code = 0;
    for (size_t at = 0; code == 0 && at < stream.size; at += 37) {
        size_t size = stream.size - at < 37 ? stream.size - at : 37;
        code = kv_snapshot_reader_feed(reader, bytes_make(stream.data + at, size), &err);
        for (struct backend_batch *batch = kv_snapshot_reader_take_batch(reader); batch != NULL;
             batch = kv_snapshot_reader_take_batch(reader)) {
            CHECK(backend_restore_write(backend, &batch, 1, &err) == 0);
            backend_batch_free(batch);
        }
    }
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err;
    struct buf stream = BUF_INIT;
    if (size == 0) {
        return 0;
    }
    if (data[0] % 2 == 0) {
        buf_append(&stream, data + 1, size - 1);
    } else {
        build_stream(&stream, data + 1, size - 1);
    }
    struct backend *backend = backend_memory_new();
    struct kv_snapshot_reader *reader = kv_snapshot_reader_new(0);
    CHECK(backend_restore_start(backend, &err) == 0);
    int code = read_all(reader, backend, buf_bytes(&stream));
    if (code == 0 && kv_snapshot_reader_is_complete(reader)) {
        CHECK(backend_restore_finish(backend, &err) == 0);
        CHECK(backend_renew(backend, &err) == 0);
        struct kv *kv = kv_new(&(struct kv_options){.backend = backend});
        if (kv_restore(kv, backend, &err) == 0) { /* or it says what is wrong */
            kv_check(kv);
            (void)kv_step(kv, (struct kv_budget){0});
            kv_check(kv);
        }
        kv_free(kv);
    } else {
        backend_restore_cancel(backend);
    }
    kv_snapshot_reader_free(reader);
    backend_close(backend);
    buf_deinit(&stream);
    return 0;
}
