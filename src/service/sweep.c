#include "service/sweep.h"

#include "service/breakers.h"
#include "service/errand.h"
#include "service/grade.h"
#include "service/outlier.h"
#include "service/reports.h"
#include "service/trial.h"

static instant look_at_all(struct service_plane *plane)
{
    instant now = loop_now(), due = NEVER;
    list_each (node, &plane->rosters) {
        struct roster *roster = list_entry(node, struct roster, node);
        if (!roster->options || !roster->is_active)
            continue;
        due = clock_sooner(due, outlier_look(roster, now));
        due = clock_sooner(due, reports_weigh(roster, now));
        due = clock_sooner(due, grade_follow(roster, now));
        due = clock_sooner(due, breakers_look(roster, now));
    }
    return clock_sooner(due, trials_look(plane, now));
}

/* Who stirs either sees that the sweep rests and wakes it, or is seen here before it does.
 * CANCELLED: the plane may be gone. */
static enum status rest(struct service_plane *plane, instant due)
{
    struct sweep *sweep = &plane->sweep;
    enum status e = fiber_sleep_until(loop_now() + SWEEP_EVERY);
    if (e)
        return e;
    atomic_store(&sweep->rests, true);
    if (!atomic_load(&sweep->is_stirred) && fiber_wait(due) == CANCELLED)
        return CANCELLED;
    atomic_store(&sweep->rests, false);
    atomic_store(&sweep->is_stirred, false);
    return OK;
}

static void run_sweep(void *owner)
{
    struct service_plane *plane = owner;
    plane->sweep.fiber = fiber_current();
    while (rest(plane, look_at_all(plane)) == OK)
        ;
}

void sweep_start(struct service_plane *plane)
{
    errand_start(plane->options.control_loop, run_sweep, plane, &plane->sweep.errand);
}

void sweep_stop(struct service_plane *plane)
{
    errand_stop(&plane->sweep.errand);
}

static void wake(struct sweep *sweep)
{
    if (atomic_load(&sweep->rests))
        fiber_wake(sweep->fiber);
}

static void deliver(struct message *message)
{
    struct sweep *sweep = list_entry(message, struct sweep, message);
    atomic_store(&sweep->is_posted, false);
    wake(sweep);
}

void sweep_stir(struct service_plane *plane)
{
    struct sweep *sweep = &plane->sweep;
    if (atomic_load_explicit(&sweep->is_stirred, memory_order_relaxed))
        return;
    atomic_store(&sweep->is_stirred, true);
    if (!atomic_load(&sweep->rests))
        return;
    if (loop_current() == plane->options.control_loop) {
        wake(sweep);
    } else if (!atomic_exchange(&sweep->is_posted, true)) {
        sweep->message.deliver = deliver;
        mailbox_post(plane->options.control_loop, &sweep->message);
    }
}
