#include "tests/unit/proto/certificates.h"

#include <dirent.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"

enum { DAY_S = 24 * 3600, PATHS_MAX = 64 };

const char *authority_path(const struct authority *authority, const char *file)
{
    static char paths[PATHS_MAX][128];
    static unsigned used;
    char *path = paths[used++ % PATHS_MAX];
    (void)snprintf(path, sizeof paths[0], "%s/%s", authority->directory, file);
    return path;
}

static const char *path_with(const struct authority *authority, const char *file,
                             const char *ending)
{
    char name[64];
    (void)snprintf(name, sizeof name, "%s.%s", file, ending);
    return authority_path(authority, name);
}

static void set_name(X509 *certificate, const char *common_name)
{
    X509_NAME *name = X509_get_subject_name(certificate);
    assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                                (const unsigned char *)common_name, -1, -1, 0),
                     1);
}

static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static X509 *make(struct authority *authority, EVP_PKEY *key,
                  const struct certificate_options *options, bool is_authority)
{
    X509 *certificate = X509_new();
    assert_int_equal(X509_set_version(certificate, 2), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(certificate), authority->next_serial++),
                     1);
    long from_s = options->is_not_yet_valid ? DAY_S : -2 * DAY_S;
    long until_s = options->is_expired ? -DAY_S : 10 * DAY_S;
    (void)X509_gmtime_adj(X509_getm_notBefore(certificate), from_s);
    (void)X509_gmtime_adj(X509_getm_notAfter(certificate), until_s);
    assert_int_equal(X509_set_pubkey(certificate, key), 1);
    set_name(certificate, options->common_name);
    X509 *issuer = is_authority ? certificate : authority->certificate;
    assert_int_equal(X509_set_issuer_name(certificate, X509_get_subject_name(issuer)), 1);
    if (is_authority) {
        add_extension(certificate, issuer, NID_basic_constraints, "critical,CA:TRUE");
        add_extension(certificate, issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
    }
    if (options->alternative_names != NULL) {
        add_extension(certificate, issuer, NID_subject_alt_name, options->alternative_names);
    }
    EVP_PKEY *signer = is_authority ? key : authority->key;
    assert_true(X509_sign(certificate, signer, EVP_sha256()) > 0);
    return certificate;
}

static FILE *create(const char *path)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    return file;
}

static void write_certificate(const char *path, X509 *certificate)
{
    FILE *file = create(path);
    assert_int_equal(PEM_write_X509(file, certificate), 1);
    assert_int_equal(fclose(file), 0);
}

void authority_init(struct authority *authority, const char *name)
{
    (void)snprintf(authority->directory, sizeof authority->directory, "/tmp/coracle-tls-XXXXXX");
    assert_non_null(mkdtemp(authority->directory));
    authority->next_serial = 1;
    authority->key = EVP_EC_gen("P-256");
    authority->certificate =
        make(authority, authority->key, &(struct certificate_options){.common_name = name}, true);
    write_certificate(path_with(authority, name, "pem"), authority->certificate);
}

void authority_deinit(struct authority *authority)
{
    DIR *directory = opendir(authority->directory);
    assert_non_null(directory);
    for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        if (entry->d_name[0] != '.') {
            (void)unlink(authority_path(authority, entry->d_name));
        }
    }
    (void)closedir(directory);
    assert_int_equal(rmdir(authority->directory), 0);
    X509_free(authority->certificate);
    EVP_PKEY_free(authority->key);
}

long authority_issue(struct authority *authority, const char *file,
                     const struct certificate_options *options)
{
    long serial = authority->next_serial;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = make(authority, key, options, false);
    write_certificate(path_with(authority, file, "pem"), certificate);
    FILE *key_file = create(path_with(authority, file, "key"));
    assert_int_equal(PEM_write_PrivateKey(key_file, key, NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(fclose(key_file), 0);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return serial;
}

void authority_revoke(struct authority *authority, const char *file, long serial)
{
    X509_CRL *list = X509_CRL_new();
    ASN1_TIME *when = ASN1_TIME_new();
    assert_int_equal(X509_CRL_set_issuer_name(list, X509_get_subject_name(authority->certificate)),
                     1);
    (void)X509_gmtime_adj(when, -DAY_S);
    assert_int_equal(X509_CRL_set1_lastUpdate(list, when), 1);
    (void)X509_gmtime_adj(when, 10 * DAY_S);
    assert_int_equal(X509_CRL_set1_nextUpdate(list, when), 1);
    if (serial != 0) {
        X509_REVOKED *revoked = X509_REVOKED_new();
        ASN1_INTEGER *number = ASN1_INTEGER_new();
        (void)ASN1_INTEGER_set(number, serial);
        (void)X509_gmtime_adj(when, -DAY_S);
        assert_int_equal(X509_REVOKED_set_serialNumber(revoked, number), 1);
        assert_int_equal(X509_REVOKED_set_revocationDate(revoked, when), 1);
        assert_int_equal(X509_CRL_add0_revoked(list, revoked), 1);
        ASN1_INTEGER_free(number);
    }
    assert_int_equal(X509_CRL_sort(list), 1);
    assert_true(X509_CRL_sign(list, authority->key, EVP_sha256()) > 0);
    FILE *out = create(path_with(authority, file, "crl"));
    assert_int_equal(PEM_write_X509_CRL(out, list), 1);
    assert_int_equal(fclose(out), 0);
    ASN1_TIME_free(when);
    X509_CRL_free(list);
}
