#include "config/expression_root.h"

#include "config/expression_bodies.h"
#include "config/expression_claims.h"
#include "config/expression_tls.h"
#include "http/uri.h"

static void set_text(struct value *value, struct slice text)
{
    if (text.data) {
        value->kind = VALUE_TEXT;
        value->text = text;
    }
}

static void read_address(struct exchange *x, const struct address *address, struct value *ret_value)
{
    char room[ADDRESS_TEXT_MAX];
    struct text text = text_fixed(room, sizeof room);
    address_format_ip(address, &text);
    set_text(ret_value, arena_copy(&x->arena, text_slice(&text)));
}

static void read_client(
    struct exchange *x, const struct root_operand *operand, struct value *ret_value)
{
    (void)operand;
    read_address(x, &x->client, ret_value);
}

static void read_peer(
    struct exchange *x, const struct root_operand *operand, struct value *ret_value)
{
    (void)operand;
    read_address(x, &x->peer, ret_value);
}

static void read_method(
    struct exchange *x, const struct root_operand *operand, struct value *ret_value)
{
    (void)operand;
    set_text(ret_value, x->request.method_text);
}

static void read_host(
    struct exchange *x, const struct root_operand *operand, struct value *ret_value)
{
    (void)operand;
    set_text(ret_value, x->request.host);
}

static void read_path(
    struct exchange *x, const struct root_operand *operand, struct value *ret_value)
{
    (void)operand;
    set_text(ret_value, x->request.path);
}

static void read_query(
    struct exchange *x, const struct root_operand *operand, struct value *ret_value)
{
    (void)operand;
    set_text(ret_value, x->request.query);
}

static void read_scheme(
    struct exchange *x, const struct root_operand *operand, struct value *ret_value)
{
    (void)operand;
    set_text(ret_value, x->request.scheme);
}

static void read_request_id(
    struct exchange *x, const struct root_operand *operand, struct value *ret_value)
{
    (void)operand;
    set_text(ret_value, x->request_id);
}

static void read_listener(
    struct exchange *x, const struct root_operand *operand, struct value *ret_value)
{
    (void)operand;
    set_text(ret_value, x->facts.listener);
}

static void read_route(
    struct exchange *x, const struct root_operand *operand, struct value *ret_value)
{
    (void)operand;
    set_text(ret_value, x->facts.route);
}

static void read_service(
    struct exchange *x, const struct root_operand *operand, struct value *ret_value)
{
    (void)operand;
    set_text(ret_value, x->facts.service);
}

/* A name that is not in the table of known ones is compared with those alone that are not either.
 */
static struct slice field_value(const struct fields *fields, const struct root_operand *operand)
{
    if (operand->field != FIELD_OTHER)
        return fields_value(fields, operand->field);
    for (uint32_t i = 0; i < fields->count; i++) {
        const struct field *field = &fields->items[i];
        if (field->id == FIELD_OTHER && slice_equal_nocase(field->name, operand->name))
            return field->value;
    }
    return SLICE_NONE;
}

static void read_header(
    struct exchange *x, const struct root_operand *operand, struct value *ret_value)
{
    set_text(ret_value, field_value(&x->request.fields, operand));
}

static void read_response_header(
    struct exchange *x, const struct root_operand *operand, struct value *ret_value)
{
    set_text(ret_value, field_value(&x->response.fields, operand));
}

static void read_response_status(
    struct exchange *x, const struct root_operand *operand, struct value *ret_value)
{
    (void)operand;
    if (x->response.status) {
        ret_value->kind = VALUE_NUMBER;
        ret_value->number = x->response.status;
    }
}

static void read_response_trailer(
    struct exchange *x, const struct root_operand *operand, struct value *ret_value)
{
    const struct fields *trailers = x->response.body ? x->response.body->trailers : NULL;
    if (trailers)
        set_text(ret_value, field_value(trailers, operand));
}

static void read_request_size(
    struct exchange *x, const struct root_operand *operand, struct value *ret_value)
{
    (void)operand;
    *ret_value = (struct value){.kind = VALUE_NUMBER, .number = (double)x->facts.received};
}

static void read_response_size(
    struct exchange *x, const struct root_operand *operand, struct value *ret_value)
{
    (void)operand;
    *ret_value = (struct value){.kind = VALUE_NUMBER, .number = (double)x->facts.sent};
}

