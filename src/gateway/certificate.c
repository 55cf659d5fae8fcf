#include "gateway/certificate.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/must.h"
#include "service/errand.h"

#define FILE_MAX (1 << 20) /* bytes of a PEM file; a chain has a few thousand */

/* --- files. Keys are not left in memory longer than needed, and never in a snapshot. */

struct file {
    char *data; /* owned */
    size_t size;
    mode_t mode;
};

static void release_file(struct file *file)
{
    if (file->data)
        OPENSSL_cleanse(file->data, file->size);
    free(file->data);
    file->data = NULL;
}

static struct slice file_text(const struct file *file)
{
    return slice_of(file->data, file->size);
}

static enum status read_whole(int descriptor, struct file *file)
{
    while (file->size < FILE_MAX) {
        ssize_t got = read(descriptor, file->data + file->size, FILE_MAX - file->size);
        if (got == 0)
            return OK;
        if (got < 0 && errno != EINTR)
            return IO_ERROR;
        if (got > 0)
            file->size += (size_t)got;
    }
    errno = EFBIG;
    return TOO_LARGE;
}

/* errno says why not. */
static enum status read_file(const char *path, struct file *file)
{
    struct stat facts;
    *file = (struct file){NULL, 0, 0};
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return errno == ENOENT ? NOT_FOUND : IO_ERROR;
    file->data = malloc(FILE_MAX);
    enum status e = file->data ? read_whole(descriptor, file) : NO_MEMORY;
    if (!e && !fstat(descriptor, &facts))
        file->mode = facts.st_mode;
    int error = errno;
    close(descriptor);
    if (e)
        release_file(file);
    errno = error;
    return e;
}

/* Reads what an option names; complains at its place. */
static enum status read_named(struct reader *reader, struct slice path, struct place place,
    const char *what, struct file *file)
{
    enum status e = read_file(path.data, file);
    if (e == OK || e == NO_MEMORY)
        return e;
    return diagnostics_error(reader->diagnostics, place,
        e == NOT_FOUND ? SLICE("a relative path is below the configuration's folder") : SLICE_NONE,
        "cannot read the %s %s: %s", what, path.data, strerror(errno));
}

/* --- the pair */

struct pair_text {
    struct slice chain, key;
    const char *problem;
};

static enum status make_identity(void *object, void *context)
{
    struct certificate *certificate = object;
    struct pair_text *text = context;
    return tls_identity_new(text->chain, text->key, &certificate->identity, &text->problem);
}

static void release_identity(void *object)
{
    struct certificate *certificate = object;
    errand_stop(&certificate->staple.errand);
    tls_identity_unref(certificate->identity);
}

static const struct registry_kind kind = {
    "certificate", sizeof(struct certificate), make_identity, release_identity};

#define DIGEST_SIZE 32

