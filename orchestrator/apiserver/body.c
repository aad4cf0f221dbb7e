/* body.c - request bodies: JSON, YAML, and Kubernetes protobuf. */
#include <string.h>

#include "orchestrator/apiserver/call.h"
#include "orchestrator/objects/protobuf.h"
#include "orchestrator/objects/yaml.h"

static bool is_yaml(const char *type)
{
    return strstr(type, "yaml") != NULL;
}

static json_t *decode_yaml(struct call *call)
{
    struct err err = {0};
    CLEANUP(json) json_t *documents = NULL;
    if (yaml_read(buf_bytes(&call->body), &documents, &err) != 0) {
        return status_bad_request("error decoding YAML: %s", err.text);
    }
    call->decoded = json_incref(json_array_get(documents, 0));
    return NULL;
}

/* A field that is written twice is an error only under strict validation: the last one counts. */
static json_t *decode_json(struct call *call)
{
    json_error_t error;
    struct bytes body = buf_bytes(&call->body);
    const char *data = (const char *)body.data;
    bool is_strict = call->request.field_validation == FIELD_VALIDATION_STRICT;
    call->decoded = json_loadb(data, body.size, JSON_DECODE_ANY, &error);
    if (call->decoded == NULL) {
        return status_bad_request("the object provided is unrecognized (must be of type %s): "
                                  "couldn't get version/kind; json parse error: %s (line %d)",
                                  call->request.kind == NULL ? "Object" : call->request.kind->kind,
                                  error.text, error.line);
    }
    if (is_strict) {
        json_t *again =
            json_loadb(data, body.size, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
        if (again == NULL) {
            return status_bad_request("strict decoding error: duplicate field near line %d: %s",
                                      error.line, error.text);
        }
        json_decref(again);
    }
    return NULL;
}

json_t *call_decode_body(struct call *call)
{
    struct bytes body = buf_bytes(&call->body);
    const char *type = call_header(call, "content-type");
    if (body.size == 0) {
        return NULL;
    }
    if (protobuf_is_object(body)) {
        return protobuf_decode(body, &call->decoded);
    }
    if (is_yaml(type)) {
        return decode_yaml(call);
    }
    bool is_json = *type == '\0' || strstr(type, "json") != NULL ||
                   strncmp(type, "application/x-www-form-urlencoded", 33) == 0;
    if (!is_json) {
        return status_new(415, "UnsupportedMediaType",
                          "the body of the request was in an unknown format - accepted media "
                          "types include: application/json, application/yaml, "
                          "application/vnd.kubernetes.protobuf");
    }
    return decode_json(call);
}
