#include "runtime/words/mount_text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/image/json.h"

static const char *const propagations[] = {"private", "rprivate", "shared",
                                           "rshared", "slave",    "rslave"};

static const char *as_propagation(const char *text)
{
    for (size_t i = 0; i < sizeof(propagations) / sizeof(propagations[0]); i++) {
        if (strcmp(propagations[i], text) == 0) {
            return propagations[i];
        }
    }
    return NULL;
}

static int check_target(const char *target, const char *text, struct err *err)
{
    if (target[0] != '/' || strcmp(target, "/") == 0) {
        return err_set(err, ERR_INVALID,
                       "'%.200s': the place in the container must be an absolute path, and not /",
                       text);
    }
    return 0;
}

/* [A-Za-z0-9][A-Za-z0-9_.-]* */
static bool is_volume_name(const char *name)
{
    if (!isalnum((unsigned char)name[0]) || strlen(name) > 128) {
        return false;
    }
    for (const char *at = name; *at != '\0'; at++) {
        if (!isalnum((unsigned char)*at) && strchr("_.-", *at) == NULL) {
            return false;
        }
    }
    return true;
}

/* "./x" and "~/x" become absolute; NULL when it is a name. */
static char *absolute_path(const char *source)
{
    if (source[0] == '/') {
        return mem_strdup(source);
    }
    if (source[0] == '~' && (source[1] == '/' || source[1] == '\0')) {
        const char *home = getenv("HOME");
        return mem_printf("%s%s", home == NULL ? "" : home, source + 1);
    }
    if (source[0] != '.') {
        return NULL;
    }
    char *here = getcwd(NULL, 0);
    char *path = mem_printf("%s/%s", here == NULL ? "" : here, source);
    free(here);
    return path;
}

static int apply_volume_options(json_t *mount, char *options, const char *text, struct err *err)
{
    for (char *option; (option = strsep(&options, ",")) != NULL;) {
        const char *propagation = as_propagation(option);
        if (propagation != NULL) {
            json_object_set_new(mount, "Propagation", json_text(propagation));
        } else if (strcmp(option, "ro") == 0 || strcmp(option, "readonly") == 0) {
            json_object_set_new(mount, "ReadOnly", json_true());
        } else if (strcmp(option, "nocopy") == 0) {
            json_object_set_new(mount, "NoCopy", json_true());
        } else if (strcmp(option, "rw") != 0 && strcmp(option, "z") != 0 &&
                   strcmp(option, "Z") != 0 && strcmp(option, "cached") != 0 &&
                   strcmp(option, "delegated") != 0 && strcmp(option, "consistent") != 0) {
            return err_set(err, ERR_INVALID, "-v '%.200s': unknown option '%.60s'", text, option);
        }
    }
    return 0;
}

int mount_text_parse_volume(const char *text, json_t *mounts, struct err *err)
{
    CLEANUP(free) char *copy = mem_strdup(text);
    char *rest = copy;
    const char *source = strsep(&rest, ":");
    const char *target = rest == NULL ? NULL : strsep(&rest, ":");
    if (target == NULL) {
        target = source;
        source = "";
    } else if (source[0] == '\0') {
        return err_set(err, ERR_INVALID, "-v '%.200s': the source is empty", text);
    }
    int status = check_target(target, text, err);
    if (status != 0) {
        return err_prefix(err, "-v");
    }
    CLEANUP(free) char *path = absolute_path(source);
    if (path == NULL && source[0] != '\0' && !is_volume_name(source)) {
        return err_set(err, ERR_INVALID,
                       "-v '%.200s': '%.100s' is neither a path (/… ./…) nor the name of a volume",
                       text, source);
    }
    CLEANUP(json)
    json_t *mount = json_pack("{ss so so}", "Type", path != NULL ? "bind" : "volume", "Source",
                              json_text(path != NULL ? path : source), "Target", json_text(target));
    /* Docker makes missing directories for -v, but not for --mount. */
    json_object_set_new(mount, "CreateSource", json_boolean(path != NULL));
    status = rest == NULL ? 0 : apply_volume_options(mount, rest, text, err);
    if (status == 0) {
        json_array_append(mounts, mount);
    }
    return status;
}

