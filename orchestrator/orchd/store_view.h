/* store_view.h - what the web page shows of the store: each member as it answers for itself.
 *
 *     {"members": [{"id", "name", "clientURLs", "isLearner", "isLeader", "term", "raftIndex",
 *       "appliedIndex", "dbSize", "dbSizeInUse", "revision", "version", "errors", "problem"}],
 *      "problem"}
 *
 * A member that does not answer in time has "problem" and none of what only it knows. */
#ifndef ORCHESTRATOR_ORCHD_STORE_VIEW_H
#define ORCHESTRATOR_ORCHD_STORE_VIEW_H

#include <jansson.h>

#include "kvstore/client/client.h"

struct store_view;

/* client and the texts of template (its wire, TLS files) are borrowed and outlive the view. */
struct store_view *store_view_new(struct kv_client *client,
                                  const struct kv_client_options *template);
/* done (once, from the loop or at once) takes the view. A view is at most a second old. */
void store_view_ask(struct store_view *view, void (*done)(void *context, json_t *take_view),
                    void *context);
/* Who still waits gets what is known. closed runs from the loop, when view is freed. Before the
 * close of client. */
void store_view_close(struct store_view *view, void (*closed)(void *context), void *context);

#endif
