/* watch_target.h - who is told that a stream of the watch hub has output: the hub's context points
 * to one of these. */
#ifndef KVSTORE_SERVER_WATCH_TARGET_H
#define KVSTORE_SERVER_WATCH_TARGET_H

struct watch_target {
    void (*ready)(struct watch_target *target);
};

#endif
