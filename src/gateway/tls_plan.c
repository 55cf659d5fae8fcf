#include "gateway/tls_plan.h"

#include <stdlib.h>

#include "acme/answers.h"
#include "base/must.h"
#include "gateway/acme_certificates.h"
#include "route/hosts.h"

#define NAMES_MAX     1000000 /* of all certificates */
#define NAME_SIZE_MAX 255

/* --- which certificates answer for a name */

struct planning {
    struct reader *reader;
    const struct tls_plan_needs *needs;
    const struct tls_options *options;
    struct tls_plan *plan;
    struct planned_host *hosts; /* as many as there may be */
    size_t host_count;
};

/* Names that the same certificates answer for. */
struct planned_host {
    size_t *certificates; /* their numbers, in order */
    size_t certificate_count;
    struct slice *names;
    size_t name_count, name_room;
};

static bool has_name(const struct served_certificate *served, struct slice name)
{
    for (size_t i = 0; i < served->name_count; i++)
        if (slice_equal(served->names[i], name))
            return true;
    return false;
}

/* Those with the name, in order: their numbers in `ret_numbers`. */
static size_t gather(const struct tls_plan *plan, struct slice name, size_t *ret_numbers)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->count; i++)
        if (has_name(&plan->certificates[i], name))
            ret_numbers[count++] = i;
    return count;
}

static struct planned_host *find_same(
    struct planning *planning, const size_t *numbers, size_t count)
{
    for (size_t i = 0; i < planning->host_count; i++) {
        struct planned_host *host = &planning->hosts[i];
        if (host->certificate_count == count &&
            memcmp(host->certificates, numbers, count * sizeof *numbers) == 0)
            return host;
    }
    return NULL;
}

static struct planned_host *add_host(struct planning *planning, const size_t *numbers, size_t count)
{
    struct planned_host *host = &planning->hosts[planning->host_count];
    host->certificates = arena_array(planning->reader->arena, count, sizeof *numbers);
    if (!host->certificates)
        return NULL;
    memcpy(host->certificates, numbers, count * sizeof *numbers);
    host->certificate_count = count;
    planning->host_count++;
    return host;
}

static enum status add_name(struct planning *planning, struct planned_host *host, struct slice name)
{
    if (host->name_count == host->name_room) {
        size_t room = host->name_room ? 2 * host->name_room : 4;
        struct slice *names = arena_array(planning->reader->arena, room, sizeof *names);
        if (!names)
            return NO_MEMORY;
        if (host->name_count)
            memcpy(names, host->names, host->name_count * sizeof *names);
        host->names = names;
        host->name_room = room;
    }
    host->names[host->name_count++] = name;
    return OK;
}

/* Certificates for one name must agree about its clients: nobody could say who chooses. */
static enum status check_agreement(
    struct planning *planning, struct slice name, const size_t *numbers, size_t count)
{
    const struct served_certificate *all = planning->plan->certificates, *first = &all[numbers[0]];
    for (size_t i = 1; i < count; i++) {
        const struct served_certificate *other = &all[numbers[i]];
        if (other->options->client == first->options->client &&
            slice_equal(other->ca_path, first->ca_path))
            continue;
        diagnostics_error(planning->reader->diagnostics, other->options->place,
            SLICE("say the same in both, or give each `hosts` of its own"),
            "two certificates for %.*s say different things about its clients", SLICE_ARG(name));
        diagnostics_relate(planning->reader->diagnostics, first->options->place, "the other");
        return INVALID;
    }
    return OK;
}

/* One more name, unless it is known already: puts it to those that the same certificates answer. */
static enum status plan_name(struct planning *planning, struct slice name, size_t *numbers)
{
    struct tls_plan *plan = planning->plan;
    if (table_get(&plan->names, name))
        return OK;
    size_t count = gather(plan, name, numbers);
    enum status e = check_agreement(planning, name, numbers, count);
    struct planned_host *host = find_same(planning, numbers, count);
    if (!host && !(host = add_host(planning, numbers, count)))
        return NO_MEMORY;
    if (!e)
        e = add_name(planning, host, name);
    return e ? e : table_put(&plan->names, name, host);
}

