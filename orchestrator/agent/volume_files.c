#include "orchestrator/agent/volume_files.h"

#include <string.h>

#include "base/cleanup.h"
#include "orchestrator/objects/base64.h"
#include "orchestrator/objects/tree.h"

enum { MODE_DEFAULT = 0644 };

struct making {
    const struct pod_record *record;
    const struct pod_surroundings *around;
    const char *(*token_of)(void *context, const json_t *source);
    void *context;
    int64_t mode; /* defaultMode of the volume */
    struct volume_files *files;
    struct err *err;
};

void volume_files_deinit(struct volume_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        mem_free(files->items[i].path);
        buf_deinit(&files->items[i].data);
    }
    mem_free(files->items);
    *files = (struct volume_files){.items = NULL};
}

static bool path_is_safe(const char *path)
{
    for (const char *at = path; *at != '\0';) {
        size_t size = strcspn(at, "/");
        if (size == 0 || (size == 2 && strncmp(at, "..", 2) == 0)) {
            return false;
        }
        at += size + (at[size] == '/');
    }
    return *path != '\0';
}

/* The buffer to fill; a path that is there already is written anew. */
static int add_file(struct making *making, const char *path, int64_t mode, struct buf **ret)
{
    struct volume_files *files = making->files;
    if (!path_is_safe(path)) {
        return err_set(making->err, ERR_INVALID, "path '%.200s' is not below the volume", path);
    }
    for (size_t i = 0; i < files->count; i++) {
        if (strcmp(files->items[i].path, path) == 0) {
            buf_clear(&files->items[i].data);
            files->items[i].mode = (uint32_t)mode;
            *ret = &files->items[i].data;
            return 0;
        }
    }
    files->items = mem_reallocarray(files->items, files->count + 1, sizeof(*files->items));
    struct volume_file *file = &files->items[files->count++];
    *file = (struct volume_file){.path = mem_strdup(path), .mode = (uint32_t)mode};
    buf_init(&file->data);
    *ret = &file->data;
    return 0;
}

static int add_key(struct making *making, const json_t *object, const char *key, const char *path,
                   int64_t mode, bool *ret_found)
{
    const char *text = json_string_value(json_object_get(json_object_get(object, "data"), key));
    const char *binary =
        json_string_value(json_object_get(json_object_get(object, "binaryData"), key));
    bool is_secret = tree_has_text(object, "kind", "Secret");
    *ret_found = text != NULL || binary != NULL;
    if (!*ret_found) {
        return 0;
    }
    struct buf *data = NULL;
    int status = add_file(making, path, mode, &data);
    if (status == 0 && text != NULL && !is_secret) {
        buf_append_text(data, text);
    } else if (status == 0 && base64_decode(text != NULL ? text : binary, data) != 0) {
        status = err_set(making->err, ERR_INVALID, "key '%s' is not base64", key);
    }
    return status;
}

static int add_all_keys(struct making *making, const json_t *object)
{
    static const char *const maps[] = {"data", "binaryData"};
    for (size_t i = 0; i < 2; i++) {
        const char *key = NULL;
        json_t *ignored = NULL;
        json_object_foreach(json_object_get(object, maps[i]), key, ignored)
        {
            bool found = false;
            int status = add_key(making, object, key, key, making->mode, &found);
            if (status != 0) {
                return status;
            }
        }
    }
    return 0;
}

static int add_object(struct making *making, const json_t *source, const char *resource,
                      const char *name)
{
    const char *namespace = object_namespace(making->record->pod);
    bool is_optional = tree_bool(source, "optional", false);
    const json_t *items = json_object_get(source, "items");
    const json_t *object =
        making->around->objects.find(making->around->objects.context, resource, namespace, name);
    const char *kind = strcmp(resource, "secrets") == 0 ? "secret" : "configmap";
    if (object == NULL) {
        return err_set(making->err, ERR_BUSY, "%s \"%s\" is being read", kind, name);
    }
    if (json_is_null(object)) {
        return is_optional ? 0
                           : err_set(making->err, ERR_NOT_FOUND, "%s \"%s\" not found", kind, name);
    }
    if (json_array_size(items) == 0) {
        return add_all_keys(making, object);
    }
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *item = json_array_get(items, i);
        const char *key = tree_text_or(item, "key", "");
        bool found = false;
        int status = add_key(making, object, key, tree_text_or(item, "path", ""),
                             tree_int(item, "mode", making->mode), &found);
        if (status == 0 && !found && !is_optional) {
            status = err_set(making->err, ERR_NOT_FOUND, "references non-existent %s key: %s", kind,
                             key);
        }
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

static int add_fields(struct making *making, const json_t *source)
{
    const json_t *items = json_object_get(source, "items");
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *item = json_array_get(items, i);
        const char *field = tree_text(item, "fieldRef.fieldPath");
        const json_t *resource = json_object_get(item, "resourceFieldRef");
        CLEANUP(free) char *value = NULL;
        struct buf *data = NULL;
        int status = 0;
        if (field != NULL) {
            if (!pod_field(making->record, making->around, field, &value)) {
                status = err_set(making->err, ERR_INVALID, "unsupported fieldPath: %s", field);
            }
        } else {
            const struct unit *unit =
                pod_record_find(making->record, tree_text_or(resource, "containerName", ""));
            status = pod_resource_field(resource, unit == NULL ? NULL : unit->spec, making->around,
                                        &value, making->err);
        }
        if (status == 0) {
            status = add_file(making, tree_text_or(item, "path", ""),
                              tree_int(item, "mode", making->mode), &data);
        }
        if (status != 0) {
            return status;
        }
        buf_append_text(data, value);
    }
    return 0;
}

