#include "orchestrator/agent/pull_secret.h"

#include "base/cleanup.h"
#include "orchestrator/objects/base64.h"
#include "orchestrator/objects/tree.h"

static json_t *decode(const json_t *secret, const char *key)
{
    const char *text = json_string_value(json_object_get(json_object_get(secret, "data"), key));
    CLEANUP(buf) struct buf data = BUF_INIT;
    if (text == NULL || base64_decode(text, &data) != 0) {
        return NULL;
    }
    return json_loadb((const char *)buf_bytes(&data).data, buf_size(&data), 0, NULL);
}

json_t *pull_secret_config(const struct pod_record *record, const struct pod_surroundings *around)
{
    const json_t *secrets = tree_find(record->pod, "spec.imagePullSecrets");
    CLEANUP(json) json_t *logins = json_object();
    for (size_t i = 0; i < json_array_size(secrets); i++) {
        const json_t *secret =
            around->objects.find(around->objects.context, "secrets", object_namespace(record->pod),
                                 tree_text_or(json_array_get(secrets, i), "name", ""));
        CLEANUP(json) json_t *config = decode(secret, ".dockerconfigjson");
        CLEANUP(json) json_t *old = decode(secret, ".dockercfg");
        json_t *found = config != NULL ? json_object_get(config, "auths") : old;
        if (json_is_object(found)) {
            json_object_update_missing(logins, found);
        }
    }
    return json_object_size(logins) == 0 ? NULL : json_pack("{s:O}", "auths", logins);
}
