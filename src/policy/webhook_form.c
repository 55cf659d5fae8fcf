#include "policy/webhook_form.h"

#include "base/base64.h"
#include "base/octets.h"

const struct webhook_form webhook_forms[] = {
#define FORM(...) {__VA_ARGS__},
#include "policy/webhook_forms.def"
#undef FORM
    {NULL}};

const char *const webhook_form_words[] = {
#define FORM(word, ...) word,
#include "policy/webhook_forms.def"
#undef FORM
    NULL};

static const struct {
    const char *word, *text;
} faults[WEBHOOK_FAULT_COUNT] = {
    [WEBHOOK_GOOD] = {"accepted", ""},
    [WEBHOOK_UNSIGNED] = {"unsigned", "it brings no signature"},
    [WEBHOOK_MALFORMED] = {"malformed",
        "its signature, time or id is malformed, repeated or missing"},
    [WEBHOOK_TOO_OLD] = {"too-old", "its time is longer ago than the tolerance"},
    [WEBHOOK_TOO_NEW] = {"too-new", "its time lies further ahead than the tolerance"},
    [WEBHOOK_WRONG] = {"wrong-signature", "none of the secrets made its signature"},
};

const char *webhook_fault_word(enum webhook_fault fault)
{
    return faults[fault].word;
}

const char *webhook_fault_text(enum webhook_fault fault)
{
    return faults[fault].text;
}

/* --- reading */

/* A field that is there twice could be read in two ways. */
static enum webhook_fault take_field(
    const struct fields *fields, const char *name, struct slice *ret_value)
{
    struct slice wanted = slice_of_text(name);
    const struct field *field = fields_next_named(fields, wanted, NULL);
    if (!field || field->value.size == 0)
        return WEBHOOK_UNSIGNED;
    if (fields_next_named(fields, wanted, field))
        return WEBHOOK_MALFORMED;
    *ret_value = field->value;
    return WEBHOOK_GOOD;
}

static bool read_base64(struct slice text, unsigned char *bytes, size_t size)
{
    char room[WEBHOOK_ED25519_SIZE + 8];
    size_t read;
    if (base64_decoded_size(text.size) > sizeof room || !base64_decode(text, 0, room, &read) ||
        read != size)
        return false;
    memcpy(bytes, room, size);
    return true;
}

bool webhook_take_prefix(struct slice *text, struct slice prefix)
{
    if (!slice_has_prefix(*text, prefix))
        return false;
    *text = slice_of(text->data + prefix.size, text->size - prefix.size);
    return true;
}

static bool take_scheme(struct slice *part, const char *scheme)
{
    return scheme && webhook_take_prefix(part, slice_of_text(scheme));
}

static enum webhook_fault add_signature(const struct webhook_form *form, struct slice text,
    bool is_ed25519, struct webhook_claim *claim)
{
    if (claim->count == WEBHOOK_SIGNATURES_MAX)
        return WEBHOOK_MALFORMED;
    struct webhook_signature *signature = &claim->signatures[claim->count];
    signature->is_ed25519 = is_ed25519;
    signature->size = is_ed25519 ? WEBHOOK_ED25519_SIZE : WEBHOOK_DIGEST_SIZE;
    bool is_read = form->encoding == WEBHOOK_HEX
                       ? octets_read_hex(text, signature->bytes, signature->size)
                       : read_base64(text, signature->bytes, signature->size);
    if (!is_read)
        return WEBHOOK_MALFORMED;
    claim->count++;
    return WEBHOOK_GOOD;
}

static enum webhook_fault read_part(
    const struct webhook_form *form, struct slice part, struct webhook_claim *claim)
{
    if (take_scheme(&part, form->time_scheme)) {
        if (claim->time_text.size)
            return WEBHOOK_MALFORMED;
        claim->time_text = part;
        return WEBHOOK_GOOD;
    }
    if (take_scheme(&part, form->ed25519_scheme))
        return add_signature(form, part, true, claim);
    if (take_scheme(&part, form->hmac_scheme))
        return add_signature(form, part, false, claim);
    return WEBHOOK_GOOD;
}

static enum webhook_fault read_signatures(
    const struct webhook_form *form, struct slice value, struct webhook_claim *claim)
{
    struct slice part;
    enum webhook_fault fault = WEBHOOK_GOOD;
    if (!form->separator)
        fault = read_part(form, value, claim);
    else
        while (!fault && slice_split(&value, form->separator, &part))
            fault = read_part(form, slice_trim(part), claim);
    if (fault)
        return fault;
    return claim->count ? WEBHOOK_GOOD : WEBHOOK_UNSIGNED;
}

/* Beyond the year 9999 nobody means a time; and no difference of two can be too large. */
#define TIME_MAX 253402300799

static enum webhook_fault read_time(
    const struct webhook_form *form, const struct fields *fields, struct webhook_claim *claim)
{
    uint64_t time;
    if (!form->time_field && !form->time_scheme)
        return WEBHOOK_GOOD;
    if (form->time_field && take_field(fields, form->time_field, &claim->time_text))
        return WEBHOOK_MALFORMED;
    if (!slice_to_u64(claim->time_text, &time) || time > TIME_MAX)
        return WEBHOOK_MALFORMED;
    claim->time = (int64_t)time;
    return WEBHOOK_GOOD;
}

static bool is_id_signed(const struct webhook_form *form)
{
    return strstr(form->signed_text, "$i") != NULL;
}

/* One that is signed has to be there; a full stop in it could stand for the one behind it. */
static enum webhook_fault read_id(
    const struct webhook_form *form, const struct fields *fields, struct webhook_claim *claim)
{
    if (!form->id_field)
        return WEBHOOK_GOOD;
    enum webhook_fault fault = take_field(fields, form->id_field, &claim->id);
    if (fault == WEBHOOK_UNSIGNED && !is_id_signed(form))
        return WEBHOOK_GOOD;
    if (fault || claim->id.size > WEBHOOK_ID_MAX)
        return WEBHOOK_MALFORMED;
    return is_id_signed(form) && slice_find(claim->id, '.') < claim->id.size ? WEBHOOK_MALFORMED
                                                                             : WEBHOOK_GOOD;
}

enum webhook_fault webhook_claim_read(
    const struct webhook_form *form, const struct fields *fields, struct webhook_claim *ret_claim)
{
    struct webhook_claim claim = {.count = 0};
    struct slice value;
    enum webhook_fault fault = take_field(fields, form->signature_field, &value);
    if (!fault)
        fault = read_signatures(form, value, &claim);
    if (!fault)
        fault = read_time(form, fields, &claim);
    if (!fault)
        fault = read_id(form, fields, &claim);
    if (!fault)
        *ret_claim = claim;
    return fault;
}

enum webhook_fault webhook_claim_check_time(const struct webhook_form *form,
    const struct webhook_claim *claim, int64_t now, int64_t tolerance)
{
    if (!form->time_field && !form->time_scheme)
        return WEBHOOK_GOOD;
    if (claim->time < now - tolerance)
        return WEBHOOK_TOO_OLD;
    return claim->time > now + tolerance ? WEBHOOK_TOO_NEW : WEBHOOK_GOOD;
}

void webhook_claim_add_prefix(
    const struct webhook_form *form, const struct webhook_claim *claim, struct text *text)
{
    for (const char *at = form->signed_text; *at; at++)
        if (*at != '$')
            text_add_char(text, *at);
        else if (*++at == 'i')
            text_add(text, claim->id);
        else if (*at == 't')
            text_add(text, claim->time_text);
}
