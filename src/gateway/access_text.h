/* What the lines of the access log are made of, whatever they are about. */
#pragma once

#include "gateway/access_log.h"

/* `,"key":` of a literal. */
#define ACCESS_KEY(text, literal) text_add((text), SLICE(",\"" literal "\":"))

/* In quotes, escaped. */
static inline void access_add_string(struct text *text, struct slice value)
{
    text_add_char(text, '"');
    text_add_json(text, value);
    text_add_char(text, '"');
}

/* The same behind its key, unless it is empty. */
static inline void access_add_optional(struct text *text, struct slice key, struct slice value)
{
    if (!value.size)
        return;
    text_add(text, key);
    access_add_string(text, value);
}

static inline void access_add_ip(struct text *text, const struct address *address)
{
    text_add_char(text, '"');
    address_format_ip(address, text);
    text_add_char(text, '"');
}

/* Seconds with microseconds: 0.001234. */
void access_add_seconds(struct text *text, int64_t nanoseconds);

/* "2026-11-20T12:00:00.000Z" without the quotes, and "20/Nov/2026:12:00:00". */
void access_add_time(struct text *text, struct log_time *time);
void access_add_common_time(struct text *text, struct log_time *time);
