/* Fields of HTTP/2 messages (RFC 9113 §8.2), for both sides: lists as nghttp2 sends them, and
 * fields that came. */
#pragma once

#include <nghttp2/nghttp2.h>

#include "http/fields.h"

struct h2_list {
    nghttp2_nv *items; /* in an arena */
    size_t count, capacity;
};

/* Room for `capacity` names; NO_MEMORY. */
enum status h2_list_init(struct h2_list *list, struct arena *arena, size_t capacity);

/* Appends, to a list that has room. Name and value must outlive the list's submission. */
void h2_list_add(struct h2_list *list, struct slice name, struct slice value);

/* Appends a message's fields: names in lower case; left out are Host, Content-Length and what means
 * one connection only, which HTTP/2 says in other ways. NO_MEMORY. */
enum status h2_list_add_fields(
    struct h2_list *list, struct arena *arena, const struct fields *fields);

/* What may still come in one head or trailer section, by RFC 9113's measure: 32 bytes for each
 * field besides its name and value. */
struct h2_budget {
    size_t bytes;
    uint32_t fields;
};

/* Copies a field that came into the list's arena. BAD_FIELD when name or value could not stand in a
 * message of HTTP/1.1, FIELDS_TOO_LARGE, NO_MEMORY. */
enum status h2_field_take(
    struct fields *fields, struct h2_budget *budget, struct slice name, struct slice value);
