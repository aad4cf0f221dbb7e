#include "proto/grpc_frame.h"

#include <zlib.h>

#include "base/check.h"

enum { INFLATE_STEP_BYTES = 16 * 1024, GZIP_WINDOW_BITS = 15 + 16, STORED_KEPT_BYTES = 64 * 1024 };

void grpc_deframer_init(struct grpc_deframer *deframer, size_t message_bytes_max)
{
    CHECK(message_bytes_max <= UINT32_MAX);
    *deframer = (struct grpc_deframer){.message_bytes_max = message_bytes_max};
}

void grpc_deframer_deinit(struct grpc_deframer *deframer)
{
    buf_deinit(&deframer->stored);
    buf_deinit(&deframer->inflated);
}

void grpc_frame_prefix(uint8_t prefix[GRPC_PREFIX_BYTES], size_t size)
{
    CHECK(size <= UINT32_MAX);
    prefix[0] = 0;
    prefix[1] = (uint8_t)(size >> 24);
    prefix[2] = (uint8_t)(size >> 16);
    prefix[3] = (uint8_t)(size >> 8);
    prefix[4] = (uint8_t)size;
}

bool grpc_encoding_parse(struct bytes text, enum grpc_encoding *ret_encoding)
{
    if (text.data == NULL || bytes_equal(text, BYTES_LITERAL("identity"))) {
        *ret_encoding = GRPC_ENCODING_IDENTITY;
        return true;
    }
    if (bytes_equal(text, BYTES_LITERAL("gzip"))) {
        *ret_encoding = GRPC_ENCODING_GZIP;
        return true;
    }
    return false;
}

static int inflate_all(z_stream *stream, struct buf *out, size_t size_max, struct err *err)
{
    for (;;) {
        stream->next_out = buf_reserve(out, INFLATE_STEP_BYTES);
        stream->avail_out = INFLATE_STEP_BYTES;
        int rv = inflate(stream, Z_NO_FLUSH);
        buf_commit(out, INFLATE_STEP_BYTES - stream->avail_out);
        if (buf_size(out) > size_max) {
            return err_set(err, ERR_TOO_LARGE,
                           "grpc: received message after decompression larger than max (%zu vs. "
                           "%zu)",
                           buf_size(out), size_max);
        }
        if (rv == Z_STREAM_END) {
            return 0;
        }
        if (rv != Z_OK || (stream->avail_in == 0 && stream->avail_out > 0)) {
            return err_set(err, ERR_MALFORMED, "grpc: failed to decompress the received message");
        }
    }
}

static int decompress(struct grpc_deframer *deframer, struct bytes message,
                      struct bytes *ret_message, struct err *err)
{
    if (deframer->encoding != GRPC_ENCODING_GZIP) {
        return err_set(err, ERR_MALFORMED,
                       "grpc: compressed flag set with identity or empty encoding");
    }
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)message.data, .avail_in = (uInt)message.size};
    CHECK(inflateInit2(&stream, GZIP_WINDOW_BITS) == Z_OK);
    buf_clear(&deframer->inflated);
    int rv = inflate_all(&stream, &deframer->inflated, deframer->message_bytes_max, err);
    (void)inflateEnd(&stream);
    if (rv == 0) {
        *ret_message = buf_bytes(&deframer->inflated);
    }
    return rv;
}

/* Size of the whole frame at the front of input, 0 if the prefix is not complete, or an error. */
static int64_t frame_size(const struct grpc_deframer *deframer, struct bytes input, struct err *err)
{
    if (input.size < GRPC_PREFIX_BYTES) {
        return 0;
    }
    uint32_t size = (uint32_t)input.data[1] << 24 | (uint32_t)input.data[2] << 16 |
                    (uint32_t)input.data[3] << 8 | input.data[4];
    if (input.data[0] > 1) {
        return err_set(err, ERR_MALFORMED, "grpc: received unexpected payload format %u",
                       input.data[0]);
    }
    if (size > deframer->message_bytes_max) {
        return err_set(err, ERR_TOO_LARGE, "grpc: received message larger than max (%u vs. %zu)",
                       size, deframer->message_bytes_max);
    }
    return (int64_t)size + GRPC_PREFIX_BYTES;
}

static int hand_out(struct grpc_deframer *deframer, struct bytes frame, struct bytes *ret_message,
                    struct err *err)
{
    CHECK(frame.data != NULL);
    struct bytes message =
        bytes_make(frame.data + GRPC_PREFIX_BYTES, frame.size - GRPC_PREFIX_BYTES);
    if (frame.data[0] == 0) {
        *ret_message = message;
        return 1;
    }
    int rv = decompress(deframer, message, ret_message, err);
    return rv < 0 ? rv : 1;
}

static void drop_handed_out(struct grpc_deframer *deframer)
{
    buf_consume(&deframer->stored, deframer->handed_out);
    deframer->handed_out = 0;
    /* One large message does not hold its memory for the rest of a long stream. */
    if (buf_size(&deframer->stored) == 0 && deframer->stored.capacity > STORED_KEPT_BYTES) {
        buf_deinit(&deframer->stored);
    }
}

/* Move bytes from input to stored until it holds size of them. */
static bool fill_to(struct grpc_deframer *deframer, struct bytes *input, size_t size)
{
    size_t have = buf_size(&deframer->stored);
    if (have < size) {
        size_t missing = size - have;
        size_t taken = input->size < missing ? input->size : missing;
        if (taken > 0) {
            buf_append(&deframer->stored, input->data, taken);
            input->data += taken;
            input->size -= taken;
        }
    }
    return buf_size(&deframer->stored) >= size;
}

int grpc_deframer_next(struct grpc_deframer *deframer, struct bytes *input,
                       struct bytes *ret_message, struct err *err)
{
    drop_handed_out(deframer);
    if (buf_size(&deframer->stored) == 0) {
        int64_t size = frame_size(deframer, *input, err);
        if (size < 0) {
            return (int)size;
        }
        if (size > 0 && (uint64_t)size <= input->size) {
            struct bytes frame = bytes_make(input->data, (size_t)size);
            input->data += size;
            input->size -= (size_t)size;
            return hand_out(deframer, frame, ret_message, err);
        }
    }
    if (!fill_to(deframer, input, GRPC_PREFIX_BYTES)) {
        return 0;
    }
    int64_t size = frame_size(deframer, buf_bytes(&deframer->stored), err);
    if (size < 0) {
        return (int)size;
    }
    if (!fill_to(deframer, input, (size_t)size)) {
        return 0;
    }
    deframer->handed_out = (size_t)size;
    struct bytes frame = bytes_make(buf_bytes(&deframer->stored).data, (size_t)size);
    return hand_out(deframer, frame, ret_message, err);
}

void grpc_deframer_store(struct grpc_deframer *deframer, struct bytes input)
{
    drop_handed_out(deframer);
    buf_append_bytes(&deframer->stored, input);
}

bool grpc_deframer_is_partial(const struct grpc_deframer *deframer)
{
    return buf_size(&deframer->stored) > deframer->handed_out;
}
