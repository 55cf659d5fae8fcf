#include "service/service_tls.h"

#define FILE_MAX_SIZE ((size_t)4 * 1024 * 1024)

#define ROW(member)   offsetof(struct service_tls_options, member)

static const struct option tls_rows[] = {
    {"verify", OPTION_FLAG, ROW(verify), .fallback = "true",
        .help =
            "Whether the endpoint's certificate must be good, and for its name. Without, anyone "
            "in between can read and change everything."},
    {"ca", OPTION_TEXT, ROW(ca), .place_offset = ROW(ca_place),
        .help = "The file (PEM) of the authorities that are trusted, or of the endpoint's very own "
                "certificate. Relative to the configuration. By default the system's."},
    {"name", OPTION_TEXT, ROW(name),
        .help = "What the certificate must be for, also told to the endpoint (SNI). By default its "
                "host."},
    {"cert", OPTION_TEXT, ROW(cert), .place_offset = ROW(cert_place),
        .help =
            "The file (PEM) of the certificate, with its chain, that the gateway shows when the "
            "endpoint asks for one."},
    {"key", OPTION_TEXT, ROW(key), .place_offset = ROW(key_place),
        .help = "The file (PEM) of its private key."},
    {NULL}};

static enum status check_tls(struct reader *reader, const struct node *node, void *value)
{
    const struct service_tls_options *tls = value;
    if (!tls->cert.size != !tls->key.size)
        return diagnostics_error(reader->diagnostics, node->place,
            SLICE("{cert: gateway.pem, key: gateway.key}"),
            "a certificate needs its key, and a key its certificate");
    if (tls->ca.size && !tls->verify)
        return diagnostics_error(reader->diagnostics, tls->ca_place, SLICE_NONE,
            "`ca` says whom to trust, but nothing is verified");
    return OK;
}

const struct option_table service_tls_table = {.name = "tls",
    .help = "How TLS is spoken to the service's endpoints. Certificates are verified, against the "
            "system's authorities and the endpoint's host, unless this says otherwise.",
    .options = tls_rows,
    .size = sizeof(struct service_tls_options),
    .check = check_tls,
    .example = "{ca: internal-ca.pem, name: users.internal}"};

/* --- whether TLS is spoken */

static enum status complain_mixed(struct reader *reader, const struct endpoint_place *at)
{
    return diagnostics_error(reader->diagnostics, at->place,
        SLICE("write https:// before each, or make two services of it"),
        "a service speaks TLS to all of its endpoints or to none");
}

enum status service_tls_check(
    struct reader *reader, const struct node *node, struct service_options *options)
{
    static const struct slice protocols[] = {SLICE_INIT("h2"), SLICE_INIT("http/1.1")};
    const struct endpoint_options *items = options->at.items;
    const struct endpoint_place *plain = NULL;
    bool is_tls = options->tls.is_set;
    for (size_t i = 0; i < options->at.count; i++) {
        const struct endpoint_place *at = &items[i].at;
        is_tls = is_tls || at->is_tls;
        bool may_be_either = !at->text.size || (at->source && !at->name.size);
        if (!may_be_either && (options->tls.is_set ? at->is_clear : !at->is_tls))
            plain = at;
        if (options->tls.is_set && at->address.any.sa_family == AF_UNIX && !options->tls.name.size)
            return diagnostics_error(reader->diagnostics, node->place,
                SLICE("name: users.internal"),
                "a unix socket has no name: `tls` must say what its certificate is for");
    }
    if (!is_tls)
        return OK;
    if (plain)
        return complain_mixed(reader, plain);
    options->tls.protocols = options->speaks_http2 ? protocols : protocols + 1;
    options->tls.protocol_count = options->speaks_http2 ? 2 : 1;
    options->tls.state = arena_new(reader->arena, struct service_tls);
    return options->tls.state ? OK : NO_MEMORY;
}

struct slice service_tls_name(const struct service_options *options, struct slice name,
    const struct address *address, char *room)
{
    if (!options->tls.state)
        return SLICE_NONE;
    if (options->tls.name.size)
        return options->tls.name;
    if (name.size)
        return name;
    struct text text = text_fixed(room, ADDRESS_TEXT_MAX);
    address_format_ip(address, &text);
    return text_slice(&text);
}

/* --- the client */

struct client_state {
    struct tls_client *client; /* counted */
};

/* What a client is made of. */
struct client_recipe {
    const struct service_tls_options *options;
    struct tls_authorities *system; /* borrowed */
    struct slice ca, cert, key;     /* the files' texts */
    const char *problem;            /* what is wrong, and with which file */
    const struct place *place;
};

static enum status make_client(struct client_recipe *recipe, struct tls_authorities *authorities,
    struct tls_identity *identity, struct tls_client **ret_client)
{
    const struct service_tls_options *options = recipe->options;
    struct tls_client_options how = {.trusts_anyone = !options->verify,
        .authorities = authorities,
        .identity = identity,
        .protocols = options->protocols,
        .protocol_count = options->protocol_count};
    return tls_client_new(&how, ret_client);
}

static enum status get_authorities(
    struct client_recipe *recipe, struct tls_authorities **ret_authorities)
{
    recipe->place = &recipe->options->ca_place;
    if (!recipe->options->verify)
        return OK;
    if (recipe->ca.data)
        return tls_authorities_new(recipe->ca, ret_authorities, &recipe->problem);
    if (recipe->system) {
        *ret_authorities = tls_authorities_ref(recipe->system);
        return OK;
    }
    recipe->problem = "the system's certificate authorities cannot be read; name some with `ca`";
    return INVALID;
}

