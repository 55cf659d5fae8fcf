#include "http/forwarded.h"

#include "base/text.h"
#include "http/uri.h"

#define LOOPS_MAX   10
#define PSEUDONYM   "weir"
#define ELEMENT_MAX 1024 /* of Forwarded, bytes: a longer Host is left out */

/* --- reading */

static bool is_trusted(const struct address *address, const struct network *trusted, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (network_contains(&trusted[i], address))
            return true;
    return false;
}

/* "10.0.0.1", "10.0.0.1:80", "::1", "[::1]", "[::1]:80". */
static enum status parse_node(struct slice text, struct address *ret_address)
{
    if (address_parse_ip(text, 0, ret_address) == OK)
        return OK;
    if (text.size > 2 && text.data[0] == '[' && text.data[text.size - 1] == ']')
        return address_parse_ip(slice_of(text.data + 1, text.size - 2), 0, ret_address);
    if (text.size == 0 || text.data[0] == ':' || slice_has_prefix(text, SLICE("unix:")))
        return INVALID;
    return address_parse(text, ret_address);
}

/* What is inside a quoted string, if it is one; those with escapes are no addresses. */
static struct slice unquoted(struct slice s)
{
    if (s.size < 2 || s.data[0] != '"' || s.data[s.size - 1] != '"')
        return s;
    return slice_of(s.data + 1, s.size - 2);
}

/* The `for` of an element of Forwarded. Its values have no ";" but in quotes, where addresses have
 * none either. */
static enum status parse_element(struct slice element, struct address *ret_address)
{
    struct slice pair, node = SLICE_NONE;
    while (slice_split(&element, ';', &pair)) {
        size_t equals = slice_find(pair, '=');
        if (!slice_equal_nocase(slice_trim(slice_head(pair, equals)), SLICE("for")))
            continue;
        if (node.data)
            return INVALID;
        node = unquoted(slice_trim(slice_from(pair, equals + 1)));
    }
    return parse_node(node, ret_address);
}

typedef enum status parse_function(struct slice member, struct address *ret_address);

/* The right-most untrusted address, walking from the left: one that is not trusted replaces what
 * was found before, one that cannot be read makes all before it worthless. */
static bool find_client(const struct fields *fields, enum field_id id, parse_function *parse,
    const struct network *trusted, size_t count, struct address *ret_client)
{
    bool found = false;
    const struct field *field = NULL;
    while ((field = fields_next(fields, id, field))) {
        struct slice rest = field->value, member;
        while (field_list_next(&rest, &member)) {
            struct address address;
            if (parse(member, &address)) {
                found = false;
            } else if (!found || !is_trusted(&address, trusted, count)) {
                *ret_client = address;
                found = true;
            }
        }
    }
    return found;
}

static bool is_scheme(struct slice s)
{
    return slice_equal(s, SLICE("http")) || slice_equal(s, SLICE("https"));
}

static void read_trusted(struct exchange *x, const struct network *trusted, size_t count)
{
    const struct fields *fields = &x->request.fields;
    struct address client;
    bool found =
        fields_has(fields, FIELD_X_FORWARDED_FOR)
            ? find_client(fields, FIELD_X_FORWARDED_FOR, parse_node, trusted, count, &client)
            : find_client(fields, FIELD_FORWARDED, parse_element, trusted, count, &client);
    if (found)
        x->client = client;
    struct slice scheme = fields_value(fields, FIELD_X_FORWARDED_PROTO);
    if (is_scheme(scheme))
        x->request.scheme = scheme;
}

static bool is_in_a_loop(const struct fields *fields)
{
    unsigned times = 0;
    const struct field *field = NULL;
    while ((field = fields_next(fields, FIELD_VIA, field))) {
        struct slice rest = field->value, member;
        while (field_list_next(&rest, &member))
            times += slice_has_suffix(member, SLICE(" " PSEUDONYM));
    }
    return times >= LOOPS_MAX;
}

enum status forwarded_read(struct exchange *x, const struct network *trusted, size_t count)
{
    x->client = x->peer;
    x->is_peer_trusted = is_trusted(&x->peer, trusted, count);
    if (x->is_peer_trusted)
        read_trusted(x, trusted, count);
    return is_in_a_loop(&x->request.fields) ? LOOP_DETECTED : OK;
}

/* --- writing */

static void remove_x_forwarded(struct fields *fields)
{
    static const enum field_id known[] = {FIELD_X_FORWARDED_FOR, FIELD_X_FORWARDED_HOST,
        FIELD_X_FORWARDED_PORT, FIELD_X_FORWARDED_PROTO};
    struct slice prefix = SLICE("x-forwarded-");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        fields_remove_known(fields, known[i]);
    for (uint32_t i = 0; i < fields->count; i++) {
        struct field *field = &fields->items[i];
        if (slice_equal_nocase(slice_head(field->name, prefix.size), prefix))
            *field = (struct field){.id = FIELD_OTHER};
    }
}

/* Sets the field to its former values and one more. */
static enum status append(
    struct exchange *x, enum field_id id, struct slice former, struct slice value)
{
    struct slice parts[] = {former, SLICE(", "), value};
    struct slice joined =
        former.size ? arena_join(&x->arena, parts, 3) : arena_copy(&x->arena, value);
    return joined.data ? fields_set_known(&x->request.fields, id, joined) : NO_MEMORY;
}

