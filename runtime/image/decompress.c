/* decompress.c - the decompressing stage of stream.h. */
#include <zlib.h>
#include <zstd.h>

#include "base/check.h"
#include "base/list.h"
#include "base/mem.h"
#include "runtime/image/stream.h"

enum format { FORMAT_UNKNOWN, FORMAT_PLAIN, FORMAT_GZIP, FORMAT_ZSTD };

struct decompress_stream {
    struct stream stream;
    enum format format;
    struct bytes input;
    int64_t left; /* bytes that may still come out */
    bool is_input_ended;
    bool is_between_members; /* a gzip member or zstd frame just ended */
    z_stream gzip;
    ZSTD_DStream *zstd;
    uint8_t buffer[STREAM_CHUNK_SIZE];
};

/* The magic numbers: RFC 1952 section 2.3.1, RFC 8878 section 3.1.1 and its skippable frames. */
static enum format sniff(struct bytes input)
{
    if (input.size >= 2 && input.data[0] == 0x1f && input.data[1] == 0x8b) {
        return FORMAT_GZIP;
    }
    bool has_zstd_tail =
        input.size >= 4 && input.data[1] == 0xb5 && input.data[2] == 0x2f && input.data[3] == 0xfd;
    return has_zstd_tail && input.data[0] == 0x28 ? FORMAT_ZSTD : FORMAT_PLAIN;
}

static int refill(struct decompress_stream *self, struct err *err)
{
    if (self->input.size > 0 || self->is_input_ended) {
        return 0;
    }
    int status = stream_next(self->stream.source, &self->input, err);
    if (status == 0) {
        self->is_input_ended = true;
        self->input.size = 0;
    }
    return status < 0 ? status : 0;
}

static void start(struct decompress_stream *self)
{
    self->format = sniff(self->input);
    self->is_between_members = true;
    if (self->format == FORMAT_GZIP) {
        enum { WINDOW_BITS_GZIP = 15 + 16 };
        CHECK(inflateInit2(&self->gzip, WINDOW_BITS_GZIP) == Z_OK);
    } else if (self->format == FORMAT_ZSTD) {
        self->zstd = ZSTD_createDStream();
        CHECK(self->zstd != NULL);
        CHECK(!ZSTD_isError(ZSTD_initDStream(self->zstd)));
    }
}

/* One step of inflate; *made gets the bytes in the buffer. */
static int step_gzip(struct decompress_stream *self, size_t *made, struct err *err)
{
    if (self->is_between_members) {
        CHECK(inflateReset(&self->gzip) == Z_OK);
        self->is_between_members = false;
    }
    union {
        const uint8_t *from;
        uint8_t *to;
    } cast = {.from = self->input.data}; /* zlib does not write through next_in */
    self->gzip.next_in = cast.to;
    self->gzip.avail_in = (uInt)self->input.size;
    self->gzip.next_out = self->buffer;
    self->gzip.avail_out = sizeof(self->buffer);
    int status = inflate(&self->gzip, Z_NO_FLUSH);
    size_t used = self->input.size - self->gzip.avail_in;
    self->input = bytes_make(self->input.data + used, self->input.size - used);
    *made = sizeof(self->buffer) - self->gzip.avail_out;
    if (status == Z_STREAM_END) {
        self->is_between_members = true;
        return 0;
    }
    if (status != Z_OK && status != Z_BUF_ERROR) {
        return err_set(err, ERR_CORRUPT, "gzip data is corrupt: %s",
                       self->gzip.msg == NULL ? "unknown error" : self->gzip.msg);
    }
    return 0;
}

static int step_zstd(struct decompress_stream *self, size_t *made, struct err *err)
{
    self->is_between_members = false;
    ZSTD_inBuffer in = {self->input.data, self->input.size, 0};
    ZSTD_outBuffer out = {self->buffer, sizeof(self->buffer), 0};
    size_t status = ZSTD_decompressStream(self->zstd, &out, &in);
    if (ZSTD_isError(status)) {
        return err_set(err, ERR_CORRUPT, "zstd data is corrupt: %s", ZSTD_getErrorName(status));
    }
    self->input = bytes_make(self->input.data + in.pos, self->input.size - in.pos);
    self->is_between_members = status == 0;
    *made = out.pos;
    return 0;
}

static int next_plain(struct decompress_stream *self, struct bytes *chunk)
{
    *chunk = self->input;
    self->input.size = 0;
    return chunk->size > 0 ? 1 : 0;
}

static int next_chunk(struct decompress_stream *self, struct bytes *chunk, struct err *err)
{
    for (;;) {
        int status = refill(self, err);
        if (status != 0) {
            return status;
        }
        if (self->format == FORMAT_UNKNOWN) {
            start(self);
        }
        if (self->format == FORMAT_PLAIN) {
            return next_plain(self, chunk);
        }
        if (self->is_input_ended && self->is_between_members) {
            return 0;
        }
        bool was_ended = self->is_input_ended;
        size_t made = 0;
        status =
            self->format == FORMAT_GZIP ? step_gzip(self, &made, err) : step_zstd(self, &made, err);
        if (status != 0) {
            return status;
        }
        if (made > 0) {
            *chunk = bytes_make(self->buffer, made);
            return 1;
        }
        if (was_ended && !self->is_between_members) {
            return err_set(err, ERR_CORRUPT, "compressed data ends too early");
        }
    }
}

static int decompress_next(struct stream *stream, struct bytes *chunk, struct err *err)
{
    struct decompress_stream *self = container_of(stream, struct decompress_stream, stream);
    int status = next_chunk(self, chunk, err);
    if (status > 0) {
        self->left -= (int64_t)chunk->size;
        if (self->left < 0) {
            return err_set(err, ERR_TOO_LARGE, "unpacked data is larger than the limit");
        }
    }
    return status;
}

static void decompress_free(struct stream *stream)
{
    struct decompress_stream *self = container_of(stream, struct decompress_stream, stream);
    if (self->format == FORMAT_GZIP) {
        (void)inflateEnd(&self->gzip); /* frees; nothing else can go wrong */
    } else if (self->format == FORMAT_ZSTD) {
        ZSTD_freeDStream(self->zstd);
    }
    mem_free(self);
}

bool stream_is_plain(const struct stream *decompress)
{
    return container_of(decompress, const struct decompress_stream, stream)->format == FORMAT_PLAIN;
}

struct stream *stream_new_decompress(struct stream *source, int64_t bytes_max)
{
    struct decompress_stream *self = mem_alloc(sizeof(*self));
    self->stream = (struct stream){
        .next = decompress_next,
        .free = decompress_free,
        .source = source,
    };
    self->format = FORMAT_UNKNOWN;
    self->input = (struct bytes){NULL, 0};
    self->left = bytes_max;
    self->is_input_ended = false;
    self->is_between_members = false;
    self->gzip = (z_stream){.zalloc = Z_NULL};
    self->zstd = NULL;
    return &self->stream;
}
