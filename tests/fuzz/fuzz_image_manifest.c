/* Manifests and indexes from a registry or an archive. */
#include "runtime/image/manifest.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct manifest manifest;
    struct err err;
    struct platform platform = {.os = "linux", .architecture = "amd64"};
    if (manifest_parse(bytes_make(data, size), NULL, &manifest, &err) != 0) {
        return 0;
    }
    if (manifest.is_index) {
        const struct descriptor *chosen = NULL;
        int status = manifest_choose(&manifest, &platform, &chosen, &err);
        (void)status;
    }
    manifest_deinit(&manifest);
    return 0;
}
