/* The wires of the agent: SPDY of port-forward, the WebSocket handshake, the command line, files of
 * volumes. */
#include <stdlib.h>
#include <unistd.h>

#include "orchestrator/agent/agent_options.h"
#include "orchestrator/agent/spdy.h"
#include "orchestrator/agent/volume_disk.h"
#include "orchestrator/agent/web_socket.h"
#include "tests/unit/orchestrator/cunit.h"

/* What kubectl sends for one connection: an error stream (1, ended), a data stream (3) with a
 * request, a ping (7), a reset of 3. Headers are compressed by zlib with the dictionary of SPDY/3.
 */
static const uint8_t exchange[] = {
    0x80, 0x03, 0x00, 0x01, 0x00, 0x00, 0x00, 0x3d, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x78, 0xf9, 0xe3, 0xc6, 0xa7, 0xc2, 0x02, 0x25, 0x3a, 0x70, 0x3a, 0x2b,
    0x29, 0x4a, 0x4d, 0xcc, 0x85, 0x16, 0x25, 0xac, 0xa9, 0xa0, 0x80, 0x86, 0x14, 0xcb, 0x45,
    0xe0, 0x1c, 0x60, 0x61, 0x60, 0x60, 0x00, 0xa4, 0x39, 0x8b, 0x20, 0xd1, 0x98, 0x09, 0x4a,
    0xde, 0x8c, 0x06, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0x00, 0x00, 0x00, 0x01, 0x01, 0x00,
    0x00, 0x00, 0x80, 0x03, 0x00, 0x01, 0x00, 0x00, 0x00, 0x18, 0x00, 0x00, 0x00, 0x03, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0xc2, 0xaa, 0x19, 0x54, 0x0e, 0x25, 0x12, 0xd6, 0x0b, 0x00,
    0x00, 0x00, 0xff, 0xff, 0x00, 0x00, 0x00, 0x03, 0x01, 0x00, 0x00, 0x12, 0x47, 0x45, 0x54,
    0x20, 0x2f, 0x20, 0x48, 0x54, 0x54, 0x50, 0x2f, 0x31, 0x2e, 0x30, 0x0d, 0x0a, 0x0d, 0x0a,
    0x80, 0x03, 0x00, 0x06, 0x00, 0x00, 0x00, 0x04, 0x00, 0x00, 0x00, 0x07, 0x80, 0x03, 0x00,
    0x03, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0x05,
};

struct heard {
    struct spdy *spdy;
    struct buf text;
};

static void on_stream(void *context, uint32_t id, const json_t *headers, bool is_end)
{
    struct heard *heard = context;
    buf_append_format(&heard->text, "stream %u %s port %s%s\n", id,
                      tree_text_or(headers, "streamtype", "?"), tree_text_or(headers, "port", "?"),
                      is_end ? " end" : "");
    spdy_reply(heard->spdy, id);
}

static void on_data(void *context, uint32_t id, struct bytes data, bool is_end)
{
    struct heard *heard = context;
    buf_append_format(&heard->text, "data %u %zu%s\n", id, data.size, is_end ? " end" : "");
}

static void on_reset(void *context, uint32_t id)
{
    struct heard *heard = context;
    buf_append_format(&heard->text, "reset %u\n", id);
}

static const struct spdy_events events = {
    .on_stream = on_stream, .on_data = on_data, .on_reset = on_reset};

static void test_frames_are_heard_however_they_are_cut(void **state)
{
    (void)state;
    for (size_t piece = 1; piece <= sizeof(exchange); piece += 7) {
        struct heard heard = {.text = BUF_INIT};
        heard.spdy = spdy_new(&events, &heard);
        for (size_t at = 0; at < sizeof(exchange); at += piece) {
            size_t size = sizeof(exchange) - at < piece ? sizeof(exchange) - at : piece;
            assert_int_equal(spdy_receive(heard.spdy, bytes_make(exchange + at, size)), 0);
        }
        assert_string_equal(buf_text(&heard.text),
                            "stream 1 error port 8000\ndata 1 0 end\nstream 3 data port 8000\n"
                            "data 3 18 end\nreset 3\n");
        struct bytes out = buf_bytes(spdy_output(heard.spdy));
        assert_true(out.size > 40);
        assert_memory_equal(out.data, "\x80\x03\x00\x02", 4); /* SYN_REPLY */
        assert_memory_equal(out.data + out.size - 12,
                            "\x80\x03\x00\x06\x00\x00\x00\x04\x00\x00\x00\x07",
                            12); /* the ping comes back */
        buf_deinit(&heard.text);
        spdy_free(heard.spdy);
    }
}

static void test_data_is_framed_and_ended(void **state)
{
    (void)state;
    struct heard heard = {.text = BUF_INIT};
    heard.spdy = spdy_new(&events, &heard);
    spdy_send(heard.spdy, 3, BYTES_LITERAL("hi"), true);
    struct bytes out = buf_bytes(spdy_output(heard.spdy));
    assert_int_equal(out.size, 10);
    assert_memory_equal(out.data, "\x00\x00\x00\x03\x01\x00\x00\x02hi", 10);
    spdy_free(heard.spdy);
}

