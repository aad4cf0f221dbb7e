/* workload_words.h - the words, one function each. A word prints to standard output and returns 0,
 * or a negative code with a text. */
#ifndef ORCHESTRATOR_WORDS_WORKLOAD_WORDS_H
#define ORCHESTRATOR_WORDS_WORKLOAD_WORDS_H

#include "orchestrator/words/arguments.h"
#include "orchestrator/words/resource.h"

word_run word_apply;
word_run word_delete;
word_run word_ls;
word_run word_show;
word_run word_scale;
word_run word_rollout;
word_run word_deploy;
word_run word_nodes;
word_run word_drain;
word_run word_top;
word_run word_tree;
word_run word_explain_pending;
word_run word_logs;
word_run word_exec;

/* What words share: server-side apply of a list of objects, and following a roll-out to its end (or
 * to --timeout). */
MUST_USE int apply_objects(struct invocation *in, const json_t *objects, struct err *err);
MUST_USE int rollout_wait(struct invocation *in, const struct resource *resource, struct err *err);
/* deploy -f: a Compose file, or manifests of objects from standard input. */
word_run deploy_files;

#endif
