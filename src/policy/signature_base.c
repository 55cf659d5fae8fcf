#include "policy/signature_base.h"

#include "http/uri.h"

/* --- the parts of the target, as they came (§2.2: before percent-encoding is decoded) */

struct target_parts {
    struct slice path, query; /* null data: there is none */
    bool has_path;
};

static struct target_parts divide(const struct http_request *request)
{
    struct slice target = request->target;
    struct target_parts parts = {SLICE_NONE, SLICE_NONE, true};
    if (target.size == 0 || target.data[0] != '/') { /* absolute form, or none with a path */
        size_t mark = slice_find_slice(target, SLICE("://"));
        parts.has_path = mark < target.size;
        target = slice_from(target, mark + 3);
        size_t end = 0;
        while (end < target.size && target.data[end] != '/' && target.data[end] != '?')
            end++;
        target = slice_from(target, end);
    }
    size_t mark = slice_find(target, '?');
    parts.path = slice_head(target, mark);
    if (mark < target.size)
        parts.query = slice_of(target.data + mark + 1, target.size - mark - 1);
    return parts;
}

/* --- derived components (§2.2) */

struct writing {
    struct arena *arena;
    const struct http_request *request;
    const struct structured_member *item;
    struct text *text;
};

static enum status write_method(const struct writing *w)
{
    text_add(w->text, w->request->method_text);
    return OK;
}

static enum status write_scheme(const struct writing *w)
{
    text_add(w->text, w->request->scheme);
    return OK;
}

/* Lower case, without the scheme's usual port (§2.2.3). */
static enum status write_authority(const struct writing *w)
{
    struct slice authority = w->request->authority;
    bool is_https = slice_equal(w->request->scheme, SLICE("https"));
    struct slice usual = is_https ? SLICE(":443") : SLICE(":80");
    if (slice_has_suffix(authority, usual))
        authority.size -= usual.size;
    for (size_t i = 0; i < authority.size; i++) {
        char c = authority.data[i];
        text_add_char(w->text, c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c);
    }
    return authority.size ? OK : INVALID;
}

static enum status write_path(const struct writing *w)
{
    struct target_parts parts = divide(w->request);
    if (!parts.has_path)
        return INVALID;
    text_add(w->text, parts.path.size ? parts.path : SLICE("/"));
    return OK;
}

static enum status write_query(const struct writing *w)
{
    struct target_parts parts = divide(w->request);
    text_add_char(w->text, '?');
    text_add(w->text, parts.query);
    return parts.has_path ? OK : INVALID;
}

static enum status write_target(const struct writing *w)
{
    text_add(w->text, w->request->target);
    return OK;
}

static enum status write_uri(const struct writing *w)
{
    text_add(w->text, w->request->scheme);
    text_add_literal(w->text, "://");
    enum status e = write_authority(w);
    if (!e)
        e = write_path(w);
    if (!e && divide(w->request).query.data)
        e = write_query(w);
    return e;
}

/* The percent-encode set of application/x-www-form-urlencoded. */
static bool stays(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("*-._", c));
}

static struct slice normal(struct arena *arena, struct slice encoded)
{
    struct slice decoded;
    return uri_decode(arena, encoded, true, &decoded) ? SLICE_NONE
                                                      : uri_escape(arena, decoded, stays);
}

/* One that is there twice cannot be named (§2.2.8). */
static enum status write_parameter(const struct writing *w)
{
    const struct structured_value *wanted = structured_get_parameter(w->item, SLICE("name"));
    struct slice rest = divide(w->request).query, name, value, found = SLICE_NONE;
    if (!wanted || wanted->type != STRUCTURED_STRING)
        return INVALID;
    while (uri_query_next(&rest, &name, &value)) {
        if (!slice_equal(normal(w->arena, name), wanted->text))
            continue;
        if (found.data)
            return INVALID;
        found = value.size ? normal(w->arena, value) : SLICE("");
        if (!found.data)
            return INVALID;
    }
    text_add(w->text, found);
    return found.data ? OK : INVALID;
}

