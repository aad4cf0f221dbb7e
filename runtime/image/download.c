#include "runtime/image/download.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "runtime/image/hash.h"
#include "runtime/image/stream.h"

struct transfer {
    const struct descriptor *blob;
    uint32_t item;
    char partial[100]; /* name in the ingest directory */
    int fd;
    CURL *curl;
    struct curl_slist *headers;
    struct hash *hash;
    int64_t size; /* bytes in the file, all hashed */
    bool is_first_chunk;
    bool is_too_large;
    unsigned tries;
};

struct download {
    struct registry *registry;
    const struct store *store;
    struct progress *progress;
    CURLM *multi;
    struct err *err;
};

/* ---- the partial file ---- */

static int hash_existing(struct transfer *transfer, struct err *err)
{
    CLEANUP(stream) struct stream *stream = stream_new_file(transfer->fd, 0, transfer->size);
    struct bytes chunk;
    int status;
    while ((status = stream_next(stream, &chunk, err)) > 0) {
        hash_update(transfer->hash, chunk);
    }
    return status;
}

static int restart(struct transfer *transfer)
{
    hash_free(transfer->hash);
    transfer->hash = hash_new();
    transfer->size = 0;
    return ftruncate(transfer->fd, 0) == 0 ? 0 : -errno;
}

/* The lock makes two processes that pull the same blob take turns; the second finds it done. */
static int open_partial(struct download *download, struct transfer *transfer)
{
    struct stat about;
    (void)snprintf(transfer->partial, sizeof(transfer->partial), "%s.partial",
                   digest_hex(transfer->blob->digest));
    for (;;) {
        CLEANUP(close_fd)
        int fd = openat(download->store->ingest_fd, transfer->partial, O_RDWR | O_CREAT | O_CLOEXEC,
                        0600);
        struct stat named;
        if (fd < 0 || flock(fd, LOCK_EX) != 0 || fstat(fd, &about) != 0) {
            return err_set_errno(download->err, errno, "open '%s'", transfer->partial);
        }
        if (fstatat(download->store->ingest_fd, transfer->partial, &named, 0) == 0 &&
            named.st_ino == about.st_ino) {
            transfer->fd = TAKE_FD(fd);
            break;
        }
        if (store_has_blob(download->store, transfer->blob->digest)) {
            return 0;
        }
    }
    transfer->size = about.st_size;
    transfer->hash = hash_new();
    if (transfer->size > transfer->blob->size) {
        return restart(transfer);
    }
    return hash_existing(transfer, download->err);
}

static int finish_file(struct download *download, struct transfer *transfer)
{
    char digest[REFERENCE_DIGEST_MAX + 1];
    const struct descriptor *blob = transfer->blob;
    hash_finish(transfer->hash, digest);
    if (transfer->size != blob->size || strcmp(digest, blob->digest) != 0) {
        (void)unlinkat(download->store->ingest_fd, transfer->partial, 0);
        return err_set(download->err, ERR_CORRUPT,
                       "blob %s: the registry sent %lld bytes with the digest %s", blob->digest,
                       (long long)transfer->size, digest);
    }
    int status = store_mark_unsynced(download->store, STORE_KIND_BLOB, digest_hex(blob->digest),
                                     download->err);
    if (status != 0) {
        return status;
    }
    if (renameat(download->store->ingest_fd, transfer->partial, download->store->blobs_fd,
                 digest_hex(blob->digest)) != 0) {
        return err_set_errno(download->err, errno, "store blob %s", blob->digest);
    }
    progress_set(download->progress, transfer->item, "Download complete");
    return 0;
}

/* ---- curl ---- */

static size_t on_data(char *data, size_t unit, size_t count, void *context)
{
    struct transfer *transfer = context;
    size_t size = unit * count;
    long status = 0;
    curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200 && status != 206) {
        return size; /* an error page; the status is looked at in the end */
    }
    if (transfer->is_first_chunk) {
        transfer->is_first_chunk = false;
        if (status == 200 && transfer->size > 0 && restart(transfer) != 0) {
            return 0; /* the server does not resume */
        }
    }
    if (transfer->size + (int64_t)size > transfer->blob->size) {
        transfer->is_too_large = true;
        return 0;
    }
    for (size_t done = 0; done < size;) {
        ssize_t written =
            pwrite(transfer->fd, data + done, size - done, transfer->size + (int64_t)done);
        if (written < 0 && errno != EINTR) {
            return 0;
        }
        done += written < 0 ? 0 : (size_t)written;
    }
    hash_update(transfer->hash, bytes_make(data, size));
    transfer->size += (int64_t)size;
    return size;
}

