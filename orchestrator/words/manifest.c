#include "orchestrator/words/manifest.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "orchestrator/objects/tree.h"
#include "orchestrator/objects/yaml.h"

static int read_stream(FILE *file, const char *path, struct buf *out, struct err *err)
{
    enum { CHUNK = 64 * 1024 };
    for (;;) {
        size_t size = fread(buf_reserve(out, CHUNK), 1, CHUNK, file);
        buf_commit(out, size);
        if (ferror(file)) {
            return err_set_errno(err, errno, "read '%s'", path);
        }
        if (buf_size(out) > MANIFEST_SIZE_MAX) {
            return err_set(err, ERR_TOO_LARGE, "'%s' is larger than %d bytes", path,
                           MANIFEST_SIZE_MAX);
        }
        if (size == 0) {
            return 0;
        }
    }
}

static int add_object(const char *path, json_t *object, json_t *objects, struct err *err)
{
    const char *kind = tree_text(object, "kind");
    if (kind == NULL || tree_text(object, "apiVersion") == NULL) {
        return err_set(err, ERR_INVALID, "'%s' has a document without apiVersion and kind", path);
    }
    const json_t *items = json_object_get(object, "items");
    if (json_is_array(items) && strlen(kind) >= 4 && strcmp(kind + strlen(kind) - 4, "List") == 0) {
        for (size_t i = 0; i < json_array_size(items); i++) {
            int result = add_object(path, json_array_get(items, i), objects, err);
            if (result != 0) {
                return result;
            }
        }
        return 0;
    }
    json_array_append(objects, object);
    return 0;
}

static int read_file(const char *path, json_t *objects, struct err *err)
{
    bool is_stdin = strcmp(path, "-") == 0;
    CLEANUP(file) FILE *opened = is_stdin ? NULL : fopen(path, "re");
    FILE *file = is_stdin ? stdin : opened;
    CLEANUP(buf) struct buf text = BUF_INIT;
    CLEANUP(json) json_t *documents = NULL;
    if (file == NULL) {
        return err_set_errno(err, errno, "read '%s'", path);
    }
    int result = read_stream(file, path, &text, err);
    if (result == 0 && yaml_read(buf_bytes(&text), &documents, err) != 0) {
        result = err_prefix(err, "'%s'", path);
    }
    for (size_t i = 0; result == 0 && i < json_array_size(documents); i++) {
        result = add_object(path, json_array_get(documents, i), objects, err);
    }
    return result;
}

static int is_manifest(const struct dirent *entry)
{
    static const char *const endings[] = {".yaml", ".yml", ".json"};
    size_t size = strlen(entry->d_name);
    for (size_t i = 0; i < 3; i++) {
        size_t ending = strlen(endings[i]);
        if (size > ending && strcmp(entry->d_name + size - ending, endings[i]) == 0) {
            return 1;
        }
    }
    return 0;
}

int manifest_read(const char *path, json_t *objects, struct err *err)
{
    struct stat status;
    if (strcmp(path, "-") == 0 || stat(path, &status) != 0 || !S_ISDIR(status.st_mode)) {
        return read_file(path, objects, err);
    }
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, is_manifest, alphasort);
    if (count < 0) {
        return err_set_errno(err, errno, "read the folder '%s'", path);
    }
    int result = 0;
    for (int i = 0; i < count; i++) {
        CLEANUP(free) char *file = mem_printf("%s/%s", path, entries[i]->d_name);
        result = result != 0 ? result : read_file(file, objects, err);
        free(entries[i]); /* of libc */
    }
    free(entries);
    return result;
}
