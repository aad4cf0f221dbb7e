/* create.c - one container of a service: made, and taken away. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/compose/compose.h"
#include "runtime/compose/service.h"
#include "runtime/image/hash.h"
#include "runtime/image/json.h"
#include "runtime/words/lifecycle.h"
#include "runtime/words/make.h"

/* Stands for the container's directory until it has one. */
#define FILES_MARK "/@container/files"

const char *compose_hash(struct compose *compose, const char *service)
{
    const char *known = json_get_text(compose->hashes, service, NULL);
    if (known != NULL) {
        return known;
    }
    CLEANUP(json)
    json_t *fingerprint =
        service_fingerprint(compose->project.document, service, compose_service(compose, service));
    CLEANUP(free) char *text = json_dumps(fingerprint, JSON_SORT_KEYS | JSON_COMPACT);
    char digest[REFERENCE_DIGEST_MAX + 1];
    hash_bytes(bytes_from_text(text == NULL ? "" : text), digest);
    json_object_set_new(compose->hashes, service, json_text(digest + strlen("sha256:")));
    return json_get_text(compose->hashes, service, "");
}

/* ---- secrets and configs ---- */

static int read_source(struct compose *compose, const char *section, const json_t *item,
                       struct buf *out, struct err *err)
{
    const char *name = json_get_text(item, "source", "");
    const json_t *source =
        json_object_get(json_object_get(compose->project.document, section), name);
    const char *file = json_get_text(source, "file", NULL);
    const char *variable = json_get_text(source, "environment", NULL);
    const char *content = json_get_text(source, "content", NULL);
    if (variable != NULL) {
        content = json_get_text(compose->environment, variable, NULL);
        if (content == NULL) {
            return err_set(err, ERR_INVALID, "%s.%s: the variable %s is not set", section, name,
                           variable);
        }
    }
    if (content != NULL) {
        buf_append_text(out, content);
        return 0;
    }
    enum { SOURCE_SIZE_MAX = 16 << 20 };
    CLEANUP(close_fd) int fd = open(file == NULL ? "" : file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return err_set_errno(err, errno, "%s.%s: open '%s'", section, name,
                             file == NULL ? "" : file);
    }
    for (;;) {
        ssize_t count = read(fd, buf_reserve(out, 65536), 65536);
        if (count < 0 || buf_size(out) > SOURCE_SIZE_MAX) {
            return err_set(err, ERR_IO, "%s.%s: '%s' cannot be read, or is larger than %d bytes",
                           section, name, file, SOURCE_SIZE_MAX);
        }
        if (count == 0) {
            return 0;
        }
        buf_commit(out, (size_t)count);
    }
}

