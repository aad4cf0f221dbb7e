#include "runtime/container/spec.h"

#include <string.h>

static const struct field id_mapping_fields[] = {
    FIELD(struct spec_id_mapping, container_id, "containerID", FIELD_U32),
    FIELD(struct spec_id_mapping, host_id, "hostID", FIELD_U32),
    FIELD(struct spec_id_mapping, size, "size", FIELD_U32),
    FIELD_END,
};

static const struct field mount_fields[] = {
    FIELD(struct spec_mount, destination, "destination", FIELD_TEXT),
    FIELD(struct spec_mount, type, "type", FIELD_TEXT),
    FIELD(struct spec_mount, source, "source", FIELD_TEXT),
    FIELD(struct spec_mount, options, "options", FIELD_TEXT_LIST),
    FIELD_OF(struct spec_mount, uid_mappings, "uidMappings", FIELD_LIST, id_mapping_fields,
             struct spec_id_mapping),
    FIELD_OF(struct spec_mount, gid_mappings, "gidMappings", FIELD_LIST, id_mapping_fields,
             struct spec_id_mapping),
    FIELD_END,
};

static const struct field hook_fields[] = {
    FIELD(struct spec_hook, path, "path", FIELD_TEXT),
    FIELD(struct spec_hook, args, "args", FIELD_TEXT_LIST),
    FIELD(struct spec_hook, env, "env", FIELD_TEXT_LIST),
    FIELD(struct spec_hook, timeout_s, "timeout", FIELD_MAYBE_I64),
    FIELD_END,
};

#define HOOKS(member, name)                                                                        \
    FIELD_OF(struct spec_hooks, member, name, FIELD_LIST, hook_fields, struct spec_hook)

static const struct field hooks_fields[] = {
    HOOKS(prestart, "prestart"),
    HOOKS(create_runtime, "createRuntime"),
    HOOKS(create_container, "createContainer"),
    HOOKS(start_container, "startContainer"),
    HOOKS(poststart, "poststart"),
    HOOKS(poststop, "poststop"),
    FIELD_END,
};

static const struct field root_fields[] = {
    FIELD(struct spec_root, path, "path", FIELD_TEXT),
    FIELD(struct spec_root, readonly, "readonly", FIELD_BOOL),
    FIELD_END,
};

static const struct field spec_fields[] = {
    FIELD(struct spec, oci_version, "ociVersion", FIELD_TEXT),
    FIELD_OF(struct spec, root, "root", FIELD_STRUCT, root_fields, struct spec_root),
    FIELD_OF(struct spec, mounts, "mounts", FIELD_LIST, mount_fields, struct spec_mount),
    FIELD_OF(struct spec, process, "process", FIELD_STRUCT, spec_process_fields,
             struct spec_process),
    FIELD(struct spec, hostname, "hostname", FIELD_TEXT),
    FIELD(struct spec, domainname, "domainname", FIELD_TEXT),
    FIELD_OF(struct spec, hooks, "hooks", FIELD_STRUCT, hooks_fields, struct spec_hooks),
    FIELD(struct spec, annotations, "annotations", FIELD_TEXT_MAP),
    FIELD_OF(struct spec, linux_, "linux", FIELD_STRUCT, spec_linux_fields, struct spec_linux),
    FIELD_END,
};

static int check_version(const struct spec *spec, struct err *err)
{
    if (spec->oci_version == NULL) {
        return err_set(err, ERR_INVALID, "ociVersion: missing");
    }
    if (strncmp(spec->oci_version, "1.", 2) != 0) {
        return err_set(err, ERR_UNSUPPORTED,
                       "ociVersion: unknown version specified: '%s'; 1.x is supported",
                       spec->oci_version);
    }
    return 0;
}