static int apply_mount_field(json_t *mount, const char *key, const char *value, const char *text,
                             struct err *err)
{
    bool is_true = value == NULL || strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
    const char *or_empty = value == NULL ? "" : value;
    if (strcmp(key, "type") == 0) {
        json_object_set_new(mount, "Type", json_text(or_empty));
    } else if (strcmp(key, "source") == 0 || strcmp(key, "src") == 0) {
        json_object_set_new(mount, "Source", json_text(or_empty));
    } else if (strcmp(key, "target") == 0 || strcmp(key, "destination") == 0 ||
               strcmp(key, "dst") == 0) {
        json_object_set_new(mount, "Target", json_text(or_empty));
    } else if (strcmp(key, "readonly") == 0 || strcmp(key, "ro") == 0) {
        json_object_set_new(mount, "ReadOnly", json_boolean(is_true));
    } else if (strcmp(key, "volume-nocopy") == 0) {
        json_object_set_new(mount, "NoCopy", json_boolean(is_true));
    } else if (strcmp(key, "bind-propagation") == 0 && as_propagation(or_empty) != NULL) {
        json_object_set_new(mount, "Propagation", json_text(or_empty));
    } else if (strcmp(key, "tmpfs-size") == 0 || strcmp(key, "tmpfs-mode") == 0) {
        CLEANUP(free)
        char *options =
            mem_printf("%s%s%s=%s", json_get_text(mount, "Options", ""),
                       json_object_get(mount, "Options") == NULL ? "" : ",", key + 6, or_empty);
        json_object_set_new(mount, "Options", json_text(options));
    } else {
        return err_set(err, ERR_INVALID, "--mount '%.200s': unknown or invalid '%.60s'", text, key);
    }
    return 0;
}

int mount_text_parse_mount(const char *text, json_t *mounts, struct err *err)
{
    CLEANUP(free) char *copy = mem_strdup(text);
    CLEANUP(json)
    json_t *mount = json_pack("{ss ss ss}", "Type", "volume", "Source", "", "Target", "");
    char *rest = copy;
    for (char *field; (field = strsep(&rest, ",")) != NULL;) {
        char *value = strchr(field, '=');
        if (value != NULL) {
            *value++ = '\0';
        }
        int status = apply_mount_field(mount, field, value, text, err);
        if (status != 0) {
            return status;
        }
    }
    const char *type = json_get_text(mount, "Type", "");
    const char *source = json_get_text(mount, "Source", "");
    if (strcmp(type, "bind") != 0 && strcmp(type, "volume") != 0 && strcmp(type, "tmpfs") != 0) {
        return err_set(err, ERR_INVALID, "--mount '%.200s': the type is bind, volume or tmpfs",
                       text);
    }
    if (strcmp(type, "bind") == 0 && source[0] != '/') {
        return err_set(err, ERR_INVALID, "--mount '%.200s': a bind mount needs an absolute source",
                       text);
    }
    if (strcmp(type, "volume") == 0 && source[0] != '\0' && !is_volume_name(source)) {
        return err_set(err, ERR_INVALID, "--mount '%.200s': invalid name of a volume", text);
    }
    int status = check_target(json_get_text(mount, "Target", ""), text, err);
    if (status != 0) {
        return err_prefix(err, "--mount");
    }
    json_array_append(mounts, mount);
    return 0;
}

int mount_text_parse_tmpfs(const char *text, json_t *tmpfs, struct err *err)
{
    CLEANUP(free) char *copy = mem_strdup(text);
    char *options = strchr(copy, ':');
    if (options != NULL) {
        *options++ = '\0';
    }
    int status = check_target(copy, text, err);
    if (status != 0) {
        return err_prefix(err, "--tmpfs");
    }
    json_object_set_new(tmpfs, copy, json_text(options == NULL ? "" : options));
    return 0;
}

int mount_text_check(const json_t *mounts, struct err *err)
{
    for (size_t i = 0; i < json_array_size(mounts); i++) {
        const char *target = json_get_text(json_array_get(mounts, i), "Target", "");
        for (size_t k = 0; k < i; k++) {
            if (strcmp(json_get_text(json_array_get(mounts, k), "Target", ""), target) == 0) {
                return err_set(err, ERR_INVALID, "two mounts at '%.200s'", target);
            }
        }
    }
    return 0;
}
