#include "runtime/build/build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "runtime/image/hash.h"
#include "runtime/image/image.h"
#include "runtime/image/image_add.h"
#include "runtime/image/json.h"
#include "runtime/words/words.h"

void build_key_add(struct build_stage *stage, struct bytes text)
{
    struct hash *hash = hash_new();
    hash_update(hash, bytes_from_text(stage->key));
    hash_update(hash, BYTES_LITERAL("\n"));
    hash_update(hash, text);
    hash_finish(hash, stage->key);
    hash_free(hash);
}

json_t *build_config(const struct build_stage *stage)
{
    return json_object_get(stage->document, "config");
}

/* ---- variables ---- */

static const char *find_env(const json_t *env, const char *name, size_t size)
{
    for (size_t i = 0; i < json_array_size(env); i++) {
        const char *text = json_string_value(json_array_get(env, i));
        if (text != NULL && strncmp(text, name, size) == 0 && text[size] == '=') {
            return text + size + 1;
        }
    }
    return NULL;
}

const char *build_lookup(void *context, const char *name, size_t size)
{
    const struct build_stage *stage = context;
    const char *value = find_env(json_object_get(build_config(stage), "Env"), name, size);
    if (value != NULL) {
        return value;
    }
    CLEANUP(free) char *key = mem_strdup(name);
    key[size] = '\0';
    return json_string_value(json_object_get(stage->arguments, key));
}

struct expand build_expand(struct build *build, struct build_stage *stage)
{
    return (struct expand){
        .lookup = build_lookup,
        .context = stage,
        .escape = build->file.escape,
        .arena = &build->arena,
    };
}

static const char *lookup_global(void *context, const char *name, size_t size)
{
    const struct build *build = context;
    CLEANUP(free) char *key = mem_strdup(name);
    key[size] = '\0';
    return json_string_value(json_object_get(build->globals, key));
}

/* ARG NAME[=DEFAULT]…, where --build-arg wins, then the default, then a global of this name. */
static int declare(struct build *build, const struct expand *expand, json_t *arguments,
                   const char *text, bool is_global, struct err *err)
{
    const char *words[DOCKERFILE_WORDS_MAX];
    uint32_t count = 0;
    int status = expand_words(expand, text, words, DOCKERFILE_WORDS_MAX, &count, err);
    for (uint32_t i = 0; status == 0 && i < count; i++) {
        char *name = arena_strdup(&build->arena, words[i]);
        char *equals = strchr(name, '=');
        if (equals != NULL) {
            *equals = '\0';
        }
        const char *value = json_get_text(build->options->arguments, name, NULL);
        if (value == NULL && equals != NULL) {
            value = equals + 1;
        }
        if (value == NULL && !is_global) {
            value = json_get_text(build->globals, name, NULL);
        }
        json_object_set_new(arguments, name, value == NULL ? json_null() : json_text(value));
    }
    return status;
}

/* ---- stages ---- */

static void set_platform_globals(struct build *build)
{
    struct platform platform;
    platform_of_machine(&platform);
    static const char *const prefixes[] = {"TARGET", "BUILD"};
    for (size_t i = 0; i < 2; i++) {
        char name[32];
        char text[100];
        (void)snprintf(name, sizeof(name), "%sOS", prefixes[i]);
        json_object_set_new(build->globals, name, json_text(platform.os));
        (void)snprintf(name, sizeof(name), "%sARCH", prefixes[i]);
        json_object_set_new(build->globals, name, json_text(platform.architecture));
        (void)snprintf(name, sizeof(name), "%sVARIANT", prefixes[i]);
        json_object_set_new(build->globals, name, json_text(platform.variant));
        (void)snprintf(name, sizeof(name), "%sPLATFORM", prefixes[i]);
        (void)snprintf(text, sizeof(text), "%s/%s%s%s", platform.os, platform.architecture,
                       platform.variant[0] == '\0' ? "" : "/", platform.variant);
        json_object_set_new(build->globals, name, json_text(text));
    }
}

