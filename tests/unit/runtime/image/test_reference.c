#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/image/reference.h"

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_defaults_are_filled_in_as_docker_does(void **state)
{
    (void)state;
    static const struct {
        const char *typed;
        const char *full;
        const char *familiar;
    } cases[] = {
        {"busybox", "docker.io/library/busybox:latest", "busybox:latest"},
        {"busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"},
        {"team/app", "docker.io/team/app:latest", "team/app:latest"},
        {"docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"},
        {"index.docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"},
        {"localhost/app", "localhost/app:latest", "localhost/app:latest"},
        {"localhost:5000/app:v1", "localhost:5000/app:v1", "localhost:5000/app:v1"},
        {"quay.io/a/b/c", "quay.io/a/b/c:latest", "quay.io/a/b/c:latest"},
        {"a__b/c--d.e_f", "docker.io/a__b/c--d.e_f:latest", "a__b/c--d.e_f:latest"},
        {"busybox@sha256:" HEX64, "docker.io/library/busybox@sha256:" HEX64,
         "busybox@sha256:" HEX64},
        {"busybox:1@sha256:" HEX64, "docker.io/library/busybox:1@sha256:" HEX64,
         "busybox:1@sha256:" HEX64},
        {"[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct reference reference;
        struct err err;
        char text[REFERENCE_TEXT_MAX + 1];
        assert_int_equal(reference_parse(cases[i].typed, &reference, &err), 0);
        reference_format(&reference, text);
        assert_string_equal(text, cases[i].full);
        reference_format_familiar(&reference, text);
        assert_string_equal(text, cases[i].familiar);
        struct reference again;
        reference_format(&reference, text);
        assert_int_equal(reference_parse(text, &again, &err), 0);
        assert_string_equal(again.host, reference.host);
        assert_string_equal(again.path, reference.path);
        assert_string_equal(again.tag, reference.tag);
        assert_string_equal(again.digest, reference.digest);
    }
}

static void test_what_is_not_a_name_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",          "Upper",        "a//b",
        "/a",        "a/",           "a..b",
        "a___b",     "-a",           "a-",
        "a:",        "a:.tag",       "a:b:c",
        "a@sha256:", "a@md5:" HEX64, "a@sha256:" HEX64 "0",
        "a b",       "../etc",       "a/../b",
        "host.io/",  "localhost:/a", "localhost:99999999/a",
        "a\nb",      "_a",           "a:-x",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct reference reference;
        struct err err = {.code = 0};
        assert_int_equal(reference_parse(bad[i], &reference, &err), ERR_INVALID);
        assert_true(err.text[0] != '\0');
    }
}

static void test_names_beyond_the_limit_are_refused(void **state)
{
    (void)state;
    char name[REFERENCE_TEXT_MAX + 64];
    struct reference reference;
    struct err err;
    for (size_t size = 240; size < sizeof(name) - 1; size++) {
        memset(name, 'a', size);
        name[size] = '\0';
        int status = reference_parse(name, &reference, &err);
        bool fits = size + strlen("docker.io/library/") <= REFERENCE_NAME_MAX;
        assert_int_equal(status, fits ? 0 : ERR_INVALID);
    }
}

static void test_digests_are_sixty_four_lower_case_digits(void **state)
{
    (void)state;
    assert_true(digest_is_valid("sha256:" HEX64));
    assert_false(digest_is_valid("sha256:" HEX64 "0"));
    assert_false(digest_is_valid("sha256:0"));
    assert_false(digest_is_valid("sha512:" HEX64));
    assert_false(digest_is_valid("sha256:../../../../etc/passwd"));
    assert_string_equal(digest_hex("sha256:" HEX64), HEX64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_are_filled_in_as_docker_does),
        cmocka_unit_test(test_what_is_not_a_name_is_refused),
        cmocka_unit_test(test_names_beyond_the_limit_are_refused),
        cmocka_unit_test(test_digests_are_sixty_four_lower_case_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
