/* word_logs.c - what a pod's container printed. */
#include <stdio.h>
#include <stdlib.h>

#include "orchestrator/objects/tree.h"
#include "orchestrator/words/pod_choice.h"
#include "orchestrator/words/workload_words.h"

static bool print_bytes(void *context, struct bytes data)
{
    (void)context;
    return fwrite(data.data, 1, data.size, stdout) == data.size && fflush(stdout) == 0;
}

static int parse_count(const char *flag, const char *text, struct err *err)
{
    char *end = NULL;
    long value = text == NULL ? 0 : strtol(text, &end, 10);
    return text == NULL || (*text != '\0' && *end == '\0' && value >= 0)
               ? 0
               : err_set(err, ERR_INVALID, "%s: '%s' is no number", flag, text);
}

int word_logs(struct invocation *in, struct err *err)
{
    const struct arguments *arguments = in->arguments;
    CLEANUP(free) char *pod = NULL;
    if (arguments->plain_count != 1) {
        return err_set(err, ERR_INVALID,
                       "usage: kvctl logs pod/NAME [-c CONTAINER] [-f] [-p] [--tail N] "
                       "[--since SECONDS] [--timestamps]");
    }
    int result = parse_count("--tail", arguments->tail, err);
    result = result != 0 ? result : parse_count("--since", arguments->since, err);
    result = result != 0 ? result : pod_choose(in, arguments->plain[0], &pod, err);
    if (result != 0) {
        return result;
    }
    CLEANUP(buf) struct buf path = BUF_INIT;
    buf_append_format(
        &path, "/api/v1/namespaces/%s/pods/%s/log?follow=%s&previous=%s&timestamps=%s",
        in->namespace, pod, arguments->follow ? "true" : "false",
        arguments->previous ? "true" : "false", arguments->timestamps ? "true" : "false");
    if (arguments->container != NULL) {
        buf_append_format(&path, "&container=%s", arguments->container);
    }
    if (arguments->tail != NULL) {
        buf_append_format(&path, "&tailLines=%s", arguments->tail);
    }
    if (arguments->since != NULL) {
        buf_append_format(&path, "&sinceSeconds=%s", arguments->since);
    }
    return cluster_stream(&in->cluster, buf_text(&path), print_bytes, NULL, err);
}
