#include "service/watched_file.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "run/loop.h"
#include "service/plane.h"
#include "support/on_loop.h"
#include "support/unit.h"

/* A thing is the number in the file, twice. */
struct pair {
    _Atomic long one, other;
};

static enum status make(struct slice text, struct text *trouble, void **ret_thing)
{
    uint64_t number;
    if (!slice_to_u64(text, &number)) {
        text_add_literal(trouble, "no number");
        return INVALID;
    }
    struct pair *pair = calloc(1, sizeof *pair);
    assert_non_null(pair);
    pair->one = pair->other = (long)number;
    *ret_thing = pair;
    return OK;
}

/* Whoever still looks at it sees that. */
static void free_pair(void *thing)
{
    struct pair *pair = thing;
    pair->one = -1;
    pair->other = -2;
    free(pair);
}

static const struct watched_kind kind = {"number", 64, make, free_pair};

struct scene {
    char path[64], room[WATCHED_TROUBLE_MAX];
    struct registry *registry;
    struct metrics *metrics;
    struct metrics_shard *shard;
    struct service_plane plane; /* as much of it as is asked for */
    struct watched_context context;
    struct text trouble;
    char notice[800];
    struct fiber *waiter;
};

static void write_file(const struct scene *scene, const char *text)
{
    char fresh[80];
    snprintf(fresh, sizeof fresh, "%s.new", scene->path);
    FILE *file = fopen(fresh, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(rename(fresh, scene->path), 0);
}

static void noticed(void *argument, const char *text)
{
    struct scene *scene = argument;
    snprintf(scene->notice, sizeof scene->notice, "%s", text);
}

static void begin(struct scene *scene)
{
    memset(scene, 0, sizeof *scene);
    strcpy(scene->path, "/tmp/weir-watched-XXXXXX");
    int descriptor = mkstemp(scene->path);
    assert_true(descriptor >= 0);
    close(descriptor);
    scene->registry = registry_new();
    assert_ok(metrics_new(0, &scene->metrics));
    assert_ok(metrics_shard_new(scene->metrics, &scene->shard));
    scene->plane.options = (struct service_plane_options){.metrics = scene->metrics,
        .control_loop = loop_current(),
        .control_shard = scene->shard,
        .notice = noticed,
        .notice_argument = scene};
    scene->context = (struct watched_context){scene->registry, scene->metrics, 1, &scene->plane};
    scene->trouble = text_fixed(scene->room, sizeof scene->room - 1);
}

static void end(struct scene *scene)
{
    assert_int_equal(registry_count(scene->registry), 0);
    registry_free(scene->registry);
    metrics_free(scene->metrics);
    unlink(scene->path);
}

static enum status obtain(struct scene *scene, struct watched_file **ret_file)
{
    text_clear(&scene->trouble);
    return watched_file_obtain(
        &scene->context, &kind, slice_of_text(scene->path), &scene->trouble, ret_file);
}

static long number_of(const struct watched_file *file)
{
    const struct pair *pair = watched_file_hold(file, 1);
    long number = pair->one;
    assert_int_equal(pair->other, number);
    watched_file_let_go(file, 1);
    return number;
}

static bool was_counted(const struct scene *scene, const char *outcome, int times)
{
    struct text text = text_growing(0);
    char line[200];
    snprintf(line, sizeof line, "weir_file_reads_total{file=\"%s\",outcome=\"%s\"} %d\n",
        scene->path, outcome, times);
    metrics_export(scene->metrics, &text);
    bool is_there =
        slice_find_slice(text_slice(&text), slice_of_text(line)) < text_slice(&text).size;
    text_release(&text);
    return is_there;
}

static void a_change_is_seen_and_a_mistake_is_not(void *argument)
{
    struct scene scene;
    struct watched_file *file, *same;
    (void)argument;
    begin(&scene);
    assert_status(obtain(&scene, &file), INVALID); /* it is empty */
    assert_string_equal(scene.room, "no number");
    assert_int_equal(registry_count(scene.registry), 0);
    write_file(&scene, "17");
    assert_ok(obtain(&scene, &file));
    assert_int_equal(number_of(file), 17);
    write_file(&scene, "18");
    while (number_of(file) != 18)
        fiber_sleep_until(loop_now() + MILLISECOND);
    write_file(&scene, "eighteen");
    while (!scene.notice[0])
        fiber_sleep_until(loop_now() + MILLISECOND);
    assert_non_null(strstr(scene.notice, "no number; the last good one goes on"));
    assert_int_equal(number_of(file), 18);
    assert_true(was_counted(&scene, "bad", 2));
    write_file(&scene, "19");
    assert_ok(obtain(&scene, &same)); /* who asks anew looks anew */
    assert_ptr_equal(same, file);
    assert_int_equal(number_of(file), 19);
    unlink(scene.path);
    assert_ok(obtain(&scene, &same));
    assert_non_null(strstr(scene.notice, "cannot be read"));
    assert_int_equal(number_of(file), 19);
    for (int i = 0; i < 3; i++)
        registry_release(file);
    end(&scene);
}

/* A worker that looks again and again never sees what was freed, nor two halves. */
struct looking {
    struct watched_file *file;
    _Atomic bool is_over;
    bool is_torn;
    long looks;
};

static void *keep_looking(void *argument)
{
    struct looking *looking = argument;
    while (!looking->is_over) {
        const struct pair *pair = watched_file_hold(looking->file, 0);
        looking->is_torn |= pair->one != pair->other;
        watched_file_let_go(looking->file, 0);
        looking->looks++;
    }
    return NULL;
}

static void nobody_sees_what_is_gone(void *argument)
{
    struct scene scene;
    struct looking looking = {.is_over = false};
    pthread_t thread;
    (void)argument;
    begin(&scene);
    write_file(&scene, "1");
    assert_ok(obtain(&scene, &looking.file));
    pthread_create(&thread, NULL, keep_looking, &looking);
    for (int i = 2; i < 200; i++) {
        struct watched_file *file;
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        write_file(&scene, text);
        assert_ok(obtain(&scene, &file));
        registry_release(file);
    }
    looking.is_over = true;
    pthread_join(thread, NULL);
    assert_false(looking.is_torn);
    assert_true(looking.looks > 0);
    registry_release(looking.file);
    end(&scene);
}

static void a_change_is_seen(void **state)
{
    (void)state;
    in_a_fiber(a_change_is_seen_and_a_mistake_is_not);
}

static void a_look_is_whole(void **state)
{
    (void)state;
    in_a_fiber(nobody_sees_what_is_gone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_is_seen),
        cmocka_unit_test(a_look_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
