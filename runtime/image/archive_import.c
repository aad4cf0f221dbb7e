#include <stdio.h>
#include <time.h>

#include "base/cleanup.h"
#include "runtime/image/archive.h"
#include "runtime/image/image_add.h"
#include "runtime/image/json.h"
#include "runtime/image/layer.h"

static void format_now(char out[40])
{
    struct timespec now;
    struct tm utc;
    char seconds[24];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    (void)strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(out, 40, "%s.%09ldZ", seconds, now.tv_nsec);
}

int archive_import(const struct store *store, int fd, const json_t *config, const char *message,
                   char *id, struct err *err)
{
    CLEANUP(layers) struct layers layers;
    layers_init(&layers, store);
    int status = layers_add_stream(&layers, stream_new_file(fd, 0, -1), NULL, NULL, err);
    if (status != 0) {
        return status;
    }
    struct platform platform;
    char now[40];
    platform_of_machine(&platform);
    format_now(now);
    CLEANUP(json)
    json_t *root = json_pack(
        "{ss ss ss sO s{ss s[s]} s[{ss so}]}", "architecture", platform.architecture, "os",
        platform.os, "created", now, "config", config, "rootfs", "type", "layers", "diff_ids",
        layers.items[0].diff_id, "history", "created", now, "comment", json_text(message));
    if (platform.variant[0] != '\0') {
        json_object_set_new(root, "variant", json_text(platform.variant));
    }
    CLEANUP(buf) struct buf text = BUF_INIT;
    json_write(root, false, &text);
    return image_add_layers(store, &layers, buf_bytes(&text), id, err);
}
