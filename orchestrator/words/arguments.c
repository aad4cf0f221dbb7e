#include "orchestrator/words/arguments.h"

#include <string.h>

struct flag_spec {
    const char *name;
    char letter; /* 0: none */
    const char **text;
    bool *is_given;
};

enum { SPECS_MAX = 32 };

static size_t make_specs(struct arguments *a, struct flag_spec specs[SPECS_MAX])
{
    const struct flag_spec all[] = {
        {"kubeconfig", 0, &a->kubeconfig, NULL},
        {"namespace", 'n', &a->namespace, NULL},
        {"output", 'o', &a->output, NULL},
        {"selector", 'l', &a->selector, NULL},
        {"container", 'c', &a->container, NULL},
        {"tail", 0, &a->tail, NULL},
        {"since", 0, &a->since, NULL},
        {"timeout", 0, &a->timeout, NULL},
        {"to-revision", 0, &a->revision, NULL},
        {"port", 0, &a->port, NULL},
        {"replicas", 0, &a->replicas, NULL},
        {"all-namespaces", 'A', NULL, &a->all_namespaces},
        {"follow", 0, NULL, &a->follow},
        {"previous", 'p', NULL, &a->previous},
        {"timestamps", 0, NULL, &a->timestamps},
        {"stdin", 'i', NULL, &a->interactive},
        {"tty", 't', NULL, &a->tty},
        {"once", 0, NULL, &a->once},
        {"dry-run", 0, NULL, &a->dry_run},
        {"no-wait", 0, NULL, &a->no_wait},
        {"force", 0, NULL, &a->force},
        {"undo", 0, NULL, &a->undo},
        {"help", 'h', NULL, &a->help},
    };
    memcpy(specs, all, sizeof(all));
    return sizeof(all) / sizeof(all[0]);
}

static const struct flag_spec *find_long(const struct flag_spec *specs, size_t count,
                                         const char *name, size_t size)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(specs[i].name) == size && strncmp(specs[i].name, name, size) == 0) {
            return &specs[i];
        }
    }
    return NULL;
}

static const struct flag_spec *find_short(const struct flag_spec *specs, size_t count, char letter)
{
    for (size_t i = 0; i < count; i++) {
        if (specs[i].letter == letter) {
            return &specs[i];
        }
    }
    return NULL;
}

static int add_file(struct arguments *a, const char *name, struct err *err)
{
    if (a->file_count == FILES_MAX) {
        return err_set(err, ERR_INVALID, "-f: more than %d files", FILES_MAX);
    }
    a->files[a->file_count++] = name;
    return 0;
}

/* *at moves on when the value is the next argument. */
static int take_value(char **argv, int argc, int *at, const char *inside, const char **ret,
                      struct err *err)
{
    if (inside != NULL) {
        *ret = inside;
    } else if (*at + 1 < argc) {
        *ret = argv[++*at];
    } else {
        return err_set(err, ERR_INVALID, "%s needs a value", argv[*at]);
    }
    return 0;
}

static int parse_long(const struct flag_spec *specs, size_t count, struct arguments *a, int argc,
                      char **argv, int *at, struct err *err)
{
    const char *name = argv[*at] + 2;
    size_t size = strcspn(name, "=");
    const char *inside = name[size] == '=' ? name + size + 1 : NULL;
    if (size == 8 && strncmp(name, "filename", 8) == 0) {
        const char *file = NULL;
        int result = take_value(argv, argc, at, inside, &file, err);
        return result != 0 ? result : add_file(a, file, err);
    }
    const struct flag_spec *spec = find_long(specs, count, name, size);
    if (spec == NULL) {
        return err_set(err, ERR_INVALID, "unknown flag '%s'", argv[*at]);
    }
    if (spec->text != NULL) {
        return take_value(argv, argc, at, inside, spec->text, err);
    }
    *spec->is_given = inside == NULL || strcmp(inside, "false") != 0;
    return 0;
}

static int parse_short(const struct flag_spec *specs, size_t count, struct arguments *a, int argc,
                       char **argv, int *at, struct err *err)
{
    /* -f is a file, except for logs, where people know it as "follow". */
    bool follows = strcmp(a->word, "logs") == 0;
    for (const char *c = argv[*at] + 1; *c != '\0'; c++) {
        const struct flag_spec *spec = find_short(specs, count, *c);
        const char *inside = c[1] == '\0' ? NULL : c + 1 + (c[1] == '=');
        if (*c == 'f' && follows) {
            a->follow = true;
        } else if (*c == 'f') {
            const char *file = NULL;
            int result = take_value(argv, argc, at, inside, &file, err);
            return result != 0 ? result : add_file(a, file, err);
        } else if (spec == NULL) {
            return err_set(err, ERR_INVALID, "unknown flag '-%c' in '%s'", *c, argv[*at]);
        } else if (spec->text != NULL) {
            return take_value(argv, argc, at, inside, spec->text, err);
        } else {
            *spec->is_given = true;
        }
    }
    return 0;
}

int arguments_parse(struct arguments *a, int argc, char **argv, struct err *err)
{
    *a = (struct arguments){.word = argv[1], .output = ""};
    struct flag_spec specs[SPECS_MAX];
    size_t count = make_specs(a, specs);
    for (int i = 2; i < argc; i++) {
        int result = 0;
        if (strcmp(argv[i], "--") == 0) {
            a->command = (const char *const *)argv + i + 1;
            break;
        }
        if (strncmp(argv[i], "--", 2) == 0) {
            result = parse_long(specs, count, a, argc, argv, &i, err);
        } else if (argv[i][0] == '-' && argv[i][1] != '\0') {
            result = parse_short(specs, count, a, argc, argv, &i, err);
        } else if (a->plain_count == ARGUMENTS_MAX) {
            result = err_set(err, ERR_INVALID, "more than %d arguments", ARGUMENTS_MAX);
        } else {
            a->plain[a->plain_count++] = argv[i];
        }
        if (result != 0) {
            return result;
        }
    }
    static const char *const outputs[] = {"", "wide", "json", "yaml", "name"};
    for (size_t i = 0; i < 5; i++) {
        if (strcmp(a->output, outputs[i]) == 0) {
            return 0;
        }
    }
    return err_set(err, ERR_INVALID, "-o: '%s' is not wide, json, yaml or name", a->output);
}