static void release_table(void *table)
{
    table_release(table);
}

/* The first certificate comes first, even if it has no name: it answers for all the others'. */
static enum status plan_names(struct planning *planning)
{
    struct tls_plan *plan = planning->plan;
    size_t *numbers = arena_array(planning->reader->arena, plan->count, sizeof *numbers);
    size_t names = 0;
    for (size_t i = 0; i < plan->count; i++)
        names += plan->certificates[i].name_count;
    planning->hosts = arena_array(planning->reader->arena, names + 1, sizeof *planning->hosts);
    if (!numbers || !planning->hosts)
        return NO_MEMORY;
    table_init(&plan->names, NAMES_MAX);
    if (!arena_defer(planning->reader->arena, release_table, &plan->names))
        return NO_MEMORY;
    enum status e = OK;
    if (plan->certificates[0].name_count == 0 && !add_host(planning, &(size_t){0}, 1))
        e = NO_MEMORY;
    for (size_t i = 0; i < plan->count; i++)
        for (size_t j = 0; !e && j < plan->certificates[i].name_count; j++)
            e = plan_name(planning, plan->certificates[i].names[j], numbers);
    return e;
}

/* --- what OpenSSL's side is told */

/* One file is one set of authorities, however many certificates name it. */
static struct tls_authorities *authorities_of(
    const struct tls_plan *plan, const struct served_certificate *served)
{
    for (size_t i = 0; served->authorities && i < plan->count; i++)
        if (plan->certificates[i].authorities &&
            slice_equal(plan->certificates[i].ca_path, served->ca_path))
            return plan->certificates[i].authorities;
    return NULL;
}

static enum status finish_host(
    struct planning *planning, const struct planned_host *from, struct tls_host *ret_host)
{
    const struct served_certificate *all = planning->plan->certificates;
    struct tls_identity **identities = arena_array(
        planning->reader->arena, from->certificate_count, sizeof(struct tls_identity *));
    if (!identities)
        return NO_MEMORY;
    for (size_t i = 0; i < from->certificate_count; i++)
        identities[i] = all[from->certificates[i]].certificate->identity;
    const struct served_certificate *first = &all[from->certificates[0]];
    *ret_host = (struct tls_host){.names = from->names,
        .name_count = from->name_count,
        .identities = identities,
        .identity_count = from->certificate_count,
        .client = (enum tls_client_certificate)first->options->client,
        .authorities = authorities_of(planning->plan, first)};
    return OK;
}

static enum status finish_hosts(struct planning *planning)
{
    struct tls_plan *plan = planning->plan;
    plan->hosts = arena_array(planning->reader->arena, planning->host_count, sizeof *plan->hosts);
    if (!plan->hosts)
        return NO_MEMORY;
    enum status e = OK;
    for (size_t i = 0; !e && i < planning->host_count; i++)
        e = finish_host(planning, &planning->hosts[i], &plan->hosts[i]);
    plan->host_count = planning->host_count;
    if (!e)
        table_each (entry, &plan->names)
            entry->value = &plan->hosts[(struct planned_host *)entry->value - planning->hosts];
    return e;
}

static void unref_server(void *server)
{
    tls_server_unref(server);
}

static enum status make_server(struct planning *planning, const struct tls_server_options *options,
    struct tls_server **ret_server)
{
    enum status e = tls_server_new(options, ret_server);
    if (e == INVALID)
        return diagnostics_error(planning->reader->diagnostics, planning->options->place,
            SLICE_NONE, "OpenSSL does not take these certificates");
    if (!e && !arena_defer(planning->reader->arena, unref_server, *ret_server)) {
        tls_server_unref(*ret_server);
        e = NO_MEMORY;
    }
    return e;
}