static int find_stages(struct build *build, struct err *err)
{
    const struct expand expand = {
        .lookup = lookup_global,
        .context = build,
        .escape = build->file.escape,
        .arena = &build->arena,
    };
    struct build_stage *stage = NULL;
    for (uint32_t i = 0; i < build->file.count; i++) {
        const struct dockerfile_instruction *instruction = &build->file.instructions[i];
        if (instruction->kind == DOCKERFILE_FROM) {
            if (build->stage_count == BUILD_STAGES_MAX) {
                return err_set(err, ERR_TOO_LARGE, "%s: more than %d stages", build->file.name,
                               BUILD_STAGES_MAX);
            }
            stage = &build->stages[build->stage_count++];
            stage->first = i;
            stage->name = "";
            layers_init(&stage->layers, build->store);
        } else if (stage == NULL) {
            int status = declare(build, &expand, build->globals, instruction->text, true, err);
            if (status != 0) {
                return status;
            }
        }
        if (stage != NULL) {
            stage->end = i + 1;
        }
    }
    return 0;
}

/* By name (without case), or by number. */
struct build_stage *build_find_stage(struct build *build, const char *name, uint32_t before)
{
    char *end = NULL;
    unsigned long number = strtoul(name, &end, 10);
    for (uint32_t i = before; i > 0; i--) {
        struct build_stage *stage = &build->stages[i - 1];
        bool is_number = name[0] >= '0' && name[0] <= '9' && *end == '\0' && number == i - 1;
        if (is_number || (stage->name[0] != '\0' && strcasecmp(stage->name, name) == 0)) {
            return stage;
        }
    }
    return NULL;
}

static json_t *empty_document(void)
{
    struct platform platform;
    platform_of_machine(&platform);
    return json_pack("{ss ss s{} s{ss s[]} s[]}", "architecture", platform.architecture, "os",
                     platform.os, "config", "rootfs", "type", "layers", "diff_ids", "history");
}

static void copy_layers(struct layers *to, const struct layer *items, uint32_t count)
{
    to->items = mem_calloc((size_t)count + 1, sizeof(*to->items));
    if (count > 0) {
        memcpy(to->items, items, count * sizeof(*items));
    }
    to->count = count;
}

/* FROM IMAGE [AS NAME] */
static int begin_stage(struct build *build, struct build_stage *stage, struct err *err)
{
    const struct dockerfile_instruction *from = &build->file.instructions[stage->first];
    const struct expand expand = {
        .lookup = lookup_global,
        .context = build,
        .escape = build->file.escape,
        .arena = &build->arena,
    };
    const char *words[4];
    uint32_t count = 0;
    int status = expand_words(&expand, from->text, words, 4, &count, err);
    if (status == 0 && count != 1 && (count != 3 || strcasecmp(words[1], "AS") != 0)) {
        status = err_set(err, ERR_MALFORMED, "%s:%u: FROM: needs IMAGE [AS NAME]", build->file.name,
                         from->line);
    }
    if (status != 0) {
        return status;
    }
    stage->arguments = json_object();
    stage->is_built = true;
    const char *platform = dockerfile_flag(from, "platform");
    if (platform != NULL) {
        status = expand_text(&expand, platform, &platform, err);
        (void)snprintf(stage->platform, sizeof(stage->platform), "%.63s",
                       status == 0 ? platform : "");
    }
    if (status != 0) {
        return status;
    }
    const struct build_stage *base =
        build_find_stage(build, words[0], (uint32_t)(stage - build->stages));
    if (base != NULL && base->is_built) {
        stage->document = json_deep_copy(base->document);
        copy_layers(&stage->layers, base->layers.items, base->layers.count);
        for (uint32_t i = 0; i < stage->layers.count; i++) {
            stage->layers.items[i].temporary[0] = '\0'; /* the base stage commits it */
        }
        memcpy(stage->key, base->key, sizeof(stage->key));
        memcpy(stage->created, base->created, sizeof(stage->created));
    } else if (strcmp(words[0], "scratch") == 0) {
        stage->document = empty_document();
        (void)snprintf(stage->key, sizeof(stage->key), "scratch %lld",
                       (long long)build->options->epoch_s);
        build_now(build, stage->created);
    } else {
        status = build_take_image(build, stage, words[0], err);
        if (status == 0 && build->options->epoch_s >= 0) {
            char text[40];
            (void)snprintf(text, sizeof(text), "%lld", (long long)build->options->epoch_s);
            build_key_add(stage, bytes_from_text(text));
        }
        if (status != 0) {
            return err_prefix(err, "%s:%u: FROM", build->file.name, from->line);
        }
    }
    return status;
}

