#include "runtime/image/image.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "runtime/image/in_root.h"
#include "runtime/image/json.h"

enum { RECORD_SIZE_MAX = 1 << 20, ID_DIGITS = 64, ID_DIGITS_MIN = 2 };

void image_deinit(struct image *image)
{
    mem_free(image->layers);
    json_decref(image->config);
    image->layers = NULL;
    image->config = NULL;
}

void image_names_deinit(struct image_names *names)
{
    mem_free(names->items);
    names->items = NULL;
    names->count = 0;
}

char *image_layer_path(const struct store *store, const char *chain_hex)
{
    return mem_printf("%s/layers/%s/diff", store->root, chain_hex);
}

static int parse_record(const json_t *root, const char *id, struct image *ret, struct err *err)
{
    const json_t *layers = json_object_get(root, "layers");
    const char *manifest = json_get_text(root, "manifest", "");
    struct image out = {.layer_count = (uint32_t)json_array_size(layers)};
    if (!digest_is_valid(manifest)) {
        return err_set(err, ERR_CORRUPT, "the record of image %s is damaged", id);
    }
    (void)snprintf(out.id, sizeof(out.id), "%s", id);
    (void)snprintf(out.manifest, sizeof(out.manifest), "%s", manifest);
    (void)snprintf(out.created, sizeof(out.created), "%s", json_get_text(root, "created", ""));
    out.size = json_get_integer(root, "size", 0);
    out.layers = mem_calloc(out.layer_count + 1, sizeof(out.layers[0]));
    for (uint32_t i = 0; i < out.layer_count; i++) {
        const char *hex = json_string_value(json_array_get(layers, i));
        if (hex == NULL || strspn(hex, "0123456789abcdef") != ID_DIGITS || hex[ID_DIGITS] != '\0') {
            image_deinit(&out);
            return err_set(err, ERR_CORRUPT, "the record of image %s is damaged", id);
        }
        (void)snprintf(out.layers[i], sizeof(out.layers[i]), "%s", hex);
    }
    *ret = out;
    return 0;
}

int image_open(const struct store *store, const char *id, struct image *ret, struct err *err)
{
    if (!digest_is_valid(id)) {
        return err_set(err, ERR_INVALID, "invalid image id '%.100s'", id);
    }
    CLEANUP(buf) struct buf text = BUF_INIT;
    int status = in_root_read_file(store->images_fd, digest_hex(id), RECORD_SIZE_MAX, &text);
    if (status == -ENOENT) {
        return err_set(err, ERR_NOT_FOUND, "no image %s", id);
    }
    if (status != 0) {
        return err_set(err, status, "read the record of image %s: %s", id, err_text(status));
    }
    CLEANUP(json) json_t *root = NULL;
    status = json_parse(buf_bytes(&text), "image record", &root, err);
    return status != 0 ? status : parse_record(root, id, ret, err);
}

bool image_is_whole(const struct store *store, const struct image *image)
{
    bool is_whole = store_has_blob(store, image->id) && store_has_blob(store, image->manifest);
    for (uint32_t i = 0; is_whole && i < image->layer_count; i++) {
        is_whole = store_has_layer(store, image->layers[i]);
    }
    return is_whole;
}

int image_read_config(const struct store *store, struct image *image, struct err *err)
{
    if (image->config != NULL) {
        return 0;
    }
    CLEANUP(buf) struct buf text = BUF_INIT;
    int status = store_blob_read(store, image->id, STORE_CONFIG_SIZE_MAX, &text, err);
    return status != 0 ? status
                       : json_parse(buf_bytes(&text), "image configuration", &image->config, err);
}

int image_write_record(const struct store *store, const struct image *image, struct err *err)
{
    CLEANUP(json) json_t *layers = json_array();
    for (uint32_t i = 0; i < image->layer_count; i++) {
        json_array_append_new(layers, json_text(image->layers[i]));
    }
    CLEANUP(json)
    json_t *root =
        json_pack("{ss ss sO sI ss}", "id", image->id, "manifest", image->manifest, "layers",
                  layers, "size", (json_int_t)image->size, "created", image->created);
    CLEANUP(buf) struct buf text = BUF_INIT;
    json_write(root, false, &text);
    return store_write_file(store->images_fd, digest_hex(image->id), buf_bytes(&text), err);
}

int image_remove_record(const struct store *store, const char *id, struct err *err)
{
    if (unlinkat(store->images_fd, digest_hex(id), 0) != 0) {
        return err_set_errno(err, errno, "remove image %s", id);
    }
    return 0;
}

