#include "runtime/image/layer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "runtime/image/extract.h"
#include "runtime/image/hash.h"
#include "runtime/image/in_root.h"

void layers_init(struct layers *layers, const struct store *store)
{
    *layers = (struct layers){.store = store};
}

void layers_deinit(struct layers *layers)
{
    for (uint32_t i = 0; i < layers->count; i++) {
        if (layers->items[i].temporary[0] != '\0') {
            /* On failure the collector clears it. */
            int ignored = in_root_remove(layers->store->layers_fd, layers->items[i].temporary);
            (void)ignored;
        }
    }
    mem_free(layers->items);
    layers->items = NULL;
    layers->count = 0;
}

/* The new item is counted at once, so that deinit removes its directory on any failure. */
static struct layer *add_item(struct layers *layers)
{
    layers->items =
        mem_reallocarray(layers->items, (size_t)layers->count + 1, sizeof(*layers->items));
    struct layer *layer = &layers->items[layers->count++];
    *layer = (struct layer){.size = 0};
    return layer;
}

static const char *parent_chain(const struct layers *layers, const struct layer *layer)
{
    return layer == layers->items ? NULL : layer[-1].chain_id;
}

static int64_t read_size(const struct store *store, const char *chain_hex)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/size", chain_hex);
    CLEANUP(buf) struct buf text = BUF_INIT;
    long long size = 0;
    if (in_root_read_file(store->layers_fd, path, 64, &text) != 0 ||
        sscanf(buf_text(&text), "%lld", &size) != 1) {
        return 0; /* only shown to people */
    }
    return size;
}

static int make_temporary(const struct layers *layers, struct layer *layer, int *ret_fd,
                          struct err *err)
{
    int layers_fd = layers->store->layers_fd;
    (void)snprintf(layer->temporary, sizeof(layer->temporary), "tmp.%d.%u", (int)getpid(),
                   (unsigned)(layer - layers->items));
    int status = in_root_remove(layers_fd, layer->temporary);
    if (status != 0 || mkdirat(layers_fd, layer->temporary, 0711) != 0) {
        return err_set_errno(err, status != 0 ? -status : errno, "create a layer directory");
    }
    CLEANUP(close_fd)
    int fd = openat(layers_fd, layer->temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || mkdirat(fd, "diff", 0755) != 0 || fchmodat(fd, "diff", 0755, 0) != 0) {
        return err_set_errno(err, errno, "create a layer directory");
    }
    *ret_fd = openat(fd, "diff", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret_fd >= 0 ? 0 : err_set_errno(err, errno, "open a layer directory");
}

static int write_size(const struct layers *layers, const struct layer *layer, struct err *err)
{
    char path[160];
    char text[32];
    (void)snprintf(path, sizeof(path), "%s/size", layer->temporary);
    int size = snprintf(text, sizeof(text), "%lld\n", (long long)layer->size);
    CLEANUP(close_fd)
    int fd = openat(layers->store->layers_fd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, text, (size_t)size) != size) {
        return err_set_errno(err, errno, "write the size of a layer");
    }
    return 0;
}

/* What is not compressed is hashed once, as a blob. */
struct diff_hash {
    struct hash *hash;
    const struct stream *decompress;
    bool has_blob_hash; /* somebody hashes what comes into decompress */
};

static int update_diff_hash(void *context, struct bytes chunk, struct err *err)
{
    struct diff_hash *diff = context;
    (void)err;
    if (!diff->has_blob_hash || !stream_is_plain(diff->decompress)) {
        hash_update(diff->hash, chunk);
    }
    return 0;
}

/* Unpack the (compressed or plain) stream, read it to its end, and tell the diff id. The stream is
 * borrowed and stays usable for whoever hashes below it: blob_hash (NULL: nobody), which is
 * finished into layer->blob.digest when it is given. */
static int unpack(struct layers *layers, struct layer *layer, struct stream *source,
                  struct hash *blob_hash, struct err *err)
{
    CLEANUP(close_fd) int fd = -1;
    int status = make_temporary(layers, layer, &fd, err);
    if (status != 0) {
        return status;
    }
    CLEANUP(hash) struct hash *hash = hash_new();
    struct stream *plain = stream_new_decompress(stream_new_borrowed(source), EXTRACT_BYTES_MAX);
    struct diff_hash diff = {.hash = hash, .decompress = plain, .has_blob_hash = blob_hash != NULL};
    struct stream *ahead = stream_new_ahead(stream_new_tap(plain, update_diff_hash, &diff));
    struct extract_options options = {.is_layer = true, .keeps_owner = layers->store->is_root};
    struct extract_result result = {.entries = 0};
    status = extract_tar(ahead, fd, &options, &result, err);
    if (status == 0) {
        status = stream_drain(ahead, err);
    }
    bool is_same = status == 0 && blob_hash != NULL && stream_is_plain(plain);
    stream_free(ahead);
    if (status == 0 && blob_hash != NULL) {
        status = stream_drain(source, err); /* what follows the end of the compressed data */
        hash_finish(blob_hash, layer->blob.digest);
    }
    if (status == 0) {
        if (is_same) {
            memcpy(layer->diff_id, layer->blob.digest, sizeof(layer->diff_id));
        } else {
            hash_finish(hash, layer->diff_id);
        }
        layer->size = result.bytes;
        status = write_size(layers, layer, err);
    }
    return status;
}

static int check_diff_id(const struct layer *layer, const char *diff_id, struct err *err)
{
    if (diff_id != NULL && strcmp(layer->diff_id, diff_id) != 0) {
        return err_set(err, ERR_CORRUPT,
                       "the layer unpacks to %s, but the image's configuration says %s",
                       layer->diff_id, diff_id);
    }
    return 0;
}

