/* Cookies of a request (RFC 6265 §4.2): names and values as they are sent, quotes and all. */
#pragma once

#include "http/fields.h"

/* Takes the next cookie off a Cookie field's value: "a=b; c=d". Parts without "=" are skipped. */
bool cookie_next(struct slice *rest, struct slice *ret_name, struct slice *ret_value);

/* The value of the first cookie of that name (names have upper and lower case); null data when
 * there is none. */
struct slice cookie_value(const struct fields *fields, struct slice name);

/* Whether it can be the name of a cookie that is set (a token, RFC 6265 §4.1.1), of a length that
 * nobody minds. */
bool cookie_name_is_valid(struct slice name);
