#include "store/postgres.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/module.h"
#include "run/loop.h"
#include "run/tls.h"
#include "service/plane.h"
#include "store/postgres_state.h"

#define PORT_DEFAULT "5432"
#define SOCKET_NAME  "/.s.PGSQL."

/* --- its life */

void postgres_let_go(struct postgres *postgres)
{
    if (atomic_fetch_sub(&postgres->holders, 1) > 1)
        return;
    for (unsigned i = 0; i < postgres->workers; i++)
        free(postgres->seats[i].links);
    free(postgres->seats);
    if (postgres->password)
        explicit_bzero((char *)(uintptr_t)postgres->password, strlen(postgres->password));
    arena_release(&postgres->arena);
    pthread_mutex_destroy(&postgres->mutex);
    free(postgres);
}

static void leave_delivered(struct message *message)
{
    struct postgres_seat *seat = list_entry(message, struct postgres_seat, farewell);
    postgres_keep_no_more(seat);
    postgres_let_go(seat->postgres);
}

/* The last snapshot that has it is gone. */
static void retire(struct postgres *postgres)
{
    list_remove(&postgres->node);
    for (unsigned i = 0; i < postgres->workers; i++) {
        struct postgres_seat *seat = &postgres->seats[i];
        seat->farewell.deliver = leave_delivered;
        atomic_fetch_add(&postgres->holders, 1);
        if (!plane_post(postgres->stores->plane, i, &seat->farewell))
            atomic_fetch_sub(&postgres->holders, 1);
    }
    postgres_let_go(postgres);
}

static bool init_seat(struct postgres *postgres, unsigned worker)
{
    struct postgres_seat *seat = &postgres->seats[worker];
    seat->postgres = postgres;
    seat->worker = worker;
    list_init(&seat->line);
    seat->links = calloc(postgres->connections, sizeof *seat->links);
    for (unsigned i = 0; seat->links && i < postgres->connections; i++) {
        seat->links[i].seat = seat;
        seat->links[i].sweep_at = worker == 0 && i == 0 ? 0 : NEVER;
    }
    return seat->links;
}

static bool make_seats(struct postgres *postgres, unsigned workers)
{
    size_t size = (workers + 1) * sizeof *postgres->seats;
    postgres->seats = aligned_alloc(_Alignof(struct postgres_seat), size);
    if (!postgres->seats)
        return false;
    memset(postgres->seats, 0, size);
    postgres->workers = workers;
    for (unsigned i = 0; i < workers; i++)
        if (!init_seat(postgres, i))
            return false;
    return true;
}

/* What a store is made of. */
struct recipe {
    struct stores *stores;
    const struct postgres_options *options;
    const struct postgres_driver *driver;
    const char *sslrootcert, *sslcert, *sslkey; /* full paths, or NULL */
};

/* --- what it keeps of the options */

static const char *keep(struct postgres *postgres, struct slice text)
{
    return arena_text(&postgres->arena, text);
}

/* "/run/postgresql", or the socket itself, "/run/postgresql/.s.PGSQL.5433". */
static bool keep_folder(struct postgres *postgres, const char *path)
{
    const char *socket_name = strstr(path, SOCKET_NAME);
    size_t size = socket_name ? (size_t)(socket_name - path) : strlen(path);
    postgres->host = keep(postgres, slice_of(path, size));
    postgres->port = socket_name ? keep(postgres, slice_of_text(socket_name + strlen(SOCKET_NAME)))
                                 : PORT_DEFAULT;
    return postgres->host && postgres->port;
}

static bool keep_place(struct postgres *postgres, const struct endpoint_place *place)
{
    char room[ADDRESS_TEXT_MAX];
    struct text text = text_fixed(room, sizeof room);
    if (!place->name.size && place->address.any.sa_family == AF_UNIX)
        return keep_folder(postgres, place->address.local.sun_path);
    uint16_t port = place->name.size ? place->port : address_port(&place->address);
    struct slice number = arena_format(&postgres->arena, "%u", port);
    postgres->port = number.data ? keep(postgres, number) : NULL;
    if (place->name.size) {
        postgres->name = arena_copy(&postgres->arena, place->name);
        return postgres->name.data && postgres->port;
    }
    address_format_ip(&place->address, &text);
    postgres->is_ip = true;
    postgres->host = keep(postgres, text_slice(&text));
    return postgres->host && postgres->port;
}