static const struct derived {
    struct slice name;
    enum status (*write)(const struct writing *w);
    bool takes_name;
} derived[] = {
    {SLICE_INIT("@method"), write_method, false},
    {SLICE_INIT("@target-uri"), write_uri, false},
    {SLICE_INIT("@authority"), write_authority, false},
    {SLICE_INIT("@scheme"), write_scheme, false},
    {SLICE_INIT("@request-target"), write_target, false},
    {SLICE_INIT("@path"), write_path, false},
    {SLICE_INIT("@query"), write_query, false},
    {SLICE_INIT("@query-param"), write_parameter, true},
};

static enum status write_derived(const struct writing *w)
{
    const struct structured_parameter *parameter = w->item->parameters;
    for (size_t i = 0; i < sizeof derived / sizeof *derived; i++) {
        if (!slice_equal(derived[i].name, w->item->value.text))
            continue;
        bool has_name = parameter && !parameter->next && slice_equal(parameter->key, SLICE("name"));
        bool is_right = derived[i].takes_name ? has_name : !parameter;
        return is_right ? derived[i].write(w) : INVALID;
    }
    return INVALID;
}

/* --- fields (§2.1) */

/* Fields whose structure is known, for "sf"; all others are as they are. */
static const struct {
    struct slice name;
    char kind; /* d(ictionary), l(ist) or i(tem) */
} structured[] = {
    {SLICE_INIT("content-digest"), 'd'},
    {SLICE_INIT("repr-digest"), 'd'},
    {SLICE_INIT("want-content-digest"), 'd'},
    {SLICE_INIT("want-repr-digest"), 'd'},
    {SLICE_INIT("priority"), 'd'},
    {SLICE_INIT("signature"), 'd'},
    {SLICE_INIT("signature-input"), 'd'},
    {SLICE_INIT("accept-signature"), 'd'},
    {SLICE_INIT("cache-status"), 'l'},
    {SLICE_INIT("proxy-status"), 'l'},
    {SLICE_INIT("client-cert"), 'i'},
    {SLICE_INIT("client-cert-chain"), 'l'},
    {SLICE_INIT("idempotency-key"), 'i'},
};

static enum status write_structured(const struct writing *w, struct slice value)
{
    struct structured_member *first, item;
    char kind = 0;
    for (size_t i = 0; i < sizeof structured / sizeof *structured; i++)
        if (slice_equal(structured[i].name, w->item->value.text))
            kind = structured[i].kind;
    if (kind == 'd')
        return structured_parse_dictionary(w->arena, value, &first)
                   ? INVALID
                   : structured_write_dictionary(w->text, first);
    if (kind == 'l')
        return structured_parse_list(w->arena, value, &first)
                   ? INVALID
                   : structured_write_list(w->text, first);
    return kind != 'i' || structured_parse_item(w->arena, value, &item)
               ? INVALID
               : structured_write_item(w->text, &item);
}

static enum status write_member(
    const struct writing *w, struct slice value, const struct structured_value *key)
{
    struct structured_member *first;
    if (key->type != STRUCTURED_STRING || structured_parse_dictionary(w->arena, value, &first))
        return INVALID;
    const struct structured_member *member = structured_get(first, key->text);
    if (!member)
        return INVALID;
    struct structured_member alone = *member;
    alone.next = NULL;
    return structured_write_list(w->text, &alone);
}

static enum status write_bytes(const struct writing *w)
{
    const struct fields *fields = &w->request->fields;
    const struct field *field = NULL;
    bool is_first = true;
    while ((field = fields_next_named(fields, w->item->value.text, field))) {
        struct slice value = slice_trim(field->value);
        text_add(w->text, is_first ? SLICE("") : SLICE(", "));
        is_first = false;
        enum status e = structured_write_value(
            w->text, (struct structured_value){.type = STRUCTURED_BYTES, .text = value});
        if (e)
            return e;
    }
    return is_first ? INVALID : OK;
}

static bool is_true(const struct structured_value *value)
{
    return value->type == STRUCTURED_BOOLEAN && value->number;
}

