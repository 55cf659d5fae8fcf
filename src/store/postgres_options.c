#include "store/postgres_options.h"

#include <ctype.h>

#include "http/uri.h"
#include "store/server_url.h"

#define TABLE_MAX       56 /* bytes of a name: PostgreSQL has 63, and the index has some of them */
#define CONNECTIONS_MAX 64

const char *const postgres_sslmodes[] = {
    "disable", "prefer", "require", "verify-ca", "verify-full", NULL};
#define VERIFY_CA 3

/* --- the address */

static bool read_sslmode(struct slice word, int *ret_mode)
{
    for (int i = 0; postgres_sslmodes[i]; i++)
        if (slice_equal(word, slice_of_text(postgres_sslmodes[i]))) {
            *ret_mode = i;
            return true;
        }
    return false;
}

/* "sslmode=require&sslrootcert=/etc/ssl/pg.pem" */
static enum status read_parameter(struct arena *arena, struct slice text,
    struct postgres_options *options, const char **ret_problem)
{
    size_t equals = slice_find(text, '=');
    struct slice name = slice_head(text, equals), value;
    enum status e = uri_decode(arena, slice_from(text, equals + 1), false, &value);
    if (e == NO_MEMORY)
        return e;
    *ret_problem = "behind its ? may stand sslmode, sslrootcert, sslcert and sslkey";
    if (e)
        return e;
    if (slice_equal(name, SLICE("sslrootcert")))
        options->sslrootcert = value;
    else if (slice_equal(name, SLICE("sslcert")))
        options->sslcert = value;
    else if (slice_equal(name, SLICE("sslkey")))
        options->sslkey = value;
    else if (!slice_equal(name, SLICE("sslmode")) || !read_sslmode(value, &options->sslmode))
        return INVALID;
    return OK;
}

static enum status read_rest(struct arena *arena, struct slice rest,
    struct postgres_options *options, const char **ret_problem)
{
    size_t question = slice_find(rest, '?');
    struct slice database = slice_head(rest, question), left = slice_from(rest, question + 1);
    enum status e = OK;
    if (database.size) {
        e = uri_decode(arena, database, false, &options->database);
        *ret_problem = "behind its / stands the name of a database";
    }
    while (!e && left.size) {
        size_t end = slice_find(left, '&');
        e = read_parameter(arena, slice_head(left, end), options, ret_problem);
        left = slice_from(left, end + 1);
    }
    return e;
}

enum status postgres_options_parse(struct arena *arena, struct slice text,
    struct postgres_options *options, const char **ret_problem)
{
    static const struct slice schemes[] = {
        SLICE_INIT("postgres://"), SLICE_INIT("postgresql://"), {NULL, 0}};
    static const struct server_form form = {SLICE_INIT(":5432"),
        "it is no host with a port: 10.0.0.5:5432, [::1]:5432, db.internal, unix:/run/postgresql"};
    struct server_url url;
    *ret_problem = "";
    enum status e = server_url_parse(arena, text, schemes, &url, ret_problem);
    if (!e)
        e = read_rest(arena, url.rest, options, ret_problem);
    /* A path is the socket's folder, and its number is no part of that. */
    if (!e)
        e = server_place_read(arena, url.server, &form, &options->server, ret_problem);
    if (e)
        return e;
    if (url.user.size)
        options->user = url.user;
    if (url.password.size)
        options->password = url.password;
    return OK;
}

/* --- the table */

#define ROW(member) offsetof(struct postgres_options, member)