static int write_source(int directory_fd, unsigned number, const json_t *item, struct bytes content,
                        struct err *err)
{
    char name[16];
    (void)snprintf(name, sizeof(name), "%u", number);
    CLEANUP(close_fd)
    int fd = openat(directory_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    mode_t mode = (mode_t)json_get_integer(item, "mode", 0444) & 07777;
    uid_t uid = (uid_t)strtoul(json_get_text(item, "uid", "0"), NULL, 10);
    gid_t gid = (gid_t)strtoul(json_get_text(item, "gid", "0"), NULL, 10);
    if (fd < 0 || write(fd, content.data, content.size) != (ssize_t)content.size ||
        (geteuid() == 0 && fchown(fd, uid, gid) != 0) || fchmod(fd, mode) != 0) {
        return err_set_errno(err, errno, "write a secret");
    }
    return 0;
}

/* <container>/files/<n>, in the order of service_translate. */
static int write_sources(struct compose *compose, const json_t *service,
                         const struct container *container, struct err *err)
{
    static const char *const sections[] = {"secrets", "configs"};
    unsigned number = 0;
    CLEANUP(close_fd) int directory_fd = -1;
    for (size_t s = 0; s < 2; s++) {
        const json_t *list = json_object_get(service, sections[s]);
        for (size_t i = 0; i < json_array_size(list); i++) {
            CLEANUP(buf) struct buf content = BUF_INIT;
            const json_t *item = json_array_get(list, i);
            if (directory_fd < 0) {
                (void)mkdirat(container->directory_fd, "files", 0700);
                directory_fd =
                    openat(container->directory_fd, "files", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            }
            int status = read_source(compose, sections[s], item, &content, err);
            if (status == 0) {
                status = write_source(directory_fd, number++, item, buf_bytes(&content), err);
            }
            if (status != 0) {
                return status;
            }
        }
    }
    return 0;
}

/* Mounts of secrets get the container's directory. Returns how many there are. */
static size_t place_mounts(const struct container *container)
{
    json_t *mounts = json_object_get(container_host(container), "Mounts");
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(mounts); i++) {
        json_t *mount = json_array_get(mounts, i);
        const char *source = json_get_text(mount, "Source", "");
        if (strncmp(source, FILES_MARK, strlen(FILES_MARK)) == 0) {
            CLEANUP(free)
            char *path =
                mem_printf("%s/files%s", container->directory, source + strlen(FILES_MARK));
            json_object_set_new(mount, "Source", json_text(path));
            count++;
        }
    }
    return count;
}

/* ---- network_mode: service:NAME ---- */

static int resolve_mode(struct compose *compose, const json_t *service, const char *key,
                        const char **ret, struct err *err)
{
    const char *mode = json_get_text(service, key, "");
    *ret = NULL;
    if (strncmp(mode, "service:", 8) != 0) {
        return 0;
    }
    int status = compose_refresh(compose, err);
    const json_t *other = status == 0 ? compose_find(compose, mode + 8, 0) : NULL;
    if (status == 0 && other == NULL) {
        status = err_set(err, ERR_NOT_FOUND, "%s: service %s has no container", key, mode + 8);
    }
    if (status == 0) {
        *ret = arena_printf(&compose->arena, "container:%s", json_get_text(other, "Id", ""));
    }
    return status;
}

int create_container(struct compose *compose, const struct create_input *input,
                     struct container *container, struct err *err)
{
    const json_t *service = input->service_document != NULL
                                ? input->service_document
                                : compose_service(compose, input->service);
    struct service_container made;
    struct service_input translation = {
        .project = compose->project.document,
        .name = input->service,
        .service = service,
        .number = input->number,
        .hash = compose_hash(compose, input->service),
        .config_files = compose->config_files,
        .directory = compose->directory,
        .container_name = input->container_name,
        .secrets_directory = FILES_MARK,
    };
    int status;
    if ((status = resolve_mode(compose, service, "network_mode", &translation.network_mode, err)) !=
            0 ||
        (status = resolve_mode(compose, service, "pid", &translation.pid, err)) != 0 ||
        (status = resolve_mode(compose, service, "ipc", &translation.ipc, err)) != 0) {
        return err_prefix(err, "services.%s", input->service);
    }
    service_translate(&translation, &compose->arena, &made);
    const struct make_input make = {
        .options = &made.options,
        .image = made.image,
        .command = made.command,
        .command_size = made.command_size,
        .config_patch = made.config_patch,
        .host_patch = made.host_patch,
    };
    status = make_container(&compose->store, &make, container, err);
    service_container_deinit(&made);
    if (status != 0) {
        return err_prefix(err, "services.%s", input->service);
    }
    if (place_mounts(container) > 0) {
        status = write_sources(compose, service, container, err);
        if (status == 0) {
            status = container_write_document(container, true, err);
        }
    }
    if (status != 0) {
        int ignored = container_remove_files(&compose->store, container, NULL);
        (void)ignored; /* the first error is the one to tell */
        container_close(container);
        return err_prefix(err, "services.%s", input->service);
    }
    return 0;
}

int remove_container(struct compose *compose, const char *id, int timeout_s, bool removes_volumes,
                     struct err *err)
{
    CLEANUP(container) struct container container = {.directory_fd = -1};
    CLEANUP(close_fd) int lock = -1;
    int status = container_find(&compose->store, id, &container, err);
    if (status == ERR_NOT_FOUND) {
        return 0;
    }
    if (status == 0) {
        status = lifecycle_stop(&compose->store, &container, timeout_s, err);
    }
    if (status == 0) {
        status = container_lock(&container, &lock, err);
    }
    if (status == 0 && container_read_state(&container, err) == 0) {
        status = lifecycle_remove(&compose->store, &container, removes_volumes, err);
    }
    return status == ERR_NOT_FOUND ? 0 : status;
}