/* Names are needed before their stage is built: FROM of a later one may mean it. */
static int name_stages(struct build *build, struct err *err)
{
    const struct expand expand = {
        .lookup = lookup_global,
        .context = build,
        .escape = build->file.escape,
        .arena = &build->arena,
    };
    for (uint32_t i = 0; i < build->stage_count; i++) {
        const struct dockerfile_instruction *from =
            &build->file.instructions[build->stages[i].first];
        const char *words[4];
        uint32_t count = 0;
        int status = expand_words(&expand, from->text, words, 4, &count, err);
        if (status != 0) {
            return status;
        }
        if (count == 3) {
            build->stages[i].name = words[2];
        }
    }
    return 0;
}

static int declare_in_stage(struct build *build, struct build_stage *stage, const char *text,
                            struct err *err)
{
    const struct expand expand = build_expand(build, stage);
    return declare(build, &expand, stage->arguments, text, false, err);
}

static void add_history(struct build_stage *stage, const struct dockerfile_instruction *instruction,
                        bool has_layer)
{
    CLEANUP(free)
    char *by = mem_printf("%s %s", dockerfile_kind_name(instruction->kind), instruction->text);
    json_t *entry = json_pack("{ss so}", "created", stage->created, "created_by", json_text(by));
    if (!has_layer) {
        json_object_set_new(entry, "empty_layer", json_true());
    }
    json_array_append_new(json_object_get(stage->document, "history"), entry);
}

static int run_instruction(struct build *build, struct build_stage *stage,
                           const struct dockerfile_instruction *instruction, struct err *err)
{
    uint32_t layers_before = stage->layers.count;
    int status = 0;
    switch (instruction->kind) {
    case DOCKERFILE_FROM:
        return 0;
    case DOCKERFILE_ARG:
        status = declare_in_stage(build, stage, instruction->text, err);
        break;
    case DOCKERFILE_RUN:
        status = build_run(build, stage, instruction, err);
        break;
    case DOCKERFILE_COPY:
    case DOCKERFILE_ADD:
        status = build_copy(build, stage, instruction, err);
        break;
    default:
        status = build_set_config(build, stage, instruction, err);
        if (status == 0 && instruction->kind == DOCKERFILE_WORKDIR) {
            status = build_make_workdir(build, stage, err);
        }
        break;
    }
    if (status != 0) {
        return err_prefix(err, "%s:%u: %s", build->file.name, instruction->line,
                          dockerfile_kind_name(instruction->kind));
    }
    add_history(stage, instruction, stage->layers.count > layers_before);
    return 0;
}

