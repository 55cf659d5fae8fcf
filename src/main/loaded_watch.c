#include "main/loaded_watch.h"

#include <stdlib.h>

#include "run/loop.h"
#include "run/timer.h"

#define LOOK_EVERY SECOND

struct loaded_watch {
    struct timer timer;
    const struct gateway *gateway; /* borrowed */
    void (*changed)(void *argument);
    void *argument;
    uint64_t last;     /* what was seen at the last look */
    uint64_t reported; /* the newest state that somebody was told of */
};

/* Both of what is there now and of what was read. */
struct stamps {
    uint64_t now, read;
};

static struct stamps look(const struct snapshot *snapshot)
{
    const struct tls_plan *plan = snapshot->tls;
    struct stamps stamps = {
        secret_files_stamp(snapshot->secrets), secret_files_stamp_read(snapshot->secrets)};
    for (size_t i = 0; plan && i < plan->count; i++) {
        stamps.now = stamps.now * 31 + certificate_stamp(&plan->certificates[i]);
        stamps.read = stamps.read * 31 + plan->certificates[i].stamp;
    }
    return stamps;
}

static bool is_news(struct loaded_watch *watch, const struct stamps *stamps)
{
    bool is_settled = stamps->now == watch->last;
    watch->last = stamps->now;
    if (stamps->now == stamps->read)
        watch->reported = stamps->now;
    if (!is_settled || stamps->now == watch->reported)
        return false;
    watch->reported = stamps->now;
    return true;
}

static void tick(struct timer *timer)
{
    struct loaded_watch *watch = list_entry(timer, struct loaded_watch, timer);
    const struct snapshot *snapshot = gateway_snapshot(watch->gateway);
    timer_set(&watch->timer, loop_now() + LOOK_EVERY);
    if (!snapshot)
        return;
    struct stamps stamps = look(snapshot);
    if (is_news(watch, &stamps))
        watch->changed(watch->argument);
}

enum status loaded_watch_new(const struct gateway *gateway, void (*changed)(void *argument),
    void *argument, struct loaded_watch **ret_watch)
{
    struct loaded_watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return NO_MEMORY;
    watch->gateway = gateway;
    watch->changed = changed;
    watch->argument = argument;
    timer_init(&watch->timer, tick);
    timer_set(&watch->timer, loop_now() + LOOK_EVERY);
    *ret_watch = watch;
    return OK;
}

void loaded_watch_free(struct loaded_watch *watch)
{
    if (!watch)
        return;
    timer_cancel(&watch->timer);
    free(watch);
}