static void test_nonsense_is_refused(void **state)
{
    (void)state;
    static const uint8_t huge[] = {0x80, 3, 0, 1, 0, 0xff, 0xff, 0xff};
    static const uint8_t old[] = {0x80, 2, 0, 6, 0, 0, 0, 4, 0, 0, 0, 1};
    static const uint8_t bad[] = {0x80, 3, 0, 1, 0, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 2};
    const struct {
        struct bytes input;
        int code;
    } cases[] = {{bytes_make(huge, sizeof(huge)), ERR_TOO_LARGE},
                 {bytes_make(old, sizeof(old)), ERR_PROTOCOL},
                 {bytes_make(bad, sizeof(bad)), ERR_PROTOCOL}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct heard heard = {.text = BUF_INIT};
        heard.spdy = spdy_new(&events, &heard);
        assert_int_equal(spdy_receive(heard.spdy, cases[i].input), cases[i].code);
        spdy_free(heard.spdy);
    }
}

static void test_handshake_key_is_that_of_the_rfc(void **state)
{
    (void)state;
    char text[32];
    web_socket_accept_key(BYTES_LITERAL("dGhlIHNhbXBsZSBub25jZQ=="), text);
    assert_string_equal(text, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

static void test_command_line_names_what_is_wrong(void **state)
{
    (void)state;
    struct agent_options options;
    struct err err;
    char *good[] = {strdup("agent"),        strdup("--kubeconfig=k"), strdup("--node-ip"),
                    strdup("192.0.2.1"),    strdup("--node-name=n"),  strdup("--memory=4Gi"),
                    strdup("--data-dir=/d")};
    assert_int_equal(agent_options_parse(&options, 7, good, &err), 0);
    assert_int_equal(options.memory_bytes, INT64_C(4) << 30);
    assert_int_equal(options.port, 10250);
    static const char *const bad[][2] = {
        {"--port=70000", "--port: '70000' is no number up to 65535"},
        {"--cpu=lots", "--cpu: 'lots' is no amount such as 2 or 4Gi"},
        {"--nosuch=1", "unknown flag '--nosuch'; see orchd agent --help"},
        {"--node-name=n", "--kubeconfig is needed"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char *words[] = {good[0], strdup(bad[i][0])};
        assert_int_equal(agent_options_parse(&options, 2, words, &err), ERR_INVALID);
        assert_string_equal(err.text, bad[i][1]);
        free(words[1]);
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        free(good[i]);
    }
}

static void add_file(struct volume_files *files, const char *path, const char *text)
{
    files->items = mem_reallocarray(files->items, files->count + 1, sizeof(*files->items));
    struct volume_file *file = &files->items[files->count++];
    *file = (struct volume_file){.path = mem_strdup(path), .mode = 0644};
    buf_init(&file->data);
    buf_append_text(&file->data, text);
}

static void assert_file(const char *directory, const char *name, const char *expected)
{
    CLEANUP(free) char *path = mem_printf("%s/%s", directory, name);
    CLEANUP(buf) struct buf text = BUF_INIT;
    int status = disk_read(path, 1000, &text, NULL);
    assert_int_equal(status, expected == NULL ? ERR_NOT_FOUND : 0);
    assert_string_equal(buf_text(&text), expected == NULL ? "" : expected);
}

static void test_volumes_change_in_one_step_and_lose_what_went(void **state)
{
    (void)state;
    char directory[] = "/tmp/agent-volume-XXXXXX";
    struct err err = {.code = 0};
    assert_non_null(mkdtemp(directory));
    CLEANUP(volume_files) struct volume_files first = {.items = NULL};
    CLEANUP(volume_files) struct volume_files second = {.items = NULL};
    add_file(&first, "a", "1");
    add_file(&first, "deep/b", "2");
    add_file(&second, "a", "3");
    assert_int_equal(disk_publish(directory, &first, -1, &err), 0);
    assert_file(directory, "a", "1");
    assert_file(directory, "deep/b", "2");
    CLEANUP(free) char *link = mem_printf("%s/..data", directory);
    char before[100] = "";
    char after[100] = "";
    assert_true(readlink(link, before, sizeof(before) - 1) > 0);
    assert_int_equal(disk_publish(directory, &first, -1, &err), 0);
    assert_true(readlink(link, after, sizeof(after) - 1) > 0);
    assert_string_equal(before, after); /* nothing changed, nothing was done */
    assert_int_equal(disk_publish(directory, &second, -1, &err), 0);
    assert_file(directory, "a", "3");
    assert_file(directory, "deep/b", NULL);
    CLEANUP(free) char *removal = mem_printf("rm -rf '%s'", directory);
    assert_int_equal(system(removal), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_are_heard_however_they_are_cut),
        cmocka_unit_test(test_data_is_framed_and_ended),
        cmocka_unit_test(test_nonsense_is_refused),
        cmocka_unit_test(test_handshake_key_is_that_of_the_rfc),
        cmocka_unit_test(test_command_line_names_what_is_wrong),
        cmocka_unit_test(test_volumes_change_in_one_step_and_lose_what_went),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
