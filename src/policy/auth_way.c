#include "policy/auth_way.h"

#include "config/expression.h"

#define AUTH_WAY(name) extern const struct auth_way name##_way;
#include "policy/auth_ways.def"
#undef AUTH_WAY

const struct auth_way *const auth_ways[] = {
#define AUTH_WAY(name) &name##_way,
#include "policy/auth_ways.def"
#undef AUTH_WAY
    NULL};

enum status auth_credentials(const struct exchange *x, struct slice scheme, struct slice *ret_rest)
{
    const struct fields *fields = &x->request.fields;
    const struct field *field = fields_next(fields, FIELD_AUTHORIZATION, NULL);
    *ret_rest = SLICE_NONE;
    if (!field)
        return OK;
    if (fields_next(fields, FIELD_AUTHORIZATION, field))
        return TOKEN_MALFORMED;
    size_t blank = slice_find(field->value, ' ');
    if (slice_equal_nocase(slice_head(field->value, blank), scheme))
        *ret_rest = slice_trim(slice_from(field->value, blank));
    return OK;
}

enum status auth_token(struct exchange *x, const struct expression *from, struct slice *ret_token)
{
    struct slice token;
    enum status e = OK;
    if (from)
        token = expression_text(from, x);
    else
        e = auth_credentials(x, SLICE("Bearer"), &token);
    if (!e && !token.size)
        e = CREDENTIALS_MISSING;
    if (!e)
        *ret_token = token;
    return e;
}

static bool is_alike(struct slice name, struct slice sent)
{
    if (name.size != sent.size)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        char a = name.data[i] == '_' ? '-' : name.data[i],
             b = sent.data[i] == '_' ? '-' : sent.data[i];
        if (!slice_equal_nocase(slice_of(&a, 1), slice_of(&b, 1)))
            return false;
    }
    return true;
}

void auth_strip(struct fields *fields, struct slice name)
{
    for (uint32_t i = 0; i < fields->count; i++)
        if (is_alike(fields->items[i].name, name))
            fields->items[i].name = SLICE_NONE;
}
