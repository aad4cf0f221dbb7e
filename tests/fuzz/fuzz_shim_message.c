/* What a client may send to a kvshim: frames, and requests in them. What is understood is packed
 * again and must come back the same. */
#include <string.h>

#include "base/check.h"
#include "runtime/container/shim.h"
#include "runtime/container/shim/shim_frame.h"
#include "shim.pb-c.h"
#include "tests/fuzz/fuzz.h"

static void check_request(struct bytes body)
{
    Coracle__Shim__ShimRequest *request =
        coracle__shim__shim_request__unpack(NULL, body.size, body.data);
    if (request == NULL) {
        return;
    }
    struct buf once = BUF_INIT;
    struct buf twice = BUF_INIT;
    size_t size = coracle__shim__shim_request__get_packed_size(request);
    buf_commit(&once, coracle__shim__shim_request__pack(request, buf_reserve(&once, size + 1)));
    coracle__shim__shim_request__free_unpacked(request, NULL);
    request = coracle__shim__shim_request__unpack(NULL, buf_size(&once), once.data);
    CHECK(request != NULL);
    buf_commit(&twice, coracle__shim__shim_request__pack(request, buf_reserve(&twice, size + 1)));
    CHECK(bytes_equal(buf_bytes(&once), buf_bytes(&twice)));
    coracle__shim__shim_request__free_unpacked(request, NULL);
    buf_deinit(&once);
    buf_deinit(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes rest = bytes_make(data, size);
    struct bytes body;
    while (shim_frame_next(rest, &body) > 0) {
        CHECK(body.size <= SHIM_FRAME_SIZE_MAX && body.size + SHIM_FRAME_HEADER_SIZE <= rest.size);
        check_request(body);
        size_t used = SHIM_FRAME_HEADER_SIZE + body.size;
        rest = bytes_make(rest.data + used, rest.size - used);
    }
    return 0;
}
