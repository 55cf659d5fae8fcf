/* Signed texts in the compact form, "header.payload.signature" (RFC 7515 §7.1): reading one, and
 * verifying its signature.
 *
 *     e = jws_read(arena, token, &jws);
 *     if (!e)
 *         e = jws_verify(&jws, keys);
 *     if (!e)
 *         ... jws.payload ...
 *
 * Nothing that a token says about itself is believed before the signature is verified but which
 * key of ours to try. It cannot bring a key along ("jwk", "jku", "x5c" and "x5u" are not looked
 * at), and header parameters that must be understood ("crit") are refused: none is. */
#pragma once

#include "base/arena.h"
#include "base/json.h"
#include "base/status.h"
#include "jose/keys.h"

#define JWS_SIZE_MAX  ((size_t)64 << 10) /* bytes of a token */
#define JWS_TRIES_MAX 4                  /* keys tried for a token that names none */

struct jws {
    enum jose_algorithm algorithm;
    struct slice id;        /* "kid"; empty: the token names no key */
    struct slice type;      /* "typ", or empty */
    struct slice input;     /* what is signed: borrowed from the token */
    struct slice payload;   /* decoded, in the arena */
    struct slice signature; /* decoded, in the arena */
};

/* The three parts, of which nothing is looked at yet. */
struct jws_parts {
    const struct json_value *header; /* an object */
    struct slice input, payload, signature;
};

/* TOKEN_MALFORMED: this has not the compact form, three parts of base64url with a JSON object in
 * the first, and so is no signed text at all; NO_MEMORY. */
enum status jws_split(struct arena *arena, struct slice token, struct jws_parts *ret_parts);

/* What the header says. TOKEN_MALFORMED, TOKEN_ALGORITHM (an unknown one, or "none"). */
enum status jws_of(const struct jws_parts *parts, struct jws *ret_jws);

/* Both in one. What is read lives as long as the arena and the token. */
enum status jws_read(struct arena *arena, struct slice token, struct jws *ret_jws);

/* OK: one of the keys made the signature. TOKEN_KEY: there is no such key, newer keys may help.
 * TOKEN_ALGORITHM: the key that the token names is not for its algorithm. TOKEN_SIGNATURE: wrong.
 * NO_MEMORY. Any thread. */
enum status jws_verify(const struct jws *jws, const struct jose_keys *keys);