/* RFC 6265 §4.2.1, but lenient about blanks; a value in quotes is taken out of them. */
static struct slice find_cookie(struct slice pairs, struct slice name)
{
    struct slice pair;
    while (slice_split(&pairs, ';', &pair)) {
        size_t equals = slice_find(pair, '=');
        if (equals == pair.size || !slice_equal(slice_trim(slice_head(pair, equals)), name))
            continue;
        struct slice value = slice_trim(slice_of(pair.data + equals + 1, pair.size - equals - 1));
        if (value.size >= 2 && value.data[0] == '"' && value.data[value.size - 1] == '"')
            value = slice_of(value.data + 1, value.size - 2);
        return value;
    }
    return SLICE_NONE;
}

static void read_cookie(
    struct exchange *x, const struct root_operand *operand, struct value *ret_value)
{
    const struct field *field = NULL;
    while ((field = fields_next(&x->request.fields, FIELD_COOKIE, field))) {
        struct slice value = find_cookie(field->value, operand->name);
        if (value.data) {
            set_text(ret_value, value);
            return;
        }
    }
}

static void read_query_parameter(
    struct exchange *x, const struct root_operand *operand, struct value *ret_value)
{
    set_text(ret_value, uri_query_value(&x->arena, x->request.query, operand->name));
}

static void read_path_parameter(
    struct exchange *x, const struct root_operand *operand, struct value *ret_value)
{
    for (unsigned i = 0; i < x->parameter_count; i++)
        if (slice_equal(x->parameters[i].name, operand->name)) {
            set_text(ret_value, x->parameters[i].value);
            return;
        }
}

