/* event_log.h - what happened to containers: <root>/events, one JSON object a line, appended by
 * whoever did it. There is no daemon to ask, so this is what `kvctl events` reads. Never more than
 * two files of EVENT_LOG_SIZE_MAX; a line that cannot be written is lost, nothing else fails. */
#ifndef RUNTIME_WORDS_EVENT_LOG_H
#define RUNTIME_WORDS_EVENT_LOG_H

#include "base/buf.h"
#include "runtime/words/container.h"

enum { EVENT_LOG_SIZE_MAX = 1 << 20 };

#define EVENT_LOG_NAME "events"
#define EVENT_LOG_OLD_NAME "events.1"

/* action: Docker's word for it: "create", "start", "die" ... key and value: one more attribute, or
 * NULL. */
void event_log(const struct store *store, const struct container *container, const char *action,
               const char *key, const char *value);

#endif
