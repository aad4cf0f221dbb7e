/* pod_choice.h - which pod is meant: "pod/NAME", or one of a workload's. */
#ifndef ORCHESTRATOR_WORDS_POD_CHOICE_H
#define ORCHESTRATOR_WORDS_POD_CHOICE_H

#include "orchestrator/words/arguments.h"

/* *ret_name is new. Of a workload (anything with spec.selector) the first pod that is ready, else
 * the first. ERR_NOT_FOUND. */
MUST_USE int pod_choose(struct invocation *in, const char *text, char **ret_name, struct err *err);

#endif
