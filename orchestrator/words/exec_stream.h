/* exec_stream.h - a command in a pod over a WebSocket, as kubectl does it
 * (v5.channel.k8s.io: the first byte of a message says which stream it is of). */
#ifndef ORCHESTRATOR_WORDS_EXEC_STREAM_H
#define ORCHESTRATOR_WORDS_EXEC_STREAM_H

#include "orchestrator/words/cluster.h"

struct exec_stream_options {
    const char *path; /* with the query */
    bool has_stdin;
    bool has_terminal; /* our own is set to raw for the time */
};

/* Returns the command's exit code, or a negative one with a text. */
MUST_USE int exec_stream_run(struct cluster *cluster, const struct exec_stream_options *options,
                             struct err *err);

#endif
