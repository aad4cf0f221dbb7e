#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/network/ipam.h"

static struct network_subnet subnet(const char *text)
{
    struct network_subnet out = {0, 0};
    struct err err;
    assert_int_equal(ipam_parse_subnet(text, &out, &err), 0);
    return out;
}

static uint32_t address(const char *text)
{
    uint32_t out = 0;
    struct err err;
    assert_int_equal(ipam_parse_address(text, &out, &err), 0);
    return out;
}

static void test_every_address_of_a_subnet_is_given_once(void **state)
{
    (void)state;
    struct network_subnet small = subnet("10.0.0.0/28");
    uint32_t used[16];
    uint32_t last = 0;
    size_t count = 0;
    struct err err;
    for (; count < 13; count++) { /* 16 less network, broadcast and gateway */
        assert_int_equal(
            ipam_choose_address(small, address("10.0.0.1"), 0, last, used, count, &last, &err), 0);
        assert_true(ipam_contains(small, last));
        assert_true(last != address("10.0.0.0") && last != address("10.0.0.1") &&
                    last != address("10.0.0.15"));
        for (size_t i = 0; i < count; i++) {
            assert_true(used[i] != last);
        }
        used[count] = last;
    }
    assert_int_equal(
        ipam_choose_address(small, address("10.0.0.1"), 0, last, used, count, &last, &err),
        ERR_NO_SPACE);
    /* The one that is given back is found again, wherever it is. */
    for (size_t i = 0; i < count; i++) {
        uint32_t freed = used[i];
        uint32_t found = 0;
        used[i] = 0;
        assert_int_equal(
            ipam_choose_address(small, address("10.0.0.1"), 0, last, used, count, &found, &err), 0);
        assert_int_equal(found, freed);
        used[i] = freed;
    }
}

static void test_an_address_that_was_given_back_is_not_the_next_one(void **state)
{
    (void)state;
    struct network_subnet wide = subnet("10.0.0.0/24");
    uint32_t first = 0;
    uint32_t second = 0;
    struct err err;
    assert_int_equal(ipam_choose_address(wide, address("10.0.0.1"), 0, 0, NULL, 0, &first, &err),
                     0);
    assert_int_equal(
        ipam_choose_address(wide, address("10.0.0.1"), 0, first, NULL, 0, &second, &err), 0);
    assert_int_equal(second, first + 1);
}

static void test_a_wanted_address_must_be_free_and_inside(void **state)
{
    (void)state;
    struct network_subnet wide = subnet("10.0.0.0/24");
    uint32_t used[] = {address("10.0.0.9")};
    uint32_t out = 0;
    struct err err;
    static const char *const bad[] = {"10.0.0.0", "10.0.0.255", "10.0.0.1", "10.0.1.5"};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(
            ipam_choose_address(wide, address("10.0.0.1"), address(bad[i]), 0, used, 1, &out, &err),
            ERR_INVALID);
    }
    assert_int_equal(
        ipam_choose_address(wide, address("10.0.0.1"), address("10.0.0.9"), 0, used, 1, &out, &err),
        ERR_EXISTS);
    assert_int_equal(
        ipam_choose_address(wide, address("10.0.0.1"), address("10.0.0.8"), 0, used, 1, &out, &err),
        0);
    assert_int_equal(out, address("10.0.0.8"));
}

static void test_subnets_never_overlap(void **state)
{
    (void)state;
    struct network_subnet taken[64];
    size_t count = 0;
    struct err err;
    struct network_subnet next;
    taken[count++] = subnet("172.16.0.0/12"); /* the host uses it all */
    while (ipam_choose_subnet(taken, count, &next, &err) == 0) {
        for (size_t i = 0; i < count; i++) {
            assert_false(ipam_overlaps(next, taken[i]));
        }
        taken[count++] = next;
        assert_true(count < 64);
    }
    assert_int_equal(count, 16); /* fifteen of 192.168.0.0/16 */
}

static void test_bad_subnets_and_addresses_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",           "10.0.0.0",    "10.0.0.0/",   "10.0.0.0/31",
                                      "10.0.0.0/7", "10.0.0.1/24", "10.0.0/24",   "10.0.0.0/24x",
                                      "::1/64",     "10.0.0.0/-1", "999.0.0.0/24"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct network_subnet out;
        struct err err;
        assert_int_equal(ipam_parse_subnet(bad[i], &out, &err), ERR_INVALID);
    }
    char text[20];
    ipam_format_subnet(subnet("192.168.255.0/24"), text);
    assert_string_equal(text, "192.168.255.0/24");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_address_of_a_subnet_is_given_once),
        cmocka_unit_test(test_an_address_that_was_given_back_is_not_the_next_one),
        cmocka_unit_test(test_a_wanted_address_must_be_free_and_inside),
        cmocka_unit_test(test_subnets_never_overlap),
        cmocka_unit_test(test_bad_subnets_and_addresses_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
