/* What verifying a signature costs: OpenSSL by itself (EVP_DigestVerify with the decoded
 * signature), and as a token is verified, which reads it first (jose/jws.h). By the processor time
 * of the thread, the best of five rounds.
 *
 *     micro_jose */
#include <openssl/pem.h>
#include <stdio.h>
#include <time.h>

#include "base/base64.h"
#include "base/must.h"
#include "base/text.h"
#include "jose/jws.h"
#include "verify.h"

#define ROUNDS  5
#define REPEATS 5000
#define HEADER  "eyJhbGciOiJFUzI1NiIsImtpZCI6ImEifQ" /* {"alg":"ES256","kid":"a"} */

struct token {
    struct signed_text input; /* what is signed, the beginning of `text` */
    char text[1024];
    size_t size;
};

static double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* The two numbers of an ECDSA signature, joined (RFC 7518 §3.4), from their ASN.1. */
static void join(const struct token *token, unsigned char joined[64])
{
    const unsigned char *at = token->input.signature + 2;
    memset(joined, 0, 64);
    for (unsigned i = 0; i < 2; i++) {
        size_t size = at[1], skipped = size > 32 ? size - 32 : 0;
        memcpy(joined + 32 * i + 32 - (size - skipped), at + 2 + skipped, size - skipped);
        at += 2 + size;
    }
}

static void make_token(struct token *token)
{
    static const char claims[] =
        "{\"iss\":\"https://id.shop.example\",\"sub\":\"u1\",\"aud\":\"shop-"
        "api\",\"exp\":4102444800,\"plan\":\"pro\",\"roles\":[\"buyer\"]}";
    unsigned char joined[64];
    token->input = (struct signed_text){.pair = EVP_EC_gen("P-256"), .text = token->text};
    must(token->input.pair);
    struct text text = text_fixed(token->text, sizeof token->text);
    char room[512];
    text_add_literal(&text, HEADER ".");
    text_add(&text, slice_of(room, base64_encode(slice_of(claims, sizeof claims - 1),
                                       BASE64_URL | BASE64_UNPADDED, room)));
    token->input.size = text.size;
    sign_text(&token->input);
    join(token, joined);
    text_add_char(&text, '.');
    text_add(&text, slice_of(room, base64_encode(slice_of((const char *)joined, sizeof joined),
                                       BASE64_URL | BASE64_UNPADDED, room)));
    token->size = text.size;
}

static void verify_token(const struct token *token, const struct jose_keys *keys)
{
    struct arena arena;
    struct jws jws;
    arena_init(&arena, 0, 0);
    must(jws_read(&arena, slice_of(token->text, token->size), &jws) == OK);
    must(jws_verify(&jws, keys) == OK);
    arena_release(&arena);
}

/* Nanoseconds of one. */
static double best(const struct token *token, const struct jose_keys *keys)
{
    double least = 0;
    for (int round = 0; round < ROUNDS; round++) {
        double begin = cpu_now();
        for (int i = 0; i < REPEATS; i++)
            if (keys)
                verify_token(token, keys);
            else
                verify_text(&token->input);
        double each = (cpu_now() - begin) / REPEATS;
        least = round == 0 || each < least ? each : least;
    }
    return least;
}

static struct jose_keys *public_keys(const struct token *token)
{
    struct jose_keys *keys;
    const char *why;
    char *pem;
    BIO *bio = BIO_new(BIO_s_mem());
    must(bio && PEM_write_bio_PUBKEY(bio, token->input.pair) && jose_keys_new(&keys) == OK);
    long size = BIO_get_mem_data(bio, &pem);
    must(jose_keys_add_pem(keys, slice_of(pem, (size_t)size), SLICE("a"), &why) == OK);
    BIO_free(bio);
    return keys;
}

int main(void)
{
    static struct token token;
    make_token(&token);
    struct jose_keys *keys = public_keys(&token);
    printf("{\"bare_ns\": %.0f, \"token_ns\": %.0f}\n", best(&token, NULL), best(&token, keys));
    jose_keys_unref(keys);
    EVP_PKEY_free(token.input.pair);
    return 0;
}
