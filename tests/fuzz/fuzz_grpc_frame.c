/* F2: gRPC's framing. However the input is cut, the same messages come out. */
#include "base/check.h"
#include "proto/grpc_frame.h"
#include "tests/fuzz/fuzz.h"

struct result {
    uint64_t hash;
    unsigned count;
    int rv;
};

static struct result deframe(struct bytes all, size_t step, enum grpc_encoding encoding)
{
    struct grpc_deframer deframer;
    struct result result = {.hash = 14695981039346656037U};
    grpc_deframer_init(&deframer, 5000);
    deframer.encoding = encoding;
    for (size_t at = 0; at < all.size && result.rv >= 0; at += step) {
        size_t part = all.size - at < step ? all.size - at : step;
        struct bytes input = bytes_make(all.data + at, part);
        struct bytes message = {NULL, 0};
        struct err err = {0};
        while ((result.rv = grpc_deframer_next(&deframer, &input, &message, &err)) == 1) {
            CHECK(message.size <= 5000);
            result.count++;
            for (size_t i = 0; i < message.size; i++) {
                result.hash = (result.hash ^ message.data[i]) * 1099511628211U;
            }
        }
        CHECK(result.rv == 0 ? input.size == 0 : err.code == result.rv && err.text[0] != 0);
    }
    grpc_deframer_deinit(&deframer);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 20000) {
        return 0;
    }
    enum grpc_encoding encoding = (data[0] & 1) != 0 ? GRPC_ENCODING_GZIP : GRPC_ENCODING_IDENTITY;
    struct bytes all = bytes_make(data + 2, size - 2);
    struct result whole = deframe(all, SIZE_MAX / 2, encoding);
    struct result cut = deframe(all, (size_t)data[1] + 1, encoding);
    CHECK(whole.count == cut.count && whole.hash == cut.hash && whole.rv == cut.rv);
    return 0;
}
