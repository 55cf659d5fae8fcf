#include "policy/auth_way.h"

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
