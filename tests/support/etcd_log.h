/* etcd_log.h - records of etcd's write-ahead log, made for tests with the sums that belong to them.
 */
#ifndef TESTS_SUPPORT_ETCD_LOG_H
#define TESTS_SUPPORT_ETCD_LOG_H

#include "base/buf.h"

struct etcd_log {
    struct buf file;
    uint32_t crc;
};

/* One frame. type 4 hands the sum on: data is ignored. */
void etcd_log_add(struct etcd_log *log, uint64_t type, struct bytes data);
void etcd_log_add_entry(struct etcd_log *log, uint64_t index, uint64_t term, const char *data);
void etcd_log_add_state(struct etcd_log *log, uint64_t term, uint64_t commit);

#endif
