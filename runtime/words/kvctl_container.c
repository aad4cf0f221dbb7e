/* kvctl-container - the container family of kvctl. It starts fast: words that need archives, hashes
 * or the net are passed on to kvimage. */
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/words/container_words.h"
#include "runtime/words/image_words.h"
#include "runtime/words/words.h"

static int pass_on(const char *program, char **argv)
{
    struct err err;
    char *arguments[4096];
    size_t count = 0;
    arguments[count++] = argv[0];
    for (size_t i = 0; argv[i] != NULL && count + 1 < sizeof(arguments) / sizeof(arguments[0]);
         i++) {
        arguments[count++] = argv[i];
    }
    arguments[count] = NULL;
    int status = exec_sibling(program, arguments, &err);
    (void)status; /* it returned, so it failed */
    return word_fail(&err, EXIT_RUN_FAILED);
}

static int to_kvimage(int argc, char **argv)
{
    (void)argc;
    return pass_on("kvimage", argv);
}

static int to_kvcompose(int argc, char **argv)
{
    (void)argc;
    return pass_on("kvcompose", argv);
}

static const struct word words[] = {
    {"run", word_run},         {"create", word_create},   {"start", word_start},
    {"attach", word_attach},   {"exec", word_exec},       {"ps", word_ps},
    {"logs", word_logs},       {"stop", word_stop},       {"restart", word_restart},
    {"kill", word_kill},       {"pause", word_pause},     {"unpause", word_unpause},
    {"wait", word_wait},       {"rm", word_rm},           {"rename", word_rename},
    {"update", word_update},   {"events", word_events},   {"system", word_system},
    {"inspect", word_inspect}, {"stats", word_stats},     {"top", word_top},
    {"port", word_port},       {"cp", word_cp},           {"network", word_network},
    {"volume", word_volume},   {"images", word_images},   {"rmi", word_rmi},
    {"tag", word_tag},         {"history", word_history}, {"image-prune", word_prune},
    {"load", to_kvimage},      {"save", to_kvimage},      {"import", to_kvimage},
    {"pull", to_kvimage},      {"push", to_kvimage},      {"build", to_kvimage},
    {"builder", to_kvimage},   {"compose", to_kvcompose}, {NULL, NULL},
};

int main(int argc, char **argv)
{
    (void)umask(022);
    return words_main(words, "kvctl", argc, argv);
}
