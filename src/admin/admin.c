#include "admin/admin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin/instances_page.h"
#include "admin/pages.h"
#include "run/socket.h"

struct admin {
    struct server server; /* first */
    struct gateway *gateway;
    struct list doors;
    struct wait_queue changed;
    const struct admin_hooks *hooks; /* borrowed; or NULL */
    void *hooks_argument;
};

struct admin_door {
    struct list node;
    struct admin *admin;
    struct listener *listener;
    struct acceptor *acceptor;
    bool is_control; /* the control socket: everything is allowed */
};

static const struct http_options http = {.head_timeout = 10 * SECOND,
    .body_timeout = 10 * SECOND,
    .keep_alive = 60 * SECOND,
    .line_max = 8192,
    .head_max = 16384,
    .fields_max = 64,
    .trailers_max = 1024,
    .connections_max = 256};
static const struct server_rules rules = {
    .http = &http, .limits = H1_LIMITS_DEFAULT, .trusted = &server_trusts_nobody};

static const struct entrance control_entrance = {.name = SLICE_INIT("control")};
static const struct entrance admin_entrance = {.name = SLICE_INIT("admin")};

struct page {
    enum http_method method;
    const char *path;
    bool is_control;
    bool needs_snapshot;
    enum status (*serve)(struct gateway *gateway, struct exchange *x);
    size_t hook; /* without `serve`: which of admin_hooks */
};

static const struct page pages[] = {
    {METHOD_GET, "/livez", false, false, page_livez},
    {METHOD_GET, "/readyz", false, false, page_readyz},
    {METHOD_GET, "/metrics", false, false, page_metrics},
    {METHOD_GET, "/v1/status", false, true, page_status},
    {METHOD_GET, "/v1/config", true, true, page_config},
    {METHOD_POST, "/v1/reload", true, true, page_reload},
    {METHOD_POST, "/v1/endpoints", true, true, page_endpoints},
    {METHOD_POST, "/v1/shift", true, true, page_shift},
    {METHOD_POST, "/v1/log/reopen", true, false, page_log_reopen},
    {METHOD_POST, "/v1/upgrade", true, true, NULL, offsetof(struct admin_hooks, upgrade)},
    {METHOD_POST, "/v1/hand-over", true, true, NULL, offsetof(struct admin_hooks, hand_over)},
};

static struct admin *admin_of(struct server *server)
{
    return (struct admin *)server;
}

static void closed(struct server *server)
{
    wait_queue_wake_all(&admin_of(server)->changed);
}

static bool is_control_connection(const struct exchange *x)
{
    return x->entrance == &control_entrance;
}

static bool matches_method(const struct page *page, enum http_method method)
{
    return page->method == method || (page->method == METHOD_GET && method == METHOD_HEAD);
}

static enum status serve_page(struct admin *admin, const struct page *page, struct exchange *x)
{
    enum status (*hook)(void *argument, struct exchange *x);
    if (page->serve)
        return page->serve(admin->gateway, x);
    if (!admin->hooks)
        return NO_ROUTE;
    memcpy(&hook, (const char *)admin->hooks + page->hook, sizeof hook);
    return hook(admin->hooks_argument, x);
}

static enum status serve(struct server *server, struct exchange *x)
{
    bool is_path_known = false;
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        if (!slice_equal(x->request.path, slice_of_text(pages[i].path)))
            continue;
        is_path_known = true;
        if (!matches_method(&pages[i], x->request.method))
            continue;
        if (pages[i].is_control && !is_control_connection(x))
            return ADDRESS_DENIED;
        if (pages[i].needs_snapshot && !gateway_snapshot(admin_of(server)->gateway))
            return SHUTTING_DOWN;
        return serve_page(admin_of(server), &pages[i], x);
    }
    if (slice_has_prefix(x->request.path, SLICE(INSTANCES_PATH)))
        return instances_page(admin_of(server)->gateway, x, is_control_connection(x));
    return is_path_known ? METHOD_NOT_ALLOWED : NO_ROUTE;
}

static const struct server_ops ops = {.begin = server_begin_fixed,
    .serve = serve,
    .finish = server_forget,
    .abandon = server_forget,
    .closed = closed,
    .rules = server_rules_fixed,
    .fixed_rules = &rules};

static void accepted(void *argument, int descriptor, const struct address *peer)
{
    struct admin_door *door = argument;
    server_accept(&door->admin->server, descriptor, peer,
        door->is_control ? &control_entrance : &admin_entrance);
}

static void shut(struct admin_door *door)
{
    acceptor_free(door->acceptor);
    listener_close(door->listener);
    list_remove(&door->node);
    free(door);
}

