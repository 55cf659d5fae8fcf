/* What a running gateway's status says of how a service is, in words. */
#pragma once

#include "base/json.h"
#include "base/text.h"

/* "breaker open for 3.2 s; 4 wait; at most 12 at a time"; nothing when all is as usual. */
void service_words(const struct json_value *service, struct text *text);

/* "half-open", "open for 3.2 s"; nothing when it is closed, or there is none. */
void breaker_words(const struct json_value *of, struct text *text);

/* A number of an answer's object, as printf's %lld wants it; 0: it has none. */
long long number_member(const struct json_value *object, const char *key);

/* The same with its fraction. */
double double_member(const struct json_value *object, const char *key);
