#include "gateway/proof.h"

#include "base/json.h"
#include "base/json_scan.h"

#define PROOF(member) offsetof(struct proof_options, member)

static const struct option header_item = {"value", OPTION_TEXT, 0, .help = "The field's value."};

#define TEXT(name_, member, help_)                                              \
    {                                                                           \
        .name = name_, .kind = OPTION_TEXT, .offset = (member), .help = (help_) \
    }

#define TLS(member) offsetof(struct proof_tls, member)

static const struct option tls_rows[] = {
    TEXT("version", TLS(version), "As `tls.version`; TLSv1.3 by default."),
    TEXT("cipher", TLS(cipher), "As `tls.cipher`; TLS_AES_128_GCM_SHA256 by default."),
    TEXT("sni", TLS(sni), "As `tls.sni`; the request's host by default."),
    TEXT("alpn", TLS(alpn), "As `tls.alpn`."), {NULL}};

static const struct option_table handshake_table = {.name = "tls of a test",
    .help = "What was agreed in the handshake, by the names that expressions have for it.",
    .options = tls_rows,
    .size = sizeof(struct proof_tls),
    .example = "{version: TLSv1.2, alpn: http/1.1}"};

#define CERT(member) offsetof(struct proof_cert, member)

static const struct option name_item = {
    "name", OPTION_TEXT, 0, .help = "A host, a mail address, a URI or an address."};

static const struct option cert_rows[] = {
    TEXT("subject", CERT(subject), "As `client.cert.subject`: CN=alice,O=Shop."),
    TEXT("issuer", CERT(issuer), "As `client.cert.issuer`."),
    {"san", OPTION_LIST, CERT(san), .item = &name_item, .item_size = sizeof(struct slice),
        .help = "As `client.cert.san`."},
    TEXT("serial", CERT(serial), "As `client.cert.serial`."),
    TEXT("fingerprint", CERT(fingerprint), "As `client.cert.fingerprint`."), {NULL}};

static const struct option_table shown_table = {.name = "cert of a test",
    .help = "The certificate that the client shows, by the names that expressions have for it.",
    .options = cert_rows,
    .size = sizeof(struct proof_cert),
    .shorthand = "subject",
    .example = "{subject: \"CN=alice\", san: [alice@shop.example]}"};

static bool is_json_number(struct slice text)
{
    if (!text.size || (text.data[0] != '-' && (text.data[0] < '0' || text.data[0] > '9')))
        return false;
    struct json_scan scan = json_scan_number(text, true);
    return scan.result == OK && scan.size == text.size;
}

/* A scalar is a number or a flag when it is written as one. */
static void write_claim(struct json_writer *writer, const struct node *node)
{
    bool is_number = !node->is_quoted && is_json_number(node->text);
    if (node->kind == NODE_NULL)
        json_write_null(writer);
    else if (!node->is_quoted && slice_equal(node->text, SLICE("true")))
        json_write_bool(writer, true);
    else if (!node->is_quoted && slice_equal(node->text, SLICE("false")))
        json_write_bool(writer, false);
    else if (is_number)
        json_write_raw(writer, node->text);
    else
        json_write_string(writer, node->text);
}

static void write_claims(struct json_writer *writer, const struct node *node)
{
    switch (node->kind) {
    case NODE_NULL:
    case NODE_SCALAR:
        write_claim(writer, node);
        return;
    case NODE_LIST:
        json_write_array(writer);
        for (size_t i = 0; i < node->count; i++)
            write_claims(writer, node->items[i]);
        json_write_array_end(writer);
        return;
    case NODE_MAP:
        json_write_object(writer);
        for (size_t i = 0; i < node->count; i++) {
            json_write_key(writer, node->entries[i].key);
            write_claims(writer, node->entries[i].value);
        }
        json_write_object_end(writer);
        return;
    }
}

