#include "orchestrator/objects/quantity.h"
#include "tests/unit/orchestrator/cunit.h"

static void assert_print(const char *text, const char *expected)
{
    quantity value = 0;
    enum quantity_format format = QUANTITY_DECIMAL;
    char buffer[QUANTITY_TEXT_SIZE];
    assert_int_equal(quantity_parse(text, &value, &format), 0);
    assert_string_equal(quantity_print(value, format, buffer), expected);
}

static void test_amounts_are_printed_in_canonical_form(void **state)
{
    (void)state;
    assert_print("100m", "100m");
    assert_print("0.1", "100m");
    assert_print("1.5", "1500m");
    assert_print("2000m", "2");
    assert_print("1000", "1k");
    assert_print("1Gi", "1Gi");
    assert_print("1024Mi", "1Gi");
    assert_print("1.5Gi", "1536Mi");
    assert_print("128974848", "128974848");
    assert_print("129e6", "129e6");
    assert_print("0", "0");
    assert_print("0Mi", "0");
    assert_print("-5", "-5");
    assert_print("1E", "1E");
    assert_print("100n", "100n");
}

static void test_values_are_exact_and_rounded_up_only_on_demand(void **state)
{
    (void)state;
    quantity value = 0;
    assert_int_equal(quantity_parse("1m", &value, NULL), 0);
    assert_int_equal(quantity_to_units(value), 1);
    assert_int_equal(quantity_to_milli(value), 1);
    assert_int_equal(quantity_parse("1500m", &value, NULL), 0);
    assert_int_equal(quantity_to_units(value), 2);
    assert_int_equal(quantity_parse("4Ki", &value, NULL), 0);
    assert_int_equal(quantity_to_units(value), 4096);
    assert_int_equal(quantity_parse("-1500m", &value, NULL), 0);
    assert_int_equal(quantity_to_units(value), -1);
    assert_true(quantity_from_milli(1500) == quantity_from_units(1) + quantity_from_milli(500));
}

static void test_malformed_amounts_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",   "m",    "1x",  "1 Gi",   "1.2.3", "--1",
                                      "1e", "1GiB", "0x1", "1e1000", ".",     "1i"};
    quantity value = 7;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_not_equal(quantity_parse(bad[i], &value, NULL), 0);
        assert_true(value == 7);
    }
    assert_int_equal(quantity_parse("99999999999E", &value, NULL), ERR_TOO_LARGE);
}

static void test_numbers_of_json_are_amounts_too(void **state)
{
    (void)state;
    quantity value = 0;
    CLEANUP(json) json_t *list = from_text("[2, 0.25, '3k', true]");
    assert_int_equal(quantity_from_json(json_array_get(list, 0), &value), 0);
    assert_int_equal(quantity_to_milli(value), 2000);
    assert_int_equal(quantity_from_json(json_array_get(list, 1), &value), 0);
    assert_int_equal(quantity_to_milli(value), 250);
    assert_int_equal(quantity_from_json(json_array_get(list, 2), &value), 0);
    assert_int_equal(quantity_to_units(value), 3000);
    assert_int_equal(quantity_from_json(json_array_get(list, 3), &value), ERR_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_amounts_are_printed_in_canonical_form),
        cmocka_unit_test(test_values_are_exact_and_rounded_up_only_on_demand),
        cmocka_unit_test(test_malformed_amounts_are_refused),
        cmocka_unit_test(test_numbers_of_json_are_amounts_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
