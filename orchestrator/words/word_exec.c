/* word_exec.c - a command in a pod's container. */
#include <unistd.h>

#include <curl/curl.h>

#include "orchestrator/words/exec_stream.h"
#include "orchestrator/words/pod_choice.h"
#include "orchestrator/words/workload_words.h"

int word_exec(struct invocation *in, struct err *err)
{
    const struct arguments *arguments = in->arguments;
    CLEANUP(free) char *pod = NULL;
    CLEANUP(buf) struct buf path = BUF_INIT;
    /* "kvctl exec pod/web ls" works, too, as long as the command has no flags. */
    bool has_command = arguments->command != NULL && arguments->command[0] != NULL;
    if (arguments->plain_count == 0 || (!has_command && arguments->plain_count == 1)) {
        return err_set(err, ERR_INVALID,
                       "usage: kvctl exec pod/NAME [-c CONTAINER] [-i] [-t] -- COMMAND...");
    }
    int result = pod_choose(in, arguments->plain[0], &pod, err);
    if (result != 0) {
        return result;
    }
    bool has_terminal = arguments->tty && isatty(STDIN_FILENO) != 0;
    buf_append_format(&path,
                      "/api/v1/namespaces/%s/pods/%s/exec?stdout=true&stderr=%s&stdin=%s&tty=%s",
                      in->namespace, pod, has_terminal ? "false" : "true",
                      arguments->interactive ? "true" : "false", has_terminal ? "true" : "false");
    if (arguments->container != NULL) {
        buf_append_format(&path, "&container=%s", arguments->container);
    }
    for (size_t i = 0; has_command ? arguments->command[i] != NULL : i + 1 < arguments->plain_count;
         i++) {
        const char *word = has_command ? arguments->command[i] : arguments->plain[i + 1];
        char *escaped = curl_easy_escape(in->cluster.curl, word, 0);
        buf_append_format(&path, "&command=%s", escaped);
        curl_free(escaped);
    }
    const struct exec_stream_options options = {
        .path = buf_text(&path), .has_stdin = arguments->interactive, .has_terminal = has_terminal};
    return exec_stream_run(&in->cluster, &options, err);
}