/* In quotes, so that its letters stay as they are; the index by the table's name. */
static bool keep_table(struct postgres *postgres, struct slice name)
{
    struct arena *arena = &postgres->arena;
    size_t dot = slice_find(name, '.');
    bool has_schema = dot < name.size;
    struct slice table = has_schema ? slice_from(name, dot + 1) : name;
    postgres->table = has_schema ? arena_format(arena, "\"%.*s\".\"%.*s\"",
                                       SLICE_ARG(slice_head(name, dot)), SLICE_ARG(table))
                                 : arena_format(arena, "\"%.*s\"", SLICE_ARG(table));
    postgres->index = arena_format(arena, "\"%.*s_ends\"", SLICE_ARG(table));
    postgres->lock = (int64_t)hash_bytes(name);
    return postgres->table.data && postgres->index.data && postgres_write_statements(postgres);
}

static bool keep_file(struct postgres *postgres, const char *path, const char **ret_kept)
{
    *ret_kept = path ? keep(postgres, slice_of_text(path)) : NULL;
    return !path || *ret_kept;
}

static bool keep_texts(struct postgres *postgres, const struct recipe *recipe)
{
    const struct postgres_options *options = recipe->options;
    postgres->shown = arena_format(&postgres->arena, "%.*s/%.*s", SLICE_ARG(options->server.text),
        SLICE_ARG(options->database));
    postgres->user = keep(postgres, options->user);
    postgres->password = keep(postgres, options->password);
    postgres->database = keep(postgres, options->database);
    postgres->sslmode = postgres_sslmodes[options->sslmode];
    return postgres->shown.data && postgres->user && postgres->password && postgres->database &&
           keep_file(postgres, recipe->sslrootcert, &postgres->sslrootcert) &&
           keep_file(postgres, recipe->sslcert, &postgres->sslcert) &&
           keep_file(postgres, recipe->sslkey, &postgres->sslkey) &&
           keep_place(postgres, &options->server) && keep_table(postgres, options->table);
}

static const struct store_ops postgres_ops;

static enum status postgres_new(const struct recipe *recipe, struct postgres **ret_postgres)
{
    const struct postgres_options *options = recipe->options;
    struct postgres *postgres = calloc(1, sizeof *postgres);
    if (!postgres)
        return NO_MEMORY;
    postgres->store = (struct store){
        .ops = &postgres_ops, .gateways = options->gateways, .bus = &recipe->stores->bus};
    postgres->stores = recipe->stores;
    postgres->driver = recipe->driver;
    postgres->holders = 1;
    postgres->timeout = options->timeout;
    postgres->connect_timeout = options->connect_timeout;
    postgres->pending = options->pending;
    postgres->connections = (unsigned)options->connections;
    arena_init(&postgres->arena, 0, 0);
    pthread_mutex_init(&postgres->mutex, NULL);
    list_init(&postgres->node);
    if (!keep_texts(postgres, recipe) ||
        !make_seats(postgres, recipe->stores->plane->options.workers)) {
        postgres_let_go(postgres);
        return NO_MEMORY;
    }
    list_push_back(&recipe->stores->postgres_servers, &postgres->node);
    *ret_postgres = postgres;
    return OK;
}

/* --- the registry's */

struct holder {
    struct postgres *postgres;
};

static enum status init_holder(void *object, void *context)
{
    return postgres_new(context, &((struct holder *)object)->postgres);
}

static void release_holder(void *object)
{
    retire(((struct holder *)object)->postgres);
}

static const struct registry_kind postgres_kind = {
    "postgres", sizeof(struct holder), init_holder, release_holder};

/* The same name for what makes the same store. It holds a digest of the password. */
static enum status name_recipe(
    struct arena *arena, const struct recipe *recipe, struct slice *ret_name)
{
    const struct postgres_options *options = recipe->options;
    char password[TLS_DIGEST_SIZE];
    if (tls_digest(options->password, password))
        return NO_MEMORY;
    *ret_name = arena_format(arena, "%.*s %.*s %s %.*s %.*s %d %s %s %s %lld %lld %lld %lld %lld",
        SLICE_ARG(options->server.text), SLICE_ARG(options->user), password,
        SLICE_ARG(options->database), SLICE_ARG(options->table), options->sslmode,
        recipe->sslrootcert ? recipe->sslrootcert : "", recipe->sslcert ? recipe->sslcert : "",
        recipe->sslkey ? recipe->sslkey : "", (long long)options->timeout,
        (long long)options->connect_timeout, (long long)options->connections,
        (long long)options->pending, (long long)options->gateways);
    return ret_name->data ? OK : NO_MEMORY;
}

/* --- what it is made of */

static enum status load_driver(struct reader *reader, struct recipe *recipe)
{
    const struct weir_module *module;
    char trouble[MODULE_TROUBLE_SIZE];
    enum status e = module_load("postgres", POSTGRES_DRIVER_ABI, &module, trouble);
    if (e)
        return diagnostics_error(reader->diagnostics, recipe->options->place,
            e == NOT_FOUND ? SLICE("install weir-postgres, or say by WEIR_MODULES where it is")
                           : SLICE("install the one that came with this program"),
            "postgres: %s", trouble);
    recipe->driver = module->driver;
    return OK;
}