/* The same bytes are the same pair. */
static bool name_pair(const struct pair_text *text, char ret_name[2 * DIGEST_SIZE])
{
    unsigned char digest[DIGEST_SIZE];
    unsigned size = 0;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool is_done = context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) &&
                   EVP_DigestUpdate(context, text->chain.data, text->chain.size) &&
                   EVP_DigestUpdate(context, "", 1) &&
                   EVP_DigestUpdate(context, text->key.data, text->key.size) &&
                   EVP_DigestFinal_ex(context, digest, &size);
    EVP_MD_CTX_free(context);
    for (size_t i = 0; is_done && i < DIGEST_SIZE; i++) {
        ret_name[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        ret_name[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    return is_done;
}

enum status certificate_obtain(struct registry *registry, struct slice chain, struct slice key,
    struct certificate **ret_certificate, const char **ret_problem)
{
    struct pair_text text = {chain, key, NULL};
    char name[2 * DIGEST_SIZE];
    void *object;
    if (!name_pair(&text, name))
        return NO_MEMORY;
    enum status e = registry_obtain(registry, &kind, slice_of(name, sizeof name), &text, &object);
    *ret_problem = text.problem ? text.problem : "it cannot be read";
    if (!e)
        *ret_certificate = object;
    return e;
}

static enum status obtain(struct reader *reader, struct registry *registry,
    const struct pair_text *text, struct served_certificate *served)
{
    struct certificate *object;
    const char *problem;
    enum status e = certificate_obtain(registry, text->chain, text->key, &object, &problem);
    if (e == INVALID)
        return diagnostics_error(reader->diagnostics, served->options->cert_place, SLICE_NONE,
            "%s with %s is of no use: %s", served->cert_path.data, served->key_path.data, problem);
    if (e)
        return e;
    if (arena_own(reader->arena, registry_release, object))
        return NO_MEMORY;
    served->certificate = object;
    return OK;
}

static void warn_of_mode(
    struct reader *reader, const struct served_certificate *served, const struct file *key)
{
    if (key->mode & S_IRWXO)
        diagnostics_warning(reader->diagnostics, served->options->key_place,
            SLICE("chmod o= takes that away"), "everybody on this machine may read the key %s",
            served->key_path.data);
}

static enum status load_pair(
    struct reader *reader, struct registry *registry, struct served_certificate *served)
{
    const struct tls_pair_options *options = served->options;
    struct file chain = {NULL, 0, 0}, key = {NULL, 0, 0};
    enum status e =
        read_named(reader, served->cert_path, options->cert_place, "certificate", &chain);
    enum status key_status = read_named(reader, served->key_path, options->key_place, "key", &key);
    e = e ? e : key_status;
    struct pair_text text = {file_text(&chain), file_text(&key), NULL};
    if (!e)
        warn_of_mode(reader, served, &key);
    if (!e)
        e = obtain(reader, registry, &text, served);
    must(e || served->certificate);
    release_file(&chain);
    release_file(&key);
    return e;
}

/* --- what is worth a word */

static void warn_of_validity(struct reader *reader, const struct served_certificate *served)
{
    int64_t now = clock_wall() / SECOND;
    int64_t from = tls_identity_from(served->certificate->identity);
    int64_t until = tls_identity_until(served->certificate->identity);
    struct place place = served->options->cert_place;
    const char *path = served->cert_path.data;
    if (until < now)
        diagnostics_warning(reader->diagnostics, place, SLICE("clients will refuse it"),
            "the certificate %s has expired", path);
    else if (from > now)
        diagnostics_warning(reader->diagnostics, place, SLICE("clients will refuse it until then"),
            "the certificate %s is not valid yet", path);
    else if (until - now < CERTIFICATE_WARNING / SECOND)
        diagnostics_warning(reader->diagnostics, place, SLICE_NONE,
            "the certificate %s expires in %lld days", path,
            (long long)((until - now) / (DAY / SECOND)));
}

static void take_names(struct reader *reader, struct served_certificate *served)
{
    const struct tls_pair_options *options = served->options;
    if (options->hosts.count) {
        served->names = options->hosts.items;
        served->name_count = options->hosts.count;
        return;
    }
    served->names = tls_identity_names(served->certificate->identity, &served->name_count);
    if (served->name_count == 0)
        diagnostics_warning(reader->diagnostics, options->cert_place,
            SLICE("browsers want a subjectAltName"), "the certificate %s names no host",
            served->cert_path.data);
}

/* --- beside the pair */

static void unref_authorities(void *authorities)
{
    tls_authorities_unref(authorities);
}

static enum status load_authorities(struct reader *reader, struct served_certificate *served)
{
    struct file file;
    const char *problem = NULL;
    if (served->options->client == TLS_NOT_ASKED)
        return OK;
    enum status e =
        read_named(reader, served->ca_path, served->options->ca_place, "authorities", &file);
    if (e)
        return e;
    e = tls_authorities_new(file_text(&file), &served->authorities, &problem);
    release_file(&file);
    if (e == INVALID)
        return diagnostics_error(reader->diagnostics, served->options->ca_place, SLICE_NONE,
            "the authorities %s are of no use: %s", served->ca_path.data, problem);
    if (!e && !arena_defer(reader->arena, unref_authorities, served->authorities)) {
        tls_authorities_unref(served->authorities);
        return NO_MEMORY;
    }
    return e;
}

/* A response in a file that is no good is no reason to refuse the certificate. */
static enum status load_staple(struct reader *reader, struct served_certificate *served)
{
    struct file file;
    int64_t until;
    struct place place = served->options->ocsp_place;
    enum status e = read_named(reader, served->ocsp_path, place, "OCSP response", &file);
    if (e)
        return e;
    e = tls_identity_staple(served->certificate->identity, file_text(&file), &until);
    release_file(&file);
    if (e == INVALID)
        diagnostics_warning(reader->diagnostics, place, SLICE("nothing is stapled"),
            "%s is no OCSP response that says now that %s is good", served->ocsp_path.data,
            served->cert_path.data);
    else if (!e)
        served->certificate->staple.until = until * SECOND;
    return e == INVALID ? OK : e;
}

static enum status prepare_staple(struct reader *reader, struct served_certificate *served)
{
    struct slice how = served->options->ocsp;
    if (how.size == 0 || slice_equal(how, SLICE("off")))
        return OK;
    if (!served->fetches)
        return load_staple(reader, served);
    if (!tls_identity_responder(served->certificate->identity).size)
        diagnostics_warning(reader->diagnostics, served->options->ocsp_place,
            SLICE("nothing is stapled"), "the certificate %s names no OCSP responder",
            served->cert_path.data);
    return OK;
}

static uint64_t stamp_file(uint64_t stamp, struct slice path)
{
    return stamp * 31 + source_stamp(path);
}

uint64_t certificate_stamp(const struct served_certificate *served)
{
    bool has_response = served->ocsp_path.size && !served->fetches;
    uint64_t stamp = stamp_file(stamp_file(0, served->cert_path), served->key_path);
    stamp = stamp_file(stamp, served->ca_path);
    return stamp_file(stamp, has_response ? served->ocsp_path : SLICE_NONE);
}

static bool resolve(
    struct arena *arena, struct slice path, struct place place, struct slice *ret_path)
{
    if (path.size == 0)
        return true;
    *ret_path = source_path(arena, place.source, path);
    return ret_path->data != NULL;
}

enum status certificate_load_authorities(struct reader *reader, struct served_certificate *served)
{
    const struct tls_pair_options *options = served->options;
    if (!resolve(reader->arena, options->ca, options->ca_place, &served->ca_path))
        return NO_MEMORY;
    return load_authorities(reader, served);
}

enum status certificate_load(struct reader *reader, struct registry *registry,
    const struct tls_pair_options *options, struct served_certificate *ret_served)
{
    struct served_certificate served = {.options = options};
    struct arena *arena = reader->arena;
    if (!resolve(arena, options->cert, options->cert_place, &served.cert_path) ||
        !resolve(arena, options->key, options->key_place, &served.key_path) ||
        !resolve(arena, options->ca, options->ca_place, &served.ca_path) ||
        !resolve(arena, options->ocsp, options->ocsp_place, &served.ocsp_path))
        return NO_MEMORY;
    served.fetches = slice_equal(options->ocsp, SLICE("fetch"));
    served.stamp = certificate_stamp(&served);
    enum status e = load_pair(reader, registry, &served);
    if (!e) {
        warn_of_validity(reader, &served);
        take_names(reader, &served);
        e = prepare_staple(reader, &served);
    }
    enum status others = load_authorities(reader, &served);
    e = e ? e : others;
    if (!e)
        *ret_served = served;
    return e;
}
