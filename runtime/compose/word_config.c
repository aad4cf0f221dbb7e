/* word_config.c - config, convert, version, events. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/compose/compose_words.h"
#include "runtime/compose/kubernetes.h"
#include "runtime/compose/service.h"
#include "runtime/compose/yaml_text.h"
#include "runtime/image/json.h"
#include "runtime/words/container_words.h"
#include "runtime/words/words.h"

struct config_words {
    bool is_quiet, has_services, has_volumes, has_images, has_profiles, has_networks, has_no_escape;
    const char *format, *output, *hash, *namespace;
};

/* What is printed is a Compose file again: dollars are doubled. */
static json_t *escape(const json_t *value)
{
    if (json_is_object(value)) {
        json_t *out = json_object();
        const char *key = NULL;
        json_t *child = NULL;
        json_object_foreach((json_t *)(uintptr_t)value, key, child)
        {
            json_object_set_new(out, key, escape(child));
        }
        return out;
    }
    if (json_is_array(value)) {
        json_t *out = json_array();
        for (size_t i = 0; i < json_array_size(value); i++) {
            json_array_append_new(out, escape(json_array_get(value, i)));
        }
        return out;
    }
    if (!json_is_string(value) || strchr(json_string_value(value), '$') == NULL) {
        return json_incref((json_t *)(uintptr_t)value);
    }
    CLEANUP(buf) struct buf text = BUF_INIT;
    for (const char *at = json_string_value(value); *at != '\0'; at++) {
        buf_append_text(&text, *at == '$' ? "$" : "");
        buf_append_u8(&text, (uint8_t)*at);
    }
    return json_text(buf_text(&text));
}

static json_t *printable(const struct compose *compose, bool has_no_escape)
{
    json_t *document = has_no_escape ? json_deep_copy(compose->project.document)
                                     : escape(compose->project.document);
    const char *name = NULL;
    json_t *service = NULL;
    json_object_foreach(json_object_get(document, "services"), name, service)
    {
        json_object_del(service, "x-coracle-image");
    }
    return document;
}

static void print_names(const json_t *object)
{
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        printf("%s\n", name);
    }
}

static void print_profiles(const struct compose *compose)
{
    CLEANUP(json) json_t *all = json_object();
    const char *name = NULL;
    json_t *service = NULL;
    json_object_foreach(compose_services(compose), name, service)
    {
        const json_t *profiles = json_object_get(service, "profiles");
        for (size_t i = 0; i < json_array_size(profiles); i++) {
            json_object_set_new(all, json_string_value(json_array_get(profiles, i)), json_true());
        }
    }
    print_names(all);
}

static void print_images(struct compose *compose, const char *hash)
{
    const char *name = NULL;
    json_t *service = NULL;
    json_object_foreach(compose_services(compose), name, service)
    {
        if (hash == NULL) {
            printf("%s\n", service_image(service));
        } else if (strcmp(hash, "*") == 0 || strcmp(hash, name) == 0) {
            printf("%s %s\n", name, compose_hash(compose, name));
        }
    }
}

/* The objects of a cluster, documents separated by "---". */
static int write_kubernetes(const struct compose *compose, const struct config_words *words,
                            struct buf *out, struct err *err)
{
    json_t *objects = NULL;
    const struct kubernetes_input input = {
        .project = compose->project.document,
        .environment = compose->environment,
        .namespace = words->namespace,
        .read_file = compose_read_file,
    };
    int status = kubernetes_convert(&input, &objects, err);
    for (size_t i = 0; status == 0 && i < json_array_size(objects); i++) {
        buf_append_text(out, i == 0 ? "" : "---\n");
        yaml_text_write(json_array_get(objects, i), out);
    }
    json_decref(objects);
    return status;
}

static int write_out(const char *path, struct bytes text, struct err *err)
{
    FILE *file = path == NULL || strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
    if (file == NULL) {
        return err_set(err, ERR_IO, "write '%s'", path);
    }
    size_t written = fwrite(text.data, 1, text.size, file);
    bool is_bad = written != text.size || fflush(file) != 0;
    if (file != stdout) {
        is_bad |= fclose(file) != 0;
    }
    return is_bad ? err_set(err, ERR_IO, "write the result") : 0;
}

static int show(struct compose *compose, const struct config_words *words, struct err *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    const char *format = words->format == NULL ? "yaml" : words->format;
    const json_t *document = compose->project.document;
    if (words->is_quiet) {
        return 0;
    }
    if (words->has_services || words->has_volumes || words->has_networks) {
        print_names(json_object_get(document, words->has_services  ? "services"
                                              : words->has_volumes ? "volumes"
                                                                   : "networks"));
        return 0;
    }
    if (words->has_profiles) {
        print_profiles(compose);
        return 0;
    }
    if (words->has_images || words->hash != NULL) {
        print_images(compose, words->hash);
        return 0;
    }
    if (strcmp(format, "kubernetes") == 0) {
        int status = write_kubernetes(compose, words, &text, err);
        return status != 0 ? status : write_out(words->output, buf_bytes(&text), err);
    }
    CLEANUP(json) json_t *shown = printable(compose, words->has_no_escape);
    if (strcmp(format, "json") == 0) {
        json_write(shown, true, &text);
        buf_append_text(&text, "\n");
    } else if (strcmp(format, "yaml") == 0) {
        yaml_text_write(shown, &text);
    } else {
        return err_set(err, ERR_INVALID, "--format: '%.40s' is not one of yaml, json, kubernetes",
                       format);
    }
    return write_out(words->output, buf_bytes(&text), err);
}

