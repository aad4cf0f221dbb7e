#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/image/manifest.h"

#define D1 "sha256:1111111111111111111111111111111111111111111111111111111111111111"
#define D2 "sha256:2222222222222222222222222222222222222222222222222222222222222222"
#define CONFIG "\"config\":{\"mediaType\":\"c\",\"digest\":\"" D1 "\",\"size\":7}"
#define LAYERS "\"layers\":[{\"mediaType\":\"l\",\"digest\":\"" D2 "\",\"size\":9}]"

static int parse(const char *text, const char *type, struct manifest *ret)
{
    struct err err = {.code = 0};
    int status = manifest_parse(bytes_from_text(text), type, ret, &err);
    if (status != 0) {
        assert_true(err.text[0] != '\0');
    }
    return status;
}

static void test_a_manifest_of_an_image_is_read(void **state)
{
    (void)state;
    struct manifest manifest;
    assert_int_equal(parse("{\"schemaVersion\":2," CONFIG "," LAYERS "}", NULL, &manifest), 0);
    assert_false(manifest.is_index);
    assert_string_equal(manifest.media_type, MEDIA_OCI_MANIFEST);
    assert_string_equal(manifest.config.digest, D1);
    assert_int_equal(manifest.entry_count, 1);
    assert_int_equal(manifest.entries[0].size, 9);
    manifest_deinit(&manifest);
}

static void test_ambiguous_and_broken_documents_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"schemaVersion\":1,\"fsLayers\":[]}",
        "{" CONFIG "," LAYERS ",\"manifests\":[]}",
        "{" CONFIG "}",
        "{" LAYERS "}",
        "{" CONFIG ",\"layers\":{}}",
        "{" CONFIG ",\"layers\":[1]}",
        "{" CONFIG ",\"layers\":[{\"digest\":\"" D1 "\"}]}",
        "{" CONFIG ",\"layers\":[{\"digest\":\"" D1 "\",\"size\":-1}]}",
        "{" CONFIG ",\"layers\":[{\"digest\":\"sha256:../x\",\"size\":1}]}",
        "{\"mediaType\":\"" MEDIA_OCI_INDEX "\"," CONFIG "," LAYERS "}",
        "{\"mediaType\":\"" MEDIA_OCI_MANIFEST "\",\"manifests\":[]}",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct manifest manifest;
        assert_true(parse(bad[i], NULL, &manifest) < 0);
    }
}

static void test_a_document_must_be_what_it_was_sent_as(void **state)
{
    (void)state;
    struct manifest manifest;
    const char *text = "{\"mediaType\":\"" MEDIA_DOCKER_MANIFEST "\"," CONFIG "," LAYERS "}";
    assert_int_equal(parse(text, MEDIA_OCI_MANIFEST, &manifest), ERR_MALFORMED);
    assert_int_equal(parse(text, MEDIA_DOCKER_MANIFEST, &manifest), 0);
    manifest_deinit(&manifest);
}

static void test_the_best_platform_is_chosen(void **state)
{
    (void)state;
    static const char text[] =
        "{\"manifests\":["
        "{\"digest\":\"" D1
        "\",\"size\":1,\"platform\":{\"os\":\"unknown\",\"architecture\":\"unknown\"}},"
        "{\"digest\":\"" D1 "\",\"size\":2,\"platform\":{\"os\":\"linux\",\"architecture\":\"arm\","
        "\"variant\":\"v5\"}},"
        "{\"digest\":\"" D1 "\",\"size\":3,\"platform\":{\"os\":\"linux\",\"architecture\":\"arm\","
        "\"variant\":\"v6\"}},"
        "{\"digest\":\"" D1 "\",\"size\":4,\"platform\":{\"os\":\"linux\",\"architecture\":"
        "\"amd64\",\"variant\":\"v3\"}},"
        "{\"digest\":\"" D1
        "\",\"size\":5,\"platform\":{\"os\":\"linux\",\"architecture\":\"amd64\"}},"
        "{\"digest\":\"" D1
        "\",\"size\":6,\"platform\":{\"os\":\"windows\",\"architecture\":\"amd64\"}}]}";
    static const struct {
        const char *platform;
        int64_t size; /* 0: none */
    } cases[] = {
        {"linux/amd64", 5}, {"linux/arm/v7", 3},  {"linux/arm/v6", 3},   {"linux/arm/v5", 2},
        {"linux/s390x", 0}, {"windows/amd64", 6}, {"linux/amd64/v3", 4},
    };
    struct manifest index;
    assert_int_equal(parse(text, NULL, &index), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct platform platform;
        struct err err;
        const struct descriptor *chosen = NULL;
        assert_int_equal(platform_parse(cases[i].platform, &platform, &err), 0);
        int status = manifest_choose(&index, &platform, &chosen, &err);
        assert_int_equal(status, cases[i].size == 0 ? ERR_NOT_FOUND : 0);
        if (cases[i].size != 0) {
            assert_int_equal(chosen->size, cases[i].size);
        } else {
            assert_non_null(strstr(err.text, "linux/arm/v5"));
        }
    }
    manifest_deinit(&index);
}

static void test_bad_platforms_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "linux", "linux/", "/amd64", "linux/arm/v7/x", "linux/a b", "linux/arm/"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct platform platform;
        struct err err;
        assert_int_equal(platform_parse(bad[i], &platform, &err), ERR_INVALID);
    }
}

static void test_what_is_written_can_be_read(void **state)
{
    (void)state;
    struct descriptor config = {.media_type = MEDIA_OCI_CONFIG, .digest = D1, .size = 3};
    struct descriptor layers[2] = {
        {.media_type = MEDIA_OCI_LAYER, .digest = D2, .size = 1},
        {.media_type = MEDIA_OCI_LAYER_ZSTD, .digest = D1, .size = INT64_C(1) << 40},
    };
    struct buf text = BUF_INIT;
    struct manifest manifest;
    manifest_write(&config, layers, 2, &text);
    assert_int_equal(parse(buf_text(&text), MEDIA_OCI_MANIFEST, &manifest), 0);
    assert_int_equal(manifest.entry_count, 2);
    assert_int_equal(manifest.entries[1].size, INT64_C(1) << 40);
    assert_string_equal(manifest.entries[1].media_type, MEDIA_OCI_LAYER_ZSTD);
    manifest_deinit(&manifest);
    buf_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_manifest_of_an_image_is_read),
        cmocka_unit_test(test_ambiguous_and_broken_documents_are_refused),
        cmocka_unit_test(test_a_document_must_be_what_it_was_sent_as),
        cmocka_unit_test(test_the_best_platform_is_chosen),
        cmocka_unit_test(test_bad_platforms_are_refused),
        cmocka_unit_test(test_what_is_written_can_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
