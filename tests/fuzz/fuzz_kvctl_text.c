/* The texts that kvctl reads from people and scripts: quoted strings, words, numbers, durations,
 * comparisons and requests of a txn, arguments of a watch, endpoints, metrics pages. The first byte
 * selects one. */
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/cleanup.h"
#include "kvstore/client/endpoint_address.h"
#include "kvstore/kvctl/argify.h"
#include "kvstore/kvctl/go_text.h"
#include "kvstore/kvctl/txn_text.h"
#include "kvstore/kvctl/watch_text.h"
#include "tests/fuzz/fuzz.h"

enum { INPUT_BYTES_MAX = 4096 };

/* What Go quotes, Go can unquote. */
static void check_quoting(struct bytes input)
{
    CLEANUP(buf) struct buf quoted = BUF_INIT;
    CLEANUP(buf) struct buf value = BUF_INIT;
    go_text_append_quoted(&quoted, input);
    struct bytes rest = buf_bytes(&quoted);
    CHECK(go_text_unquote(&rest, &value) == 0);
    CHECK(rest.size == 0);
    CHECK(bytes_equal(buf_bytes(&value), input));
    go_text_append_json(&quoted, input);
    go_text_append_json_base64(&quoted, input);
}

static void check_numbers(const char *text)
{
    int64_t number;
    uint64_t duration_ns;
    CLEANUP(buf) struct buf printed = BUF_INIT;
    for (int base = 0; base <= 16; base += 2) {
        (void)!go_text_parse_i64(text, base == 2 ? 10 : base, &number, NULL);
    }
    if (go_text_parse_duration_ns(text, &duration_ns) == 0) {
        uint64_t again_ns;
        go_text_append_duration(&printed, duration_ns);
        CHECK(go_text_parse_duration_ns(buf_text(&printed), &again_ns) == 0);
        CHECK(again_ns == duration_ns);
    }
}

static void check_txn(const char *text, struct arena *arena)
{
    Etcdserverpb__Compare *compare;
    Etcdserverpb__RequestOp *request;
    struct err err;
    if (txn_compare_parse(text, arena, &compare, &err) == 0) {
        CHECK(protobuf_c_message_check(&compare->base));
    }
    if (txn_request_parse(text, arena, &request, &err) == 0) {
        CHECK(protobuf_c_message_check(&request->base));
    }
}

static void check_watch(const char *text, struct arena *arena)
{
    const char *const *words;
    int count;
    struct err err;
    struct watch_request request;
    if (argify(text, arena, &words, &count, &err) == 0) {
        (void)!watch_request_build(words, count, NULL, NULL, NULL, arena, &request, &err);
        (void)!watch_request_build(words, count, "key", NULL, NULL, arena, &request, &err);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > INPUT_BYTES_MAX) {
        return 0;
    }
    CLEANUP(arena) struct arena arena = ARENA_INIT;
    struct bytes input = bytes_make(data + 1, size - 1);
    const char *text = arena_text(&arena, input);
    struct endpoint_address address;
    switch ((uint8_t)(data[0] - '0') % 5) {
    case 0:
        check_quoting(input);
        break;
    case 1:
        check_numbers(text);
        break;
    case 2:
        check_txn(text, &arena);
        break;
    case 3:
        check_watch(text, &arena);
        break;
    default:
        (void)!endpoint_address_parse(text, &address, NULL);
        break;
    }
    return 0;
}
