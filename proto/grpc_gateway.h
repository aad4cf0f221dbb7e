/* grpc_gateway.h - the same calls as JSON over plain HTTP: POST /v3/kv/range and so on.
 *
 * A gateway stands before a grpc_server and gives its handler calls that look like any other; only
 * bytes on the wire differ (proto/json_codec.h). Unary: one JSON object in, one out, or
 * {"code":N,"message":"…","details":[]} with the HTTP status that stands for the code. Streams:
 * objects one after the other in, lines of {"result":{…}} or a last {"error":{…}} out. */
#ifndef PROTO_GRPC_GATEWAY_H
#define PROTO_GRPC_GATEWAY_H

#include "proto/grpc_server.h"

struct grpc_gateway;

struct grpc_route {
    const char *path;   /* "/v3/kv/range" */
    const char *method; /* "/etcdserverpb.KV/Range" */
    const ProtobufCMessageDescriptor *request;
    const ProtobufCMessageDescriptor *response;
};

/* prefix: paths below it are the gateway's, known or not ("/v3/"). Routes and prefix must outlive
 * the gateway; routes to methods that the server does not have are answered Unimplemented. */
struct grpc_gateway *grpc_gateway_new(struct grpc_server *server, const char *prefix,
                                      const struct grpc_route *routes, size_t route_count);
void grpc_gateway_free(struct grpc_gateway *gateway); /* after its connections are closed */

/* For a router's on_headers, after grpc_server_try_take: true if the path is the gateway's. */
bool grpc_gateway_try_take(struct grpc_gateway *gateway, struct http_exchange *x);

/* Every route that etcd has (etcd-api.md section 1), prefix "/v3/". */
extern const struct grpc_route etcd_routes[];
extern const size_t etcd_route_count;

#endif
