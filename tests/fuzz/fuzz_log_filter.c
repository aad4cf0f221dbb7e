/* fuzz_log_filter.c - lines of a damaged log file: what is shown is never longer than the file and
 * the limit, and the tail of a text lies in it. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "orchestrator/agent/log_filter.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { LIMIT = 100, LINES = 3 };
    struct log_filter filter = {.bytes_left = LIMIT, .has_timestamps = true};
    struct bytes rest = bytes_make(data, size);
    CLEANUP(buf) struct buf out = BUF_INIT;
    int64_t missing = 0;
    if (log_tail_offset(rest, LINES, &missing) > size || missing > LINES) {
        abort();
    }
    while (rest.size > 0) {
        const uint8_t *newline = memchr(rest.data, '\n', rest.size);
        size_t length = newline == NULL ? rest.size : (size_t)(newline - rest.data);
        log_filter_line(&filter, bytes_make(rest.data, length), &out);
        size_t used = length + (newline != NULL);
        rest = bytes_make(rest.data + used, rest.size - used);
    }
    if (buf_size(&out) > LIMIT || filter.bytes_left < 0) {
        abort();
    }
    return 0;
}
