#include "base/buf.h"
#include "orchestrator/objects/protobuf.h"
#include "tests/unit/orchestrator/cunit.h"

/* A writer of the wire format, so that bodies can be read in the test. */
static void put_varint(struct buf *out, uint64_t value)
{
    while (value >= 0x80) {
        buf_append_u8(out, (uint8_t)(value | 0x80));
        value >>= 7;
    }
    buf_append_u8(out, (uint8_t)value);
}

static void put_bytes(struct buf *out, unsigned number, struct bytes bytes)
{
    put_varint(out, number << 3 | 2);
    put_varint(out, bytes.size);
    buf_append_bytes(out, bytes);
}

static void put_text(struct buf *out, unsigned number, const char *text)
{
    put_bytes(out, number, bytes_from_text(text));
}

static void put_number(struct buf *out, unsigned number, uint64_t value)
{
    put_varint(out, number << 3);
    put_varint(out, value);
}

static void wrap(struct buf *out, const char *api_version, const char *kind, struct bytes raw)
{
    CLEANUP(buf) struct buf type = BUF_INIT;
    put_text(&type, 1, api_version);
    put_text(&type, 2, kind);
    buf_append(out, "k8s\0", 4);
    put_bytes(out, 1, buf_bytes(&type));
    put_bytes(out, 2, raw);
}

static void test_a_config_map_of_kubectl_is_read(void **state)
{
    (void)state;
    CLEANUP(buf) struct buf metadata = BUF_INIT;
    CLEANUP(buf) struct buf entry = BUF_INIT;
    CLEANUP(buf) struct buf raw = BUF_INIT;
    CLEANUP(buf) struct buf body = BUF_INIT;
    put_text(&metadata, 1, "cmx");
    put_text(&metadata, 2, "");
    put_number(&metadata, 7, 0);
    put_bytes(&metadata, 8, BYTES_LITERAL("")); /* an empty creationTimestamp */
    put_text(&entry, 1, "a");
    put_text(&entry, 2, "b");
    put_bytes(&raw, 1, buf_bytes(&metadata));
    put_bytes(&raw, 2, buf_bytes(&entry));
    wrap(&body, "v1", "ConfigMap", buf_bytes(&raw));
    CLEANUP(json) json_t *object = NULL;
    assert_accepted(protobuf_decode(buf_bytes(&body), &object));
    assert_json(object, "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'cmx'},"
                        "'data':{'a':'b'}}");
}

static void test_pointers_keep_zero_and_values_lose_it(void **state)
{
    (void)state;
    CLEANUP(buf) struct buf spec = BUF_INIT;
    CLEANUP(buf) struct buf raw = BUF_INIT;
    CLEANUP(buf) struct buf body = BUF_INIT;
    put_number(&spec, 1, 0); /* replicas: a pointer */
    put_number(&spec, 5, 0); /* minReadySeconds: a value */
    put_number(&spec, 7, 0); /* paused: a value */
    put_bytes(&raw, 2, buf_bytes(&spec));
    wrap(&body, "apps/v1", "Deployment", buf_bytes(&raw));
    CLEANUP(json) json_t *object = NULL;
    assert_accepted(protobuf_decode(buf_bytes(&body), &object));
    assert_json(json_object_get(object, "spec"), "{'replicas':0}");
}

static void test_inlined_and_special_types_are_read(void **state)
{
    (void)state;
    CLEANUP(buf) struct buf path = BUF_INIT;
    CLEANUP(buf) struct buf source = BUF_INIT;
    CLEANUP(buf) struct buf volume = BUF_INIT;
    CLEANUP(buf) struct buf port = BUF_INIT;
    CLEANUP(buf) struct buf handler = BUF_INIT;
    CLEANUP(buf) struct buf get = BUF_INIT;
    CLEANUP(buf) struct buf probe = BUF_INIT;
    CLEANUP(buf) struct buf container = BUF_INIT;
    CLEANUP(buf) struct buf spec = BUF_INIT;
    CLEANUP(buf) struct buf raw = BUF_INIT;
    CLEANUP(buf) struct buf body = BUF_INIT;
    put_text(&path, 1, "/x");
    put_bytes(&source, 1, buf_bytes(&path)); /* hostPath */
    put_text(&volume, 1, "v");
    put_bytes(&volume, 2, buf_bytes(&source));
    put_number(&port, 1, 1);
    put_text(&port, 3, "web");
    put_text(&get, 1, "/ok");
    put_bytes(&get, 2, buf_bytes(&port));
    put_bytes(&handler, 2, buf_bytes(&get));
    put_bytes(&probe, 1, buf_bytes(&handler));
    put_text(&container, 1, "c");
    put_bytes(&container, 10, buf_bytes(&probe));
    put_bytes(&spec, 1, buf_bytes(&volume));
    put_bytes(&spec, 2, buf_bytes(&container));
    put_bytes(&raw, 2, buf_bytes(&spec));
    wrap(&body, "v1", "Pod", buf_bytes(&raw));
    CLEANUP(json) json_t *object = NULL;
    assert_accepted(protobuf_decode(buf_bytes(&body), &object));
    assert_json(json_object_get(object, "spec"),
                "{'volumes':[{'name':'v','hostPath':{'path':'/x'}}],'containers':[{'name':'c',"
                "'livenessProbe':{'httpGet':{'path':'/ok','port':'web'}}}]}");
}

static void test_malformed_bodies_are_refused_wherever_they_end(void **state)
{
    (void)state;
    CLEANUP(buf) struct buf metadata = BUF_INIT;
    CLEANUP(buf) struct buf raw = BUF_INIT;
    CLEANUP(buf) struct buf body = BUF_INIT;
    put_text(&metadata, 1, "name");
    put_bytes(&raw, 1, buf_bytes(&metadata));
    wrap(&body, "v1", "Namespace", buf_bytes(&raw));
    struct bytes whole = buf_bytes(&body);
    for (size_t size = 0; size < whole.size; size++) {
        json_t *object = NULL;
        json_t *refusal = protobuf_decode(bytes_make(whole.data, size), &object);
        assert_true(refusal != NULL || object != NULL);
        assert_true(refusal == NULL || status_code(refusal) == 400);
        json_decref(refusal);
        json_decref(object);
    }
    CLEANUP(buf) struct buf unknown = BUF_INIT;
    wrap(&unknown, "v1", "Gadget", BYTES_LITERAL(""));
    json_t *object = NULL;
    assert_refusal(protobuf_decode(buf_bytes(&unknown), &object), 400, "no kind \"Gadget\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_config_map_of_kubectl_is_read),
        cmocka_unit_test(test_pointers_keep_zero_and_values_lose_it),
        cmocka_unit_test(test_inlined_and_special_types_are_read),
        cmocka_unit_test(test_malformed_bodies_are_refused_wherever_they_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