static int config_or_convert(const struct compose_options *options, const struct command *command,
                             int argc, char **argv)
{
    struct err err = {.code = 0};
    struct config_words words = {.format = NULL};
    bool is_accepted = false;
    const struct option_spec specs[] = {
        {'q', "quiet", OPTION_FLAG, &words.is_quiet, NULL, "Only check"},
        {0, "services", OPTION_FLAG, &words.has_services, NULL, "Only names of services"},
        {0, "volumes", OPTION_FLAG, &words.has_volumes, NULL, "Only names of volumes"},
        {0, "networks", OPTION_FLAG, &words.has_networks, NULL, "Only names of networks"},
        {0, "images", OPTION_FLAG, &words.has_images, NULL, "Only names of images"},
        {0, "profiles", OPTION_FLAG, &words.has_profiles, NULL, "Only names of profiles"},
        {0, "hash", OPTION_TEXT, &words.hash, "SERVICE|*", "Hashes of configurations"},
        {0, "format", OPTION_TEXT, &words.format, "KIND", "yaml, json, kubernetes"},
        {'n', "namespace", OPTION_TEXT, &words.namespace, "NAME", "kubernetes: of the objects"},
        {'o', "output", OPTION_TEXT, &words.output, "FILE", "Instead of standard output"},
        {0, "no-interpolate", OPTION_FLAG, &words.has_no_escape, NULL, "Dollars are not doubled"},
        {0, "resolve-image-digests", OPTION_FLAG, &is_accepted, NULL, "Accepted"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list names = {NULL, 0};
    CLEANUP(compose) struct compose compose = {.options = NULL};
    int status = options_parse(command, specs, argc, argv, &names, &err);
    if (status == 0 &&
        (status = compose_open(&compose, options, &names, words.has_profiles, &err)) == 0) {
        status = show(&compose, &words, &err);
    }
    return status != 0 ? word_fail(&err, EXIT_FAILED) : 0;
}

int compose_word_config(const struct compose_options *options, int argc, char **argv)
{
    static const struct command command = {
        .usage = "compose config [OPTIONS]",
        .summary = "Check the files and print the project in normal form.",
        .operands_max = 1000,
    };
    return config_or_convert(options, &command, argc, argv);
}

int compose_word_convert(const struct compose_options *options, int argc, char **argv)
{
    static const struct command command = {
        .usage = "compose convert [OPTIONS]",
        .summary = "Print the project, with --format kubernetes as objects of a cluster.",
        .operands_max = 1000,
    };
    return config_or_convert(options, &command, argc, argv);
}

int compose_word_version(const struct compose_options *options, int argc, char **argv)
{
    bool is_short = argc > 1 && strcmp(argv[1], "--short") == 0;
    (void)options;
    printf(is_short ? "2.40.0\n" : "Docker Compose version v2.40.0 (kvctl)\n");
    return 0;
}

/* `kvctl events` of the containers that carry the project's label. */
int compose_word_events(const struct compose_options *options, int argc, char **argv)
{
    static const struct command command = {
        .usage = "compose events [OPTIONS] [SERVICE...]",
        .summary = "Print what happens to the project's containers.",
        .operands_max = 1000,
    };
    struct err err = {.code = 0};
    const char *since = NULL;
    const char *until = NULL;
    bool is_json = false;
    const struct option_spec specs[] = {
        {0, "json", OPTION_FLAG, &is_json, NULL, "A JSON object a line"},
        {0, "since", OPTION_TEXT, &since, "TIME", "From a time"},
        {0, "until", OPTION_TEXT, &until, "TIME", "Up to a time"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list names = {NULL, 0};
    CLEANUP(text_list) struct text_list arguments = {NULL, 0};
    CLEANUP(compose) struct compose compose = {.options = NULL};
    int code = 0;
    int status = options_parse(&command, specs, argc, argv, &names, &err);
    if (status == 0) {
        status = compose_open(&compose, options, &names, true, &err);
    }
    if (status == 0) {
        text_list_add(&arguments, "events");
        text_list_add(&arguments, "--filter");
        text_list_add(&arguments, arena_printf(&compose.arena, "label=" LABEL_PREFIX "project=%s",
                                               compose_name(&compose)));
        if (is_json) {
            text_list_add(&arguments, "--format");
            text_list_add(&arguments, "json");
        }
        if (since != NULL) {
            text_list_add(&arguments, "--since");
            text_list_add(&arguments, since);
        }
        if (until != NULL) {
            text_list_add(&arguments, "--until");
            text_list_add(&arguments, until);
        }
        status = run_sibling("kvctl-container", &arguments, false, &code, &err);
    }
    return status != 0 ? word_fail(&err, EXIT_FAILED) : code;
}
