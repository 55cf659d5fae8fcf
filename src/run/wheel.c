#include "run/wheel.h"

#define TICK     MILLISECOND
#define TICK_MAX (((uint64_t)1 << (WHEEL_BITS * WHEEL_LEVELS)) - 1)

void wheel_init(struct wheel *wheel, instant now)
{
    wheel->next = NEVER;
    wheel->began = now;
    wheel->tick = 0;
    for (int level = 0; level < WHEEL_LEVELS; level++) {
        wheel->used[level] = 0;
        for (int slot = 0; slot < WHEEL_SLOTS; slot++)
            list_init(&wheel->slots[level][slot]);
    }
}

/* Rounded up: never early. */
static uint64_t tick_of(const struct wheel *wheel, instant when)
{
    if (when <= wheel->began)
        return 0;
    uint64_t tick = ((uint64_t)(when - wheel->began) + TICK - 1) / TICK;
    return tick < TICK_MAX ? tick : TICK_MAX;
}

static instant instant_of(const struct wheel *wheel, uint64_t tick)
{
    return wheel->began + (instant)tick * TICK;
}

/* While nothing is due the wheel stands still; before something is put in, it catches up. */
static void catch_up(struct wheel *wheel, instant now)
{
    if (now < wheel->next)
        wheel->tick = (uint64_t)(now - wheel->began) / TICK;
}

/* Links the timer, which is in no slot, for a tick after the present one. */
static void insert(struct wheel *wheel, struct timer *timer)
{
    uint64_t tick = tick_of(wheel, timer->when);
    if (tick <= wheel->tick)
        tick = wheel->tick + 1;
    int level = (63 - __builtin_clzll(tick ^ wheel->tick)) / WHEEL_BITS;
    unsigned shift = (unsigned)level * WHEEL_BITS;
    unsigned slot = tick >> shift & (WHEEL_SLOTS - 1);
    list_push_back(&wheel->slots[level][slot], &timer->node);
    wheel->used[level] |= (uint64_t)1 << slot;
    timer->armed = timer->when;
    instant turn = instant_of(wheel, tick >> shift << shift);
    if (turn < wheel->next)
        wheel->next = turn;
}

/* The tick at which the next slot that holds something has its turn; 0: none. */
static uint64_t next_turn(struct wheel *wheel)
{
    for (int level = 0; level < WHEEL_LEVELS; level++) {
        unsigned shift = (unsigned)level * WHEEL_BITS;
        while (wheel->used[level]) {
            unsigned slot = (unsigned)__builtin_ctzll(wheel->used[level]);
            if (list_is_empty(&wheel->slots[level][slot])) {
                wheel->used[level] &= wheel->used[level] - 1;
                continue;
            }
            uint64_t higher = wheel->tick >> shift >> WHEEL_BITS << WHEEL_BITS;
            return (higher | slot) << shift;
        }
    }
    return 0;
}

/* The slot's timers fire, or move to where they belong by now. */
static void deal_out(struct wheel *wheel, struct list *slot)
{
    struct list due;
    list_init(&due);
    while (!list_is_empty(slot))
        list_push_back(&due, list_pop_front(slot));
    struct list *node;
    while ((node = list_pop_front(&due))) {
        struct timer *timer = list_entry(node, struct timer, node);
        if (timer->when == NEVER)
            continue;
        if (tick_of(wheel, timer->when) > wheel->tick) {
            insert(wheel, timer);
            continue;
        }
        timer->when = NEVER;
        timer->fire(timer);
    }
}

void wheel_advance(struct wheel *wheel, instant now)
{
    uint64_t target = (uint64_t)(now - wheel->began) / TICK;
    for (uint64_t turn; (turn = next_turn(wheel)) && turn <= target;) {
        wheel->tick = turn;
        for (int level = WHEEL_LEVELS - 1; level >= 0; level--) {
            unsigned shift = (unsigned)level * WHEEL_BITS;
            unsigned slot = turn >> shift & (WHEEL_SLOTS - 1);
            if (turn >> shift << shift != turn || !(wheel->used[level] >> slot & 1))
                continue;
            wheel->used[level] &= ~((uint64_t)1 << slot);
            deal_out(wheel, &wheel->slots[level][slot]);
        }
    }
    if (wheel->tick < target)
        wheel->tick = target;
    uint64_t turn = next_turn(wheel);
    wheel->next = turn ? instant_of(wheel, turn) : NEVER;
}

void wheel_set(struct wheel *wheel, instant now, struct timer *timer)
{
    if (!list_is_empty(&timer->node)) {
        if (timer->armed <= timer->when)
            return;
        list_remove(&timer->node);
    }
    catch_up(wheel, now);
    insert(wheel, timer);
}
