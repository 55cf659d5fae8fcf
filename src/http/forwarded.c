#include "http/forwarded.h"

#include "base/text.h"

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

/* Where a quoted string at the front ends, behind its closing quote; 0 when it does not end. */
static size_t quoted_size(struct slice s)
{
    for (size_t i = 1; i < s.size; i++) {
        if (s.data[i] == '\\')
            i++;
        else if (s.data[i] == '"')
            return i + 1;
    }
    return 0;
}

/* Takes "name=value" and the ";" behind it off an element of Forwarded. The value is without its
 * quotes; one with escapes is no address, so they stay. Tokens may have the ":" and brackets that
 * some forget to quote. INVALID: whoever wrote this, nobody knows what it means to others. */
static enum status take_pair(struct slice *rest, struct slice *ret_name, struct slice *ret_value)
{
    struct slice s = slice_trim(*rest);
    size_t equals = slice_find(s, '=');
    struct slice name = slice_head(s, equals), value = slice_from(s, equals + 1);
    bool is_quoted = value.size && value.data[0] == '"';
    size_t size = is_quoted ? quoted_size(value) : slice_find(value, ';');
    struct slice behind = slice_trim(slice_from(value, size));
    if (!field_name_is_valid(name) || size == 0 || (behind.size && behind.data[0] != ';'))
        return INVALID;
    value = slice_trim(slice_head(value, size));
    if (!is_quoted && slice_find(value, '"') != value.size)
        return INVALID;
    *ret_name = name;
    *ret_value = is_quoted ? slice_of(value.data + 1, value.size - 2) : value;
    *rest = slice_from(behind, 1);
    return OK;
}

/* The `for` of an element of Forwarded, empty when there is none. INVALID when the element is
 * malformed or has two. */
static enum status element_node(struct slice element, struct slice *ret_node)
{
    struct slice name, value, node = SLICE_NONE;
    while (element.size) {
        if (take_pair(&element, &name, &value))
            return INVALID;
        if (!slice_equal_nocase(name, SLICE("for")))
            continue;
        if (node.data)
            return INVALID;
        node = value;
    }
    *ret_node = node;
    return OK;
}

static enum status parse_element(struct slice element, struct address *ret_address)
{
    struct slice node;
    if (element_node(element, &node))
        return INVALID;
    return parse_node(node, ret_address);
}

/* X-Forwarded-For knows no quotes: a comma always ends a member. */
static bool next_node(struct slice *rest, struct slice *ret_member)
{
    struct slice member;
    while (slice_split(rest, ',', &member)) {
        *ret_member = slice_trim(member);
        if (ret_member->size)
            return true;
    }
    return false;
}

/* How a field names addresses. */
struct notation {
    enum field_id id;
    bool (*next)(struct slice *rest, struct slice *ret_member);
    enum status (*parse)(struct slice member, struct address *ret_address);
};

static const struct notation x_notation = {FIELD_X_FORWARDED_FOR, next_node, parse_node};
static const struct notation standard_notation = {FIELD_FORWARDED, field_list_next, parse_element};

/* The right-most untrusted address, walking from the left: one that is not trusted replaces what
 * was found before, one that cannot be read makes all before it worthless. */
