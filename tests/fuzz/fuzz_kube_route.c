/* fuzz_kube_route.c - request targets. */
#include "orchestrator/apiserver/route.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct route route;
    route_parse(&route, bytes_make(data, size), NULL);
    (void)route_query_int(&route, "limit", 0);
    (void)route_query_bool(&route, "watch");
    route_deinit(&route);
    return 0;
}