static enum status init_client(void *object, void *context)
{
    struct client_state *state = object;
    struct client_recipe *recipe = context;
    struct tls_authorities *authorities = NULL;
    struct tls_identity *identity = NULL;
    enum status e = get_authorities(recipe, &authorities);
    if (!e && recipe->cert.data) {
        recipe->place = &recipe->options->cert_place;
        e = tls_identity_new(recipe->cert, recipe->key, &identity, &recipe->problem);
    }
    if (!e)
        e = make_client(recipe, authorities, identity, &state->client);
    tls_identity_unref(identity);
    tls_authorities_unref(authorities);
    return e;
}

static void release_client(void *object)
{
    tls_client_unref(((struct client_state *)object)->client);
}

static const struct registry_kind client_kind = {
    "tls-client", sizeof(struct client_state), init_client, release_client};

/* The same name for what makes the same client. */
static enum status name_client(
    struct arena *arena, const struct client_recipe *recipe, struct slice *ret_name)
{
    char ca[TLS_DIGEST_SIZE], cert[TLS_DIGEST_SIZE], key[TLS_DIGEST_SIZE];
    struct text text = text_growing(0);
    if (tls_digest(recipe->ca, ca) || tls_digest(recipe->cert, cert) ||
        tls_digest(recipe->key, key))
        return NO_MEMORY;
    text_format(&text, "%d %s %s %s", recipe->options->verify, ca, cert, key);
    for (size_t i = 0; i < recipe->options->protocol_count; i++) {
        text_add_char(&text, ' ');
        text_add(&text, recipe->options->protocols[i]);
    }
    struct slice name = arena_copy(arena, text_slice(&text));
    enum status e = text.failed || !name.data ? NO_MEMORY : OK;
    text_release(&text);
    if (!e)
        *ret_name = name;
    return e;
}

static enum status read_file(
    struct reader *reader, struct slice name, const struct place *place, struct slice *ret_text)
{
    const struct source *file;
    if (name.size == 0)
        return OK;
    struct slice path = source_path(reader->arena, place->source, name);
    enum status e = path.data ? source_read(reader->arena, path, FILE_MAX_SIZE, &file) : NO_MEMORY;
    if (e == NO_MEMORY)
        return e;
    if (e)
        return diagnostics_error(reader->diagnostics, *place, SLICE_NONE,
            "cannot read \"%.*s\": %s", SLICE_ARG(slice_head(path, 200)), status_sentence(e));
    *ret_text = file->text;
    return OK;
}

static enum status obtain_client(struct service_plane *plane, struct reader *reader,
    struct client_recipe *recipe, struct tls_client **ret_client)
{
    struct slice name;
    void *object;
    enum status e = name_client(reader->arena, recipe, &name);
    if (!e)
        e = registry_obtain(plane->options.registry, &client_kind, name, recipe, &object);
    if (e == INVALID)
        return diagnostics_error(
            reader->diagnostics, *recipe->place, SLICE_NONE, "%s", recipe->problem);
    if (e)
        return e;
    if (arena_own(reader->arena, registry_release, object))
        return NO_MEMORY;
    *ret_client = ((struct client_state *)object)->client;
    return OK;
}

/* Not every server that speaks HTTP/2 takes WebSockets by it: those are asked by HTTP/1.1. */
static enum status prepare_http_1(struct service_plane *plane, struct reader *reader,
    struct client_recipe *recipe, const struct service_options *options)
{
    struct service_options *http_1 = arena_new(reader->arena, struct service_options);
    struct service_tls *state = arena_new(reader->arena, struct service_tls);
    if (!http_1 || !state)
        return NO_MEMORY;
    *http_1 = *options;
    http_1->speaks_http2 = false;
    http_1->tls.state = state;
    http_1->tls.protocols = &options->tls.protocols[options->tls.protocol_count - 1];
    http_1->tls.protocol_count = 1;
    recipe->options = &http_1->tls;
    options->tls.state->http_1 = http_1;
    return obtain_client(plane, reader, recipe, &state->client);
}

/* Reads the files that the options name, and makes the client. */
static enum status make_of_files(struct service_plane *plane, struct reader *reader,
    struct client_recipe *recipe, struct tls_client **ret_client)
{
    const struct service_tls_options *tls = recipe->options;
    enum status e = read_file(reader, tls->ca, &tls->ca_place, &recipe->ca);
    if (!e)
        e = read_file(reader, tls->cert, &tls->cert_place, &recipe->cert);
    if (!e)
        e = read_file(reader, tls->key, &tls->key_place, &recipe->key);
    if (!e && tls->verify && !tls->ca.size)
        recipe->system = plane_authorities(plane);
    return e ? e : obtain_client(plane, reader, recipe, ret_client);
}

enum status service_tls_client_obtain(struct service_plane *plane, struct reader *reader,
    const struct service_tls_options *options, struct tls_client **ret_client)
{
    struct client_recipe recipe = {.options = options, .place = &options->ca_place};
    return make_of_files(plane, reader, &recipe, ret_client);
}

enum status service_tls_prepare(
    struct service_plane *plane, struct reader *reader, const struct service_options *options)
{
    const struct service_tls_options *tls = &options->tls;
    struct client_recipe recipe = {.options = tls, .place = &tls->ca_place};
    if (!tls->state)
        return OK;
    enum status e = make_of_files(plane, reader, &recipe, &tls->state->client);
    if (!e && options->speaks_http2)
        e = prepare_http_1(plane, reader, &recipe, options);
    return e == INVALID ? OK : e;
}