/* Relative to the file of the configuration. */
static bool find_file(struct reader *reader, const struct postgres_options *options,
    struct slice name, const char **ret_path)
{
    if (!name.size)
        return true;
    struct slice path = source_path(reader->arena, options->at_place.source, name);
    *ret_path = path.data ? arena_text(reader->arena, path) : NULL;
    return *ret_path;
}

static bool find_files(struct reader *reader, struct recipe *recipe)
{
    const struct postgres_options *options = recipe->options;
    return find_file(reader, options, options->sslrootcert, &recipe->sslrootcert) &&
           find_file(reader, options, options->sslcert, &recipe->sslcert) &&
           find_file(reader, options, options->sslkey, &recipe->sslkey);
}

enum status postgres_obtain(struct stores *stores, struct reader *reader,
    const struct postgres_options *options, struct store **ret_store)
{
    struct recipe recipe = {.stores = stores, .options = options};
    struct slice name = SLICE_NONE;
    void *object;
    enum status e = load_driver(reader, &recipe);
    if (!e && !find_files(reader, &recipe))
        e = NO_MEMORY;
    if (!e)
        e = name_recipe(reader->arena, &recipe, &name);
    if (!e)
        e = registry_obtain(
            stores->plane->options.registry, &postgres_kind, name, &recipe, &object);
    if (e)
        return e;
    if (arena_own(reader->arena, registry_release, object))
        return NO_MEMORY;
    *ret_store = &((struct holder *)object)->postgres->store;
    return OK;
}

/* --- how it does */

unsigned postgres_count(const struct postgres *postgres, enum postgres_state state)
{
    unsigned count = 0;
    for (unsigned i = 0; i < postgres->workers; i++)
        for (unsigned k = 0; k < postgres->connections; k++)
            count += atomic_load_explicit(
                         &postgres->seats[i].links[k].shown, memory_order_relaxed) == (int)state;
    return count;
}

/* In one line. */
void postgres_complain(struct postgres *postgres, const char *why)
{
    size_t size = 0;
    pthread_mutex_lock(&postgres->mutex);
    for (; *why && size + 1 < sizeof postgres->trouble; why++)
        postgres->trouble[size++] = (unsigned char)*why < ' ' ? ' ' : *why;
    while (size && postgres->trouble[size - 1] == ' ')
        size--;
    postgres->trouble[size] = '\0';
    pthread_mutex_unlock(&postgres->mutex);
}

static void read_trouble(const struct postgres *postgres, char room[POSTGRES_TROUBLE_SIZE])
{
    pthread_mutex_t *mutex = (pthread_mutex_t *)(uintptr_t)&postgres->mutex;
    pthread_mutex_lock(mutex);
    memcpy(room, postgres->trouble, POSTGRES_TROUBLE_SIZE);
    pthread_mutex_unlock(mutex);
}

void postgres_tell(struct postgres *postgres)
{
    const struct service_plane_options *plane = &postgres->stores->plane->options;
    bool is_down = postgres_count(postgres, POSTGRES_DOWN) > 0;
    char trouble[POSTGRES_TROUBLE_SIZE], text[POSTGRES_TROUBLE_SIZE + 256];
    if (is_down == postgres->is_told || !plane->notice)
        return;
    postgres->is_told = is_down;
    read_trouble(postgres, trouble);
    snprintf(text, sizeof text, "postgres %.*s %s%s", SLICE_ARG(slice_head(postgres->shown, 150)),
        is_down ? "cannot be asked: " : "can be asked again", is_down ? trouble : "");
    plane->notice(plane->notice_argument, text);
}

struct postgres *postgres_of_node(struct list *node)
{
    return list_entry(node, struct postgres, node);
}

static void describe(const struct store *store, struct json_writer *writer)
{
    const struct postgres *postgres = (const struct postgres *)store;
    unsigned up = postgres_count(postgres, POSTGRES_UP),
             down = postgres_count(postgres, POSTGRES_DOWN);
    char trouble[POSTGRES_TROUBLE_SIZE];
    read_trouble(postgres, trouble);
    json_write_object(writer);
    json_put_text(writer, "at", postgres->shown);
    json_put_text(writer, "table", postgres->table);
    json_put_text(writer, "state", down ? SLICE("down") : up ? SLICE("up") : SLICE("connecting"));
    json_put_u64(writer, "connections", up);
    if (down)
        json_put_text(writer, "trouble", slice_of_text(trouble));
    else
        json_put_null(writer, "trouble");
    json_write_object_end(writer);
}

/* --- what it is asked */

static void join(struct store *store, unsigned worker)
{
    postgres_keep(&((struct postgres *)store)->seats[worker]);
}

static const struct store_ops postgres_ops = {
    .ask = postgres_answer, .join = join, .describe = describe};
