#include "gateway/listen_options.h"

#include "gateway/l4_listen.h"

#define ADDRESS_HINT \
    SLICE("write \":8080\", \"127.0.0.1:8080\", \"[::1]:8080\" or \"unix:/run/weir.sock\"")

/* Reads three members at once, so it stands for the whole struct. */
static enum status read_address(struct reader *reader, const struct node *node, void *ret_value)
{
    struct listen_address *listen = ret_value;
    if (node->kind != NODE_SCALAR)
        return diagnostics_error(reader->diagnostics, node->place, ADDRESS_HINT,
            "an address is text, not %s", node_kind_name(node));
    listen->text = node->text;
    listen->place = node->place;
    if (address_parse(node->text, &listen->address))
        return diagnostics_error(reader->diagnostics, node->place, ADDRESS_HINT,
            "\"%.*s\" is not an address to listen on", SLICE_ARG(node->text));
    return OK;
}

#define ADDRESS_ROW                                                                         \
    {                                                                                       \
        "address", OPTION_CUSTOM, 0,                                                        \
            .read = read_address, .is_required = true, .form = "ADDRESS:PORT or unix:PATH", \
            .schema = "{\"type\":\"string\"}",                                              \
            .help = "\":8080\" (every address), \"127.0.0.1:8080\", \"[::1]:8080\", "       \
                    "\"unix:/run/weir.sock\"."                                              \
    }

static const struct option http_address_rows[] = {ADDRESS_ROW, {NULL}};

static const struct option_table http_address_table = {.name = "listener",
    .help = "An address for plain HTTP.",
    .options = http_address_rows,
    .size = sizeof(struct listen_address),
    .shorthand = "address",
    .example = "listen: {http: {address: \":8080\"}}"};

static const struct option admin_address_rows[] = {ADDRESS_ROW, {NULL}};

const struct option_table admin_address_table = {.name = "admin listener",
    .help = "An address for operators.",
    .options = admin_address_rows,
    .size = sizeof(struct listen_address),
    .shorthand = "address",
    .example = "admin: \"127.0.0.1:9090\""};

static const struct option listen_rows[] = {
    {"http", OPTION_LIST, offsetof(struct listen_options, http), .table = &http_address_table,
        .help = "Addresses for plain HTTP."},
    {"tcp", OPTION_MAP, offsetof(struct listen_options, tcp), .table = &tcp_table,
        .help = "Addresses for TCP connections that go to a service as they are: {\":5432\": "
                "postgres}."},
    {NULL}};

/* All lists in one, for whoever opens them. */
static enum status check_listen(struct reader *reader, const struct node *node, void *value)
{
    struct listen_options *listen = value;
    listen->all = listen->http.items;
    listen->count = listen->http.count;
    if (listen->count + listen->tcp.count == 0)
        return diagnostics_error(reader->diagnostics, node->place, SLICE("listen: \":8080\""),
            "there is no address to listen on");
    return l4_listen_join(reader, listen);
}

const struct option_table listen_table = {.name = "listen",
    .help = "Where clients connect.",
    .options = listen_rows,
    .size = sizeof(struct listen_options),
    .shorthand = "http",
    .check = check_listen,
    .example = "listen: [\":8080\", \"unix:/run/weir.sock\"]"};
