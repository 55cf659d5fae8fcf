#include "http/cookie.h"

bool cookie_next(struct slice *rest, struct slice *ret_name, struct slice *ret_value)
{
    struct slice part;
    while (slice_split(rest, ';', &part)) {
        size_t equals = slice_find(part, '=');
        if (equals == part.size)
            continue;
        *ret_name = slice_trim(slice_head(part, equals));
        struct slice value = slice_trim(slice_from(part, equals + 1));
        *ret_value = value.size ? value : SLICE("");
        return true;
    }
    return false;
}

struct slice cookie_value(const struct fields *fields, struct slice name)
{
    const struct field *field = NULL;
    while ((field = fields_next(fields, FIELD_COOKIE, field))) {
        struct slice rest = field->value, got, value;
        while (cookie_next(&rest, &got, &value))
            if (slice_equal(got, name))
                return value;
    }
    return SLICE_NONE;
}

bool cookie_name_is_valid(struct slice name)
{
    for (size_t i = 0; i < name.size; i++) {
        unsigned char c = (unsigned char)name.data[i];
        if (c <= ' ' || c >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", c))
            return false;
    }
    return name.size > 0 && name.size <= 64;
}