int image_list(const struct store *store, char (**ret_ids)[REFERENCE_DIGEST_MAX + 1],
               uint32_t *ret_count, struct err *err)
{
    int fd = openat(store->images_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (directory == NULL) {
        return err_set_errno(err, errno, "list the images");
    }
    char(*ids)[REFERENCE_DIGEST_MAX + 1] = NULL;
    uint32_t count = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (strlen(entry->d_name) != ID_DIGITS) {
            continue;
        }
        if ((count & (count + 1)) == 0) { /* 0, 1, 3, 7, …: room for twice as many */
            ids = mem_reallocarray(ids, (size_t)count * 2 + 2, sizeof(*ids));
        }
        (void)snprintf(ids[count++], sizeof(*ids), "sha256:%.64s", entry->d_name);
    }
    (void)closedir(directory);
    *ret_ids = ids;
    *ret_count = count;
    return 0;
}

/* How many letters differ, roughly: enough to say "did you mean". */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[128];
    size_t width = strlen(b);
    if (width >= sizeof(row) / sizeof(row[0]) || strlen(a) >= 128) {
        return 1000;
    }
    for (unsigned j = 0; j <= width; j++) {
        row[j] = j;
    }
    for (unsigned i = 1; a[i - 1] != '\0'; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= width; j++) {
            unsigned change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            unsigned insert = (row[j - 1] < row[j] ? row[j - 1] : row[j]) + 1;
            row[j] = change < insert ? change : insert;
        }
    }
    return row[width];
}

static int not_found(const struct image_names *names, const char *text, struct err *err)
{
    char best[REFERENCE_TEXT_MAX + 1] = "";
    unsigned best_distance = (unsigned)strlen(text) / 3 + 2;
    for (uint32_t i = 0; i < names->count; i++) {
        struct reference reference;
        char familiar[REFERENCE_TEXT_MAX + 1];
        if (reference_parse(names->items[i].reference, &reference, NULL) != 0) {
            continue;
        }
        reference_format_familiar(&reference, familiar);
        unsigned away = distance(text, familiar);
        reference_format_repository(&reference, familiar);
        unsigned away_short = distance(text, familiar);
        away = away < away_short ? away : away_short;
        if (away < best_distance) {
            best_distance = away;
            reference_format_familiar(&reference, best);
        }
    }
    if (best[0] != '\0') {
        return err_set(err, ERR_NOT_FOUND, "no such image: %s (did you mean %s?)", text, best);
    }
    return err_set(err, ERR_NOT_FOUND, "no such image: %s", text);
}

/* 1: *id is the only image whose id starts with these digits. */
static int find_by_digits(const struct store *store, const char *text, char *id, struct err *err)
{
    const char *digits = strncmp(text, "sha256:", 7) == 0 ? text + 7 : text;
    size_t size = strlen(digits);
    if (size < ID_DIGITS_MIN || size > ID_DIGITS || strspn(digits, "0123456789abcdef") != size) {
        return 0;
    }
    char(*ids)[REFERENCE_DIGEST_MAX + 1] = NULL;
    uint32_t count = 0;
    int status = image_list(store, &ids, &count, err);
    if (status != 0) {
        return status;
    }
    int matches = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (strncmp(digest_hex(ids[i]), digits, size) == 0) {
            (void)snprintf(id, REFERENCE_DIGEST_MAX + 1, "%s", ids[i]);
            matches++;
        }
    }
    mem_free(ids);
    if (matches > 1) {
        return err_set(err, ERR_INVALID, "'%s' is the start of %d image ids; give more digits",
                       text, matches);
    }
    return matches;
}

/* A name, its digest as a registry knows it, or nothing. */
static const struct image_name *find_by_name(const struct image_names *names, const char *text)
{
    struct reference wanted;
    if (reference_parse(text, &wanted, NULL) != 0) {
        return NULL;
    }
    char full[REFERENCE_TEXT_MAX + 1];
    reference_format(&wanted, full);
    for (uint32_t i = 0; i < names->count; i++) {
        const struct image_name *name = &names->items[i];
        if (strcmp(name->reference, full) == 0) {
            return name;
        }
        struct reference here;
        if (wanted.digest[0] != '\0' && strcmp(name->repository_digest, wanted.digest) == 0 &&
            reference_parse(name->reference, &here, NULL) == 0 &&
            strcmp(here.host, wanted.host) == 0 && strcmp(here.path, wanted.path) == 0) {
            return name;
        }
    }
    return NULL;
}

int image_find(const struct store *store, const char *text, struct image *ret, struct err *err)
{
    CLEANUP(image_names) struct image_names names = {.count = 0};
    int status = image_names_read(store, &names, err);
    if (status != 0) {
        return status;
    }
    const struct image_name *name = find_by_name(&names, text);
    if (name != NULL) {
        return image_open(store, name->id, ret, err);
    }
    char id[REFERENCE_DIGEST_MAX + 1];
    status = find_by_digits(store, text, id, err);
    if (status < 0) {
        return status;
    }
    return status > 0 ? image_open(store, id, ret, err) : not_found(&names, text, err);
}