static const struct option rows[] = {
    {"at", OPTION_TEXT, ROW(at), .place_offset = ROW(at_place), .is_required = true,
        .form = "postgres://user:password@host:5432/database",
        .help = "Where it is: `host:port`, `unix:/run/postgresql`, or "
                "`postgres://user:password@host:port/database?sslmode=require`. Of a name with "
                "several addresses the first is used that takes writes."},
    {"user", OPTION_TEXT, ROW(user), .fallback = "weir", .help = "Whose name we give."},
    {"password", OPTION_SECRET, ROW(password),
        .help = "The password, better from the environment (${POSTGRES_PASSWORD}), or {file: "
                "postgres.password}."},
    {"database", OPTION_TEXT, ROW(database), .fallback = "weir", .help = "The database's name."},
    {"table", OPTION_TEXT, ROW(table), .fallback = "weir_store", .place_offset = ROW(table_place),
        .form = "SCHEMA.TABLE",
        .help = "The table that holds it, made when there is none; a schema may stand before it."},
    {"sslmode", OPTION_CHOICE, ROW(sslmode), .choices = postgres_sslmodes, .fallback = "prefer",
        .place_offset = ROW(ssl_place),
        .help = "As libpq has it: whether TLS is spoken, and what the server's certificate is "
                "compared with; `verify-full` alone is safe from those on the way."},
    {"sslrootcert", OPTION_TEXT, ROW(sslrootcert),
        .help = "The file of the authorities that server certificates are checked with."},
    {"sslcert", OPTION_TEXT, ROW(sslcert), .help = "The file of our own certificate, if any."},
    {"sslkey", OPTION_TEXT, ROW(sslkey), .help = "The file of its key."},
    {"timeout", OPTION_DURATION, ROW(timeout), .fallback = "250ms", .minimum = MILLISECOND,
        .maximum = MINUTE,
        .help = "How long a request waits for an answer at most, and the server's own "
                "statement_timeout. Nobody waits when it is known that none will come."},
    {"connect-timeout", OPTION_DURATION, ROW(connect_timeout), .fallback = "3s",
        .minimum = MILLISECOND, .maximum = MINUTE,
        .help = "How long a connection may take to be made, with TLS, the password and the table; "
                "and how long one is kept on which an answer is missing."},
    {"connections", OPTION_INTEGER, ROW(connections), .fallback = "2", .minimum = 1,
        .maximum = CONNECTIONS_MAX,
        .help = "How many connections each worker has. A question has one to itself."},
    {"pending", OPTION_INTEGER, ROW(pending), .fallback = "1024", .minimum = 1, .maximum = 1 << 20,
        .help = "How many questions of a worker may wait for a connection; what is more is told so "
                "at once."},
    {"gateways", OPTION_INTEGER, ROW(gateways), .fallback = "1", .minimum = 1, .maximum = 65536,
        .help = "How many gateways share it: while it does not answer, each has this part of what "
                "all may do."},
    {NULL}};

/* Words of letters, digits and underscores: what needs no quotes, nor looks as if it did. */
static bool is_name(struct slice name)
{
    for (size_t i = 0; i < name.size; i++) {
        unsigned char c = (unsigned char)name.data[i];
        if (!isalnum(c) && c != '_')
            return false;
    }
    return name.size > 0 && name.size <= TABLE_MAX;
}

static enum status check_table(struct reader *reader, const struct postgres_options *options)
{
    size_t dot = slice_find(options->table, '.');
    bool has_schema = dot < options->table.size;
    struct slice schema = slice_head(options->table, dot),
                 table = has_schema ? slice_from(options->table, dot + 1) : schema;
    if (is_name(schema) && is_name(table))
        return OK;
    return diagnostics_error(reader->diagnostics, options->table_place, SLICE("weir_store"),
        "a table's name is of letters, digits and underscores, at most %d, and so is the schema's "
        "before it",
        TABLE_MAX);
}

static enum status check_certificates(struct reader *reader, const struct postgres_options *options)
{
    if (options->sslmode >= VERIFY_CA && !options->sslrootcert.size)
        return diagnostics_error(reader->diagnostics,
            options->ssl_place.source ? options->ssl_place : options->at_place,
            SLICE("sslrootcert: /etc/ssl/certs/ca-certificates.crt"),
            "whoever verifies needs to know by which authorities");
    if (!options->sslcert.size != !options->sslkey.size)
        return diagnostics_error(reader->diagnostics, options->at_place, SLICE_NONE,
            "a certificate needs its key: `sslcert` and `sslkey` stand together");
    return OK;
}

static enum status check(struct reader *reader, const struct node *node, void *value)
{
    struct postgres_options *options = value;
    const char *problem = "";
    options->place = node->place;
    if (!options->at_place.source)
        options->at_place = node->place;
    enum status e = server_url_hide(reader, options->at, options->at_place);
    if (!e)
        e = postgres_options_parse(reader->arena, options->at, options, &problem);
    if (e == INVALID)
        return diagnostics_error(reader->diagnostics, options->at_place,
            SLICE("postgres://weir@10.0.0.5:5432/weir"), "no PostgreSQL server: %s", problem);
    if (!e)
        e = check_table(reader, options);
    return e ? e : check_certificates(reader, options);
}

const struct option_table postgres_table = {.name = "postgres",
    .help = "A PostgreSQL server through which gateways share what they remember, by the module "
            "weir-postgres.",
    .options = rows,
    .size = sizeof(struct postgres_options),
    .shorthand = "at",
    .check = check,
    .example = "postgres: {at: \"postgres://weir@10.0.0.5/weir\", password: "
               "\"${POSTGRES_PASSWORD}\"}"};
