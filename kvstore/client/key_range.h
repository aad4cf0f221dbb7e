/* key_range.h - the ends of key ranges (etcd-api 1.2): [key, end), where end "\0" means "every key
 * from key on". */
#ifndef KVSTORE_CLIENT_KEY_RANGE_H
#define KVSTORE_CLIENT_KEY_RANGE_H

#include "base/buf.h"
#include "base/bytes.h"

#define key_range_everything_after ((struct bytes){(const uint8_t *)"", 1})

/* Append the end of the range of all keys with that prefix: the prefix with its last byte that is
 * not 0xff raised by one, and what follows dropped; "\0" when there is none. */
void key_range_append_prefix_end(struct buf *out, struct bytes prefix);

#endif
