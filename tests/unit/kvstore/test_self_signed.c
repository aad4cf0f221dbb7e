#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "kvstore/server/self_signed.h"

static char folder[] = "/tmp/test_self_signed_XXXXXX";
static char certificate_path[64];
static char key_path[64];

static const char *const hosts[] = {"127.0.0.1", "localhost", "::1"};
static const struct self_signed_options options = {
    .hosts = hosts, .host_count = 3, .validity_days = 365};

static int make_folder(void **state)
{
    (void)state;
    (void)memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    (void)snprintf(certificate_path, sizeof certificate_path, "%s/cert.pem", folder);
    (void)snprintf(key_path, sizeof key_path, "%s/key.pem", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    (void)unlink(certificate_path);
    (void)unlink(key_path);
    return rmdir(folder); /* fails if a temporary file was left */
}

static X509 *read_certificate(void)
{
    FILE *file = fopen(certificate_path, "re");
    assert_non_null(file);
    X509 *certificate = PEM_read_X509(file, NULL, NULL, NULL);
    assert_non_null(certificate);
    assert_int_equal(fclose(file), 0);
    return certificate;
}

static ino_t inode_of(const char *path)
{
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    return info.st_ino;
}

static void test_a_pair_is_made_for_the_hosts_and_its_key_is_private(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(self_signed_ensure(folder, &options, &err), 0);
    X509 *certificate = read_certificate();
    assert_int_equal(X509_check_ip_asc(certificate, "127.0.0.1", 0), 1);
    assert_int_equal(X509_check_ip_asc(certificate, "::1", 0), 1);
    assert_int_equal(X509_check_host(certificate, "localhost", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(certificate, "elsewhere", 0, 0, NULL), 0);
    assert_int_equal(X509_verify(certificate, X509_get0_pubkey(certificate)), 1);
    X509_free(certificate);
    struct stat info;
    assert_int_equal(stat(key_path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
}

static void test_a_valid_pair_is_kept(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(self_signed_ensure(folder, &options, &err), 0);
    X509 *first = read_certificate();
    assert_int_equal(self_signed_ensure(folder, &options, &err), 0);
    X509 *second = read_certificate();
    assert_int_equal(X509_cmp(first, second), 0);
    X509_free(first);
    X509_free(second);
}

static void test_a_pair_that_cannot_be_read_or_lacks_its_key_is_made_anew(void **state)
{
    (void)state;
    struct err err = {0};
    FILE *file = fopen(certificate_path, "we");
    assert_non_null(file);
    assert_true(fputs("no certificate", file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(self_signed_ensure(folder, &options, &err), 0);
    X509_free(read_certificate());
    assert_int_equal(unlink(key_path), 0);
    assert_int_equal(self_signed_ensure(folder, &options, &err), 0);
    assert_true(inode_of(key_path) != 0);
}

static void test_a_folder_that_is_not_there_is_an_error_that_names_the_file(void **state)
{
    (void)state;
    struct err err = {0};
    assert_true(self_signed_ensure("/tmp/no/such/folder", &options, &err) < 0);
    assert_non_null(strstr(err.text, "/tmp/no/such/folder/key.pem"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(test_a_pair_is_made_for_the_hosts_and_its_key_is_private),
        TEST(test_a_valid_pair_is_kept),
        TEST(test_a_pair_that_cannot_be_read_or_lacks_its_key_is_made_anew),
        TEST(test_a_folder_that_is_not_there_is_an_error_that_names_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