static enum status open_door(struct admin *admin, const struct listen_address *at, bool is_control)
{
    struct admin_door *door = calloc(1, sizeof *door);
    if (!door)
        return NO_MEMORY;
    *door = (struct admin_door){.admin = admin, .is_control = is_control};
    enum status e = listener_open(gateway_inheritance(admin->gateway), at, &door->listener);
    if (!e)
        e = acceptor_new(door->listener->descriptor, accepted, door, &door->acceptor);
    if (e) {
        int error = errno;
        listener_close(door->listener);
        free(door);
        errno = error;
        return e;
    }
    list_push_back(&admin->doors, &door->node);
    return OK;
}

static enum status open_control(struct admin *admin, struct slice path)
{
    char text[sizeof(struct sockaddr_un) + 8];
    int size = snprintf(text, sizeof text, "unix:%.*s", SLICE_ARG(path));
    if (size < 0 || (size_t)size >= sizeof text)
        return TOO_LARGE;
    struct listen_address at = {.text = slice_of(text, (size_t)size), .is_private = true};
    enum status e = address_parse(at.text, &at.address);
    return e ? e : open_door(admin, &at, true);
}

static struct admin_door *find_door(struct admin *admin, struct slice name)
{
    list_each (node, &admin->doors) {
        struct admin_door *door = list_entry(node, struct admin_door, node);
        if (!door->is_control && slice_equal(listener_name(door->listener), name))
            return door;
    }
    return NULL;
}

enum status admin_prepare(
    struct admin *admin, const struct snapshot *snapshot, struct diagnostics *diagnostics)
{
    const struct option_list *wanted = &snapshot->options->admin;
    for (size_t i = 0; i < wanted->count; i++) {
        const struct listen_address *at = (const struct listen_address *)wanted->items + i;
        enum status e = find_door(admin, at->text) ? OK : open_door(admin, at, false);
        if (e)
            diagnostics_error(diagnostics, at->place, SLICE_NONE, "cannot listen on %.*s: %s",
                SLICE_ARG(at->text), e == EXISTS ? "the address is in use" : strerror(errno));
        if (e)
            return e;
    }
    return OK;
}

void admin_settle(struct admin *admin)
{
    const struct option_list *wanted = &gateway_snapshot(admin->gateway)->options->admin;
    list_each (node, &admin->doors) {
        struct admin_door *door = list_entry(node, struct admin_door, node);
        bool is_wanted = door->is_control;
        for (size_t i = 0; i < wanted->count; i++)
            is_wanted |= slice_equal(listener_name(door->listener),
                ((const struct listen_address *)wanted->items)[i].text);
        if (!is_wanted)
            shut(door);
    }
}

enum status admin_start(struct gateway *gateway, struct slice control, struct admin **ret_admin)
{
    struct admin *admin = calloc(1, sizeof *admin);
    if (!admin)
        return NO_MEMORY;
    admin->gateway = gateway;
    server_init(&admin->server, &ops, 0);
    list_init(&admin->doors);
    wait_queue_init(&admin->changed);
    enum status e = control.size ? open_control(admin, control) : OK;
    if (e) {
        free(admin);
        return e;
    }
    *ret_admin = admin;
    return OK;
}

void admin_stop(struct admin *admin)
{
    if (!admin)
        return;
    fiber_shield();
    list_each (node, &admin->doors)
        shut(list_entry(node, struct admin_door, node));
    instant deadline = loop_now() + SECOND;
    server_drain(&admin->server, deadline, 0);
    while (admin->server.connection_count && !wait_queue_wait(&admin->changed, deadline))
        continue;
    server_cut(&admin->server);
    while (admin->server.connection_count)
        (void)wait_queue_wait(&admin->changed, NEVER);
    free(admin);
    fiber_unshield();
}

void admin_set_hooks(struct admin *admin, const struct admin_hooks *hooks, void *argument)
{
    admin->hooks = hooks;
    admin->hooks_argument = argument;
}

enum status admin_offer_sockets(struct admin *admin, struct inheritance *offer)
{
    enum status e = OK;
    list_each (node, &admin->doors)
        if (!e)
            e = listener_offer(list_entry(node, struct admin_door, node)->listener, offer);
    return e;
}

void admin_hand_over(struct admin *admin, const struct inheritance *offer)
{
    list_each (node, &admin->doors) {
        struct admin_door *door = list_entry(node, struct admin_door, node);
        if (listener_is_taken(door->listener, offer))
            door->listener->is_inherited = true;
        shut(door);
    }
}
