/* fuzz_spdy.c - bytes of a port-forward client: no stream is told twice about, no header block
 * grows beyond its limit, and the answer to any number of bytes is finite. */
#include <stdlib.h>

#include "orchestrator/agent/spdy.h"
#include "tests/fuzz/fuzz.h"

struct heard {
    struct spdy *spdy;
    size_t bytes;
};

static void on_stream(void *context, uint32_t id, const json_t *headers, bool is_end)
{
    struct heard *heard = context;
    (void)is_end;
    if (json_object_size(headers) > SPDY_HEADER_BYTES_MAX) {
        abort();
    }
    spdy_reply(heard->spdy, id);
}

static void on_data(void *context, uint32_t id, struct bytes data, bool is_end)
{
    struct heard *heard = context;
    heard->bytes += data.size;
    spdy_send(heard->spdy, id, data, is_end);
}

static void on_reset(void *context, uint32_t id)
{
    struct heard *heard = context;
    spdy_reset(heard->spdy, id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct spdy_events events = {
        .on_stream = on_stream, .on_data = on_data, .on_reset = on_reset};
    struct heard heard = {.bytes = 0};
    heard.spdy = spdy_new(&events, &heard);
    size_t half = size / 2;
    int status = spdy_receive(heard.spdy, bytes_make(data, half));
    if (status == 0) {
        status = spdy_receive(heard.spdy, bytes_make(data + half, size - half));
    }
    if ((status != 0 && status != ERR_PROTOCOL && status != ERR_TOO_LARGE) || heard.bytes > size) {
        abort();
    }
    spdy_free(heard.spdy);
    return 0;
}
