#include "acme/jws.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/base64.h"
#include "base/json_writer.h"

#define SECRET_MAX 512
#define PART_MAX   ((size_t)64 << 10)

static enum status write_header(const struct acme_signing *signing, struct text *text)
{
    struct json_writer writer;
    char data[256];
    struct text jwk = text_fixed(data, sizeof data);
    enum status e = signing->account.size ? OK : acme_key_jwk(signing->key, &jwk);
    json_writer_init(&writer, text, 0);
    json_write_object(&writer);
    json_put_text(&writer, "alg", SLICE("ES256"));
    if (signing->account.size)
        json_put_text(&writer, "kid", signing->account);
    else
        json_put_raw(&writer, "jwk", text_slice(&jwk));
    json_put_text(&writer, "nonce", signing->nonce);
    json_put_text(&writer, "url", signing->url);
    json_write_object_end(&writer);
    return e ? e : text->failed ? NO_MEMORY : OK;
}

/* What is signed: "header.payload". */
static enum status join_parts(
    struct slice header, struct slice payload, struct text *text, size_t *ret_dot)
{
    acme_add_base64(text, header);
    *ret_dot = text->size;
    text_add_char(text, '.');
    acme_add_base64(text, payload);
    return text->failed ? NO_MEMORY : OK;
}

static void write_whole(struct slice input, size_t dot, struct slice signature, struct text *text)
{
    text_add_literal(text, "{\"protected\":\"");
    text_add(text, slice_head(input, dot));
    text_add_literal(text, "\",\"payload\":\"");
    text_add(text, slice_from(input, dot + 1));
    text_add_literal(text, "\",\"signature\":\"");
    acme_add_base64(text, signature);
    text_add_literal(text, "\"}");
}

enum status acme_sign(const struct acme_signing *signing, struct slice payload, struct text *text)
{
    unsigned char signature[ACME_SIGNATURE_SIZE];
    struct text header = text_growing(PART_MAX), input = text_growing(PART_MAX);
    size_t dot = 0;
    enum status e = write_header(signing, &header);
    if (!e)
        e = join_parts(text_slice(&header), payload, &input, &dot);
    if (!e)
        e = acme_key_sign(signing->key, text_slice(&input), signature);
    if (!e)
        write_whole(
            text_slice(&input), dot, slice_of((const char *)signature, sizeof signature), text);
    text_release(&header);
    text_release(&input);
    return e ? e : text->failed ? NO_MEMORY : OK;
}

static enum status write_binding_header(struct slice known_as, struct slice url, struct text *text)
{
    struct json_writer writer;
    json_writer_init(&writer, text, 0);
    json_write_object(&writer);
    json_put_text(&writer, "alg", SLICE("HS256"));
    json_put_text(&writer, "kid", known_as);
    json_put_text(&writer, "url", url);
    json_write_object_end(&writer);
    return text->failed ? NO_MEMORY : OK;
}

enum status acme_bind(const struct acme_key *key, struct slice known_as, struct slice secret,
    struct slice url, struct text *text)
{
    char bytes[SECRET_MAX], data[256];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_size = 0;
    size_t size, dot = 0;
    if (base64_decoded_size(secret.size) > sizeof bytes ||
        !base64_decode(secret, BASE64_URL | BASE64_LENIENT, bytes, &size) || size == 0)
        return INVALID;
    struct text jwk = text_fixed(data, sizeof data), header = text_growing(PART_MAX),
                input = text_growing(PART_MAX);
    enum status e = acme_key_jwk(key, &jwk);
    if (!e)
        e = write_binding_header(known_as, url, &header);
    if (!e)
        e = join_parts(text_slice(&header), text_slice(&jwk), &input, &dot);
    if (!e && !HMAC(EVP_sha256(), bytes, (int)size, (const unsigned char *)input.data, input.size,
                  digest, &digest_size))
        e = NO_MEMORY;
    if (!e)
        write_whole(text_slice(&input), dot, slice_of((const char *)digest, digest_size), text);
    text_release(&header);
    text_release(&input);
    return e ? e : text->failed ? NO_MEMORY : OK;
}
