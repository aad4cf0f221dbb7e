#include "kvstore/server/peer_registry.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/cleanup.h"

struct peer_note {
    uint64_t peer_id;
    uint64_t log_id;
    uint64_t incarnation;
};

struct peer_registry {
    char *directory;
    unsigned count;
    struct peer_note notes[PEER_REGISTRY_PEERS_MAX];
};

static int sync_directory(const char *directory, struct err *err)
{
    CLEANUP(close_fd) int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        return err_set_errno(err, errno, "sync %s", directory);
    }
    return 0;
}

static int write_synced(const char *path, struct bytes text, struct err *err)
{
    CLEANUP(close_fd) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return err_set_errno(err, errno, "create %s", path);
    }
    if (write(fd, text.data, text.size) != (ssize_t)text.size || fsync(fd) != 0) {
        return err_set_errno(err, errno != 0 ? errno : EIO, "write %s", path);
    }
    return 0;
}

/* Old or new content, never a mixture, whatever happens in between. */
static int replace_file(const char *directory, const char *name, struct bytes text, struct err *err)
{
    CLEANUP(free) char *path = mem_printf("%s/%s", directory, name);
    CLEANUP(free) char *temporary = mem_printf("%s/%s.tmp", directory, name);
    int code = write_synced(temporary, text, err);
    if (code != 0) {
        return code;
    }
    if (rename(temporary, path) != 0) {
        return err_set_errno(err, errno, "rename %s", temporary);
    }
    return sync_directory(directory, err);
}

static int save(const struct peer_registry *registry, struct err *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    for (unsigned i = 0; i < registry->count; i++) {
        const struct peer_note *note = &registry->notes[i];
        buf_append_format(&text, "%016" PRIx64 " %016" PRIx64 " %" PRIu64 "\n", note->peer_id,
                          note->log_id, note->incarnation);
    }
    return replace_file(registry->directory, "peers", buf_bytes(&text), err);
}

static int load(struct peer_registry *registry, struct err *err)
{
    CLEANUP(free) char *path = mem_printf("%s/peers", registry->directory);
    CLEANUP(file) FILE *file = fopen(path, "re");
    if (file == NULL) {
        return errno == ENOENT ? 0 : err_set_errno(err, errno, "open %s", path);
    }
    char line[128];
    while (fgets(line, sizeof line, file) != NULL) {
        struct peer_note note;
        if (registry->count == PEER_REGISTRY_PEERS_MAX ||
            sscanf(line, "%" SCNx64 " %" SCNx64 " %" SCNu64, /* NOLINT(cert-err34-c): checked */
                   &note.peer_id, &note.log_id, &note.incarnation) != 3) {
            return err_set(err, ERR_CORRUPT, "%s cannot be read", path);
        }
        registry->notes[registry->count++] = note;
    }
    return 0;
}

int peer_registry_open(const char *directory, struct peer_registry **ret, struct err *err)
{
    struct peer_registry *registry = mem_zalloc(sizeof *registry);
    registry->directory = mem_strdup(directory);
    int code = load(registry, err);
    if (code != 0) {
        peer_registry_close(registry);
        return code;
    }
    *ret = registry;
    return 0;
}

void peer_registry_close(struct peer_registry *registry)
{
    if (registry != NULL) {
        mem_free(registry->directory);
        mem_free(registry);
    }
}

static struct peer_note *find(struct peer_registry *registry, uint64_t peer_id)
{
    for (unsigned i = 0; i < registry->count; i++) {
        if (registry->notes[i].peer_id == peer_id) {
            return &registry->notes[i];
        }
    }
    return NULL;
}

int peer_registry_check(struct peer_registry *registry, uint64_t peer_id, uint64_t log_id,
                        uint64_t incarnation, struct err *err)
{
    struct peer_note *note = find(registry, peer_id);
    if (note != NULL && note->log_id == log_id && note->incarnation == incarnation) {
        return 0;
    }
    if (note != NULL && note->log_id != log_id) {
        return err_set(err, ERR_CORRUPT, "member %" PRIx64 " has lost its data", peer_id);
    }
    if (note != NULL && incarnation < note->incarnation) {
        return err_set(err, ERR_CORRUPT, "member %" PRIx64 " runs from an old copy of its data",
                       peer_id);
    }
    if (note == NULL) {
        if (registry->count == PEER_REGISTRY_PEERS_MAX) {
            /* Ids of members that went long ago: forget the oldest. */
            memmove(registry->notes, registry->notes + 1,
                    (PEER_REGISTRY_PEERS_MAX - 1) * sizeof registry->notes[0]);
            registry->count -= 1;
        }
        note = &registry->notes[registry->count++];
    }
    *note = (struct peer_note){.peer_id = peer_id, .log_id = log_id, .incarnation = incarnation};
    return save(registry, err);
}

int log_id_open(const char *directory, bool is_new, uint64_t *ret_log_id, struct err *err)
{
    if (is_new) {
        uint64_t log_id = 0;
        int ok = RAND_bytes((unsigned char *)&log_id, sizeof log_id);
        CHECK(ok == 1);
        char text[32];
        int size = snprintf(text, sizeof text, "%016" PRIx64 "\n", log_id);
        *ret_log_id = log_id;
        return replace_file(directory, "log_id", bytes_make(text, (size_t)size), err);
    }
    CLEANUP(free) char *path = mem_printf("%s/log_id", directory);
    CLEANUP(file) FILE *file = fopen(path, "re");
    if (file == NULL) {
        return err_set_errno(err, errno, "open %s", path);
    }
    if (fscanf(file, "%" SCNx64, ret_log_id) != 1) { /* NOLINT(cert-err34-c): checked */
        return err_set(err, ERR_CORRUPT, "%s cannot be read", path);
    }
    return 0;
}
