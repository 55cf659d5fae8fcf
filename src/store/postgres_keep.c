/* The fibers that keep a worker's connections: each makes its own, carries out what it is asked,
 * and makes it anew. */
#include "run/descriptor.h"
#include "run/loop.h"
#include "service/plane.h"
#include "store/postgres_state.h"

#define PAUSE_LEAST (50 * MILLISECOND)
#define PAUSE_MOST  (5 * SECOND)

static void set_state(struct postgres_link *link, enum postgres_state state)
{
    link->state = state;
    atomic_store_explicit(&link->shown, (int)state, memory_order_relaxed);
}

static void count(const struct postgres_link *link, uint32_t series)
{
    const struct postgres_seat *seat = link->seat;
    metric_add(seat->postgres->stores->plane->options.shards[seat->worker], series, 1);
}

/* --- calls */

static void finish(struct postgres_call *call, enum status result)
{
    call->result = result;
    call->is_done = true;
    fiber_wake(call->fiber);
}

static bool take_call(struct postgres_link *link)
{
    struct postgres_seat *seat = link->seat;
    struct list *node = list_pop_front(&seat->line);
    if (!node)
        return false;
    seat->waiting--;
    link->call = list_entry(node, struct postgres_call, node);
    link->call->link = link;
    return true;
}

/* The connection is lost: nobody knows what became of the call. When none is left that others could
 * wait for, they are told that nothing was done. */
static void give_up(struct postgres_link *link)
{
    struct postgres_seat *seat = link->seat;
    struct list *node;
    if (link->call)
        finish(link->call, CLOSED);
    link->call = NULL;
    for (unsigned i = 0; i < seat->postgres->connections; i++)
        if (seat->links[i].state != POSTGRES_DOWN) {
            postgres_wake_idle(seat);
            return;
        }
    while ((node = list_pop_front(&seat->line))) {
        seat->waiting--;
        finish(list_entry(node, struct postgres_call, node), STORE_UNAVAILABLE);
    }
}

/* --- a connection that stands */

/* Until somebody asks, or rows are to be swept; then TIMEOUT. What the server says meanwhile is
 * that it goes. */
static enum status idle(struct postgres_link *link)
{
    struct postgres *postgres = link->seat->postgres;
    const struct postgres_driver *driver = postgres->driver;
    link->is_idle = true;
    enum status e = descriptor_wait_readable(driver->descriptor(link->connection), link->sweep_at);
    link->is_idle = false;
    if (e)
        return e == TIMEOUT ? OK : e;
    if (driver->read(link->connection))
        return OK;
    postgres_complain(postgres, driver->trouble(link->connection));
    return CLOSED;
}

static enum status carry_out(struct postgres_link *link)
{
    link->is_busy = true;
    link->since = loop_now();
    enum status e = postgres_carry_out(link);
    link->is_busy = false;
    if (!e && link->call) {
        finish(link->call, link->call->result);
        link->call = NULL;
    }
    return e;
}

static enum status serve(struct postgres_link *link)
{
    enum status e = OK;
    while (!e) {
        if (loop_now() >= link->sweep_at)
            e = postgres_sweep(link);
        else if (take_call(link))
            e = carry_out(link);
        else
            e = idle(link);
        e = !e && link->is_unfit ? CLOSED : e;
    }
    return e;
}

/* --- its life */

/* Until the connection has ended. True when it was a good one. */
static bool connect_and_serve(struct postgres_link *link)
{
    const struct postgres *postgres = link->seat->postgres;
    link->was_good = false;
    enum status e = postgres_connect(link);
    count(
        link, e ? postgres->stores->postgres_failed_connects : postgres->stores->postgres_connects);
    bool was_good = false;
    if (!e) {
        set_state(link, POSTGRES_UP);
        link->was_good = link->is_unfit = false;
        (void)serve(link);
        was_good = link->was_good && !link->is_unfit;
    }
    set_state(link, POSTGRES_DOWN);
    link->is_busy = link->is_unfit = false;
    if (link->connection)
        postgres->driver->close(link->connection);
    link->connection = NULL;
    return was_good;
}

static void keep(void *argument)
{
    struct postgres_link *link = argument;
    struct postgres *postgres = link->seat->postgres;
    unsigned failures = 0;
    link->keeper = fiber_current();
    if (link->seat->is_over)
        fiber_cancel(link->keeper);
    do {
        failures = connect_and_serve(link) ? 1 : failures + 1;
        give_up(link);
    } while (!fiber_sleep_until(
        loop_now() + random_pause(loop_random(), PAUSE_LEAST, PAUSE_MOST, failures)));
    link->keeper = NULL;
    postgres_let_go(postgres);
}

void postgres_keep(struct postgres_seat *seat)
{
    struct postgres *postgres = seat->postgres;
    struct scope *scope = &postgres->stores->scopes[seat->worker];
    for (unsigned i = 0; i < postgres->connections; i++) {
        struct postgres_link *link = &seat->links[i];
        if (link->is_kept || scope_start(scope, keep, link))
            continue;
        link->is_kept = true;
        atomic_fetch_add(&postgres->holders, 1);
        set_state(link, POSTGRES_CONNECTING);
    }
}

void postgres_keep_no_more(struct postgres_seat *seat)
{
    seat->is_over = true;
    for (unsigned i = 0; i < seat->postgres->connections; i++)
        if (seat->links[i].keeper)
            fiber_cancel(seat->links[i].keeper);
}
