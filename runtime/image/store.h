/* store.h - the content-addressed image store of one user on one machine.
 *
 *     <root>/oci/            an OCI image layout: oci-layout, index.json, blobs/sha256/<hex>
 *     <root>/oci/ingest/     downloads in progress (<hex>.partial) and temporary files
 *     <root>/images/<hex>    image records: a cache of what `run` needs, see image_record.h
 *     <root>/layers/<hex>/   unpacked layers by chain id: diff/ and size
 *     <root>/containers/     see runtime/words/container.h
 *
 * Nothing is visible before it is complete and verified: blobs and layers are written elsewhere,
 * and linked or renamed into place (see store_mark_unsynced for what a power failure does).
 * Concurrent processes: whoever adds content holds the store lock shared from before the first blob
 * until the reference is written; the collector takes it exclusively, so that it never sees (and
 * never removes) content without a reference yet. A lock ends with its process. */
#ifndef RUNTIME_IMAGE_STORE_H
#define RUNTIME_IMAGE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum {
    STORE_MANIFEST_SIZE_MAX = 4 << 20,
    STORE_CONFIG_SIZE_MAX = 8 << 20,
};

struct store {
    char *root;
    int root_fd;
    int oci_fd;
    int blobs_fd;  /* blobs/sha256 */
    int ingest_fd; /* oci/ingest */
    int images_fd;
    int layers_fd;
    int unsynced_fd;
    bool is_root; /* may chown and make device nodes */
};

enum store_lock_mode { STORE_LOCK_SHARED, STORE_LOCK_EXCLUSIVE, STORE_LOCK_TRY_EXCLUSIVE };

/* root NULL: $CORACLE_ROOT, else /var/lib/coracle, or $XDG_DATA_HOME/coracle without root's rights.
 * Makes what is missing, 0700. */
MUST_USE int store_open(struct store *store, const char *root, struct err *err);
void store_close(struct store *store);

/* Returns in *ret_fd a descriptor that holds the lock until it is closed. ERR_BUSY only for TRY. */
MUST_USE int store_lock(const struct store *store, enum store_lock_mode mode, int *ret_fd,
                        struct err *err);

bool store_has_blob(const struct store *store, const char *digest);
/* ERR_NOT_FOUND. size_ret may be NULL. */
MUST_USE int store_blob_open(const struct store *store, const char *digest, int *ret_fd,
                             int64_t *ret_size, struct err *err);
/* The whole blob; ERR_TOO_LARGE above size_max. */
MUST_USE int store_blob_read(const struct store *store, const char *digest, size_t size_max,
                             struct buf *out, struct err *err);

/* An unnamed file to fill; it leaves nothing behind when the process dies. */
MUST_USE int store_ingest_open(const struct store *store, int *ret_fd, struct err *err);
/* Give the filled file its name. The caller has verified the digest. Present already is fine. */
MUST_USE int store_ingest_commit(const struct store *store, int fd, const char *digest,
                                 struct err *err);

bool store_has_layer(const struct store *store, const char *chain_hex);

/* Waiting for the disk would cost more than everything else. So new blobs and layers get a mark,
 * <root>/unsynced/<name>, that names the boot of the machine; a process in the background syncs and
 * takes the marks away. What still has the mark of another boot was not safe when the machine
 * stopped: it is removed when it is met, and loaded or pulled again. */
MUST_USE int store_mark_unsynced(const struct store *store, const char *kind, const char *hex,
                                 struct err *err);
/* Start the sync in the background. Without it the next one does the work. */
void store_settle_later(const struct store *store);
/* True when it was lost; the object (in directory_fd) and its mark are removed then. */
bool store_is_lost(const struct store *store, const char *kind, int directory_fd, const char *hex);
#define STORE_KIND_BLOB "blob"
#define STORE_KIND_LAYER "layer"

/* Write name in directory_fd in one step: temporary file, fsync, rename. */
MUST_USE int store_write_file(int directory_fd, const char *name, struct bytes content,
                              struct err *err);

/* The same without waiting for the disk: for state that means nothing after the machine stops. */
MUST_USE int store_replace_file(int directory_fd, const char *name, struct bytes content,
                                struct err *err);

static inline void cleanup_store(struct store *store)
{
    store_close(store);
}

#endif