/* What there is to continue: the field itself; or, if the trusted peer told of the client in the
 * other way, the client. */
static struct slice former_of(struct exchange *x, enum field_id id, struct slice client)
{
    struct slice former = fields_combined(&x->request.fields, field_name(id));
    return former.size || address_equal(&x->client, &x->peer) ? former : client;
}

static struct slice ip_of(const struct address *address, char room[ADDRESS_TEXT_MAX])
{
    struct text text = text_fixed(room, ADDRESS_TEXT_MAX);
    address_format_ip(address, &text);
    return text_slice(&text);
}

static enum status set_missing(struct exchange *x, enum field_id id, struct slice value)
{
    if (value.size == 0 || fields_has(&x->request.fields, id))
        return OK;
    return fields_add_known(&x->request.fields, id, value);
}

static enum status set_port(struct exchange *x)
{
    struct slice host, text;
    uint16_t port = 0;
    if (fields_has(&x->request.fields, FIELD_X_FORWARDED_PORT))
        return OK;
    if (uri_parse_authority(&x->arena, x->request.authority, &host, &port) || port == 0)
        port = slice_equal(x->request.scheme, SLICE("https")) ? 443 : 80;
    text = arena_format(&x->arena, "%u", port);
    return text.data ? fields_add_known(&x->request.fields, FIELD_X_FORWARDED_PORT, text)
                     : NO_MEMORY;
}

static enum status write_x(struct exchange *x, struct slice former)
{
    char room[ADDRESS_TEXT_MAX];
    enum status e = append(x, FIELD_X_FORWARDED_FOR, former, ip_of(&x->peer, room));
    if (e == OK)
        e = set_missing(x, FIELD_X_FORWARDED_HOST, x->request.authority);
    if (e == OK)
        e = set_missing(x, FIELD_X_FORWARDED_PROTO, x->request.scheme);
    return e ? e : set_port(x);
}

/* for=10.0.0.1, for="[::1]", for=unknown (RFC 7239 §6). */
static void add_node(struct text *text, const struct address *address)
{
    text_add_literal(text, "for=");
    if (address->any.sa_family == AF_UNIX || address->size == 0) {
        text_add_literal(text, "unknown");
        return;
    }
    char room[ADDRESS_TEXT_MAX];
    struct slice ip = ip_of(address, room);
    bool is_v6 = slice_find(ip, ':') != ip.size;
    if (is_v6)
        text_add_literal(text, "\"[");
    text_add(text, ip);
    if (is_v6)
        text_add_literal(text, "]\"");
}

static void add_host(struct text *text, struct slice host)
{
    if (host.size == 0 || host.size > ELEMENT_MAX / 2)
        return;
    bool is_token = field_name_is_valid(host);
    text_add_literal(text, ";host=");
    if (!is_token)
        text_add_char(text, '"');
    text_add(text, host); /* an authority has neither quotes nor backslashes */
    if (!is_token)
        text_add_char(text, '"');
}

static enum status write_standard(struct exchange *x, struct slice former)
{
    char room[ELEMENT_MAX];
    struct text text = text_fixed(room, sizeof room);
    add_node(&text, &x->peer);
    add_host(&text, x->request.authority);
    text_add_literal(&text, ";proto=");
    text_add(&text, x->request.scheme);
    return append(x, FIELD_FORWARDED, former, text_slice(&text));
}

enum status forwarded_write(struct exchange *x, enum forwarded_style style)
{
    struct fields *fields = &x->request.fields;
    char ip_room[ADDRESS_TEXT_MAX], node_room[ADDRESS_TEXT_MAX];
    struct text node = text_fixed(node_room, sizeof node_room);
    bool is_standard = style == FORWARDED_STANDARD || style == FORWARDED_BOTH;
    bool is_x = style == FORWARDED_X || style == FORWARDED_BOTH;
    if (style == FORWARDED_NONE && x->is_peer_trusted)
        return OK;
    if (!x->is_peer_trusted) {
        remove_x_forwarded(fields);
        fields_remove_known(fields, FIELD_FORWARDED);
    }
    add_node(&node, &x->client);
    struct slice former_x = former_of(x, FIELD_X_FORWARDED_FOR, ip_of(&x->client, ip_room));
    struct slice former_standard = former_of(x, FIELD_FORWARDED, text_slice(&node));
    enum status e = OK;
    if (is_x)
        e = write_x(x, former_x);
    else
        remove_x_forwarded(fields);
    if (is_standard && e == OK)
        e = write_standard(x, former_standard);
    else
        fields_remove_known(fields, FIELD_FORWARDED);
    return e;
}

enum status via_add(struct fields *fields, enum http_version version)
{
    static const struct slice values[] = {
        [HTTP_1_0] = SLICE_INIT("1.0 " PSEUDONYM),
        [HTTP_1_1] = SLICE_INIT("1.1 " PSEUDONYM),
        [HTTP_2] = SLICE_INIT("2 " PSEUDONYM),
    };
    return fields_add_known(fields, FIELD_VIA, values[version]);
}