/* True when the layer with this diff id on top of what we have is in the store. */
static bool is_present(struct layers *layers, struct layer *layer, const char *diff_id)
{
    if (diff_id == NULL) {
        return false;
    }
    (void)snprintf(layer->diff_id, sizeof(layer->diff_id), "%s", diff_id);
    hash_chain(parent_chain(layers, layer), diff_id, layer->chain_id);
    if (!store_has_layer(layers->store, digest_hex(layer->chain_id))) {
        return false;
    }
    layer->size = read_size(layers->store, digest_hex(layer->chain_id));
    return true;
}

int layers_add_blob(struct layers *layers, const struct descriptor *blob, const char *diff_id,
                    struct err *err)
{
    struct layer *layer = add_item(layers);
    layer->blob = *blob;
    if (is_present(layers, layer, diff_id)) {
        return 0;
    }
    CLEANUP(close_fd) int fd = -1;
    int64_t size = 0;
    int status = store_blob_open(layers->store, blob->digest, &fd, &size, err);
    if (status != 0) {
        return status;
    }
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL); /* only a hint */
    CLEANUP(stream) struct stream *stream = stream_new_file(fd, 0, size);
    status = unpack(layers, layer, stream, NULL, err);
    if (status == 0) {
        status = check_diff_id(layer, diff_id, err);
    }
    if (status != 0) {
        return err_prefix(err, "layer %.19s", blob->digest);
    }
    hash_chain(parent_chain(layers, layer), layer->diff_id, layer->chain_id);
    return 0;
}

struct blob_writer {
    int fd;
    int64_t size;
    uint8_t magic[4];
};

static int write_blob(void *context, struct bytes chunk, struct err *err)
{
    struct blob_writer *writer = context;
    for (size_t i = 0; i < chunk.size && writer->size + (int64_t)i < 4; i++) {
        writer->magic[writer->size + (int64_t)i] = chunk.data[i];
    }
    for (size_t done = 0; done < chunk.size;) {
        ssize_t count = write(writer->fd, chunk.data + done, chunk.size - done);
        if (count < 0 && errno != EINTR) {
            return err_set_errno(err, errno, "write a blob");
        }
        done += count < 0 ? 0 : (size_t)count;
    }
    writer->size += (int64_t)chunk.size;
    return 0;
}

static const char *media_type_of(const uint8_t magic[4])
{
    if (magic[0] == 0x1f && magic[1] == 0x8b) {
        return MEDIA_OCI_LAYER_GZIP;
    }
    bool is_zstd = magic[0] == 0x28 && magic[1] == 0xb5 && magic[2] == 0x2f && magic[3] == 0xfd;
    return is_zstd ? MEDIA_OCI_LAYER_ZSTD : MEDIA_OCI_LAYER;
}

static int commit_blob(struct layers *layers, struct layer *layer, const struct blob_writer *writer,
                       const char *wanted, struct err *err)
{
    layer->blob.size = writer->size;
    (void)snprintf(layer->blob.media_type, sizeof(layer->blob.media_type), "%s",
                   media_type_of(writer->magic));
    if (wanted != NULL && strcmp(layer->blob.digest, wanted) != 0) {
        return err_set(err, ERR_CORRUPT, "the content has the digest %s, not %s",
                       layer->blob.digest, wanted);
    }
    return store_ingest_commit(layers->store, writer->fd, layer->blob.digest, err);
}

int layers_add_stream(struct layers *layers, struct stream *take_stream, const char *blob_digest,
                      const char *diff_id, struct err *err)
{
    struct layer *layer = add_item(layers);
    CLEANUP(close_fd) int blob_fd = -1;
    CLEANUP(stream) struct stream *stream = take_stream;
    int status = store_ingest_open(layers->store, &blob_fd, err);
    if (status != 0) {
        return status;
    }
    CLEANUP(hash) struct hash *hash = hash_new();
    struct blob_writer writer = {.fd = blob_fd};
    stream = stream_new_tap(stream_new_hash(stream, hash), write_blob, &writer);
    if (is_present(layers, layer, diff_id)) {
        status = stream_drain(stream, err);
        hash_finish(hash, layer->blob.digest);
    } else {
        status = unpack(layers, layer, stream, hash, err);
        if (status == 0) {
            status = check_diff_id(layer, diff_id, err);
        }
    }
    if (status == 0) {
        status = commit_blob(layers, layer, &writer, blob_digest, err);
    }
    if (status == 0) {
        hash_chain(parent_chain(layers, layer), layer->diff_id, layer->chain_id);
    }
    return status;
}

static bool has_new(const struct layers *layers)
{
    for (uint32_t i = 0; i < layers->count; i++) {
        if (layers->items[i].temporary[0] != '\0') {
            return true;
        }
    }
    return false;
}

int layers_commit(struct layers *layers, struct err *err)
{
    if (!has_new(layers)) {
        return 0;
    }
    int status = 0;
    int layers_fd = layers->store->layers_fd;
    for (uint32_t i = 0; status == 0 && i < layers->count; i++) {
        struct layer *layer = &layers->items[i];
        if (layer->temporary[0] == '\0') {
            continue;
        }
        const char *name = digest_hex(layer->chain_id);
        status = store_mark_unsynced(layers->store, STORE_KIND_LAYER, name, err);
        if (status != 0) {
            break;
        }
        if (renameat(layers_fd, layer->temporary, layers_fd, name) == 0) {
            layer->temporary[0] = '\0';
        } else if (errno != EEXIST && errno != ENOTEMPTY) { /* else another process was faster */
            status = err_set_errno(err, errno, "store layer %s", layer->chain_id);
        }
    }
    if (status == 0) {
        store_settle_later(layers->store);
    }
    return status;
}
