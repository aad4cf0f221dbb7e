/* kvctl_workload.c - the workload family of kvctl: words about objects of the cluster. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "orchestrator/words/workload_words.h"

enum { EXIT_USAGE = 2 };

static const struct {
    const char *name;
    word_run *run;
    const char *help;
} words[] = {
    {"apply", word_apply, "kvctl apply -f FILE|FOLDER|- [-n NAMESPACE] [--dry-run]"},
    {"delete", word_delete, "kvctl delete KIND/NAME... | -f FILE [--force] [--no-wait]"},
    {"ls", word_ls, "kvctl ls KIND... [-n NAMESPACE | -A] [-l SELECTOR] [-o wide|json|yaml|name]"},
    {"show", word_show, "kvctl show KIND/NAME [-o json|yaml]"},
    {"scale", word_scale, "kvctl scale KIND/NAME COUNT"},
    {"rollout", word_rollout,
     "kvctl rollout status|history|undo|restart|pause|resume KIND/NAME [--timeout SECONDS] "
     "[--to-revision N]"},
    {"deploy", word_deploy, "kvctl deploy NAME IMAGE [--replicas N] [--port N] | -f compose.yaml"},
    {"nodes", word_nodes, "kvctl nodes"},
    {"drain", word_drain, "kvctl drain NODE [--force]; kvctl drain --undo NODE"},
    {"top", word_top, "kvctl top nodes|pods [-n NAMESPACE | -A] [--once]"},
    {"tree", word_tree, "kvctl tree KIND/NAME"},
    {"explain-pending", word_explain_pending, "kvctl explain-pending POD"},
    {"logs", word_logs,
     "kvctl logs pod/NAME [-c CONTAINER] [-f] [-p] [--tail N] [--since SECONDS] [--timestamps]"},
    {"exec", word_exec, "kvctl exec pod/NAME [-c CONTAINER] [-i] [-t] -- COMMAND..."},
};

static const char common_help[] =
    "\n"
    "  -n, --namespace NAME     (default: the kubeconfig's)\n"
    "  --kubeconfig FILE        (default: $KUBECONFIG, ~/.kube/config)\n";

static int run(const struct arguments *arguments, word_run *word, struct err *err)
{
    struct invocation in = {.arguments = arguments};
    int result = cluster_open(&in.cluster, arguments->kubeconfig, err);
    if (result != 0) {
        return result;
    }
    in.namespace =
        arguments->namespace == NULL ? in.cluster.config.namespace : arguments->namespace;
    screen_init(&in.screen);
    result = word(&in, err);
    cluster_close(&in.cluster);
    return result;
}

int main(int argc, char **argv)
{
    struct arguments arguments;
    struct err err = {0};
    (void)signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; argc > 1 && i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(argv[1], words[i].name) != 0) {
            continue;
        }
        if (arguments_parse(&arguments, argc, argv, &err) != 0) {
            fprintf(stderr, "Error: %s\n%s\n", err.text, words[i].help);
            return EXIT_USAGE;
        }
        if (arguments.help) {
            printf("%s\n%s", words[i].help, common_help);
            return EXIT_SUCCESS;
        }
        (void)curl_global_init(CURL_GLOBAL_DEFAULT);
        int result = run(&arguments, words[i].run, &err);
        curl_global_cleanup();
        if (result > 0) {
            return result; /* the exit code of a command in a pod */
        }
        if (result < 0) {
            fprintf(stderr, "Error: %s\n", err.text);
            return EXIT_FAILURE;
        }
        return fflush(stdout) == 0 && !ferror(stdout) ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        fprintf(argc > 1 ? stderr : stdout, "%s\n", words[i].help);
    }
    return argc > 1 ? EXIT_USAGE : EXIT_SUCCESS;
}
