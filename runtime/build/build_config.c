/* build_config.c - instructions that change only the image's configuration. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "runtime/build/build.h"
#include "runtime/image/json.h"

struct step {
    struct build *build;
    struct build_stage *stage;
    const struct dockerfile_instruction *instruction;
    struct expand expand;
    json_t *config;
};

static int words_of(const struct step *step, const char **words, uint32_t *ret_count,
                    struct err *err)
{
    const struct dockerfile_instruction *instruction = step->instruction;
    if (!instruction->is_exec) {
        return expand_words(&step->expand, instruction->text, words, DOCKERFILE_WORDS_MAX,
                            ret_count, err);
    }
    for (uint32_t i = 0; i < instruction->word_count; i++) {
        words[i] = instruction->words[i];
    }
    *ret_count = instruction->word_count;
    return 0;
}

static json_t *object_of(json_t *config, const char *key)
{
    json_t *object = json_object_get(config, key);
    if (!json_is_object(object)) {
        object = json_object();
        json_object_set_new(config, key, object);
    }
    return object;
}

static void set_env(json_t *config, const char *assignment)
{
    json_t *env = json_object_get(config, "Env");
    size_t size = strcspn(assignment, "=") + 1;
    if (!json_is_array(env)) {
        env = json_array();
        json_object_set_new(config, "Env", env);
    }
    for (size_t i = 0; i < json_array_size(env); i++) {
        const char *old = json_string_value(json_array_get(env, i));
        if (old != NULL && strncmp(old, assignment, size) == 0) {
            json_array_set_new(env, i, json_text(assignment));
            return;
        }
    }
    json_array_append_new(env, json_text(assignment));
}

/* NAME=VALUE …, or the old form NAME VALUE. All see the values before the instruction. */
static int set_pairs(const struct step *step, bool is_env, struct err *err)
{
    const char *words[DOCKERFILE_WORDS_MAX];
    uint32_t count = 0;
    int status = words_of(step, words, &count, err);
    if (status != 0) {
        return status;
    }
    if (count == 0) { /* ENV [] */
        return err_set(err, ERR_MALFORMED, "needs a name and a value");
    }
    if (strchr(words[0], '=') == NULL) {
        const char *text = step->instruction->text;
        size_t size = strcspn(text, " \t");
        const char *value = "";
        status = expand_text(&step->expand, text + size + strspn(text + size, " \t"), &value, err);
        if (status != 0) {
            return status;
        }
        words[0] = arena_printf(&step->build->arena, "%.*s=%s", (int)size, text, value);
        count = 1;
    }
    for (uint32_t i = 0; i < count; i++) {
        const char *equals = strchr(words[i], '=');
        if (equals == NULL || equals == words[i]) {
            return err_set(err, ERR_MALFORMED, "'%.60s' is not NAME=VALUE", words[i]);
        }
        if (is_env) {
            set_env(step->config, words[i]);
        } else {
            char *key = arena_strdup(&step->build->arena, words[i]);
            key[equals - words[i]] = '\0';
            json_object_set_new(object_of(step->config, "Labels"), key, json_text(equals + 1));
        }
    }
    return 0;
}

/* CMD and ENTRYPOINT: the shell form goes through SHELL; variables are the shell's. */
static json_t *command_of(const struct step *step)
{
    const struct dockerfile_instruction *instruction = step->instruction;
    json_t *list = json_array();
    if (instruction->is_exec) {
        for (uint32_t i = 0; i < instruction->word_count; i++) {
            json_array_append_new(list, json_text(instruction->words[i]));
        }
        return list;
    }
    const json_t *shell = json_object_get(step->config, "Shell");
    if (json_is_array(shell)) {
        json_array_extend(list, (json_t *)(uintptr_t)shell);
    } else {
        json_array_append_new(list, json_text("/bin/sh"));
        json_array_append_new(list, json_text("-c"));
    }
    json_array_append_new(list, json_text(instruction->text));
    return list;
}

static int set_text(const struct step *step, const char *key, struct err *err)
{
    const char *value = "";
    int status = expand_text(&step->expand, step->instruction->text, &value, err);
    if (status == 0) {
        json_object_set_new(step->config, key, json_text(value));
    }
    return status;
}

static int set_workdir(const struct step *step, struct err *err)
{
    const char *value = "";
    int status = expand_text(&step->expand, step->instruction->text, &value, err);
    if (status == 0) {
        const char *before = json_get_text(step->config, "WorkingDir", "");
        CLEANUP(free)
        char *path = value[0] == '/'
                         ? mem_strdup(value)
                         : mem_printf("%s/%s", strcmp(before, "/") == 0 ? "" : before, value);
        json_object_set_new(step->config, "WorkingDir", json_text(path));
    }
    return status;
}

/* EXPOSE and VOLUME: keys of an object. */
static int set_keys(const struct step *step, const char *key, bool is_port, struct err *err)
{
    const char *words[DOCKERFILE_WORDS_MAX];
    uint32_t count = 0;
    int status = words_of(step, words, &count, err);
    for (uint32_t i = 0; status == 0 && i < count; i++) {
        const char *word = words[i];
        if (is_port && !isdigit((unsigned char)word[0])) {
            return err_set(err, ERR_MALFORMED, "'%.60s' is not a port", word);
        }
        const char *suffix = is_port && strchr(word, '/') == NULL ? "/tcp" : "";
        json_object_set_new(object_of(step->config, key),
                            arena_printf(&step->build->arena, "%s%s", word, suffix), json_object());
    }
    return status;
}