/* ONBUILD lines of the base, before the stage's own. */
static int run_triggers(struct build *build, struct build_stage *stage, struct err *err)
{
    CLEANUP(json) json_t *lines = json_incref(json_object_get(build_config(stage), "OnBuild"));
    json_object_del(build_config(stage), "OnBuild");
    for (size_t i = 0; i < json_array_size(lines); i++) {
        struct dockerfile_instruction instruction;
        const char *text = json_string_value(json_array_get(lines, i));
        int status = text == NULL
                         ? 0
                         : dockerfile_parse_line(text, build->file.name,
                                                 build->file.instructions[stage->first].line,
                                                 &build->arena, &instruction, err);
        if (status == 0 && text != NULL) {
            build_say(build, "# ONBUILD %s\n", text);
            status = run_instruction(build, stage, &instruction, err);
        }
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

int build_stage_run(struct build *build, struct build_stage *stage, struct err *err)
{
    int status = begin_stage(build, stage, err);
    for (uint32_t i = stage->first; status == 0 && i < stage->end; i++) {
        const struct dockerfile_instruction *instruction = &build->file.instructions[i];
        build_step_begin(build, stage, instruction);
        status = run_instruction(build, stage, instruction, err);
        build_step_end(build, stage, instruction, status == 0);
        if (status == 0 && i == stage->first) {
            status = run_triggers(build, stage, err);
        }
    }
    return status;
}

/* ---- the end ---- */

static int finish(struct build *build, struct build_stage *target, char *id, struct err *err)
{
    json_object_set_new(target->document, "created", json_text(target->created));
    json_t *diff_ids = json_array();
    for (uint32_t i = 0; i < target->layers.count; i++) {
        json_array_append_new(diff_ids, json_text(target->layers.items[i].diff_id));
    }
    json_object_set_new(target->document, "rootfs",
                        json_pack("{ss so}", "type", "layers", "diff_ids", diff_ids));
    if (json_object_size(build->options->labels) > 0) {
        json_t *labels = json_object_get(build_config(target), "Labels");
        if (!json_is_object(labels)) {
            labels = json_object();
            json_object_set_new(build_config(target), "Labels", labels);
        }
        (void)json_object_update_new(labels, json_deep_copy(build->options->labels));
    }
    CLEANUP(buf) struct buf text = BUF_INIT;
    json_write(target->document, false, &text);
    return image_add_layers(build->store, &target->layers, buf_bytes(&text), id, err);
}

static int commit_all(struct build *build, struct err *err)
{
    int status = 0;
    for (uint32_t i = 0; status == 0 && i < build->stage_count; i++) {
        if (build->stages[i].is_built) {
            status = layers_commit(&build->stages[i].layers, err);
        }
    }
    return status == 0 ? build_cache_write(build, err) : status;
}

static int build_target(struct build *build, char *id, struct err *err)
{
    uint32_t target = build->stage_count - 1;
    if (build->options->target != NULL) {
        const struct build_stage *wanted =
            build_find_stage(build, build->options->target, build->stage_count);
        if (wanted == NULL) {
            return err_set(err, ERR_NOT_FOUND, "--target: there is no stage '%.60s'",
                           build->options->target);
        }
        target = (uint32_t)(wanted - build->stages);
    }
    int status = build_stages_run(build, target, err);
    struct err ignored;
    /* What was done before a failure need not be done again. */
    int committed = commit_all(build, status == 0 ? err : &ignored);
    if (status != 0 || committed != 0) {
        return status != 0 ? status : committed;
    }
    status = finish(build, &build->stages[target], id, err);
    return status != 0 || build->options->output_kind == NULL
               ? status
               : build_export(build, &build->stages[target], err);
}

void build_make_id(char out[65])
{
    uint8_t bytes[32];
    size_t done = 0;
    while (done < sizeof(bytes)) {
        ssize_t count = getrandom(bytes + done, sizeof(bytes) - done, 0);
        done += count > 0 ? (size_t)count : 0;
    }
    for (size_t i = 0; i < sizeof(bytes); i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    }
}

int build_image(const struct store *store, const struct build_options *options,
                struct bytes dockerfile, struct bytes ignore, char *id, struct err *err)
{
    struct build *build = mem_zalloc(sizeof(*build));
    build->store = store;
    build->options = options;
    build->globals = json_object();
    build->cache = json_object();
    arena_init(&build->arena);
    build_make_id(build->id);
    set_platform_globals(build);
    ignore_parse(ignore, &build->arena, &build->ignore);
    int status;
    if ((status = dockerfile_parse(dockerfile, options->file_name, &build->arena, &build->file,
                                   err)) == 0 &&
        (status = find_stages(build, err)) == 0 && (status = name_stages(build, err)) == 0) {
        status = build_target(build, id, err);
    }
    for (uint32_t i = 0; i < build->stage_count; i++) {
        layers_deinit(&build->stages[i].layers);
        json_decref(build->stages[i].document);
        json_decref(build->stages[i].arguments);
    }
    json_decref(build->globals);
    json_decref(build->cache);
    buf_deinit(&build->step_output);
    arena_deinit(&build->arena);
    mem_free(build);
    return status;
}
