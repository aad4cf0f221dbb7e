/* Layers: decompression and the tar reader, without touching the file system. */
#include "runtime/image/stream.h"
#include "runtime/image/tar.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { UNPACKED_MAX = 1 << 20 };
    struct stream *stream =
        stream_new_decompress(stream_new_bytes(bytes_make(data, size)), UNPACKED_MAX);
    struct tar *tar = tar_new(stream);
    struct tar_entry entry;
    struct bytes chunk;
    struct err err;
    while (tar_next(tar, &entry, &err) > 0) {
        int status = tar_read_data(tar, &chunk, &err);
        if (status < 0) {
            break;
        }
    }
    tar_free(tar);
    stream_free(stream);
    return 0;
}
