#include "main/local_authority.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAYS           (24L * 60 * 60)
#define AUTHORITY_LIFE (3650 * DAYS)
#define HOST_LIFE      (397 * DAYS) /* what browsers accept at most */
#define RENEW_BEFORE   (30 * DAYS)
#define CLOCK_SLACK    (24L * 60 * 60) /* that a certificate begins in the past */
#define SERIAL_BITS    126

/* A certificate with its key; either may be NULL. */
struct made {
    EVP_PKEY *key;
    X509 *certificate;
};

static void release_made(struct made *made)
{
    EVP_PKEY_free(made->key);
    X509_free(made->certificate);
}

/* --- files */

static FILE *open_anew(const char *path, mode_t mode)
{
    (void)unlink(path); /* or its old mode would stay */
    int descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    FILE *file = descriptor < 0 ? NULL : fdopen(descriptor, "w");
    if (descriptor >= 0 && !file)
        close(descriptor);
    return file;
}

static bool write_made(const struct made *made, const char *cert, const char *key)
{
    FILE *file = open_anew(key, 0600);
    bool is_written = file && PEM_write_PrivateKey(file, made->key, NULL, NULL, 0, NULL, NULL) == 1;
    is_written = (!file || fclose(file) == 0) && is_written;
    if (!is_written)
        return false;
    file = open_anew(cert, 0644);
    is_written = file && PEM_write_X509(file, made->certificate) == 1;
    return (!file || fclose(file) == 0) && is_written;
}

static bool read_made(const char *cert, const char *key, struct made *ret_made)
{
    struct made made = {NULL, NULL};
    FILE *file = fopen(key, "re");
    if (file) {
        made.key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
        fclose(file);
    }
    file = fopen(cert, "re");
    if (file) {
        made.certificate = PEM_read_X509(file, NULL, NULL, NULL);
        fclose(file);
    }
    if (!made.key || !made.certificate || X509_check_private_key(made.certificate, made.key) != 1) {
        release_made(&made);
        ERR_clear_error();
        return false;
    }
    *ret_made = made;
    return true;
}

static bool ends_soon(const X509 *certificate)
{
    time_t soon = time(NULL) + RENEW_BEFORE;
    return X509_cmp_time(X509_get0_notAfter(certificate), &soon) <= 0;
}

/* Each folder on the way, for its owner alone where there was none. */
static bool make_folders(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        bool is_there = mkdir(path, 0700) == 0 || errno == EEXIST;
        *slash = '/';
        if (!is_there)
            return false;
    }
    return true;
}

/* --- certificates */

static bool set_serial(X509 *certificate)
{
    BIGNUM *number = BN_new();
    bool is_set = number && BN_rand(number, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) &&
                  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
    BN_free(number);
    return is_set;
}

static bool set_name(X509_NAME *name, const char *common)
{
    const unsigned char *text = (const unsigned char *)common;
    return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, text, -1, -1, 0) == 1;
}

struct extension {
    int kind;
    const char *value;
};

static bool add_extensions(
    X509 *certificate, X509 *issuer, const struct extension *extensions, size_t count)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    for (size_t i = 0; i < count; i++) {
        X509_EXTENSION *extension =
            X509V3_EXT_conf_nid(NULL, &context, extensions[i].kind, extensions[i].value);
        bool is_added = extension && X509_add_ext(certificate, extension, -1) == 1;
        X509_EXTENSION_free(extension);
        if (!is_added)
            return false;
    }
    return true;
}

/* `issuer` NULL: it vouches for itself. */
static bool make(struct made *made, const struct made *issuer, const char *name, long life,
    const struct extension *extensions, size_t count)
{
    made->key = EVP_EC_gen("P-256");
    made->certificate = X509_new();
    X509 *certificate = made->certificate;
    if (!made->key || !certificate)
        return false;
    const struct made *signer = issuer ? issuer : made;
    return X509_set_version(certificate, X509_VERSION_3) == 1 && set_serial(certificate) &&
           X509_gmtime_adj(X509_getm_notBefore(certificate), -CLOCK_SLACK) &&
           X509_gmtime_adj(X509_getm_notAfter(certificate), life - CLOCK_SLACK) &&
           set_name(X509_get_subject_name(certificate), name) &&
           X509_set_issuer_name(certificate, X509_get_subject_name(signer->certificate)) == 1 &&
           X509_set_pubkey(certificate, made->key) == 1 &&
           add_extensions(certificate, signer->certificate, extensions, count) &&
           X509_sign(certificate, signer->key, EVP_sha256()) > 0;
}

