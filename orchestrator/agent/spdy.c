#include "orchestrator/agent/spdy.h"

#include <string.h>
#include <zlib.h>

#include "base/cleanup.h"
#include "orchestrator/objects/tree.h"

enum {
    SYN_STREAM = 1,
    SYN_REPLY = 2,
    RST_STREAM = 3,
    PING = 6,
    GOAWAY = 7,
    FLAG_FIN = 1,
    VERSION = 3,
    HEAD_BYTES = 8,
    RESET_INTERNAL = 6,
    DATA_BYTES_MAX = 64 * 1024,
};

struct spdy {
    const struct spdy_events *events;
    void *context;
    struct buf input;
    struct buf output;
    z_stream inflater; /* one for all header blocks of a direction */
    z_stream deflater;
    uint8_t *dictionary;
    unsigned dictionary_size;
};

/* The dictionary of header blocks: words with their lengths, then common values (section 2.6.10.1).
 */
static const char *const words[] = {"options",
                                    "head",
                                    "post",
                                    "put",
                                    "delete",
                                    "trace",
                                    "accept",
                                    "accept-charset",
                                    "accept-encoding",
                                    "accept-language",
                                    "accept-ranges",
                                    "age",
                                    "allow",
                                    "authorization",
                                    "cache-control",
                                    "connection",
                                    "content-base",
                                    "content-encoding",
                                    "content-language",
                                    "content-length",
                                    "content-location",
                                    "content-md5",
                                    "content-range",
                                    "content-type",
                                    "date",
                                    "etag",
                                    "expect",
                                    "expires",
                                    "from",
                                    "host",
                                    "if-match",
                                    "if-modified-since",
                                    "if-none-match",
                                    "if-range",
                                    "if-unmodified-since",
                                    "last-modified",
                                    "location",
                                    "max-forwards",
                                    "pragma",
                                    "proxy-authenticate",
                                    "proxy-authorization",
                                    "range",
                                    "referer",
                                    "retry-after",
                                    "server",
                                    "te",
                                    "trailer",
                                    "transfer-encoding",
                                    "upgrade",
                                    "user-agent",
                                    "vary",
                                    "via",
                                    "warning",
                                    "www-authenticate",
                                    "method",
                                    "get",
                                    "status",
                                    "200 OK",
                                    "version",
                                    "HTTP/1.1",
                                    "url",
                                    "public",
                                    "set-cookie",
                                    "keep-alive",
                                    "origin"};
static const char values[] =
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request"
    "401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented"
    "503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, "
    "Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,"
    "application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,"
    "sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

static void put_u32(uint8_t *to, uint32_t value)
{
    to[0] = (uint8_t)(value >> 24);
    to[1] = (uint8_t)(value >> 16);
    to[2] = (uint8_t)(value >> 8);
    to[3] = (uint8_t)value;
}

static uint32_t get_u32(const uint8_t *from)
{
    return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

static void append_u32(struct buf *out, uint32_t value)
{
    put_u32(buf_reserve(out, 4), value);
    buf_commit(out, 4);
}

static void make_dictionary(struct spdy *spdy)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        append_u32(&text, (uint32_t)strlen(words[i]));
        buf_append_text(&text, words[i]);
    }
    buf_append_text(&text, values);
    spdy->dictionary_size = (unsigned)buf_size(&text);
    spdy->dictionary = mem_dup(buf_bytes(&text).data, buf_size(&text));
}

struct spdy *spdy_new(const struct spdy_events *events, void *context)
{
    struct spdy *spdy = mem_zalloc(sizeof(*spdy));
    spdy->events = events;
    spdy->context = context;
    buf_init(&spdy->input);
    buf_init(&spdy->output);
    make_dictionary(spdy);
    if (inflateInit(&spdy->inflater) != Z_OK ||
        deflateInit(&spdy->deflater, Z_BEST_SPEED) != Z_OK ||
        deflateSetDictionary(&spdy->deflater, spdy->dictionary, spdy->dictionary_size) != Z_OK) {
        spdy_free(spdy);
        return NULL;
    }
    return spdy;
}

void spdy_free(struct spdy *spdy)
{
    if (spdy != NULL) {
        (void)inflateEnd(&spdy->inflater);
        (void)deflateEnd(&spdy->deflater);
        buf_deinit(&spdy->input);
        buf_deinit(&spdy->output);
        mem_free(spdy->dictionary);
        mem_free(spdy);
    }
}

struct buf *spdy_output(struct spdy *spdy)
{
    return &spdy->output;
}

/* ---- header blocks ---- */

static int inflate_block(struct spdy *spdy, struct bytes block, struct buf *out)
{
    z_stream *z = &spdy->inflater;
    z->next_in = (Bytef *)(uintptr_t)block.data;
    z->avail_in = (uInt)block.size;
    while (z->avail_in > 0) {
        if (buf_size(out) > SPDY_HEADER_BYTES_MAX) {
            return ERR_TOO_LARGE;
        }
        z->next_out = buf_reserve(out, 4096);
        z->avail_out = 4096;
        int status = inflate(z, Z_SYNC_FLUSH);
        if (status == Z_NEED_DICT) {
            status = inflateSetDictionary(z, spdy->dictionary, spdy->dictionary_size);
        } else {
            buf_commit(out, 4096 - z->avail_out);
        }
        if (status != Z_OK) {
            return ERR_PROTOCOL;
        }
    }
    return 0;
}

