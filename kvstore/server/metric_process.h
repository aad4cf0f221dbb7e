/* metric_process.h - what Linux says of this process. */
#ifndef KVSTORE_SERVER_METRIC_PROCESS_H
#define KVSTORE_SERVER_METRIC_PROCESS_H

#include "kvstore/server/metric.h"

/* Set the process_ and os_fd_ families from /proc/self; what cannot be read keeps its value. */
void metric_process_read(struct metrics *metrics);
/* The go_ and promhttp_ names that etcd's dashboards query: constant where C has no such thing. */
void metric_process_write_go(struct buf *out);

#endif