static bool make_authority(struct made *made)
{
    static const struct extension extensions[] = {
        {NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
        {NID_key_usage, "critical,keyCertSign,cRLSign"},
        {NID_subject_key_identifier, "hash"},
        {NID_name_constraints,
            "critical,permitted;DNS:localhost,permitted;IP:127.0.0.1/255.255.255.255,"
            "permitted;IP:0:0:0:0:0:0:0:1/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
    };
    char host[64] = "this machine", name[128];
    (void)gethostname(host, sizeof host - 1);
    snprintf(name, sizeof name, "Weir's demo on %.40s", host);
    return make(
        made, NULL, name, AUTHORITY_LIFE, extensions, sizeof extensions / sizeof *extensions);
}

static bool make_host(struct made *made, const struct made *authority)
{
    static const struct extension extensions[] = {
        {NID_basic_constraints, "critical,CA:FALSE"},
        {NID_key_usage, "critical,digitalSignature"},
        {NID_ext_key_usage, "serverAuth"},
        {NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1,IP:::1"},
        {NID_subject_key_identifier, "hash"},
        {NID_authority_key_identifier, "keyid"},
    };
    return make(made, authority, "localhost", HOST_LIFE, extensions,
        sizeof extensions / sizeof *extensions);
}

/* --- the whole */

static enum status get_authority(const char *cert, const char *key, struct made *made, bool *is_new)
{
    *is_new = !read_made(cert, key, made) || ends_soon(made->certificate);
    if (!*is_new)
        return OK;
    release_made(made);
    *made = (struct made){NULL, NULL};
    if (!make_authority(made))
        return NO_MEMORY;
    return write_made(made, cert, key) ? OK : IO_ERROR;
}

static enum status get_host(
    const struct local_authority *paths, const struct made *authority, bool is_new)
{
    struct made host = {NULL, NULL};
    bool is_there = !is_new && read_made(paths->cert, paths->key, &host) &&
                    !ends_soon(host.certificate) &&
                    X509_verify(host.certificate, authority->key) == 1;
    enum status e = OK;
    if (!is_there) {
        release_made(&host);
        host = (struct made){NULL, NULL};
        e = make_host(&host, authority) ? OK : NO_MEMORY;
        if (!e && !write_made(&host, paths->cert, paths->key))
            e = IO_ERROR;
    }
    release_made(&host);
    return e;
}

/* With a slash at its end. */
static bool find_folder(char *path, size_t room)
{
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    int size = -1;
    if (data && data[0] == '/')
        size = snprintf(path, room, "%s/weir/demo/", data);
    else if (home && home[0] == '/')
        size = snprintf(path, room, "%s/.local/share/weir/demo/", home);
    return size > 0 && (size_t)size < room;
}

enum status local_authority_get(struct local_authority *ret_authority)
{
    char folder[LOCAL_PATH_MAX - 32], key[LOCAL_PATH_MAX];
    struct made authority = {NULL, NULL};
    bool is_new;
    if (!find_folder(folder, sizeof folder))
        return NOT_FOUND;
    if (!make_folders(folder))
        return IO_ERROR;
    snprintf(key, sizeof key, "%sca.key", folder);
    snprintf(ret_authority->authority, LOCAL_PATH_MAX, "%sca.pem", folder);
    snprintf(ret_authority->cert, LOCAL_PATH_MAX, "%slocalhost.pem", folder);
    snprintf(ret_authority->key, LOCAL_PATH_MAX, "%slocalhost.key", folder);
    enum status e = get_authority(ret_authority->authority, key, &authority, &is_new);
    if (!e)
        e = get_host(ret_authority, &authority, is_new);
    release_made(&authority);
    return e;
}
