/* snapshot_format.h - what writer and reader of a snapshot share. */
#ifndef KVSTORE_STATE_SNAPSHOT_FORMAT_H
#define KVSTORE_STATE_SNAPSHOT_FORMAT_H

#include "kvstore/state/kv_snapshot.h"

#define SNAPSHOT_MAGIC "CRCLSNP1" /* the last character is the version of the format */

enum {
    SNAPSHOT_MAGIC_SIZE = 8,
    SNAPSHOT_FRAME_HEAD = 9,     /* length, checksum, type */
    SNAPSHOT_REVISION_HEAD = 13, /* main, sub, is tombstone */
};

enum snapshot_frame_type {
    SNAPSHOT_HEADER = 1,
    SNAPSHOT_META = 2,
    SNAPSHOT_REVISION = 3,
    SNAPSHOT_TRAILER = 4,
};

#endif
