#include "kvstore/server/config.h"

#include <ctype.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/cleanup.h"
#include "kvstore/server/config_flag.h"

static void set_defaults(struct config *config)
{
    for (unsigned i = 0; i < config_flag_count; i++) {
        if (config_flags[i].type != CONFIG_IGNORED) {
            int code = config_flag_set(config, &config_flags[i], config_flags[i].initial, NULL);
            CHECK(code == 0);
        }
    }
    memset(config->set_flags, 0, sizeof config->set_flags);
}

/* One argument of Go's flag syntax; *position moves past what was used. */
static int read_argument(struct config *config, int argc, char **argv, int *position,
                         struct err *err)
{
    const char *argument = argv[*position];
    *position += 1;
    if (argument[0] != '-' || argument[1] == 0) {
        return err_set(err, ERR_INVALID, "'%s' is not a valid flag", argument);
    }
    const char *name = argument + (argument[1] == '-' ? 2 : 1);
    const char *equals = strchr(name, '=');
    size_t length = equals != NULL ? (size_t)(equals - name) : strlen(name);
    const char *flag_name = arena_text(&config->arena, bytes_make(name, length));
    const struct config_flag *flag = config_flag_find(flag_name);
    if (flag == NULL || length == 0) {
        return err_set(err, ERR_INVALID, "flag provided but not defined: -%s", flag_name);
    }
    if (strncmp(flag_name, "experimental-", 13) == 0) {
        config_warn(config, arena_printf(&config->arena,
                                         "flag --%s is deprecated; use --%s or a feature gate",
                                         flag_name, flag_name + 13));
    }
    if (equals != NULL) {
        return config_flag_set(config, flag, equals + 1, err);
    }
    if (flag->type == CONFIG_BOOL) {
        return config_flag_set(config, flag, "true", err);
    }
    if (*position >= argc) {
        return err_set(err, ERR_INVALID, "flag needs an argument: -%s", flag_name);
    }
    *position += 1;
    return config_flag_set(config, flag, argv[*position - 1], err);
}

/* ETCD_ and the flag's name in capitals, '-' as '_'. */
static const char *environment_name(struct arena *arena, const char *flag)
{
    char *name = arena_printf(arena, "ETCD_%s", flag);
    for (char *c = name; *c != 0; c++) {
        *c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
    }
    return name;
}

static bool is_foreign_variable(const char *name)
{
    static const char *const others[] = {"ETCD_UNSUPPORTED_ARCH", "ETCD_VERIFY"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (strcmp(name, others[i]) == 0) {
            return true;
        }
    }
    return false;
}

static int read_variable(struct config *config, const char *name, const char *value,
                         struct err *err)
{
    for (unsigned i = 0; i < config_flag_count; i++) {
        const struct config_flag *flag = &config_flags[i];
        if (strcmp(environment_name(&config->arena, flag->name), name) != 0) {
            continue;
        }
        if (flag->type != CONFIG_IGNORED && config_is_set(config, flag->name)) {
            config_warn(config,
                        arena_printf(&config->arena, "%s is shadowed by the command line's --%s",
                                     name, flag->name));
            return 0;
        }
        int code = config_flag_set(config, flag, value, err);
        return code == 0 || err == NULL ? code : err_prefix(err, "environment variable %s", name);
    }
    if (!is_foreign_variable(name)) {
        config_warn(config,
                    arena_printf(&config->arena, "unrecognized environment variable %s", name));
    }
    return 0;
}

static int read_environment(struct config *config, char **environment, struct err *err)
{
    for (char **entry = environment; entry != NULL && *entry != NULL; entry++) {
        const char *equals = strchr(*entry, '=');
        if (strncmp(*entry, "ETCD_", 5) != 0 || equals == NULL || equals[1] == 0) {
            continue;
        }
        const char *name =
            arena_text(&config->arena, bytes_make(*entry, (size_t)(equals - *entry)));
        int code = read_variable(config, name, equals + 1, err);
        if (code != 0) {
            return code;
        }
    }
    return 0;
}

static const char *environment_value(char **environment, const char *name)
{
    size_t length = strlen(name);
    for (char **entry = environment; entry != NULL && *entry != NULL; entry++) {
        if (strncmp(*entry, name, length) == 0 && (*entry)[length] == '=') {
            return *entry + length + 1;
        }
    }
    return "";
}

int config_load(struct config *config, int argc, char **argv, char **environment, struct err *err)
{
    *config = (struct config){.arena = ARENA_INIT};
    set_defaults(config);
    for (int position = 1; position < argc;) {
        int code = read_argument(config, argc, argv, &position, err);
        if (code != 0) {
            return code;
        }
    }
    if (config->print_version || config->print_help) {
        return 0;
    }
    const char *file = config->config_file[0] != 0
                           ? config->config_file
                           : environment_value(environment, "ETCD_CONFIG_FILE");
    int code;
    if (file[0] != 0) {
        const char *kept = arena_strdup(&config->arena, file);
        set_defaults(config);
        config->config_file = kept;
        code = config_read_file(config, kept, err);
    } else {
        code = read_environment(config, environment, err);
    }
    return code != 0 ? code : config_check(config, err);
}

void config_deinit(struct config *config)
{
    arena_deinit(&config->arena);
}

const char *config_help(struct arena *arena)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    buf_append_text(&text,
                    "Usage:\n\n  kvd [flags]\n    Start one member of the replicated store.\n\n"
                    "  kvd --config-file FILE\n    Start it from a YAML file.\n\n"
                    "Every flag may be given as -flag value, --flag value or --flag=value, and as\n"
                    "an environment variable: ETCD_ and its name in capitals, '-' as '_'.\n");
    const char *section = NULL;
    for (unsigned i = 0; i < config_flag_count; i++) {
        const struct config_flag *flag = &config_flags[i];
        if (flag->section == NULL) {
            continue;
        }
        if (section == NULL || strcmp(section, flag->section) != 0) {
            section = flag->section;
            buf_append_format(&text, "\n%s:\n", section);
        }
        buf_append_format(&text, "  --%s '%s'\n      %s\n", flag->name, flag->initial, flag->help);
    }
    return arena_strdup(arena, buf_text(&text));
}
