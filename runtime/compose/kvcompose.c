/* kvcompose - `kvctl compose`. A program of its own, because libyaml and the rest would cost every
 * `kvctl ps` some time. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "runtime/compose/compose_words.h"
#include "runtime/words/words.h"

static const struct {
    const char *name;
    compose_word *run;
    const char *summary;
} words[] = {
    {"attach", compose_word_attach, "Attach to a service's container"},
    {"build", compose_word_build, "Build images of services"},
    {"config", compose_word_config, "Print the project in normal form"},
    {"convert", compose_word_convert, "Print the project, or Kubernetes objects of it"},
    {"cp", compose_word_cp, "Copy files to or from a service's container"},
    {"create", compose_word_create, "Make containers without starting them"},
    {"down", compose_word_down, "Stop and remove containers and networks"},
    {"events", compose_word_events, "Print what happens to containers"},
    {"exec", compose_word_exec, "Run a command in a running container"},
    {"images", compose_word_images, "List the images of containers"},
    {"kill", compose_word_kill, "Send a signal to containers"},
    {"logs", compose_word_logs, "Show what containers have written"},
    {"ls", compose_word_ls, "List the projects of this machine"},
    {"pause", compose_word_pause, "Halt containers"},
    {"port", compose_word_port, "Show where a port is published"},
    {"ps", compose_word_ps, "List containers"},
    {"pull", compose_word_pull, "Get images of services"},
    {"push", compose_word_push, "Send images of services to their registries"},
    {"restart", compose_word_restart, "Stop and start containers"},
    {"rm", compose_word_rm, "Remove containers that do not run"},
    {"run", compose_word_run, "Run a one-off command for a service"},
    {"scale", compose_word_scale, "Set the number of containers of services"},
    {"start", compose_word_start, "Start containers that are there"},
    {"stats", compose_word_stats, "Show what containers use"},
    {"stop", compose_word_stop, "Stop containers"},
    {"top", compose_word_top, "List processes"},
    {"unpause", compose_word_unpause, "Let halted containers go on"},
    {"up", compose_word_up, "Make and start what the files describe"},
    {"version", compose_word_version, "Print the version"},
    {"volumes", compose_word_volumes, "List the volumes of the project"},
    {"wait", compose_word_wait, "Wait until services end"},
};
enum { WORD_COUNT = sizeof(words) / sizeof(words[0]) };

static int print_help(FILE *out)
{
    fprintf(out,
            "Usage: kvctl compose [OPTIONS] COMMAND …\n\n"
            "  kvctl compose up -d --wait\n  kvctl compose logs -f web\n"
            "  kvctl compose down -v\n\n"
            "  -f, --file FILE               A Compose file; may be given several times\n"
            "  -p, --project-name NAME       Instead of the directory's name\n"
            "      --project-directory DIR   What relative paths are relative to\n"
            "      --env-file FILE           Instead of .env\n"
            "      --profile NAME            Enable a profile; * for all\n"
            "      --progress plain|quiet    quiet: no line for each container\n\nCommands:\n");
    for (size_t i = 0; i < WORD_COUNT; i++) {
        fprintf(out, "  %-9s %s\n", words[i].name, words[i].summary);
    }
    return out == stdout ? 0 : EXIT_FAILED;
}

/* Global options that have a value, so that the word after them is found. */
static int find_word(int argc, char **argv)
{
    static const char *const with_value[] = {
        "-f",         "--file",    "-p",         "--project-name", "--project-directory",
        "--env-file", "--profile", "--progress", "--ansi",         "--parallel",
        "--workdir"};
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-') {
            return i;
        }
        for (size_t k = 0; k < sizeof(with_value) / sizeof(with_value[0]); k++) {
            if (strcmp(argv[i], with_value[k]) == 0) {
                i++;
                break;
            }
        }
    }
    return argc;
}

static int run_word(const struct compose_options *options, int argc, char **argv)
{
    for (size_t i = 0; i < WORD_COUNT; i++) {
        if (strcmp(words[i].name, argv[0]) == 0) {
            return words[i].run(options, argc, argv);
        }
    }
    fprintf(stderr, "kvctl: compose: unknown command '%s'; `kvctl compose --help` lists them\n",
            argv[0]);
    return EXIT_FAILED;
}

/* argv[0] is "compose". */
static int word_compose(int argc, char **argv)
{
    static const struct command command = {
        .usage = "compose [OPTIONS] COMMAND [ARG...]",
        .summary = "Several containers that are one application.",
    };
    struct compose_options options = {.name = NULL};
    struct err err = {.code = 0};
    const char *parallel = NULL;
    bool is_compatible = false;
    const struct option_spec specs[] = {
        {'f', "file", OPTION_LIST, &options.file, "FILE", "A Compose file"},
        {'p', "project-name", OPTION_TEXT, &options.name, "NAME", "Of the project"},
        {0, "project-directory", OPTION_TEXT, &options.directory, "DIR", "Of the project"},
        {0, "workdir", OPTION_TEXT, &options.directory, "DIR", "Same"},
        {0, "env-file", OPTION_LIST, &options.env_file, "FILE", "Instead of .env"},
        {0, "profile", OPTION_LIST, &options.profile, "NAME", "Enable a profile"},
        {0, "progress", OPTION_TEXT, &options.progress, "KIND", "plain, quiet"},
        {0, "ansi", OPTION_TEXT, &options.ansi, "WHEN", "Accepted"},
        {0, "parallel", OPTION_TEXT, &parallel, "N", "Accepted"},
        {0, "compatibility", OPTION_FLAG, &is_compatible, NULL, "Accepted"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    int at = find_word(argc, argv);
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        return print_help(stdout);
    }
    if (argc == 2 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-v") == 0)) {
        return compose_word_version(&options, 1, (char *[]){(char *)(uintptr_t) "version", NULL});
    }
    char *kept = at < argc ? argv[at] : NULL;
    if (kept == NULL) {
        return print_help(stderr);
    }
    argv[at] = NULL;
    int status = options_parse(&command, specs, at, argv, &operands, &err);
    argv[at] = kept;
    options.is_quiet = options.progress != NULL && strcmp(options.progress, "quiet") == 0;
    int code =
        status != 0 ? word_fail(&err, EXIT_FAILED) : run_word(&options, argc - at, argv + at);
    text_list_deinit(&options.file);
    text_list_deinit(&options.env_file);
    text_list_deinit(&options.profile);
    return code;
}

int main(int argc, char **argv)
{
    (void)umask(022);
    if (argc >= 2 && strcmp(argv[1], "compose") == 0) {
        return word_compose(argc - 1, argv + 1);
    }
    return word_compose(argc, argv);
}