/* One for each worker. */
static enum status make_row(struct planning *planning, const struct tls_server_options *options,
    struct tls_server ***ret_row)
{
    unsigned count = planning->needs->workers ? planning->needs->workers : 1;
    struct tls_server **row = arena_array(planning->reader->arena, count, sizeof *row);
    enum status e = row ? OK : NO_MEMORY;
    for (unsigned i = 0; !e && i < count; i++)
        e = make_server(planning, options, &row[i]);
    if (!e)
        *ret_row = row;
    return e;
}

static const struct slice protocols[] = {SLICE_INIT("h2"), SLICE_INIT("http/1.1")};

/* A command that only looks at the configuration makes one too, to see whether that can be done. */
static enum status make_servers(struct planning *planning)
{
    struct tls_plan *plan = planning->plan;
    struct tls_server_options options = {.hosts = plan->hosts,
        .host_count = plan->host_count,
        .is_strict = planning->options->is_strict,
        .protocols = protocols,
        .protocol_count = sizeof protocols / sizeof *protocols,
        .least = (enum tls_version)planning->options->least,
        .uses_kernel = planning->options->uses_kernel,
        .tickets = planning->needs->tickets,
        .challenge = planning->needs->answers ? acme_answers_identity : NULL,
        .challenge_argument = planning->needs->answers};
    enum status e = make_row(planning, &options, &plan->servers);
    options.protocol_count = 0;
    if (!e && planning->needs->has_raw)
        e = make_row(planning, &options, &plan->raw);
    return e;
}

/* --- the whole */

static enum status load_certificates(struct planning *planning)
{
    const struct option_list *list = &planning->options->certificates;
    const struct tls_pair_options *pairs = list->items;
    struct tls_plan *plan = planning->plan;
    plan->certificates = arena_array(planning->reader->arena,
        list->count + planning->needs->name_count, sizeof *plan->certificates);
    if (!plan->certificates)
        return NO_MEMORY;
    size_t errors = planning->reader->diagnostics->errors;
    for (size_t i = 0; i < list->count; i++) {
        enum status e = certificate_load(planning->reader, planning->needs->registry, &pairs[i],
            &plan->certificates[plan->count]);
        if (e && e != INVALID)
            return e;
        plan->count += !e;
    }
    return planning->reader->diagnostics->errors > errors ? INVALID : OK;
}

static bool is_covered(const struct tls_plan *plan, struct slice name)
{
    struct slice rest = slice_from(name, slice_find(name, '.'));
    for (size_t i = 0; i < plan->count; i++)
        for (size_t j = 0; j < plan->certificates[i].name_count; j++) {
            struct slice covered = plan->certificates[i].names[j];
            if (slice_equal(covered, name) || (slice_has_prefix(covered, SLICE("*.")) &&
                                                  slice_equal(slice_from(covered, 1), rest)))
                return true;
        }
    return false;
}

/* One for each wanted name that no file is for. */
static enum status add_acme(struct planning *planning)
{
    struct tls_plan *plan = planning->plan;
    const struct tls_plan_needs *needs = planning->needs;
    struct slice *names =
        arena_array(planning->reader->arena, needs->name_count + 1, sizeof *names);
    size_t files = plan->count;
    enum status e = names ? acme_check(planning->reader, &planning->options->acme) : NO_MEMORY;
    for (size_t i = 0; !e && i < needs->name_count; i++) {
        struct tls_plan of_files = {.certificates = plan->certificates, .count = files};
        if (is_covered(&of_files, needs->names[i]))
            continue;
        e = acme_certificate_load(planning->reader, needs->registry, planning->options,
            needs->names[i], &plan->certificates[plan->count]);
        names[plan->acme_count] = needs->names[i];
        plan->count += !e;
        plan->acme_count += !e;
    }
    plan->acme_names = names;
    if (e || plan->count)
        return e;
    return diagnostics_error(planning->reader->diagnostics, planning->options->acme.place,
        SLICE("hosts: [shop.example]"), "`acme` needs names in `hosts` to get certificates for");
}

