/* metrics_fetch.h - one number of an endpoint's Prometheus page. */
#ifndef KVSTORE_KVCTL_METRICS_FETCH_H
#define KVSTORE_KVCTL_METRICS_FETCH_H

#include "base/bytes.h"
#include "base/err.h"

/* GET http://endpoint/metrics, blocking, and the value of the line that begins with name. Errors:
 * no connection; ERR_UNSUPPORTED: the endpoint wants TLS; ERR_NOT_FOUND: no such line. */
MUST_USE int metrics_fetch_number(const char *endpoint, const char *name, double *ret,
                                  struct err *err);
/* The value in a page; pure. */
MUST_USE int metrics_find_number(struct bytes page, const char *name, double *ret);

#endif
