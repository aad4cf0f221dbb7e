#include "orchestrator/ui/ui.h"

#include <string.h>

#include "base/embedded.h"

extern const struct embedded_file ui_files[]; /* ui_files.c, made at build time */

const char ui_content_security_policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static const char *content_type_of(const char *name)
{
    static const char *const types[][2] = {
        {".html", "text/html; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
    };
    const char *suffix = strrchr(name, '.');
    for (size_t i = 0; suffix != NULL && i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcmp(suffix, types[i][0]) == 0) {
            return types[i][1];
        }
    }
    return "application/octet-stream";
}

bool ui_find(const char *name, struct ui_file *ret)
{
    const char *wanted = *name == '\0' ? "index.html" : name;
    for (const struct embedded_file *file = ui_files; file->name != NULL; file++) {
        if (strcmp(file->name, wanted) == 0) {
            ret->content_type = content_type_of(wanted);
            ret->data = bytes_make(file->data, file->size);
            return true;
        }
    }
    return false;
}