static int check_mounts(const struct spec *spec, struct err *err)
{
    for (size_t i = 0; i < spec->mounts.count; i++) {
        const struct spec_mount *mount = &spec->mounts.items[i];
        if (mount->destination == NULL || mount->destination[0] == 0) {
            return err_set(err, ERR_INVALID, "mounts[%zu].destination: missing", i);
        }
        if ((mount->uid_mappings.count == 0) != (mount->gid_mappings.count == 0)) {
            return err_set(err, ERR_INVALID,
                           "mounts[%zu]: uidMappings and gidMappings must be given together", i);
        }
    }
    return 0;
}

static int check_hook_list(const struct spec_hook_list *list, const char *name, struct err *err)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct spec_hook *hook = &list->items[i];
        if (hook->path == NULL || hook->path[0] != '/') {
            return err_set(err, ERR_INVALID, "hooks.%s[%zu].path: must be an absolute path", name,
                           i);
        }
        if (hook->timeout_s.is_set && hook->timeout_s.value <= 0) {
            return err_set(err, ERR_INVALID, "hooks.%s[%zu].timeout: must be greater than 0", name,
                           i);
        }
    }
    return 0;
}

static int check_hooks(const struct spec_hooks *hooks, struct err *err)
{
    const struct {
        const struct spec_hook_list *list;
        const char *name;
    } lists[] = {
        {&hooks->prestart, "prestart"},
        {&hooks->create_runtime, "createRuntime"},
        {&hooks->create_container, "createContainer"},
        {&hooks->start_container, "startContainer"},
        {&hooks->poststart, "poststart"},
        {&hooks->poststop, "poststop"},
    };
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        int rc = check_hook_list(lists[i].list, lists[i].name, err);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

static int check_spec(struct arena *arena, struct spec *spec, struct err *err)
{
    int rc = check_version(spec, err);
    if (rc < 0) {
        return rc;
    }
    if (spec->root.path == NULL || spec->root.path[0] == 0) {
        return err_set(err, ERR_INVALID, "root.path: missing");
    }
    if ((rc = check_mounts(spec, err)) < 0 || (rc = check_hooks(&spec->hooks, err)) < 0) {
        return rc;
    }
    if (spec->has_process) {
        rc = spec_check_process(arena, &spec->process, "process", err);
        if (rc < 0) {
            return rc;
        }
    }
    return spec_check_linux(spec, err);
}

int spec_parse(struct arena *arena, struct bytes text, struct spec *ret, struct err *err)
{
    struct json_value *document = NULL;
    int rc = json_parse(arena, text, &document, err);
    if (rc < 0) {
        return rc;
    }
    struct spec spec = {.oci_version = NULL};
    rc = fields_read(arena, document, spec_fields, &spec, err);
    if (rc < 0) {
        return rc;
    }
    const struct json_value *process = json_find(document, "process");
    spec.has_process = process != NULL && process->type == JSON_OBJECT;
    rc = check_spec(arena, &spec, err);
    if (rc < 0) {
        return rc;
    }
    *ret = spec;
    return 0;
}

const struct spec_namespace *spec_find_namespace(const struct spec *spec, int flag)
{
    for (size_t i = 0; i < spec->linux_.namespaces.count; i++) {
        if (spec->linux_.namespaces.items[i].flag == flag) {
            return &spec->linux_.namespaces.items[i];
        }
    }
    return NULL;
}

int spec_new_namespace_flags(const struct spec *spec)
{
    int flags = 0;
    for (size_t i = 0; i < spec->linux_.namespaces.count; i++) {
        const struct spec_namespace *ns = &spec->linux_.namespaces.items[i];
        flags |= ns->path == NULL ? ns->flag : 0;
    }
    return flags;
}

const char *spec_find_annotation(const struct spec *spec, const char *name)
{
    for (size_t i = 0; i < spec->annotations.count; i++) {
        if (strcmp(spec->annotations.items[i].name, name) == 0) {
            return spec->annotations.items[i].value;
        }
    }
    return NULL;
}
