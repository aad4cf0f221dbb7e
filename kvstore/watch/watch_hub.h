/* watch_hub.h - who is told about which change, in which order.
 *
 * A watcher is synced (gets events as they are applied), catching up (its revisions are read from
 * the store in slices, all such watchers in one shared pass), or blocked (its stream has no room:
 * nothing but a position is kept until the client reads). An event's KeyValue is encoded once and
 * shared. Pull model: the server takes finished WatchResponse messages when its connection can
 * write, so that a client that does not read costs a bounded queue, then a position.
 *
 * Guarantees, each with a test: ordered, unique, reliable, atomic (a revision is never split unless
 * the client asked for fragments), resumable, bookmarkable. Source: etcd's API guarantees. */
#ifndef KVSTORE_WATCH_WATCH_HUB_H
#define KVSTORE_WATCH_WATCH_HUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"

struct watch_hub;
struct watch_stream;

enum {
    WATCH_STREAM_BYTES_MAX = 1 << 20,       /* events queued for one stream, about */
    WATCH_HUB_BYTES_MAX = 64 << 20,         /* events queued for all streams, about */
    WATCH_STREAM_CONTROLS_MAX = 16384,      /* created/canceled answers queued for one stream */
    WATCH_CHANGES_AT_ONCE_MAX = 1000,       /* a larger revision reaches watchers in slices */
    WATCH_FRAGMENT_BYTES_DEFAULT = 2 << 20, /* a response of at least this size is fragmented */
};

/* One stream is one Watch call of a client. context comes back from watch_hub_next_ready. */
struct watch_stream *watch_stream_new(struct watch_hub *hub, void *context);
void watch_stream_free(struct watch_stream *stream); /* with all its watchers; NULL is fine */

/* Handle one encoded WatchRequest (create, cancel, progress). Answers are queued on the stream.
 * Returns 0, ERR_MALFORMED (end the call with INVALID_ARGUMENT), or ERR_BUSY: too many answers wait
 * to be taken, nothing was done; stop reading from this client until some are. */
int watch_stream_request(struct watch_stream *stream, struct bytes request);

/* Decode what a create request watches, for the permission check. 0: it is a create request. */
int watch_request_range(struct bytes request, struct bytes *ret_key, struct bytes *ret_range_end,
                        bool *ret_prev_kv);
/* Answer a create request that permissions forbid: created, canceled, watch id -1 and the reason.
 */
void watch_stream_refuse(struct watch_stream *stream, const char *reason);

/* Append finished WatchResponse messages to out, each as 4 bytes of length (big-endian) and the
 * message, until max_bytes is passed (at least one if one is ready) or nothing is ready. Returns
 * how many. */
uint32_t watch_stream_take(struct watch_stream *stream, struct buf *out, size_t max_bytes);
/* The next message of what was taken; false: that was all. */
bool watch_take_next(struct bytes *taken, struct bytes *ret_message);
bool watch_stream_has_output(const struct watch_stream *stream);

/* A stream that got something to take since its last take; each is reported once until its next
 * take. NULL: none. Returns the stream's context. */
void *watch_hub_next_ready(struct watch_hub *hub);

/* The progress interval has passed: every synced watcher with progress_notify that had no event
 * since the last call gets a notification. */
void watch_hub_progress(struct watch_hub *hub);

/* Largest response before fragments are made (max request size + 512 KiB in etcd). */
void watch_hub_set_fragment_bytes(struct watch_hub *hub, size_t bytes);

struct watch_stats {
    uint64_t streams;
    uint64_t watchers;
    uint64_t slow_watchers;  /* not synced */
    uint64_t pending_events; /* queued */
    uint64_t queued_bytes;
};
void watch_hub_stats(const struct watch_hub *hub, struct watch_stats *ret_stats);

#endif