static int add_to_multi(struct download *download, struct transfer *transfer)
{
    char url[1024];
    registry_blob_url(download->registry, transfer->blob->digest, url);
    if (transfer->curl == NULL) {
        transfer->curl = curl_easy_init();
    }
    if (transfer->curl == NULL) {
        return err_set(download->err, ERR_IO, "start libcurl");
    }
    curl_slist_free_all(transfer->headers);
    registry_set_up(download->registry, transfer->curl, NULL, &transfer->headers);
    transfer->is_first_chunk = true;
    curl_easy_setopt(transfer->curl, CURLOPT_URL, url);
    curl_easy_setopt(transfer->curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(transfer->curl, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(transfer->curl, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(transfer->curl, CURLOPT_PRIVATE, transfer);
    if (transfer->size > 0) {
        char range[40];
        (void)snprintf(range, sizeof(range), "%lld-", (long long)transfer->size);
        curl_easy_setopt(transfer->curl, CURLOPT_RANGE, range);
    }
    progress_set(download->progress, transfer->item, "Downloading");
    return curl_multi_add_handle(download->multi, transfer->curl) == CURLM_OK
               ? 0
               : err_set(download->err, ERR_IO, "start libcurl");
}

static void end_transfer(struct transfer *transfer)
{
    cleanup_close_fd(&transfer->fd);
    transfer->fd = -1;
    hash_free(transfer->hash);
    transfer->hash = NULL;
    if (transfer->curl != NULL) {
        curl_easy_cleanup(transfer->curl);
        transfer->curl = NULL;
    }
    curl_slist_free_all(transfer->headers);
    transfer->headers = NULL;
}

/* 1: it is under way; 0: nothing to do. */
static int begin(struct download *download, struct transfer *transfer)
{
    if (store_has_blob(download->store, transfer->blob->digest)) {
        progress_set(download->progress, transfer->item, "Already exists");
        return 0;
    }
    int status = open_partial(download, transfer);
    if (status != 0) {
        return status;
    }
    if (store_has_blob(download->store, transfer->blob->digest)) {
        progress_set(download->progress, transfer->item, "Already exists");
        return 0;
    }
    if (transfer->size == transfer->blob->size) {
        status = finish_file(download, transfer);
        return status;
    }
    status = add_to_multi(download, transfer);
    return status == 0 ? 1 : status;
}

/* What to do when curl is done with it. 1: it was started again. */
static int complete(struct download *download, struct transfer *transfer, CURLcode code)
{
    long status = 0;
    curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_multi_remove_handle(download->multi, transfer->curl);
    if (transfer->is_too_large) {
        (void)unlinkat(download->store->ingest_fd, transfer->partial, 0);
        return err_set(download->err, ERR_CORRUPT,
                       "blob %s: the registry sent more than %lld bytes", transfer->blob->digest,
                       (long long)transfer->blob->size);
    }
    if (code == CURLE_OK && (status == 200 || status == 206) &&
        transfer->size == transfer->blob->size) {
        return finish_file(download, transfer);
    }
    bool is_fatal = code == CURLE_OK && status >= 400 && status < 500 && status != 401 &&
                    status != 408 && status != 416 && status != 429;
    if (is_fatal || ++transfer->tries >= DOWNLOAD_TRIES_MAX) {
        return err_set(download->err, status == 404 ? ERR_NOT_FOUND : ERR_IO,
                       "blob %s: %s (HTTP %ld)", transfer->blob->digest,
                       code == CURLE_OK ? "incomplete or refused" : curl_easy_strerror(code),
                       status);
    }
    if (status == 416 && restart(transfer) != 0) {
        return err_set_errno(download->err, errno, "blob %s", transfer->blob->digest);
    }
    if (status == 401) {
        /* The token has expired: any request renews it. */
        CLEANUP(registry_reply) struct registry_reply reply = {.status = 0};
        char path[200];
        (void)snprintf(path, sizeof(path), "/blobs/%s", transfer->blob->digest);
        int renewed = registry_request(download->registry, "HEAD", path, NULL, NULL, 4096, &reply,
                                       download->err);
        if (renewed != 0) {
            return renewed;
        }
    }
    int again = add_to_multi(download, transfer);
    return again == 0 ? 1 : again;
}

static int run(struct download *download, struct transfer *transfers, uint32_t count)
{
    uint32_t next = 0;
    uint32_t active = 0;
    int status = 0;
    while (status >= 0 && (next < count || active > 0)) {
        while (status >= 0 && next < count && active < DOWNLOAD_PARALLEL) {
            status = begin(download, &transfers[next++]);
            active += status > 0;
        }
        int running = 0;
        int left = 0;
        if (status < 0 || curl_multi_perform(download->multi, &running) != CURLM_OK ||
            curl_multi_poll(download->multi, NULL, 0, running > 0 ? 100 : 0, NULL) != CURLM_OK) {
            return status < 0 ? status : err_set(download->err, ERR_IO, "libcurl failed");
        }
        for (CURLMsg *message;
             status >= 0 && (message = curl_multi_info_read(download->multi, &left)) != NULL;) {
            struct transfer *transfer = NULL;
            CURLcode code = message->data.result;
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
            status = complete(download, transfer, code);
            active -= status <= 0;
            if (status == 0) {
                end_transfer(transfer);
            }
        }
        for (uint32_t i = 0; i < next; i++) {
            if (transfers[i].fd >= 0) {
                progress_advance(download->progress, transfers[i].item, transfers[i].size,
                                 transfers[i].blob->size);
            }
        }
    }
    return status < 0 ? status : 0;
}

int download_blobs(struct registry *registry, const struct store *store,
                   const struct descriptor *blobs, const uint32_t *items, uint32_t count,
                   struct progress *progress, struct err *err)
{
    struct download download = {
        .registry = registry,
        .store = store,
        .progress = progress,
        .multi = curl_multi_init(),
        .err = err,
    };
    if (download.multi == NULL) {
        return err_set(err, ERR_IO, "start libcurl");
    }
    struct transfer *transfers = mem_calloc((size_t)count + 1, sizeof(*transfers));
    uint32_t unique = 0;
    for (uint32_t i = 0; i < count; i++) {
        bool is_repeated = false;
        for (uint32_t k = 0; k < unique; k++) {
            is_repeated |= strcmp(transfers[k].blob->digest, blobs[i].digest) == 0;
        }
        if (!is_repeated) {
            transfers[unique++] = (struct transfer){.blob = &blobs[i], .item = items[i], .fd = -1};
        }
    }
    int status = run(&download, transfers, unique);
    for (uint32_t i = 0; i < unique; i++) {
        if (transfers[i].curl != NULL) {
            curl_multi_remove_handle(download.multi, transfers[i].curl);
        }
        end_transfer(&transfers[i]);
    }
    curl_multi_cleanup(download.multi);
    mem_free(transfers);
    return status;
}
