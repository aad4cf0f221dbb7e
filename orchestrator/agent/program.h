/* program.h - runs the runtime's programs: JSON in, JSON out, some at a time. */
#ifndef ORCHESTRATOR_AGENT_PROGRAM_H
#define ORCHESTRATOR_AGENT_PROGRAM_H

#include <jansson.h>
#include <uv.h>

#include "base/err.h"

struct programs;

enum { PROGRAMS_AT_ONCE = 6, PULLS_AT_ONCE = 2, PROGRAM_OUTPUT_BYTES_MAX = 8 << 20 };

/* bin: the folder of kvpod and kvimage; store: where images are; run: where sockets are. Copied. */
struct programs *programs_new(uv_loop_t *loop, const char *bin, const char *store, const char *run);
void programs_free(struct programs *programs); /* what runs goes on, unheard */

/* answer is what kvpod printed; on failure NULL, with its reason and one line of text. Texts are
 * never NULL. From the loop, never inside the call. */
typedef void program_done(void *context, const json_t *answer, const char *reason,
                          const char *message);

/* kvpod COMMAND <request. */
void programs_pod(struct programs *programs, const char *command, json_t *take_request,
                  program_done *done, void *context);
/* kvimage pull IMAGE; docker_config: a folder with a config.json for the registry, or NULL. */
void programs_pull(struct programs *programs, const char *image, const char *docker_config,
                   program_done *done, void *context);

#endif
