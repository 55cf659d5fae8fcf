/* The queue in front of a busy service, on one worker; several are for the end-to-end tests. */
#include "service/queue.h"

#include "run/loop.h"
#include "support/unit.h"

#define PEOPLE 40

struct person {
    struct queue_waiter waiter;
    int number;
    int wants; /* this place alone; 0: any */
    enum status outcome;
    bool is_back;
};

static struct scene {
    struct queue queue;
    int free[8]; /* places of each kind; 1 and up */
    int order[PEOPLE], served;
    int64_t size;
    instant deadline;
    struct person people[PEOPLE];
    int count;
} scene;

static enum status take(void *argument)
{
    struct person *person = argument;
    for (int kind = 1; kind < 8; kind++) {
        if (!scene.free[kind] || (person->wants && person->wants != kind))
            continue;
        scene.free[kind]--;
        scene.order[scene.served++] = person->number;
        return OK;
    }
    return SERVICE_BUSY;
}

static void stand_in_line(void *argument)
{
    struct person *person = argument;
    person->outcome = queue_wait(&scene.queue, 0, scene.size, scene.deadline, &person->waiter);
    person->is_back = true;
}

static struct person *come(struct scope *scope, unsigned rank, int wants)
{
    struct person *person = &scene.people[scene.count];
    *person = (struct person){.number = scene.count++, .wants = wants};
    person->waiter = (struct queue_waiter){.take = take, .argument = person, .rank = rank};
    assert_ok(scope_start(scope, stand_in_line, person));
    fiber_yield();
    return person;
}

static void leave_places(int kind, int count)
{
    scene.free[kind] += count;
    queue_stir(&scene.queue, 0);
    fiber_yield();
}

static void check_order(const int *order, int count)
{
    assert_int_equal(scene.served, count);
    for (int i = 0; i < count; i++)
        assert_int_equal(scene.order[i], order[i]);
}

static void run_order(struct scope *scope)
{
    static const int order[] = {3, 1, 4, 0, 2, 5};
    static const unsigned ranks[] = {5, 3, 5, 1, 3, 7};
    for (int i = 0; i < 6; i++)
        (void)come(scope, ranks[i], 0);
    assert_int_equal(atomic_load(&scene.queue.waiting), 6);
    leave_places(1, 2);
    assert_int_equal(scene.served, 2);
    leave_places(1, 4);
    check_order(order, 6);
    assert_int_equal(atomic_load(&scene.queue.waiting), 0);
}

static void run_bound(struct scope *scope)
{
    scene.size = 2;
    struct person *first = come(scope, 4, 0), *second = come(scope, 5, 0);
    struct person *third = come(scope, 5, 0), *fourth = come(scope, 3, 0);
    struct person *fifth = come(scope, 4, 0);
    assert_status(third->outcome, QUEUE_FULL); /* as important as who is last: no */
    assert_true(second->is_back);              /* had to go for the fourth */
    assert_status(second->outcome, QUEUE_FULL);
    assert_status(fifth->outcome, QUEUE_FULL);
    assert_false(first->is_back || fourth->is_back);
    leave_places(1, 5);
    static const int order[] = {3, 0};
    check_order(order, 2);
}

/* Who waits for one place alone lets others by, as far as a look goes. */
static void run_choosy(struct scope *scope)
{
    for (int i = 0; i < 10; i++)
        (void)come(scope, 3, 2);
    struct person *easy = come(scope, 4, 0);
    leave_places(1, 1);
    assert_true(easy->is_back);
    for (int i = 0; i < 10; i++)
        (void)come(scope, 3, 2);
    easy = come(scope, 4, 0);
    leave_places(1, 1);
    assert_false(easy->is_back); /* too far behind */
    leave_places(2, 20);
    fiber_sleep_until(loop_now() + 50 * MILLISECOND);
    assert_true(easy->is_back);
    assert_int_equal(scene.served, 22);
}

static void run_time(struct scope *scope)
{
    scene.deadline = loop_now() + 30 * MILLISECOND;
    struct person *person = come(scope, 3, 0);
    fiber_sleep_until(loop_now() + 100 * MILLISECOND);
    assert_status(person->outcome, QUEUE_TIMEOUT);
    assert_int_equal(atomic_load(&scene.queue.waiting), 0);
    leave_places(1, 1);
    assert_int_equal(scene.served, 0);
}

static void run_cancel(struct scope *scope)
{
    struct person *gone = come(scope, 3, 0), *other = come(scope, 4, 0);
    fiber_cancel(gone->waiter.fiber);
    fiber_yield();
    assert_status(gone->outcome, CANCELLED);
    leave_places(1, 1);
    assert_ok(other->outcome);
    assert_true(other->is_back);
}

/* Nobody says that there is room, as when a word between workers is lost. */
static void run_unheard(struct scope *scope)
{
    struct person *person = come(scope, 3, 0);
    scene.free[1] = 1;
    fiber_sleep_until(loop_now() + 100 * MILLISECOND);
    assert_true(person->is_back);
}

static void play(void *argument)
{
    struct scope scope;
    void (*run)(struct scope *) = *(void (**)(struct scope *))argument;
    scope_init(&scope);
    memset(&scene, 0, sizeof scene);
    scene.size = PEOPLE;
    scene.deadline = NEVER;
    assert_ok(queue_init(&scene.queue, NULL, 1));
    run(&scope);
    scope_end(&scope);
    queue_release(&scene.queue);
}

#define SCENE(name)                                 \
    static void test_##name(void **state)           \
    {                                               \
        void (*run)(struct scope *) = run_##name;   \
        (void)state;                                \
        assert_ok(loop_run_main(NULL, play, &run)); \
    }
SCENE(order)
SCENE(bound)
SCENE(choosy)
SCENE(time)
SCENE(cancel)
SCENE(unheard)

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_order),
        cmocka_unit_test(test_bound), cmocka_unit_test(test_choosy), cmocka_unit_test(test_time),
        cmocka_unit_test(test_cancel), cmocka_unit_test(test_unheard)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
