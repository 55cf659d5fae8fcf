#include "policy/idempotency_key.h"

#include "base/json.h"
#include "base/structured_field.h"
#include "policy/idempotency_parts.h"

/* Those of tokens (RFC 9110 §5.6.2), and those that base64 and URNs have besides. */
static bool may_stand_bare(char c)
{
    bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    return is_letter || (c != 0 && strchr("!#$%&'*+-.^_`|~/:=@", c));
}

static enum status parse_string(struct arena *arena, struct slice value, struct slice *ret_key)
{
    struct structured_member item;
    enum status e = structured_parse_item(arena, value, &item);
    if (e)
        return e == NO_MEMORY ? e : INVALID;
    *ret_key = item.value.text;
    return item.value.type == STRUCTURED_STRING ? OK : INVALID;
}

static enum status parse_bare(struct slice value)
{
    for (size_t i = 0; i < value.size; i++)
        if (!may_stand_bare(value.data[i]))
            return INVALID;
    return OK;
}

enum status idempotency_key_parse(struct arena *arena, struct slice value, struct slice *ret_key)
{
    struct slice key = slice_trim(value);
    enum status e =
        key.size && key.data[0] == '"' ? parse_string(arena, key, &key) : parse_bare(key);
    if (e)
        return e;
    if (key.size == 0 || key.size > IDEMPOTENCY_KEY_MAX)
        return INVALID;
    *ret_key = key;
    return OK;
}

enum status idempotency_key_of(struct exchange *x, struct slice *ret_key)
{
    if (!fields_has(&x->request.fields, FIELD_IDEMPOTENCY_KEY))
        return NOT_FOUND;
    if (!fields_find(&x->request.fields, FIELD_IDEMPOTENCY_KEY)) /* it was taken out */
        return NOT_FOUND;
    struct slice value = fields_combined(&x->request.fields, field_name(FIELD_IDEMPOTENCY_KEY));
    return idempotency_key_parse(&x->arena, value, ret_key);
}

struct slice idempotency_principal(struct exchange *x, struct slice per)
{
    const struct slice none = SLICE_NONE;
    if (per.size)
        return idempotency_join(&x->arena, (const struct slice[]){SLICE("per"), per}, 2);
    struct slice subject = json_text_of(x->claims, "sub");
    struct slice issuer = json_text_of(x->claims, "iss");
    if (!subject.size)
        return none;
    return idempotency_join(&x->arena, (const struct slice[]){SLICE("claims"), issuer, subject}, 3);
}

enum status idempotency_name(struct exchange *x, struct slice policy, struct slice principal,
    struct slice key, struct slice *ret_name)
{
    char digest[TLS_DIGEST_SIZE];
    struct slice parts[] = {policy, x->facts.route, principal, key};
    struct slice whole = idempotency_join(&x->arena, parts, sizeof parts / sizeof *parts);
    if (!whole.data || tls_digest(whole, digest))
        return NO_MEMORY;
    struct slice name = arena_format(&x->arena, "idempotency:%s", digest);
    if (!name.data)
        return NO_MEMORY;
    *ret_name = name;
    return OK;
}
