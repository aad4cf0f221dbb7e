/* pod_image.c - the images of a node: what there is, and what may go. */
#include <string.h>

#include "base/cleanup.h"
#include "runtime/image/collect.h"
#include "runtime/image/image.h"
#include "runtime/image/json.h"
#include "runtime/pod/pod.h"

static json_t *describe(const struct image *image, const struct image_names *names)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < names->count; i++) {
        if (strcmp(names->items[i].id, image->id) == 0) {
            json_array_append_new(list, json_text(names->items[i].reference));
        }
    }
    return json_pack("{ss so sI}", "id", image->id, "names", list, "size", (json_int_t)image->size);
}

int pod_image_list(const json_t *request, struct pod_answer *answer, struct err *err)
{
    CLEANUP(store) struct store store = {.root = NULL};
    CLEANUP(image_names) struct image_names names = {.items = NULL};
    char(*ids)[REFERENCE_DIGEST_MAX + 1] = NULL;
    uint32_t count = 0;
    int status;
    (void)request;
    if ((status = store_open(&store, NULL, err)) != 0 ||
        (status = image_names_read(&store, &names, err)) != 0 ||
        (status = image_list(&store, &ids, &count, err)) != 0) {
        return status;
    }
    json_t *images = json_array();
    for (uint32_t i = 0; i < count; i++) {
        CLEANUP(image) struct image image = {.layers = NULL};
        if (image_open(&store, ids[i], &image, NULL) == 0) { /* else removed meanwhile */
            json_array_append_new(images, describe(&image, &names));
        }
    }
    mem_free(ids);
    answer->value = json_pack("{so}", "images", images);
    return 0;
}

int pod_image_inspect(const json_t *request, struct pod_answer *answer, struct err *err)
{
    CLEANUP(store) struct store store = {.root = NULL};
    CLEANUP(image) struct image image = {.layers = NULL};
    const char *name = json_get_text(request, "image", "");
    struct reference reference;
    int status;
    answer->reason = "InvalidImageName";
    if (strncmp(name, "sha256:", 7) != 0 &&
        (status = reference_parse(name, &reference, err)) != 0) {
        return err_prefix(err,
                          "Failed to apply default image tag \"%.200s\": couldn't parse image "
                          "name",
                          name);
    }
    answer->reason = "ImageInspectError";
    if ((status = store_open(&store, NULL, err)) != 0) {
        return status;
    }
    status = image_find(&store, name, &image, err);
    if (status == 0 && !image_is_whole(&store, &image)) {
        status = ERR_NOT_FOUND;
    }
    if (status == ERR_NOT_FOUND) {
        answer->value = json_object();
        return 0;
    }
    if (status == 0) {
        answer->value = json_pack("{ss sI}", "id", image.id, "size", (json_int_t)image.size);
    }
    return status;
}

int pod_image_remove(const json_t *request, struct pod_answer *answer, struct err *err)
{
    CLEANUP(store) struct store store = {.root = NULL};
    CLEANUP(image_names) struct image_names names = {.items = NULL};
    const char *id = json_get_text(request, "id", "");
    struct collect_result result = {.bytes = 0};
    int status;
    answer->reason = "ImageGCFailed";
    if ((status = store_open(&store, NULL, err)) != 0 ||
        (status = image_names_read(&store, &names, err)) != 0) {
        return status;
    }
    for (uint32_t i = 0; status == 0 && i < names.count; i++) {
        if (strcmp(names.items[i].id, id) == 0) {
            status = image_names_remove(&store, names.items[i].reference, err);
        }
    }
    if (status == 0) {
        status = image_remove_record(&store, id, err);
    }
    if (status == 0) {
        status = collect_garbage(&store, &result, err);
        status = status == ERR_BUSY ? 0 : status; /* the next removal collects it, too */
    }
    if (status == 0) {
        answer->value = json_pack("{sI}", "bytes", (json_int_t)result.bytes);
    }
    return status;
}
