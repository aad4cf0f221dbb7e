#include "runtime/words/log_line.h"

static bool next_word(struct bytes *rest, struct bytes *ret)
{
    const uint8_t *space = rest->size == 0 ? NULL : memchr(rest->data, ' ', rest->size);
    if (space == NULL) {
        return false;
    }
    size_t size = (size_t)(space - rest->data);
    *ret = bytes_make(rest->data, size);
    *rest = bytes_make(space + 1, rest->size - size - 1);
    return true;
}

bool log_line_parse(struct bytes line, struct log_line *ret)
{
    struct bytes stream;
    struct bytes tag;
    struct log_line out;
    if (!next_word(&line, &out.time) || !next_word(&line, &stream) || !next_word(&line, &tag)) {
        return false;
    }
    out.is_error = bytes_equal(stream, BYTES_LITERAL("stderr"));
    out.is_partial = bytes_has_prefix(tag, BYTES_LITERAL("P"));
    out.text = line;
    if (!out.is_error && !bytes_equal(stream, BYTES_LITERAL("stdout"))) {
        return false;
    }
    *ret = out;
    return true;
}
