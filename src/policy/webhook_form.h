/* The forms in which senders of webhooks sign, as a table (webhook_forms.def), and reading what a
 * request says of itself in one of them. Nothing of it is to be believed before the signature is
 * verified (webhook_key.h). */
#pragma once

#include "base/status.h"
#include "base/text.h"
#include "http/fields.h"

#define WEBHOOK_DIGEST_SIZE    32  /* bytes of an HMAC with SHA-256 */
#define WEBHOOK_ED25519_SIZE   64  /* bytes of a signature */
#define WEBHOOK_SIGNATURES_MAX 8   /* that one request may bring */
#define WEBHOOK_ID_MAX         256 /* bytes */

enum webhook_encoding { WEBHOOK_HEX, WEBHOOK_BASE64 };

enum webhook_secret {
    WEBHOOK_TEXT,  /* the key as it is written */
    WEBHOOK_WHSEC, /* behind "whsec_" or nothing a key in Base64; behind "whpk_" a public key */
};

struct webhook_form {
    const char *word, *sender;
    const char *signature_field;
    char separator; /* between signatures; 0: there is one */
    const char *hmac_scheme, *ed25519_scheme;
    enum webhook_encoding encoding;
    const char *time_field, *time_scheme;
    const char *signed_text;
    const char *id_field, *id_member;
    enum webhook_secret secret;
};

/* Ends with one whose word is NULL. */
extern const struct webhook_form webhook_forms[];

/* The words, for an option; ends with NULL. */
extern const char *const webhook_form_words[];

/* Why a request is not taken for what it says it is. */
enum webhook_fault {
    WEBHOOK_GOOD,
    WEBHOOK_UNSIGNED,  /* no signature came */
    WEBHOOK_MALFORMED, /* a field is repeated, missing or not as the form has it */
    WEBHOOK_TOO_OLD,   /* its time is further back than the tolerance */
    WEBHOOK_TOO_NEW,   /* or further ahead */
    WEBHOOK_WRONG,     /* no secret made any of the signatures */
    WEBHOOK_FAULT_COUNT
};

/* For a metric, and a sentence without its full stop for the log. */
const char *webhook_fault_word(enum webhook_fault fault);
const char *webhook_fault_text(enum webhook_fault fault);

struct webhook_signature {
    bool is_ed25519;
    size_t size;
    unsigned char bytes[WEBHOOK_ED25519_SIZE];
};

/* What a request says. Slices are the request's. */
struct webhook_claim {
    struct slice id;        /* empty: it has none outside its body */
    struct slice time_text; /* empty: the form has none */
    int64_t time;           /* seconds since 1970 */
    unsigned count;
    struct webhook_signature signatures[WEBHOOK_SIGNATURES_MAX];
};

/* Reads the fields. WEBHOOK_UNSIGNED or WEBHOOK_MALFORMED. Signatures of schemes that are not known
 * are passed over, so that senders can bring new ones. */
enum webhook_fault webhook_claim_read(
    const struct webhook_form *form, const struct fields *fields, struct webhook_claim *ret_claim);

/* WEBHOOK_TOO_OLD, WEBHOOK_TOO_NEW: it is further from `now` than `tolerance` (both in seconds). A
 * form without times is never either. */
enum webhook_fault webhook_claim_check_time(const struct webhook_form *form,
    const struct webhook_claim *claim, int64_t now, int64_t tolerance);

/* What was signed, up to the body, which is always the last. */
void webhook_claim_add_prefix(
    const struct webhook_form *form, const struct webhook_claim *claim, struct text *text);

/* Takes the prefix off the front; false when it is not there. */
bool webhook_take_prefix(struct slice *text, struct slice prefix);
