#include "runtime/words/event_log.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/image/json.h"

/* Whoever appends may find that another process has renamed the file meanwhile: the line is in the
 * old one then, where readers look as well. */
static void rotate(const struct store *store, int fd)
{
    struct stat about;
    if (fstat(fd, &about) == 0 && about.st_size > EVENT_LOG_SIZE_MAX) {
        (void)renameat(store->root_fd, EVENT_LOG_NAME, store->root_fd, EVENT_LOG_OLD_NAME);
    }
}

void event_log(const struct store *store, const struct container *container, const char *action,
               const char *key, const char *value)
{
    struct timespec now;
    CLEANUP(buf) struct buf text = BUF_INIT;
    CLEANUP(json) json_t *attributes = json_object();
    const json_t *labels = json_object_get(container_config(container), "Labels");
    json_object_update(attributes, (json_t *)(uintptr_t)labels); /* only read */
    json_object_set_new(attributes, "image",
                        json_text(json_get_text(container->document, "ImageName", "")));
    json_object_set_new(attributes, "name", json_text(container_name(container)));
    if (key != NULL) {
        json_object_set_new(attributes, key, json_text(value));
    }
    clock_gettime(CLOCK_REALTIME, &now);
    CLEANUP(json)
    json_t *event =
        json_pack("{ss ss ss ss s{ss sO} ss sI sI}", "status", action, "id", container->id, "Type",
                  "container", "Action", action, "Actor", "ID", container->id, "Attributes",
                  attributes, "scope", "local", "time", (json_int_t)now.tv_sec, "timeNano",
                  (json_int_t)now.tv_sec * 1000000000 + now.tv_nsec);
    json_write(event, false, &text);
    buf_append_text(&text, "\n");
    CLEANUP(close_fd)
    int fd = openat(store->root_fd, EVENT_LOG_NAME,
                    O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0 && flock(fd, LOCK_EX) == 0) {
        struct bytes line = buf_bytes(&text);
        ssize_t size = write(fd, line.data, line.size);
        (void)size; /* a full disk loses events, not containers */
        rotate(store, fd);
    }
}