const struct expression_root expression_roots[] = {
    {"client.ip", ROOT_ALONE, TYPE_TEXT, PHASE_REQUEST, read_client, NULL,
        "the client's address; behind a trusted proxy the one that it names"},
    {"peer.ip", ROOT_ALONE, TYPE_TEXT, PHASE_REQUEST, read_peer, NULL,
        "the address of the connection's other end"},
    {"client.cert.subject", ROOT_ALONE, TYPE_TEXT, PHASE_REQUEST, read_cert_subject, NULL,
        "whom the client's certificate is for: CN=alice,O=Shop"},
    {"client.cert.issuer", ROOT_ALONE, TYPE_TEXT, PHASE_REQUEST, read_cert_issuer, NULL,
        "who has issued it, in the same form"},
    {"client.cert.san", ROOT_ALONE, TYPE_LIST, PHASE_REQUEST, read_cert_san, NULL,
        "its alternative names, a list: hosts, mail addresses, URIs"},
    {"client.cert.serial", ROOT_ALONE, TYPE_TEXT, PHASE_REQUEST, read_cert_serial, NULL,
        "its number, hexadecimal"},
    {"client.cert.fingerprint", ROOT_ALONE, TYPE_TEXT, PHASE_REQUEST, read_cert_fingerprint, NULL,
        "its SHA-256, 64 hexadecimal digits"},
    {"tls.version", ROOT_ALONE, TYPE_TEXT, PHASE_REQUEST, read_tls_version, NULL,
        "TLSv1.3 or TLSv1.2; missing on plain HTTP"},
    {"tls.cipher", ROOT_ALONE, TYPE_TEXT, PHASE_REQUEST, read_tls_cipher, NULL,
        "TLS_AES_128_GCM_SHA256, …"},
    {"tls.sni", ROOT_ALONE, TYPE_TEXT, PHASE_REQUEST, read_tls_sni, NULL,
        "the name that the client asked for in its handshake"},
    {"tls.alpn", ROOT_ALONE, TYPE_TEXT, PHASE_REQUEST, read_tls_alpn, NULL,
        "the protocol agreed in the handshake: http/1.1, h2"},
    {"method", ROOT_ALONE, TYPE_TEXT, PHASE_REQUEST, read_method, NULL, "GET, POST, …"},
    {"host", ROOT_ALONE, TYPE_TEXT, PHASE_REQUEST, read_host, NULL,
        "the host asked for, lower case, without its port"},
    {"path", ROOT_ALONE, TYPE_TEXT, PHASE_REQUEST, read_path, NULL, "the path, normalised"},
    {"path", ROOT_NAMED, TYPE_FOREIGN, PHASE_REQUEST, read_path_parameter, NULL,
        "a parameter of the route's path, {NAME}", .is_parameter = true},
    {"query", ROOT_ALONE, TYPE_TEXT, PHASE_REQUEST, read_query, NULL,
        "all that stands behind the question mark"},
    {"query", ROOT_NAMED, TYPE_FOREIGN, PHASE_REQUEST, read_query_parameter, NULL,
        "a parameter of the query, decoded; the first of that name"},
    {"scheme", ROOT_ALONE, TYPE_TEXT, PHASE_REQUEST, read_scheme, NULL, "http or https"},
    {"header", ROOT_NAMED, TYPE_FOREIGN, PHASE_REQUEST, read_header, NULL,
        "a header field of the request; the first of that name"},
    {"cookie", ROOT_NAMED, TYPE_FOREIGN, PHASE_REQUEST, read_cookie, NULL, "a cookie"},
    {"request.id", ROOT_ALONE, TYPE_TEXT, PHASE_REQUEST, read_request_id, NULL,
        "the request's X-Request-Id, or the one that it was given"},
    {"listener", ROOT_ALONE, TYPE_TEXT, PHASE_REQUEST, read_listener, NULL,
        "the name of the listener"},
    {"route", ROOT_ALONE, TYPE_TEXT, PHASE_REQUEST, read_route, NULL, "the route as written"},
    {"service", ROOT_ALONE, TYPE_TEXT, PHASE_REQUEST, read_service, NULL,
        "the name of the service that is asked"},
    {"response.status", ROOT_ALONE, TYPE_NUMBER, PHASE_RESPONSE, read_response_status, NULL,
        "the status of the response"},
    {"response.header", ROOT_NAMED, TYPE_FOREIGN, PHASE_RESPONSE, read_response_header, NULL,
        "a header field of the response; the first of that name"},
    {"response.trailer", ROOT_NAMED, TYPE_FOREIGN, PHASE_END, read_response_trailer, NULL,
        "a field behind the response's body; the first of that name"},
    {"request.size", ROOT_ALONE, TYPE_NUMBER, PHASE_END, read_request_size, NULL,
        "bytes of the request's body that were received"},
    {"response.size", ROOT_ALONE, TYPE_NUMBER, PHASE_END, read_response_size, NULL,
        "bytes of the response's body that were sent"},
    {"request.body", ROOT_PATH, TYPE_NUMBER, PHASE_BODIES, read_request_body, NULL,
        "a number in the request's body, if that is JSON: `request.body.max_tokens`; of an array "
        "how many members it has, of several the last"},
    {"request.body", ROOT_ALONE, TYPE_NUMBER, PHASE_BODIES, read_request_body, NULL,
        "of a body that is an array: how many members it has"},
    {"response.body", ROOT_PATH, TYPE_NUMBER, PHASE_BODIES, read_response_body, NULL,
        "the same of the response, whose body is JSON, lines of JSON, or events with JSON as data: "
        "`response.body.usage.total_tokens`"},
    {"response.body", ROOT_ALONE, TYPE_NUMBER, PHASE_BODIES, read_response_body, NULL,
        "of a body that is an array: how many members it has"},
    {"claims", ROOT_PATH, TYPE_ANY, PHASE_REQUEST, read_claims,
        "claims need an `auth` that brings them", "what the client's token says"},
    {NULL, ROOT_ALONE, TYPE_ANY, PHASE_REQUEST, NULL, NULL, NULL},
};

static bool fits(const struct expression_root *root, struct slice word, struct slice *ret_rest)
{
    struct slice name = slice_of_text(root->name);
    if (!slice_has_prefix(word, name))
        return false;
    struct slice rest = slice_from(word, name.size);
    if (root->form == ROOT_ALONE ? rest.size != 0 : rest.size < 2 || rest.data[0] != '.')
        return false;
    *ret_rest = slice_from(rest, 1);
    return true;
}

const struct expression_root *expression_root_find(
    const struct expression_root *roots, struct slice word, struct slice *ret_rest)
{
    for (const struct expression_root *root = roots; root && root->name; root++)
        if (fits(root, word, ret_rest))
            return root;
    return NULL;
}