static enum status read_claims(struct reader *reader, const struct node *node, void *ret_value)
{
    struct text text = text_growing(0);
    struct json_writer writer;
    if (node->kind != NODE_MAP)
        return diagnostics_error(reader->diagnostics, node->place,
            SLICE("for example {sub: u1, roles: [buyer]}"), "claims are a map, not %s",
            node_kind_name(node));
    json_writer_init(&writer, &text, 0);
    write_claims(&writer, node);
    struct slice json =
        json_writer_is_done(&writer) ? arena_copy(reader->arena, text_slice(&text)) : SLICE_NONE;
    text_release(&text);
    if (!json.data)
        return NO_MEMORY;
    *(struct slice *)ret_value = json;
    return OK;
}

static const struct option rows[] = {
    {"host", OPTION_TEXT, PROOF(host),
        .help = "The Host of the request; the file's first exact host by default."},
    {"client", OPTION_TEXT, PROOF(client), .fallback = "127.0.0.1",
        .help = "The client's address."},
    {"header", OPTION_MAP, PROOF(header), .item = &header_item, .item_size = sizeof(struct slice),
        .help = "Header fields of the request."},
    {"tls", OPTION_STRUCT, PROOF(tls), .table = &handshake_table, .is_set_offset = PROOF(has_tls),
        .help = "The request comes by HTTPS, and this is what TLS says."},
    {"cert", OPTION_STRUCT, PROOF(cert), .table = &shown_table, .is_set_offset = PROOF(has_cert),
        .help = "The same, and the client has shown this certificate."},
    {"claims", OPTION_CUSTOM, PROOF(claims), .read = read_claims,
        .form = "{sub: u1, roles: [buyer]}", .schema = "{\"type\":\"object\"}",
        .help = "What the client's token says, as an `auth` would have verified it."},
    {"is", OPTION_TEXT, PROOF(is), .is_required = true, .place_offset = PROOF(is_place),
        .help = "What has to come: the name of a service or of one of its versions, or a status "
                "that the gateway answers with."},
    {NULL}};

static const char *const method_keys[] = {
    "get", "head", "post", "put", "delete", "patch", "options", NULL};

static const char *method_key(size_t i)
{
    return i < sizeof method_keys / sizeof *method_keys ? method_keys[i] : NULL;
}

static enum status read_method(struct reader *reader, const struct node_entry *entry, void *value)
{
    struct proof_options *proof = value;
    for (size_t i = 0; method_keys[i]; i++) {
        if (!slice_equal(entry->key, slice_of_text(method_keys[i])))
            continue;
        if (entry->value->kind != NODE_SCALAR || !slice_has_prefix(entry->value->text, SLICE("/")))
            return diagnostics_error(reader->diagnostics, entry->value->place,
                SLICE("write for example get: /users/7"), "a test's path begins with /");
        char *upper = arena_text(reader->arena, entry->key);
        if (!upper)
            return NO_MEMORY;
        for (char *p = upper; *p; p++)
            *p = (char)(*p - 'a' + 'A');
        proof->method = slice_of_text(upper);
        proof->target = entry->value->text;
        return OK;
    }
    return NOT_FOUND;
}

static bool method_option(size_t i, struct option *ret_option)
{
    (void)i;
    *ret_option = (struct option){.kind = OPTION_CUSTOM,
        .form = "/PATH",
        .schema = "{\"type\":\"string\",\"pattern\":\"^/\"}",
        .help = "The method, and the path and query that are asked for."};
    return true;
}

static enum status check(struct reader *reader, const struct node *node, void *value)
{
    struct proof_options *proof = value;
    proof->place = node->place;
    if (!proof->method.size)
        return diagnostics_error(reader->diagnostics, node->place,
            SLICE("write for example get: /users/7"), "a test needs a method and a path");
    return OK;
}

const struct option_table proof_table = {.name = "test",
    .help = "An expectation that `weir test` checks.",
    .options = rows,
    .size = sizeof(struct proof_options),
    .check = check,
    .read_unknown = read_method,
    .unknown_name = method_key,
    .unknown_option = method_option,
    .example = "- {get: /users/7, is: user}"};

static struct slice default_host(const struct snapshot *snapshot)
{
    const struct slice *hosts = snapshot->options->hosts.items;
    for (size_t i = 0; i < snapshot->options->hosts.count; i++)
        if (slice_find(hosts[i], '*') == hosts[i].size)
            return hosts[i];
    return SLICE("localhost");
}