/* A host of the routes that no certificate is for. */
static void warn_of_hosts(const struct planning *planning)
{
    const struct slice *hosts = planning->needs->hosts->items;
    for (size_t i = 0; i < planning->needs->hosts->count; i++) {
        enum host_kind kind;
        struct slice name;
        if (host_parse(planning->reader->arena, hosts[i], &kind, &name) || kind == HOST_ANY)
            continue;
        struct slice wanted = name;
        if (kind == HOST_WILDCARD)
            wanted =
                arena_join(planning->reader->arena, (const struct slice[]){SLICE("*."), name}, 2);
        if (!wanted.data || tls_plan_find(planning->plan, wanted))
            continue;
        diagnostics_warning(planning->reader->diagnostics, planning->options->place,
            SLICE("HTTPS for it is answered with 421"),
            "no certificate is for %.*s, which `hosts` names", SLICE_ARG(hosts[i]));
    }
}

enum status tls_plan_new(struct reader *reader, const struct tls_options *options,
    const struct tls_plan_needs *needs, struct tls_plan **ret_plan)
{
    struct tls_plan *plan = arena_zalloc(reader->arena, sizeof *plan);
    struct planning planning = {.reader = reader, .needs = needs, .options = options, .plan = plan};
    if (!plan)
        return NO_MEMORY;
    enum status e = load_certificates(&planning);
    if (!e && options->acme.is_set)
        e = add_acme(&planning);
    if (!e)
        e = plan_names(&planning);
    if (!e)
        e = finish_hosts(&planning);
    if (!e)
        e = make_servers(&planning);
    if (e)
        return e;
    if (plan->certificates[0].name_count)
        warn_of_hosts(&planning);
    *ret_plan = plan;
    return OK;
}

/* --- asking it */

const struct tls_host *tls_plan_find(const struct tls_plan *plan, struct slice name)
{
    char room[NAME_SIZE_MAX + 1];
    const struct tls_host *host = table_get(&plan->names, name);
    size_t dot = slice_find(name, '.');
    if (host || dot == name.size || name.size > NAME_SIZE_MAX)
        return host;
    room[0] = '*';
    memcpy(room + 1, name.data + dot, name.size - dot);
    return table_get(&plan->names, slice_of(room, name.size - dot + 1));
}

static bool is_address(struct slice host)
{
    struct address ignored;
    return address_parse_ip(host, 0, &ignored) == OK;
}

static bool names_cover(const struct tls_host *host, struct slice name)
{
    struct slice rest = slice_from(name, slice_find(name, '.'));
    for (size_t i = 0; i < host->name_count; i++) {
        struct slice covered = host->names[i];
        bool is_wildcard = slice_has_prefix(covered, SLICE("*."));
        if (is_wildcard ? slice_equal(slice_from(covered, 1), rest) : slice_equal(covered, name))
            return true;
    }
    return false;
}

static bool has_same_clients(const struct tls_host *a, const struct tls_host *b)
{
    return a->client == b->client &&
           (a->client == TLS_NOT_ASKED || a->authorities == b->authorities);
}

bool tls_plan_fits(const struct tls_plan *plan, struct slice name, struct slice host)
{
    const struct tls_host *shown = name.size ? tls_plan_find(plan, name) : NULL;
    shown = shown ? shown : &plan->hosts[0];
    if (is_address(host) || host.size == 0)
        return shown == &plan->hosts[0];
    const struct tls_host *wanted = tls_plan_find(plan, host);
    if (!wanted)
        return shown == &plan->hosts[0] && shown->name_count == 0;
    return wanted == shown || (has_same_clients(wanted, shown) && names_cover(shown, host));
}