/* "1m30s" in nanoseconds. */
static int64_t parse_duration(const char *text)
{
    int64_t total = 0;
    while (*text != '\0') {
        char *end = NULL;
        double value = strtod(text, &end);
        double unit = strncmp(end, "ms", 2) == 0 ? 1e6
                      : *end == 's'              ? 1e9
                      : *end == 'm'              ? 60e9
                      : *end == 'h'              ? 3600e9
                                                 : 0;
        if (end == text || unit == 0) {
            return 0;
        }
        total += (int64_t)(value * unit);
        text = end + (unit == 1e6 ? 2 : 1);
    }
    return total;
}

static int set_healthcheck(const struct step *step, struct err *err)
{
    static const struct {
        const char *flag;
        const char *key;
    } times[] = {{"interval", "Interval"},
                 {"timeout", "Timeout"},
                 {"start-period", "StartPeriod"},
                 {"start-interval", "StartInterval"}};
    const char *text = step->instruction->text;
    json_t *health = json_object();
    json_object_set_new(step->config, "Healthcheck", health);
    if (strcasecmp(text, "NONE") == 0) {
        json_object_set_new(health, "Test", json_pack("[s]", "NONE"));
        return 0;
    }
    if (strncasecmp(text, "CMD", 3) != 0 || !isspace((unsigned char)text[3])) {
        return err_set(err, ERR_MALFORMED, "needs CMD … or NONE");
    }
    text += 3 + strspn(text + 3, " \t");
    json_t *test = NULL;
    if (text[0] == '[' && json_parse_any(bytes_from_text(text), "CMD", &test, NULL) == 0 &&
        json_is_array(test)) {
        json_array_insert_new(test, 0, json_text("CMD"));
    } else {
        json_decref(test);
        test = json_pack("[ss]", "CMD-SHELL", text);
    }
    json_object_set_new(health, "Test", test);
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        const char *value = dockerfile_flag(step->instruction, times[i].flag);
        if (value != NULL) {
            json_object_set_new(health, times[i].key, json_integer(parse_duration(value)));
        }
    }
    const char *retries = dockerfile_flag(step->instruction, "retries");
    if (retries != NULL) {
        json_object_set_new(health, "Retries", json_integer(strtol(retries, NULL, 10)));
    }
    return 0;
}

static int set_on_build(const struct step *step, struct err *err)
{
    struct dockerfile_instruction inner;
    int status = dockerfile_parse_line(step->instruction->text, step->build->file.name,
                                       step->instruction->line, &step->build->arena, &inner, err);
    if (status == 0 && (inner.kind == DOCKERFILE_ONBUILD || inner.kind == DOCKERFILE_FROM ||
                        inner.kind == DOCKERFILE_MAINTAINER)) {
        return err_set(err, ERR_MALFORMED, "%s cannot be a trigger",
                       dockerfile_kind_name(inner.kind));
    }
    if (status == 0) {
        json_t *list = json_object_get(step->config, "OnBuild");
        if (!json_is_array(list)) {
            list = json_array();
            json_object_set_new(step->config, "OnBuild", list);
        }
        json_array_append_new(list, json_text(step->instruction->text));
    }
    return status;
}

static int set_one(const struct step *step, struct err *err)
{
    switch (step->instruction->kind) {
    case DOCKERFILE_ENV:
        return set_pairs(step, true, err);
    case DOCKERFILE_LABEL:
        return set_pairs(step, false, err);
    case DOCKERFILE_CMD:
        step->stage->has_command = true;
        json_object_set_new(step->config, "Cmd", command_of(step));
        return 0;
    case DOCKERFILE_ENTRYPOINT:
        json_object_set_new(step->config, "Entrypoint", command_of(step));
        if (!step->stage->has_command) { /* it was made for the base's entrypoint */
            json_object_del(step->config, "Cmd");
        }
        return 0;
    case DOCKERFILE_SHELL:
        json_object_set_new(step->config, "Shell", command_of(step));
        return 0;
    case DOCKERFILE_USER:
        return set_text(step, "User", err);
    case DOCKERFILE_STOPSIGNAL:
        return set_text(step, "StopSignal", err);
    case DOCKERFILE_WORKDIR:
        return set_workdir(step, err);
    case DOCKERFILE_EXPOSE:
        return set_keys(step, "ExposedPorts", true, err);
    case DOCKERFILE_VOLUME:
        return set_keys(step, "Volumes", false, err);
    case DOCKERFILE_HEALTHCHECK:
        return set_healthcheck(step, err);
    case DOCKERFILE_ONBUILD:
        return set_on_build(step, err);
    case DOCKERFILE_MAINTAINER:
        json_object_set_new(step->stage->document, "author", json_text(step->instruction->text));
        return 0;
    default:
        return err_set(err, ERR_UNSUPPORTED, "not supported here");
    }
}

int build_set_config(struct build *build, struct build_stage *stage,
                     const struct dockerfile_instruction *instruction, struct err *err)
{
    const struct step step = {
        .build = build,
        .stage = stage,
        .instruction = instruction,
        .expand = build_expand(build, stage),
        .config = build_config(stage),
    };
    return set_one(&step, err);
}
