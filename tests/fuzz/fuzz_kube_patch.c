/* fuzz_kube_patch.c - patches of all kinds, and selectors: the input is two JSON documents and a
 * text, separated by NUL. What is refused must leave nothing behind; what is merged must be JSON.
 */
#include <string.h>

#include "orchestrator/objects/field_set.h"
#include "orchestrator/objects/patch.h"
#include "orchestrator/objects/quantity.h"
#include "orchestrator/objects/selector.h"
#include "orchestrator/objects/timestamp.h"
#include "tests/fuzz/fuzz.h"

static void read_texts(const char *text, const json_t *document)
{
    struct label_selector labels;
    struct field_selector fields;
    quantity amount = 0;
    int64_t number = 0;
    json_decref(label_selector_parse(&labels, text));
    (void)label_selector_matches(&labels, document);
    label_selector_deinit(&labels);
    json_decref(field_selector_parse(&fields, kinds_find_storage(NULL, "pods"), text));
    (void)field_selector_matches(&fields, document);
    field_selector_deinit(&fields);
    if (quantity_parse(text, &amount, NULL) == 0) {
        char printed[QUANTITY_TEXT_SIZE];
        quantity again = 0;
        (void)quantity_print(amount, QUANTITY_DECIMAL, printed);
        if (quantity_parse(printed, &again, NULL) != 0 || again != amount) {
            __builtin_trap();
        }
    }
    if (timestamp_parse(text, &number) == 0) {
        char printed[TIMESTAMP_SIZE];
        (void)timestamp_format(number, printed);
    }
    if (duration_parse(text, &number) == 0) {
        char printed[DURATION_TEXT_SIZE];
        (void)duration_format_short(number, printed);
    }
}

static void apply(const json_t *document, const json_t *patch)
{
    const struct schema *schema = schema_find("Pod");
    json_t *result = NULL;
    json_decref(patch_json(document, patch, &result));
    json_decref(result);
    result = NULL;
    json_decref(patch_strategic(document, patch, schema, &result));
    json_decref(result);
    json_decref(patch_merge(document, patch));
    if (!json_is_object(document) || !json_is_object(patch)) {
        return;
    }
    json_t *merged = field_merge(document, patch, schema);
    json_t *changed = field_set_changed(document, merged, schema);
    json_t *owned = field_set_of(patch, schema);
    json_t *shared = field_set_intersection(changed, owned);
    json_t *left = field_set_difference(owned, changed);
    field_remove(merged, owned, schema);
    json_decref(merged);
    json_decref(changed);
    json_decref(owned);
    json_decref(shared);
    json_decref(left);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *first = size == 0 ? NULL : memchr(data, 0, size);
    if (first == NULL) {
        return 0;
    }
    size_t first_size = (size_t)(first - data);
    const uint8_t *rest = first + 1;
    size_t rest_size = size - first_size - 1;
    const uint8_t *second = rest_size == 0 ? NULL : memchr(rest, 0, rest_size);
    size_t second_size = second == NULL ? rest_size : (size_t)(second - rest);
    CLEANUP(json)
    json_t *document = json_loadb((const char *)data, first_size, JSON_DECODE_ANY, NULL);
    CLEANUP(json)
    json_t *patch = json_loadb((const char *)rest, second_size, JSON_DECODE_ANY, NULL);
    if (document != NULL && patch != NULL) {
        apply(document, patch);
    }
    if (second != NULL) {
        CLEANUP(free)
        char *text = mem_printf("%.*s", (int)(rest_size - second_size - 1), second + 1);
        read_texts(text, document);
    }
    return 0;
}
