#include "runtime/image/manifest.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/json_text.h"
#include "base/mem.h"
#include "runtime/image/json.h"

void manifest_deinit(struct manifest *manifest)
{
    mem_free(manifest->entries);
    manifest->entries = NULL;
    manifest->entry_count = 0;
}

static void copy_text(char *out, size_t room, const json_t *object, const char *key)
{
    (void)snprintf(out, room, "%s", json_get_text(object, key, ""));
}

static void parse_platform(const json_t *object, struct platform *out)
{
    const json_t *platform = json_object_get(object, "platform");
    copy_text(out->os, sizeof(out->os), platform, "os");
    copy_text(out->architecture, sizeof(out->architecture), platform, "architecture");
    copy_text(out->variant, sizeof(out->variant), platform, "variant");
}

static int parse_descriptor(const json_t *object, const char *what, struct descriptor *out,
                            struct err *err)
{
    *out = (struct descriptor){.size = -1};
    const char *digest = json_get_text(object, "digest", "");
    if (!digest_is_valid(digest)) {
        return err_set(err, ERR_MALFORMED, "%s: invalid digest '%.100s'", what, digest);
    }
    (void)snprintf(out->digest, sizeof(out->digest), "%s", digest);
    const json_t *size = json_object_get(object, "size");
    if (!json_is_integer(size) || json_integer_value(size) < 0) {
        return err_set(err, ERR_MALFORMED, "%s: invalid size", what);
    }
    out->size = json_integer_value(size);
    copy_text(out->media_type, sizeof(out->media_type), object, "mediaType");
    parse_platform(object, &out->platform);
    const json_t *annotations = json_object_get(object, "annotations");
    copy_text(out->ref_name, sizeof(out->ref_name), annotations, "io.containerd.image.name");
    if (out->ref_name[0] == '\0') {
        copy_text(out->ref_name, sizeof(out->ref_name), annotations,
                  "org.opencontainers.image.ref.name");
    }
    out->is_attestation = json_object_get(annotations, "vnd.docker.reference.type") != NULL ||
                          strcmp(out->platform.os, "unknown") == 0;
    return 0;
}

