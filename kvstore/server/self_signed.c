#include "kvstore/server/self_signed.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"

enum { SERIAL_BITS = 127 };

static void cleanup_pkey(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

static void cleanup_x509(X509 **certificate)
{
    X509_free(*certificate);
}

static void cleanup_bignum(BIGNUM **number)
{
    BN_free(*number);
}

/* Is there a pair that still holds? A pair that cannot be read is made anew. */
static bool is_usable(const char *certificate_path, const char *key_path)
{
    CLEANUP(file) FILE *file = fopen(certificate_path, "re");
    if (file == NULL || access(key_path, R_OK) != 0) {
        return false;
    }
    CLEANUP(x509) X509 *certificate = PEM_read_X509(file, NULL, NULL, NULL);
    return certificate != NULL && X509_cmp_current_time(X509_get0_notAfter(certificate)) > 0;
}

/* "IP:127.0.0.1,DNS:localhost"; an address is what begins with a digit or has a ':'. */
static char *alternative_names(const struct self_signed_options *options)
{
    char *text = mem_strdup("");
    for (unsigned i = 0; i < options->host_count; i++) {
        const char *host = options->hosts[i];
        bool is_address =
            strchr(host, ':') != NULL || (host[0] != 0 && host[strspn(host, "0123456789.")] == 0);
        char *longer =
            mem_printf("%s%s%s:%s", text, i == 0 ? "" : ",", is_address ? "IP" : "DNS", host);
        mem_free(text);
        text = longer;
    }
    return text;
}

static bool add_extension(X509 *certificate, int id, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, id, value);
    bool is_ok = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return is_ok;
}

static bool set_serial(X509 *certificate)
{
    CLEANUP(bignum) BIGNUM *serial = BN_new();
    return serial != NULL &&
           BN_rand(serial, SERIAL_BITS, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
           BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(certificate)) != NULL;
}

static bool fill_in(X509 *certificate, EVP_PKEY *key, const struct self_signed_options *options)
{
    static const unsigned char organisation[] = "etcd";
    X509_NAME *name = X509_get_subject_name(certificate);
    CLEANUP(free) char *names = alternative_names(options);
    int days = options->validity_days > INT32_MAX ? INT32_MAX : (int)options->validity_days;
    return X509_set_version(certificate, X509_VERSION_3) == 1 && set_serial(certificate) &&
           X509_gmtime_adj(X509_getm_notBefore(certificate), 0) != NULL &&
           X509_time_adj_ex(X509_getm_notAfter(certificate), days, 0, NULL) != NULL &&
           X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, organisation, -1, -1, 0) == 1 &&
           X509_set_issuer_name(certificate, name) == 1 && X509_set_pubkey(certificate, key) == 1 &&
           add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE") &&
           add_extension(certificate, NID_key_usage,
                         "critical,digitalSignature,keyEncipherment,keyCertSign") &&
           add_extension(certificate, NID_ext_key_usage, "clientAuth,serverAuth") &&
           (names[0] == 0 || add_extension(certificate, NID_subject_alt_name, names)) &&
           X509_sign(certificate, key, EVP_sha256()) > 0;
}

/* Write one PEM file through a temporary name, so that a crash leaves no half of it. */
static int write_pem(const char *path, EVP_PKEY *key, X509 *certificate, struct err *err)
{
    CLEANUP(free) char *temporary = mem_printf("%s.tmp", path);
    (void)unlink(temporary);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return err_set_errno(err, errno, "make %s", temporary);
    }
    FILE *file = fdopen(fd, "w");
    if (file == NULL) {
        int saved = errno;
        (void)close(fd);
        return err_set_errno(err, saved, "make %s", temporary);
    }
    int is_ok = key != NULL ? PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL)
                            : PEM_write_X509(file, certificate);
    bool is_safe = is_ok == 1 && fflush(file) == 0 && fsync(fd) == 0;
    if (fclose(file) != 0 || !is_safe || rename(temporary, path) != 0) {
        return err_set(err, ERR_IO, "cannot write %s", path);
    }
    return 0;
}

int self_signed_ensure(const char *folder_path, const struct self_signed_options *options,
                       struct err *err)
{
    CLEANUP(free) char *certificate_path = mem_printf("%s/cert.pem", folder_path);
    CLEANUP(free) char *key_path = mem_printf("%s/key.pem", folder_path);
    if (is_usable(certificate_path, key_path)) {
        return 0;
    }
    CLEANUP(pkey) EVP_PKEY *key = EVP_EC_gen("P-256");
    CLEANUP(x509) X509 *certificate = X509_new();
    if (key == NULL || certificate == NULL || !fill_in(certificate, key, options)) {
        return err_set(err, ERR_IO, "cannot make a self-signed certificate in %s", folder_path);
    }
    /* The certificate last: it is the file that says that the pair is complete. */
    int code = unlink(certificate_path) == 0 || errno == ENOENT
                   ? 0
                   : err_set_errno(err, errno, "replace %s", certificate_path);
    code = code != 0 ? code : write_pem(key_path, key, NULL, err);
    return code != 0 ? code : write_pem(certificate_path, NULL, certificate, err);
}
