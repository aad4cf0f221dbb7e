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
    /* What shim_request.c relies on: a chosen member is there, and texts are never NULL. */
    switch (request->command_case) {
    case CORACLE__SHIM__SHIM_REQUEST__COMMAND_EXEC:
        CHECK(strlen(request->exec->exec_id) + strlen(request->exec->process_json) <= body.size);
        break;
    case CORACLE__SHIM__SHIM_REQUEST__COMMAND_KILL:
        CHECK(strlen(request->kill->exec_id) <= body.size);
        break;
    case CORACLE__SHIM__SHIM_REQUEST__COMMAND_UPDATE:
        CHECK(strlen(request->update->resources_json) <= body.size);
        break;
    case CORACLE__SHIM__SHIM_REQUEST__COMMAND_INPUT:
        CHECK(request->input.len <= body.size);
        break;
    default:
        break;
    }
    coracle__shim__shim_request__free_unpacked(request, NULL);
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