static int parse_entries(const json_t *array, const char *what, uint32_t count_max,
                         struct manifest *out, struct err *err)
{
    size_t count = json_array_size(array);
    if (!json_is_array(array)) {
        return err_set(err, ERR_MALFORMED, "manifest: '%s' is missing or not a list", what);
    }
    if (count > count_max) {
        return err_set(err, ERR_TOO_LARGE, "manifest: %zu %s, more than %u", count, what,
                       count_max);
    }
    out->entries = mem_calloc(count + 1, sizeof(*out->entries));
    out->entry_count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        char name[64];
        (void)snprintf(name, sizeof(name), "manifest: %s[%zu]", what, i);
        int status = parse_descriptor(json_array_get(array, i), name, &out->entries[i], err);
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

static int parse_document(const json_t *root, const char *content_type, struct manifest *out,
                          struct err *err)
{
    bool has_manifests = json_object_get(root, "manifests") != NULL;
    bool has_layers =
        json_object_get(root, "layers") != NULL || json_object_get(root, "config") != NULL;
    copy_text(out->media_type, sizeof(out->media_type), root, "mediaType");
    if (json_object_get(root, "fsLayers") != NULL ||
        json_integer_value(json_object_get(root, "schemaVersion")) == 1) {
        return err_set(
            err, ERR_UNSUPPORTED,
            "the image has a manifest of schema 1, which is obsolete; push it again with "
            "a newer program");
    }
    if (has_manifests == has_layers) {
        return err_set(err, ERR_MALFORMED,
                       "manifest: neither clearly an image nor clearly an index of images");
    }
    if (content_type != NULL && out->media_type[0] != '\0' &&
        strcmp(content_type, out->media_type) != 0) {
        return err_set(err, ERR_MALFORMED, "manifest: sent as '%.100s' but says '%.100s' of itself",
                       content_type, out->media_type);
    }
    if (out->media_type[0] == '\0') {
        (void)snprintf(out->media_type, sizeof(out->media_type), "%s",
                       content_type != NULL ? content_type
                       : has_manifests      ? MEDIA_OCI_INDEX
                                            : MEDIA_OCI_MANIFEST);
    }
    bool is_index_type = strcmp(out->media_type, MEDIA_OCI_INDEX) == 0 ||
                         strcmp(out->media_type, MEDIA_DOCKER_LIST) == 0;
    bool is_image_type = strcmp(out->media_type, MEDIA_OCI_MANIFEST) == 0 ||
                         strcmp(out->media_type, MEDIA_DOCKER_MANIFEST) == 0;
    if ((is_index_type && !has_manifests) || (is_image_type && !has_layers)) {
        return err_set(err, ERR_MALFORMED, "manifest: the content does not fit its type '%.100s'",
                       out->media_type);
    }
    out->is_index = has_manifests;
    if (out->is_index) {
        return parse_entries(json_object_get(root, "manifests"), "manifests", MANIFEST_ENTRIES_MAX,
                             out, err);
    }
    int status =
        parse_descriptor(json_object_get(root, "config"), "manifest: config", &out->config, err);
    return status != 0 ? status
                       : parse_entries(json_object_get(root, "layers"), "layers",
                                       MANIFEST_LAYERS_MAX, out, err);
}

int manifest_parse(struct bytes text, const char *content_type, struct manifest *ret,
                   struct err *err)
{
    CLEANUP(json) json_t *root = NULL;
    int status = json_parse(text, "manifest", &root, err);
    if (status != 0) {
        return status;
    }
    struct manifest out = {.entry_count = 0};
    status = parse_document(root, content_type, &out, err);
    if (status != 0) {
        manifest_deinit(&out);
        return status;
    }
    *ret = out;
    return 0;
}

/* Higher is better, 0 does not run here. An arm machine runs older variants, too. */
static int fitness(const struct platform *offered, const struct platform *wanted)
{
    if (strcmp(offered->os, wanted->os) != 0 ||
        strcmp(offered->architecture, wanted->architecture) != 0) {
        return 0;
    }
    if (strcmp(offered->variant, wanted->variant) == 0) {
        return 1000;
    }
    if (offered->variant[0] == '\0') {
        return 500;
    }
    int offered_number = offered->variant[1] - '0';
    int wanted_number = wanted->variant[0] == '\0' ? 99 : wanted->variant[1] - '0';
    if (strcmp(wanted->architecture, "amd64") == 0 && wanted->variant[0] == '\0') {
        return offered_number == 1 ? 400 : 0; /* v2 and later may need what this processor lacks */
    }
    return offered_number <= wanted_number ? 10 + offered_number : 0;
}

int manifest_choose(const struct manifest *index, const struct platform *platform,
                    const struct descriptor **ret, struct err *err)
{
    const struct descriptor *best = NULL;
    int best_fitness = 0;
    char offered[300] = "";
    size_t used = 0;
    for (uint32_t i = 0; i < index->entry_count; i++) {
        const struct descriptor *entry = &index->entries[i];
        if (entry->is_attestation) {
            continue;
        }
        int fit = fitness(&entry->platform, platform);
        /* An index with one entry that does not say what it is for: take it. */
        fit = entry->platform.os[0] == '\0' && index->entry_count == 1 ? 1 : fit;
        if (fit > best_fitness) {
            best = entry;
            best_fitness = fit;
        }
        if (used < sizeof(offered) - 1) {
            int size =
                snprintf(offered + used, sizeof(offered) - used, "%s%s/%s%s%s",
                         used == 0 ? "" : ", ", entry->platform.os, entry->platform.architecture,
                         entry->platform.variant[0] == '\0' ? "" : "/", entry->platform.variant);
            used += size > 0 ? (size_t)size : 0;
        }
    }
    if (best == NULL) {
        return err_set(err, ERR_NOT_FOUND, "no image for %s/%s%s%s; there are: %s", platform->os,
                       platform->architecture, platform->variant[0] == '\0' ? "" : "/",
                       platform->variant, offered);
    }
    *ret = best;
    return 0;
}

void platform_of_machine(struct platform *ret)
{
    static const struct {
        const char *machine;
        const char *architecture;
        const char *variant;
    } names[] = {
        {"x86_64", "amd64", ""}, {"aarch64", "arm64", "v8"}, {"armv7l", "arm", "v7"},
        {"armv6l", "arm", "v6"}, {"i686", "386", ""},        {"ppc64le", "ppc64le", ""},
        {"s390x", "s390x", ""},  {"riscv64", "riscv64", ""}, {"loongarch64", "loong64", ""},
    };
    struct utsname machine;
    *ret = (struct platform){.os = "linux", .architecture = "unknown"};
    if (uname(&machine) != 0) {
        return;
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(machine.machine, names[i].machine) == 0) {
            (void)snprintf(ret->architecture, sizeof(ret->architecture), "%s",
                           names[i].architecture);
            (void)snprintf(ret->variant, sizeof(ret->variant), "%s", names[i].variant);
        }
    }
}

int platform_parse(const char *text, struct platform *ret, struct err *err)
{
    struct platform out = {.os = ""};
    char rest[2] = "";
    int count = sscanf(text, "%31[a-z0-9]/%31[a-z0-9_]/%15[a-z0-9]%1s", out.os, out.architecture,
                       out.variant, rest);
    size_t known = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_/");
    if (text[known] != '\0' || count < 2 || count > 3 ||
        (count == 2 && strchr(strchr(text, '/') + 1, '/') != NULL)) {
        return err_set(err, ERR_INVALID, "platform '%.100s' is not OS/ARCHITECTURE[/VARIANT]",
                       text);
    }
    if (strcmp(out.architecture, "arm64") == 0 && out.variant[0] == '\0') {
        (void)snprintf(out.variant, sizeof(out.variant), "v8");
    }
    *ret = out;
    return 0;
}

static void write_descriptor(const struct descriptor *descriptor, struct buf *out)
{
    buf_append_text(out, "{\"mediaType\":");
    json_text_append_quoted(out, bytes_from_text(descriptor->media_type));
    buf_append_format(out, ",\"digest\":\"%s\",\"size\":%lld}", descriptor->digest,
                      (long long)descriptor->size);
}

void manifest_write(const struct descriptor *config, const struct descriptor *layers,
                    uint32_t layer_count, struct buf *out)
{
    buf_append_format(out,
                      "{\"schemaVersion\":2,\"mediaType\":\"%s\",\"config\":", MEDIA_OCI_MANIFEST);
    write_descriptor(config, out);
    buf_append_text(out, ",\"layers\":[");
    for (uint32_t i = 0; i < layer_count; i++) {
        buf_append_text(out, i == 0 ? "" : ",");
        write_descriptor(&layers[i], out);
    }
    buf_append_text(out, "]}");
}