static const char *text_or(struct arena *arena, struct slice text, const char *fallback)
{
    return text.size ? arena_text(arena, text) : fallback;
}

/* NULL, and no failure, when nothing is said of TLS. */
static enum status suppose_tls(const struct proof_options *proof, struct slice host,
    struct arena *arena, const struct supposed_tls **ret_tls)
{
    const struct proof_cert *cert = &proof->cert;
    if (!proof->has_tls && !proof->has_cert)
        return OK;
    struct supposed_tls *tls = arena_new(arena, struct supposed_tls);
    if (!tls)
        return NO_MEMORY;
    tls->facts = (struct tls_facts){.version = text_or(arena, proof->tls.version, "TLSv1.3"),
        .cipher = text_or(arena, proof->tls.cipher, "TLS_AES_128_GCM_SHA256"),
        .name = proof->tls.sni.size ? proof->tls.sni : host,
        .protocol = proof->tls.alpn,
        .has_certificate = proof->has_cert};
    tls->certificate = (struct tls_certificate){.subject = cert->subject,
        .issuer = cert->issuer,
        .serial = cert->serial,
        .fingerprint = cert->fingerprint,
        .names = cert->san.items,
        .name_count = cert->san.count};
    *ret_tls = tls;
    return tls->facts.version && tls->facts.cipher ? OK : NO_MEMORY;
}

static enum status request_of(const struct snapshot *snapshot, const struct proof_options *proof,
    struct arena *arena, struct rehearsal_request *request)
{
    struct rehearsal_field *fields = arena_array(arena, proof->header.count + 1, sizeof *fields);
    if (!fields)
        return NO_MEMORY;
    for (size_t i = 0; i < proof->header.count; i++)
        fields[i] = (struct rehearsal_field){
            proof->header.entries[i].key, *(const struct slice *)proof->header.entries[i].value};
    *request = (struct rehearsal_request){.method = proof->method,
        .host = proof->host.size ? proof->host : default_host(snapshot),
        .target = proof->target,
        .fields = fields,
        .field_count = proof->header.count,
        .client = proof->client};
    request->is_secure = proof->has_tls || proof->has_cert;
    if (proof->claims.size) {
        struct json_value *claims;
        enum status e = json_parse(arena, proof->claims, NULL, &claims, NULL);
        if (e)
            return e;
        request->claims = claims;
    }
    return suppose_tls(proof, request->host, arena, &request->tls);
}

/* A service that was reached is the answer; else the status is. */
static struct slice outcome_of(const struct rehearsal *rehearsal, struct arena *arena)
{
    const struct exchange *x = &rehearsal->x;
    if (!rehearsal->result && x->facts.tries && x->facts.service.size)
        return arena_copy(arena, x->facts.service);
    return arena_format(arena, "%d", x->response.status);
}

/* The service was reached in one of its versions. */
static bool is_some_version(const struct rehearsal *rehearsal, struct slice service)
{
    const struct exchange_facts *facts = &rehearsal->x.facts;
    return !rehearsal->result && facts->tries && rehearsal->route &&
           slice_equal(rehearsal->route->service, service) &&
           slice_has_prefix(facts->service, service) &&
           slice_has_prefix(slice_from(facts->service, service.size), SLICE("."));
}

enum status proof_check(const struct snapshot *snapshot, const struct proof_options *proof,
    struct arena *arena, bool *ret_holds, struct slice *ret_got)
{
    struct rehearsal_request request;
    enum status e = request_of(snapshot, proof, arena, &request);
    if (e)
        return e;
    struct rehearsal rehearsal;
    e = rehearse(snapshot, &request, &rehearsal);
    if (!e) {
        *ret_got = outcome_of(&rehearsal, arena);
        *ret_holds = slice_equal(*ret_got, proof->is) || is_some_version(&rehearsal, proof->is);
        if (rehearsal.result && !*ret_holds)
            *ret_got = arena_format(
                arena, "%.*s (%s)", SLICE_ARG(*ret_got), status_word(rehearsal.result));
    }
    rehearsal_release(&rehearsal);
    return e;
}
