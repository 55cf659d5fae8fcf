/* Where the server is, and a connection to it. */
#include "run/descriptor.h"
#include "run/loop.h"
#include "run/resolver.h"
#include "service/service.h"
#include "store/postgres_state.h"

#define SETTINGS_MAX  32
#define ADDRESSES_MAX 16
#define NO_FILE       "/dev/null/none" /* libpq looks for files of its own where none is named */
#define NO_SUCH_TABLE "42P01"

struct settings {
    const char *names[SETTINGS_MAX + 1], *values[SETTINGS_MAX + 1]; /* end with NULL */
    unsigned count;
};

static void add(struct settings *settings, const char *name, const char *value)
{
    settings->names[settings->count] = name;
    settings->values[settings->count++] = value;
}

/* --- where */

/* All addresses of its name, so that the first of them is taken that takes writes; and for each of
 * them the name, for its certificate. */
static enum status add_resolved(
    struct postgres_link *link, struct settings *settings, const struct resolved *resolved)
{
    struct text hosts = text_growing(0), addresses = text_growing(0);
    const struct postgres *postgres = link->seat->postgres;
    for (size_t i = 0; i < resolved->count && i < ADDRESSES_MAX; i++) {
        text_format(&hosts, "%s%.*s", i ? "," : "", SLICE_ARG(postgres->name));
        text_add(&addresses, i ? SLICE(",") : SLICE(""));
        address_format_ip(&resolved->addresses[i], &addresses);
    }
    const char *host = NULL, *hostaddr = NULL;
    if (!hosts.failed && !addresses.failed) {
        host = arena_text(&link->scratch, text_slice(&hosts));
        hostaddr = arena_text(&link->scratch, text_slice(&addresses));
    }
    text_release(&hosts);
    text_release(&addresses);
    add(settings, "host", host);
    add(settings, "hostaddr", hostaddr);
    return host && hostaddr ? OK : NO_MEMORY;
}

static enum status add_place(
    struct postgres_link *link, struct settings *settings, instant deadline)
{
    struct postgres *postgres = link->seat->postgres;
    struct resolved resolved;
    if (!postgres->name.size) {
        add(settings, "host", postgres->host);
        if (postgres->is_ip)
            add(settings, "hostaddr", postgres->host);
        return OK;
    }
    struct resolver *resolver =
        service_plane_worker_resolver(postgres->stores->plane, link->seat->worker);
    enum status e = resolver ? resolver_resolve(
                                   resolver, postgres->name, 0, &link->scratch, deadline, &resolved)
                             : NO_MEMORY;
    if (e && e != CANCELLED)
        postgres_complain(postgres, "its name has no address");
    return e ? e : add_resolved(link, settings, &resolved);
}

/* Files of libpq's own, in somebody's home, are not looked for; nor is Kerberos tried, which would
 * wait. */
static void add_rest(const struct postgres *postgres, struct settings *settings)
{
    add(settings, "port", postgres->port);
    add(settings, "user", postgres->user);
    add(settings, "password", postgres->password);
    add(settings, "passfile", NO_FILE);
    add(settings, "dbname", postgres->database);
    add(settings, "sslmode", postgres->sslmode);
    add(settings, "sslrootcert", postgres->sslrootcert ? postgres->sslrootcert : NO_FILE);
    add(settings, "sslcert", postgres->sslcert ? postgres->sslcert : NO_FILE);
    add(settings, "sslkey", postgres->sslkey ? postgres->sslkey : NO_FILE);
    add(settings, "sslcrl", NO_FILE);
    add(settings, "gssencmode", "disable");
    add(settings, "application_name", "weir");
    add(settings, "target_session_attrs", "read-write");
    add(settings, "keepalives_idle", "15");
    add(settings, "keepalives_interval", "5");
    add(settings, "keepalives_count", "3");
}

/* --- the connection */

static enum status wait_for_step(
    struct postgres_link *link, enum postgres_step step, instant deadline)
{
    int descriptor = link->seat->postgres->driver->descriptor(link->connection);
    if (descriptor < 0)
        return OK; /* there is something to be said about that */
    return step == POSTGRES_READS ? descriptor_wait_readable(descriptor, deadline)
                                  : descriptor_wait_writable(descriptor, deadline);
}

static enum status connect_by(
    struct postgres_link *link, const struct settings *settings, instant deadline)
{
    struct postgres *postgres = link->seat->postgres;
    const struct postgres_driver *driver = postgres->driver;
    enum postgres_step step = POSTGRES_WRITES;
    link->connection = driver->begin(settings->names, settings->values);
    if (!link->connection)
        return NO_MEMORY;
    while (step == POSTGRES_READS || step == POSTGRES_WRITES) {
        enum status e = wait_for_step(link, step, deadline);
        if (e == TIMEOUT)
            postgres_complain(postgres, "it does not answer");
        if (e)
            return e;
        step = driver->connect(link->connection);
    }
    if (step == POSTGRES_DONE)
        return OK;
    postgres_complain(postgres, driver->trouble(link->connection));
    return REFUSED;
}

/* --- what it has to know */

static bool put_settings(struct postgres_link *link)
{
    struct slice sql = arena_format(&link->scratch,
        "SELECT set_config('statement_timeout', '%lld', false), "
        "set_config('idle_in_transaction_session_timeout', '%lld', false), "
        "set_config('default_transaction_isolation', 'read committed', false)",
        (long long)(link->seat->postgres->timeout / MILLISECOND),
        (long long)(link->seat->postgres->connect_timeout / MILLISECOND));
    const char *text = sql.data ? arena_text(&link->scratch, sql) : NULL;
    return text && postgres_put_text(link, text);
}

static enum status prepare(struct postgres_link *link, struct postgres_trip *trip, instant deadline)
{
    const struct postgres *postgres = link->seat->postgres;
    bool is_put = put_settings(link);
    for (int i = 0; i < POSTGRES_STATEMENTS && is_put; i++)
        is_put = postgres->driver->prepare(link->connection,
            postgres_statement_name((enum postgres_statement)i), postgres->sql[i]);
    return is_put ? postgres_go(trip, deadline) : NO_MEMORY;
}

static enum status make_table(struct postgres_link *link, instant deadline)
{
    struct postgres_trip trip = {.link = link};
    const char *const *sql = postgres_table_statements(link->seat->postgres, &link->scratch);
    bool is_put = sql;
    for (int i = 0; is_put && sql[i]; i++)
        is_put = postgres_put_text(link, sql[i]);
    enum status e = is_put ? postgres_go(&trip, deadline) : NO_MEMORY;
    return e ? e : *trip.state ? REFUSED : OK;
}

static enum status introduce(struct postgres_link *link, instant deadline)
{
    struct postgres_trip trip = {.link = link}, again = {.link = link};
    enum status e = prepare(link, &trip, deadline);
    if (!e && strcmp(trip.state, NO_SUCH_TABLE) == 0) {
        e = make_table(link, deadline);
        if (!e)
            e = prepare(link, &again, deadline);
        trip = again;
    }
    return e ? e : *trip.state ? REFUSED : OK;
}

enum status postgres_connect(struct postgres_link *link)
{
    instant deadline = loop_now() + link->seat->postgres->connect_timeout;
    struct settings settings = {.count = 0};
    arena_init(&link->scratch, 0, 0);
    enum status e = add_place(link, &settings, deadline);
    add_rest(link->seat->postgres, &settings);
    if (!e)
        e = connect_by(link, &settings, deadline);
    if (!e)
        e = introduce(link, deadline);
    arena_release(&link->scratch);
    return e;
}