static bool find_client(const struct fields *fields, const struct notation *notation,
    const struct network *trusted, size_t count, struct address *ret_client)
{
    bool found = false;
    const struct field *field = NULL;
    while ((field = fields_next(fields, notation->id, field))) {
        struct slice rest = field->value, member;
        while (notation->next(&rest, &member)) {
            struct address address;
            if (notation->parse(member, &address)) {
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
    bool is_x = fields_has(fields, FIELD_X_FORWARDED_FOR);
    bool found =
        find_client(fields, is_x ? &x_notation : &standard_notation, trusted, count, &client);
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
    address_copy(&x->client, &x->peer);
    x->is_peer_trusted = is_trusted(&x->peer, trusted, count);
    if (x->is_peer_trusted)
        read_trusted(x, trusted, count);
    return is_in_a_loop(&x->request.fields) ? LOOP_DETECTED : OK;
}

/* --- writing */

/* Whether a name begins with a text in lower case, also with underscores for its hyphens: services
 * that make variables of fields take one for the other. */
static bool begins(struct slice name, struct slice text)
{
    if (name.size < text.size)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        char c = name.data[i], wanted = text.data[i];
        if (c != wanted && (wanted == '-' ? c != '_' : (c | 0x20) != wanted))
            return false;
    }
    return true;
}

/* X-Real-IP tells the same tale in one address. It is not written here, but believed by many. */
static bool is_x_forwarded(struct slice name)
{
    static const struct slice real_ip = SLICE_INIT("x-real-ip");
    return begins(name, SLICE("x-forwarded-")) ||
           (name.size == real_ip.size && begins(name, real_ip));
}

static void remove_x_forwarded(struct fields *fields)
{
    static const enum field_id known[] = {FIELD_X_FORWARDED_FOR, FIELD_X_FORWARDED_HOST,
        FIELD_X_FORWARDED_PORT, FIELD_X_FORWARDED_PROTO};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        fields_remove_known(fields, known[i]);
    for (uint32_t i = 0; i < fields->count; i++) {
        struct field *field = &fields->items[i];
        if (is_x_forwarded(field->name))
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
    return joined.data ? fields_set_made(&x->request.fields, id, joined) : NO_MEMORY;
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
    return fields_add_made(&x->request.fields, id, value);
}

/* The port that the client asked for: as it is written in the authority, which has been parsed. */
static struct slice port_of(const struct http_request *request)
{
    struct slice authority = request->authority;
    size_t colon = authority.size;
    while (colon > 0 && authority.data[colon - 1] >= '0' && authority.data[colon - 1] <= '9')
        colon--;
    if (colon > 1 && authority.data[colon - 1] == ':')
        return slice_from(authority, colon);
    return slice_equal(request->scheme, SLICE("https")) ? SLICE("443") : SLICE("80");
}

/* The list to continue: what a trusted peer sent; or, if it told of the client in the other way,
 * the client. */
static struct slice former_x(struct exchange *x, char room[ADDRESS_TEXT_MAX])
{
    struct slice former = fields_combined(&x->request.fields, SLICE("x-forwarded-for"));
    return former.size || address_equal(&x->client, &x->peer) ? former : ip_of(&x->client, room);
}

static enum status write_x(struct exchange *x, struct slice former)
{
    char room[ADDRESS_TEXT_MAX];
    enum status e = append(x, FIELD_X_FORWARDED_FOR, former, ip_of(&x->peer, room));
    if (e == OK)
        e = set_missing(x, FIELD_X_FORWARDED_HOST, x->request.authority);
    if (e == OK)
        e = set_missing(x, FIELD_X_FORWARDED_PROTO, x->request.scheme);
    return e ? e : set_missing(x, FIELD_X_FORWARDED_PORT, port_of(&x->request));
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

/* A malformed list cannot be continued: a quote that was left open would swallow what is added. */
static bool is_well_formed(const struct fields *fields)
{
    const struct field *field = NULL;
    while ((field = fields_next(fields, FIELD_FORWARDED, field))) {
        struct slice rest = field->value, member, node;
        while (field_list_next(&rest, &member))
            if (element_node(member, &node))
                return false;
    }
    return true;
}

static struct slice former_standard(struct exchange *x, char room[ADDRESS_TEXT_MAX])
{
    struct slice former = SLICE_NONE;
    if (is_well_formed(&x->request.fields))
        former = fields_combined(&x->request.fields, SLICE("forwarded"));
    if (former.size || address_equal(&x->client, &x->peer))
        return former;
    struct text text = text_fixed(room, ADDRESS_TEXT_MAX);
    add_node(&text, &x->client);
    return text_slice(&text);
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
    char x_room[ADDRESS_TEXT_MAX], standard_room[ADDRESS_TEXT_MAX];
    struct slice before_x = SLICE_NONE, before_standard = SLICE_NONE;
    bool is_standard = style == FORWARDED_STANDARD || style == FORWARDED_BOTH;
    bool is_x = style == FORWARDED_X || style == FORWARDED_BOTH;
    if (x->is_peer_trusted) {
        if (style == FORWARDED_NONE)
            return OK;
        before_x = former_x(x, x_room);
        before_standard = former_standard(x, standard_room);
    }
    if (!x->is_peer_trusted || !is_x)
        remove_x_forwarded(fields);
    fields_remove_known(fields, FIELD_FORWARDED);
    enum status e = is_x ? write_x(x, before_x) : OK;
    return e || !is_standard ? e : write_standard(x, before_standard);
}

enum status via_add(struct fields *fields, enum http_version version)
{
    static const struct slice values[] = {
        [HTTP_1_0] = SLICE_INIT("1.0 " PSEUDONYM),
        [HTTP_1_1] = SLICE_INIT("1.1 " PSEUDONYM),
        [HTTP_2] = SLICE_INIT("2 " PSEUDONYM),
    };
    return fields_add_made(fields, FIELD_VIA, values[version]);
}
