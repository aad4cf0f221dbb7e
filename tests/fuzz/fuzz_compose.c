/* Compose files: YAML, variables, extends, the normal form, what refers to what, and the objects of
 * a cluster. Files that are included are the same text again. */
#include <string.h>

#include "base/cleanup.h"
#include "runtime/compose/env_text.h"
#include "runtime/compose/kubernetes.h"
#include "runtime/compose/load.h"
#include "runtime/compose/service.h"
#include "runtime/compose/yaml_text.h"
#include "runtime/image/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int read_same(void *context, const char *path, struct buf *out, struct err *err)
{
    const struct bytes *text = context;
    if (strstr(path, ".env") != NULL) {
        return err_set(err, -2, "open '%s'", path);
    }
    buf_append_bytes(out, *text);
    return 0;
}

static void use(const struct project *project, json_t *environment, struct bytes *text)
{
    struct buf out = BUF_INIT;
    struct arena arena = ARENA_INIT;
    const struct kubernetes_input input = {
        .project = project->document,
        .environment = environment,
        .read_file = read_same,
        .context = text,
    };
    json_t *objects = NULL;
    const char *name = NULL;
    json_t *service = NULL;
    yaml_text_write(project->document, &out);
    if (kubernetes_convert(&input, &objects, NULL) == 0) {
        json_decref(objects);
    }
    json_object_foreach(json_object_get(project->document, "services"), name, service)
    {
        struct service_container container;
        const struct service_input translation = {
            .project = project->document,
            .name = name,
            .service = service,
            .number = 1,
            .hash = "",
            .config_files = "",
            .directory = "/",
            .secrets_directory = "/s",
        };
        service_translate(&translation, &arena, &container);
        service_container_deinit(&container);
        json_decref(service_fingerprint(project->document, name, service));
    }
    arena_deinit(&arena);
    buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_make(data, size);
    struct project project = {.document = NULL};
    struct err err;
    json_t *environment = json_pack("{ss ss}", "A", "1", "PORT1", "8080");
    json_t *values = json_object();
    const char *files[] = {"/project/compose.yaml"};
    const struct load_input input = {
        .files = files,
        .file_count = 1,
        .directory = "/project",
        .environment = environment,
        .read_file = read_same,
        .context = &text,
    };
    if (project_load(&input, &project, &err) == 0) {
        use(&project, environment, &text);
        project_deinit(&project);
    }
    int ignored = env_text_parse(text, "env", false, environment, values, &err);
    (void)ignored;
    json_decref(values);
    json_decref(environment);
    return 0;
}