/* "tr" and "req" are for what a request's head does not have. */
static enum status write_field(const struct writing *w)
{
    const struct structured_value *key = NULL;
    bool is_strict = false, is_bytes = false;
    for (const struct structured_parameter *p = w->item->parameters; p; p = p->next) {
        if (slice_equal(p->key, SLICE("key")))
            key = &p->value;
        else if (slice_equal(p->key, SLICE("sf")) && is_true(&p->value))
            is_strict = true;
        else if (slice_equal(p->key, SLICE("bs")) && is_true(&p->value))
            is_bytes = true;
        else
            return INVALID;
    }
    struct slice value = fields_combined(&w->request->fields, w->item->value.text);
    if (!value.data || (is_bytes && (is_strict || key)))
        return INVALID;
    if (is_bytes)
        return write_bytes(w);
    if (key)
        return write_member(w, value, key);
    if (is_strict)
        return write_structured(w, value);
    text_add(w->text, slice_trim(value));
    return OK;
}

static bool is_lower_case(struct slice name)
{
    for (size_t i = 0; i < name.size; i++)
        if (name.data[i] >= 'A' && name.data[i] <= 'Z')
            return false;
    return field_name_is_valid(name);
}

/* --- the whole */

static bool was_named(const struct slice *names, size_t count, struct slice name)
{
    for (size_t i = 0; i < count; i++)
        if (slice_equal(names[i], name))
            return true;
    return false;
}

static enum status write_line(const struct writing *w, struct slice *names, size_t count)
{
    size_t begin = w->text->size;
    const struct structured_value *name = &w->item->value;
    if (name->type != STRUCTURED_STRING || structured_write_item(w->text, w->item))
        return INVALID;
    struct slice written = slice_of(w->text->data + begin, w->text->size - begin);
    if (was_named(names, count, written))
        return INVALID;
    names[count] = arena_copy(w->arena, written);
    text_add_literal(w->text, ": ");
    bool is_derived = name->text.size && name->text.data[0] == '@';
    if (!is_derived && !is_lower_case(name->text))
        return INVALID;
    enum status e = is_derived ? write_derived(w) : write_field(w);
    text_add_char(w->text, '\n');
    if (w->text->failed || !names[count].data)
        return NO_MEMORY;
    return e;
}

enum status signature_base_write(struct arena *arena, const struct http_request *request,
    const struct structured_member *input, struct text *text)
{
    struct slice names[SIGNATURE_COMPONENTS_MAX];
    size_t count = 0;
    if (input->value.type != STRUCTURED_INNER_LIST)
        return INVALID;
    for (const struct structured_member *item = input->items; item; item = item->next) {
        const struct writing w = {arena, request, item, text};
        enum status e = count < SIGNATURE_COMPONENTS_MAX ? write_line(&w, names, count) : INVALID;
        if (e)
            return e;
        count++;
    }
    struct structured_member alone = *input;
    alone.next = NULL;
    text_add_literal(text, "\"@signature-params\": ");
    enum status e = structured_write_list(text, &alone);
    return text->failed ? NO_MEMORY : e;
}

/* --- what is covered */

static bool has(const struct structured_member *input, struct slice name)
{
    for (const struct structured_member *item = input->items; item; item = item->next)
        if (!item->parameters && item->value.type == STRUCTURED_STRING &&
            slice_equal(item->value.text, name))
            return true;
    return false;
}

bool signature_covers(const struct structured_member *input, struct slice name)
{
    bool has_uri = has(input, SLICE("@target-uri"));
    bool has_target = has(input, SLICE("@request-target"));
    if (has(input, name))
        return true;
    if (slice_equal(name, SLICE("@target-uri")))
        return signature_covers(input, SLICE("@authority")) &&
               signature_covers(input, SLICE("@request-target"));
    if (slice_equal(name, SLICE("@request-target")))
        return has_uri || (has(input, SLICE("@path")) && has(input, SLICE("@query")));
    if (slice_equal(name, SLICE("@authority")) || slice_equal(name, SLICE("@scheme")))
        return has_uri;
    if (slice_equal(name, SLICE("@path")) || slice_equal(name, SLICE("@query")))
        return has_uri || has_target;
    return false;
}

const struct structured_member *signature_find_component(
    const struct structured_member *input, struct slice name)
{
    for (const struct structured_member *item = input->items; item; item = item->next)
        if (item->value.type == STRUCTURED_STRING && slice_equal(item->value.text, name))
            return item;
    return NULL;
}
