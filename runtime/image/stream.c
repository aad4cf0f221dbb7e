#include "runtime/image/stream.h"

#include <errno.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "base/mem.h"

int stream_next(struct stream *stream, struct bytes *chunk, struct err *err)
{
    return stream->next(stream, chunk, err);
}

void stream_free(struct stream *stream)
{
    while (stream != NULL) {
        struct stream *source = stream->source;
        stream->free(stream);
        stream = source;
    }
}

int stream_drain(struct stream *stream, struct err *err)
{
    struct bytes chunk;
    int status;
    while ((status = stream_next(stream, &chunk, err)) > 0) {
    }
    return status;
}

int stream_copy(struct stream *stream, int fd, int64_t *ret_size, struct err *err)
{
    struct bytes chunk;
    int64_t total = 0;
    int status;
    while ((status = stream_next(stream, &chunk, err)) > 0) {
        for (size_t done = 0; done < chunk.size;) {
            ssize_t count = write(fd, chunk.data + done, chunk.size - done);
            if (count < 0 && errno != EINTR) {
                return err_set_errno(err, errno, "write");
            }
            done += count < 0 ? 0 : (size_t)count;
        }
        total += (int64_t)chunk.size;
    }
    if (status == 0 && ret_size != NULL) {
        *ret_size = total;
    }
    return status;
}

struct file_stream {
    struct stream stream;
    int fd;
    int64_t offset;
    int64_t left; /* -1: until the end */
    uint8_t buffer[STREAM_CHUNK_SIZE];
};

static int file_next(struct stream *stream, struct bytes *chunk, struct err *err)
{
    struct file_stream *file = container_of(stream, struct file_stream, stream);
    size_t wanted = sizeof(file->buffer);
    if (file->left >= 0 && file->left < (int64_t)wanted) {
        wanted = (size_t)file->left;
    }
    if (wanted == 0) {
        return 0;
    }
    ssize_t count;
    do {
        count = file->left < 0 ? read(file->fd, file->buffer, wanted)
                               : pread(file->fd, file->buffer, wanted, file->offset);
    } while (count < 0 && errno == EINTR);
    if (count < 0) {
        return err_set_errno(err, errno, "read");
    }
    if (count == 0) {
        return file->left < 0 ? 0 : err_set(err, ERR_MALFORMED, "the file ends too early");
    }
    if (file->left >= 0) {
        file->left -= count;
        file->offset += count;
    }
    *chunk = bytes_make(file->buffer, (size_t)count);
    return 1;
}

static int64_t file_skip(struct stream *stream, int64_t size)
{
    struct file_stream *file = container_of(stream, struct file_stream, stream);
    int64_t skipped = file->left < size ? file->left : size;
    if (file->left < 0) {
        return 0; /* a pipe */
    }
    file->offset += skipped;
    file->left -= skipped;
    return skipped;
}

static void file_free(struct stream *stream)
{
    mem_free(container_of(stream, struct file_stream, stream));
}

struct stream *stream_new_file(int fd, int64_t offset, int64_t size)
{
    struct file_stream *file = mem_alloc(sizeof(*file));
    file->stream = (struct stream){.next = file_next, .free = file_free, .skip = file_skip};
    file->fd = fd;
    file->offset = offset;
    file->left = size < 0 ? -1 : size;
    return &file->stream;
}

struct bytes_stream {
    struct stream stream;
    struct bytes bytes;
};

static int bytes_next(struct stream *stream, struct bytes *chunk, struct err *err)
{
    (void)err;
    struct bytes_stream *self = container_of(stream, struct bytes_stream, stream);
    *chunk = self->bytes;
    self->bytes.size = 0;
    return chunk->size > 0 ? 1 : 0;
}

static void bytes_free(struct stream *stream)
{
    mem_free(container_of(stream, struct bytes_stream, stream));
}

struct stream *stream_new_bytes(struct bytes bytes)
{
    struct bytes_stream *self = mem_alloc(sizeof(*self));
    self->stream = (struct stream){.next = bytes_next, .free = bytes_free};
    self->bytes = bytes;
    return &self->stream;
}

struct borrowed_stream {
    struct stream stream;
    struct stream *lender;
};

static int borrowed_next(struct stream *stream, struct bytes *chunk, struct err *err)
{
    return stream_next(container_of(stream, struct borrowed_stream, stream)->lender, chunk, err);
}

static void borrowed_free(struct stream *stream)
{
    mem_free(container_of(stream, struct borrowed_stream, stream));
}

struct stream *stream_new_borrowed(struct stream *lender)
{
    struct borrowed_stream *self = mem_alloc(sizeof(*self));
    self->stream = (struct stream){.next = borrowed_next, .free = borrowed_free};
    self->lender = lender;
    return &self->stream;
}

struct tap_stream {
    struct stream stream;
    int (*tap)(void *context, struct bytes chunk, struct err *err);
    void *context;
};

static int tap_next(struct stream *stream, struct bytes *chunk, struct err *err)
{
    struct tap_stream *self = container_of(stream, struct tap_stream, stream);
    int status = stream_next(stream->source, chunk, err);
    if (status > 0) {
        int refused = self->tap(self->context, *chunk, err);
        return refused < 0 ? refused : status;
    }
    return status;
}

static void tap_free(struct stream *stream)
{
    mem_free(container_of(stream, struct tap_stream, stream));
}

struct stream *stream_new_tap(struct stream *source,
                              int (*tap)(void *context, struct bytes chunk, struct err *err),
                              void *context)
{
    struct tap_stream *self = mem_alloc(sizeof(*self));
    self->stream = (struct stream){.next = tap_next, .free = tap_free, .source = source};
    self->tap = tap;
    self->context = context;
    return &self->stream;
}

static int update_hash(void *context, struct bytes chunk, struct err *err)
{
    (void)err;
    hash_update(context, chunk);
    return 0;
}

struct stream *stream_new_hash(struct stream *source, struct hash *hash)
{
    return stream_new_tap(source, update_hash, hash);
}