/* u32 count, then u32 length and bytes of each name and value. */
static int parse_headers(struct bytes block, json_t *headers)
{
    if (block.size < 4) {
        return ERR_PROTOCOL;
    }
    uint32_t count = get_u32(block.data);
    size_t at = 4;
    for (uint32_t i = 0; i < count; i++) {
        struct bytes parts[2];
        for (int k = 0; k < 2; k++) {
            if (block.size - at < 4) {
                return ERR_PROTOCOL;
            }
            uint32_t size = get_u32(block.data + at);
            at += 4;
            if (size > block.size - at) {
                return ERR_PROTOCOL;
            }
            parts[k] = bytes_make(block.data + at, size);
            at += size;
        }
        CLEANUP(free)
        char *name = mem_printf("%.*s", (int)parts[0].size, (const char *)parts[0].data);
        json_t *value = json_stringn((const char *)parts[1].data, parts[1].size);
        if (value == NULL || json_object_set_new(headers, name, value) != 0) {
            return ERR_PROTOCOL; /* not UTF-8 */
        }
    }
    return 0;
}

static int take_stream(struct spdy *spdy, uint8_t flags, struct bytes payload)
{
    enum { FIXED_BYTES = 10 };
    CLEANUP(buf) struct buf block = BUF_INIT;
    CLEANUP(json) json_t *headers = json_object();
    if (payload.size < FIXED_BYTES) {
        return ERR_PROTOCOL;
    }
    uint32_t id = get_u32(payload.data) & INT32_MAX;
    int status = inflate_block(
        spdy, bytes_make(payload.data + FIXED_BYTES, payload.size - FIXED_BYTES), &block);
    if (status == 0) {
        status = parse_headers(buf_bytes(&block), headers);
    }
    if (status == 0) {
        spdy->events->on_stream(spdy->context, id, headers, (flags & FLAG_FIN) != 0);
    }
    return status;
}

/* ---- frames ---- */

static void append_head(struct buf *out, uint16_t type, uint8_t flags, size_t size)
{
    const uint8_t head[HEAD_BYTES] = {0x80,
                                      VERSION,
                                      (uint8_t)(type >> 8),
                                      (uint8_t)type,
                                      flags,
                                      (uint8_t)(size >> 16),
                                      (uint8_t)(size >> 8),
                                      (uint8_t)size};
    buf_append(out, head, sizeof(head));
}

static int take_control(struct spdy *spdy, const uint8_t *head, struct bytes payload)
{
    unsigned type = (unsigned)head[2] << 8 | head[3];
    if (head[1] != VERSION) {
        return ERR_PROTOCOL;
    }
    if (type == SYN_STREAM) {
        return take_stream(spdy, head[4], payload);
    }
    if (type == RST_STREAM && payload.size >= 4) {
        spdy->events->on_reset(spdy->context, get_u32(payload.data) & INT32_MAX);
    } else if (type == PING && payload.size == 4) {
        append_head(&spdy->output, PING, 0, 4);
        buf_append_bytes(&spdy->output, payload);
    }
    return 0; /* SETTINGS, GOAWAY, WINDOW_UPDATE ask for nothing */
}

int spdy_receive(struct spdy *spdy, struct bytes data)
{
    buf_append_bytes(&spdy->input, data);
    for (;;) {
        struct bytes all = buf_bytes(&spdy->input);
        if (all.size < HEAD_BYTES) {
            return 0;
        }
        size_t size = (size_t)all.data[5] << 16 | (size_t)all.data[6] << 8 | all.data[7];
        if (size > SPDY_FRAME_BYTES_MAX) {
            return ERR_TOO_LARGE;
        }
        if (all.size - HEAD_BYTES < size) {
            return 0;
        }
        struct bytes payload = bytes_make(all.data + HEAD_BYTES, size);
        int status = 0;
        if ((all.data[0] & 0x80) != 0) {
            status = take_control(spdy, all.data, payload);
        } else {
            spdy->events->on_data(spdy->context, get_u32(all.data) & INT32_MAX, payload,
                                  (all.data[4] & FLAG_FIN) != 0);
        }
        if (status != 0) {
            return status;
        }
        buf_consume(&spdy->input, HEAD_BYTES + size);
    }
}

void spdy_reply(struct spdy *spdy, uint32_t id)
{
    enum { ROOM = 256 };
    uint8_t block[ROOM];
    uint8_t none[4] = {0};
    z_stream *z = &spdy->deflater;
    z->next_in = none;
    z->avail_in = sizeof(none);
    z->next_out = block;
    z->avail_out = sizeof(block);
    (void)deflate(z, Z_SYNC_FLUSH); /* four bytes always fit */
    size_t size = sizeof(block) - z->avail_out;
    append_head(&spdy->output, SYN_REPLY, 0, 4 + size);
    append_u32(&spdy->output, id);
    buf_append(&spdy->output, block, size);
}

void spdy_send(struct spdy *spdy, uint32_t id, struct bytes data, bool is_end)
{
    do {
        size_t size = data.size < DATA_BYTES_MAX ? data.size : DATA_BYTES_MAX;
        bool is_last = is_end && size == data.size;
        append_u32(&spdy->output, id);
        append_u32(&spdy->output, (uint32_t)(is_last ? FLAG_FIN : 0) << 24 | (uint32_t)size);
        buf_append(&spdy->output, data.data, size);
        data = bytes_make(data.data + size, data.size - size);
    } while (data.size > 0);
}

void spdy_reset(struct spdy *spdy, uint32_t id)
{
    append_head(&spdy->output, RST_STREAM, 0, 8);
    append_u32(&spdy->output, id);
    append_u32(&spdy->output, RESET_INTERNAL);
}