static int add_token(struct making *making, const json_t *source)
{
    struct buf *data = NULL;
    const char *token = making->token_of(making->context, source);
    if (token == NULL) {
        return err_set(making->err, ERR_BUSY, "the token of the service account is being made");
    }
    int status = add_file(making, tree_text_or(source, "path", "token"), making->mode, &data);
    if (status == 0) {
        buf_append_text(data, token);
    }
    return status;
}

static int add_source(struct making *making, const json_t *source)
{
    const json_t *map = json_object_get(source, "configMap");
    const json_t *secret = json_object_get(source, "secret");
    const json_t *fields = json_object_get(source, "downwardAPI");
    const json_t *token = json_object_get(source, "serviceAccountToken");
    if (map != NULL) {
        return add_object(making, map, "configmaps", tree_text_or(map, "name", ""));
    }
    if (secret != NULL) {
        const char *name = tree_text(secret, "secretName");
        return add_object(making, secret, "secrets",
                          name != NULL ? name : tree_text_or(secret, "name", ""));
    }
    if (fields != NULL) {
        return add_fields(making, fields);
    }
    return token != NULL ? add_token(making, token) : 0;
}

bool volume_has_files(const json_t *volume)
{
    return json_object_get(volume, "configMap") != NULL ||
           json_object_get(volume, "secret") != NULL ||
           json_object_get(volume, "downwardAPI") != NULL ||
           json_object_get(volume, "projected") != NULL;
}

int volume_files_make(const struct pod_record *record, const json_t *volume,
                      const struct pod_surroundings *around,
                      const char *(*token_of)(void *context, const json_t *source), void *context,
                      struct volume_files *ret, struct err *err)
{
    static const char *const kinds[] = {"configMap", "secret", "downwardAPI", "projected"};
    struct making making = {.record = record,
                            .around = around,
                            .token_of = token_of,
                            .context = context,
                            .mode = MODE_DEFAULT,
                            .files = ret,
                            .err = err};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        const json_t *body = json_object_get(volume, kinds[i]);
        if (body != NULL) {
            making.mode = tree_int(body, "defaultMode", MODE_DEFAULT);
        }
    }
    const json_t *sources = tree_find(volume, "projected.sources");
    int status = add_source(&making, volume);
    for (size_t i = 0; i < json_array_size(sources) && status == 0; i++) {
        status = add_source(&making, json_array_get(sources, i));
    }
    if (status != 0) {
        volume_files_deinit(ret);
    }
    return status;
}

/* ---- references ---- */

typedef void visitor(void *context, const char *resource, const char *name);

static void visit_name(visitor *visit, void *context, const char *resource, const char *name)
{
    if (name != NULL && *name != '\0') {
        visit(context, resource, name);
    }
}

static void visit_source(const json_t *source, visitor *visit, void *context)
{
    const char *secret = tree_text(source, "secret.secretName");
    visit_name(visit, context, "configmaps", tree_text(source, "configMap.name"));
    visit_name(visit, context, "secrets",
               secret != NULL ? secret : tree_text(source, "secret.name"));
    visit_name(visit, context, "persistentvolumeclaims",
               tree_text(source, "persistentVolumeClaim.claimName"));
}

static void visit_unit(const json_t *spec, visitor *visit, void *context)
{
    const json_t *from = json_object_get(spec, "envFrom");
    const json_t *env = json_object_get(spec, "env");
    for (size_t i = 0; i < json_array_size(from); i++) {
        const json_t *source = json_array_get(from, i);
        visit_name(visit, context, "configmaps", tree_text(source, "configMapRef.name"));
        visit_name(visit, context, "secrets", tree_text(source, "secretRef.name"));
    }
    for (size_t i = 0; i < json_array_size(env); i++) {
        const json_t *source = json_object_get(json_array_get(env, i), "valueFrom");
        visit_name(visit, context, "configmaps", tree_text(source, "configMapKeyRef.name"));
        visit_name(visit, context, "secrets", tree_text(source, "secretKeyRef.name"));
    }
}

void pod_references(const struct pod_record *record, visitor *visit, void *context)
{
    const json_t *volumes = tree_find(record->pod, "spec.volumes");
    const json_t *secrets = tree_find(record->pod, "spec.imagePullSecrets");
    for (size_t i = 0; i < json_array_size(volumes); i++) {
        const json_t *volume = json_array_get(volumes, i);
        const json_t *sources = tree_find(volume, "projected.sources");
        visit_source(volume, visit, context);
        for (size_t k = 0; k < json_array_size(sources); k++) {
            visit_source(json_array_get(sources, k), visit, context);
        }
        if (json_object_get(volume, "ephemeral") != NULL) {
            CLEANUP(free)
            char *claim =
                mem_printf("%s-%s", object_name(record->pod), tree_text_or(volume, "name", ""));
            visit_name(visit, context, "persistentvolumeclaims", claim);
        }
    }
    for (size_t i = 0; i < json_array_size(secrets); i++) {
        visit_name(visit, context, "secrets", tree_text(json_array_get(secrets, i), "name"));
    }
    for (size_t i = 0; i < record->unit_count; i++) {
        visit_unit(record->units[i].spec, visit, context);
    }
}
