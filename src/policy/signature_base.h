/* What a signature of a request is made over: RFC 9421 §2.
 *
 * A signature names the components that it covers, fields and such that are derived from the
 * request ("@method"); the base has a line for each, with its value in this request, and then what
 * the signature says of itself. */
#pragma once

#include "base/structured_field.h"
#include "http/message.h"

#define SIGNATURE_COMPONENTS_MAX 64

/* Appends the base for `input`, a member of Signature-Input. INVALID: it is no list of components,
 * one is covered twice, is not known, or the request does not have it; NO_MEMORY. */
enum status signature_base_write(struct arena *arena, const struct http_request *request,
    const struct structured_member *input, struct text *text);

/* Does the signature cover that component, whole? A component that follows from others counts:
 * "@target-uri" from "@authority", "@path" and "@query", and these from it. */
bool signature_covers(const struct structured_member *input, struct slice name);

/* The item for a field, whole or a member of it ("key"); NULL: it is not covered. */
const struct structured_member *signature_find_component(
    const struct structured_member *input, struct slice name);
