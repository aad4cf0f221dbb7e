/* http_access.h - what etcd does with every plain HTTP request before it looks at the path: the
 * Host whitelist (CVE-2018-5702, DNS rebinding), CORS, names of older gateways. */
#ifndef KVSTORE_SERVER_HTTP_ACCESS_H
#define KVSTORE_SERVER_HTTP_ACCESS_H

#include "kvstore/server/http_service.h"

/* True: the request is answered. */
bool http_access_try_answer(const struct http_service *http, struct http_exchange *x);

#endif
