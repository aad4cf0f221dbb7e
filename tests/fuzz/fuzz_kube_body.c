/* fuzz_kube_body.c - request bodies: protobuf, YAML and JSON, through conforming and defaulting to
 * validation. The first byte chooses the form. */
#include "orchestrator/objects/conform.h"
#include "orchestrator/objects/defaults.h"
#include "orchestrator/objects/protobuf.h"
#include "orchestrator/objects/validate.h"
#include "orchestrator/objects/yaml.h"
#include "tests/fuzz/fuzz.h"

static json_t *decode(uint8_t form, struct bytes data)
{
    json_t *object = NULL;
    if (form % 3 == 0) {
        json_decref(protobuf_decode(data, &object));
    } else if (form % 3 == 1) {
        json_t *documents = NULL;
        if (yaml_read(data, &documents, NULL) == 0) {
            object = json_incref(json_array_get(documents, 0));
            json_decref(documents);
        }
    } else {
        object = json_loadb((const char *)data.data, data.size, JSON_DECODE_ANY, NULL);
    }
    return object;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    CLEANUP(json) json_t *object = decode(data[0], bytes_make(data + 1, size - 1));
    const char *api_version = tree_text_or(object, "apiVersion", "v1");
    const char *name = tree_text_or(object, "kind", "Pod");
    const struct kind *kind = kinds_find_kind(NULL, api_version, name);
    if (object == NULL || kind == NULL) {
        return 0;
    }
    CLEANUP(json) json_t *unknown = json_array();
    CLEANUP(json) json_t *refusal = conform_object(object, kind, unknown);
    if (refusal == NULL) {
        defaults_apply(object, kind);
        CLEANUP(json) json_t *copy = json_deep_copy(object);
        json_decref(validate_object(object, kind));
        json_decref(validate_update(object, copy, kind));
    }
    return 0;
}
