/* arguments.h - command lines of the workload words: flags anywhere, "-n shop", "-nshop",
 * "--tail=5", "-it"; what follows "--" is left alone. */
#ifndef ORCHESTRATOR_WORDS_ARGUMENTS_H
#define ORCHESTRATOR_WORDS_ARGUMENTS_H

#include "orchestrator/words/cluster.h"
#include "orchestrator/words/screen.h"

enum { ARGUMENTS_MAX = 256, FILES_MAX = 64 };

/* One for all words: each looks at what concerns it. Texts are borrowed from argv. */
struct arguments {
    const char *word;
    const char *plain[ARGUMENTS_MAX];
    size_t plain_count;
    const char *const *command; /* behind "--", ends with NULL; NULL: there is no "--" */
    const char *files[FILES_MAX];
    size_t file_count;
    const char *kubeconfig;
    const char *namespace;
    const char *output; /* "", "wide", "json", "yaml" or "name" */
    const char *selector;
    const char *container;
    const char *tail;
    const char *since;
    const char *timeout;
    const char *revision;
    const char *port;
    const char *replicas;
    bool all_namespaces;
    bool follow;
    bool previous;
    bool timestamps;
    bool interactive;
    bool tty;
    bool once;
    bool dry_run;
    bool no_wait;
    bool force;
    bool undo;
    bool help;
};

/* ERR_INVALID with a text that names the flag. */
MUST_USE int arguments_parse(struct arguments *arguments, int argc, char **argv, struct err *err);

/* What a word is run with. */
struct invocation {
    const struct arguments *arguments;
    struct cluster cluster;
    const char *namespace; /* of the flag, or of the kubeconfig */
    struct screen screen;
};

typedef int word_run(struct invocation *in, struct err *err);

#endif
