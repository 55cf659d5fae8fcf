/* What makes a good answer, and when the next question is asked. */
#include "support/service_rig.h"

#include "run/loop.h"
#include "support/on_loop.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool says(struct rig *rig, const char *part)
{
    return strstr(rig_describe(rig), part) != NULL;
}

/* An answer as a test wants it. */
struct script {
    const char *answer;
    int asked;
    instant times[16];
};

static void serve_script(struct fake *fake, struct stream *stream, int number)
{
    struct script *script = fake->context;
    (void)number;
    if (!fake_read(fake, stream))
        return;
    if (script->asked < 16)
        script->times[script->asked] = clock_now();
    script->asked++;
    fake_write(stream, script->answer);
}

#define ANSWER(fields, body) "HTTP/1.1 200 OK\r\nConnection: close\r\n" fields "\r\n" body

static void expect_verdict(
    struct rig *rig, const char *health, const char *answer, const char *wanted)
{
    struct script script = {.answer = answer};
    struct fake *fake = rig_fake(rig, serve_script, &script);
    rig_service(rig, "{at: %s, health: {path: /h, every: 10ms, %s}}", fake->text, health);
    rig_until(script.asked >= 4 && says(rig, wanted));
}

static void test_bodies(void **state)
{
    struct rig *rig = *state;
    expect_verdict(rig, "body: ready", ANSWER("", "is ready now"), "\"state\":\"up\"");
    expect_verdict(rig, "body: ready", ANSWER("", "is not"), "down: 3 × another body");
    expect_verdict(rig, "body: /^re.dy$/", ANSWER("", "ready"), "\"state\":\"up\"");
    expect_verdict(rig, "body: /^re.dy$/", ANSWER("", "ready?"), "down: 3 × another body");
}

static void test_headers(void **state)
{
    struct rig *rig = *state;
    const char *yes = ANSWER("X-Ready: yes\r\nContent-Length: 0\r\n", "");
    expect_verdict(rig, "headers: {x-ready: \"yes\"}", yes, "\"state\":\"up\"");
    expect_verdict(rig, "headers: {x-ready: ye}", yes, "down: 3 × another x-ready");
    expect_verdict(rig, "headers: {x-other: \"\"}", yes, "down: 3 × no field x-other");
    expect_verdict(rig, "headers: {x-ready: /^y/}", yes, "\"state\":\"up\"");
}

static void test_statuses(void **state)
{
    struct rig *rig = *state;
    const char *answer = "HTTP/1.1 429 Too Many\r\nContent-Length: 0\r\n\r\n";
    expect_verdict(rig, "expect: [200, 400-430]", answer, "\"state\":\"up\"");
    expect_verdict(rig, "expect: [200, 204]", answer, "down: 3 × status 429");
}

/* A body without end is looked at as far as it goes. */
static void serve_endless(struct fake *fake, struct stream *stream, int number)
{
    (void)number;
    fake_read(fake, stream);
    fake_write(stream, "HTTP/1.1 200 OK\r\n\r\nready");
    while (stream_write(stream, fake->last, sizeof fake->last, loop_now() + SECOND, NULL) == OK)
        ;
}

static void test_endless_body(void **state)
{
    struct rig *rig = *state;
    struct fake *fake = rig_fake(rig, serve_endless, NULL);
    rig_service(rig, "{at: %s, health: {path: /h, every: 10ms, fall: 1, body: ready}}", fake->text);
    rig_until(fake->connections >= 3);
    assert_true(says(rig, "\"state\":\"up\""));
}

/* --- when */

static void test_doubt_hurries(void **state)
{
    struct rig *rig = *state;
    struct script script = {.answer = "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"};
    struct fake *fake = rig_fake(rig, serve_script, &script);
    rig_service(rig, "{at: %s, health: {path: /h, every: 30s, failing: 20ms}}", fake->text);
    rig_until(says(rig, "down: 3 × status 500"));
    assert_int_equal(script.asked, 3);
    assert_true(script.times[1] - script.times[0] >= 15 * MILLISECOND);
    script.answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    fiber_sleep_until(loop_now() + 100 * MILLISECOND);
    assert_int_equal(script.asked, 3); /* there is no doubt: `every` it is */
}

static void test_idle_endpoints_are_asked_less_often(void **state)
{
    struct rig *rig = *state;
    struct script script = {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"};
    struct fake *fake = rig_fake(rig, serve_script, &script);
    rig_service(rig, "{at: %s, health: {path: /h, every: 10ms, idle: 400ms}}", fake->text);
    rig_until(script.asked >= 8);
    fiber_sleep_until(loop_now() + 600 * MILLISECOND);
    int idle = script.asked;
    fiber_sleep_until(loop_now() + 500 * MILLISECOND);
    assert_true(script.asked - idle <= 3);
    idle = script.asked;
    assert_ok(rig_get(rig, "/")); /* somebody is interested again */
    rig_body(rig);
    rig_until(script.asked - idle >= 8);
}

/* --- commands */

struct program {
    char path[64], log[64];
};

/* A program of a few lines of shell; it may write to $1. */
static void write_program(struct program *program, const char *lines)
{
    snprintf(program->path, sizeof program->path, "/tmp/weir-test-%d.sh", (int)getpid());
    snprintf(program->log, sizeof program->log, "/tmp/weir-test-%d.log", (int)getpid());
    FILE *file = fopen(program->path, "w");
    assert_non_null(file);
    fprintf(file, "#!/bin/sh\n%s\n", lines);
    fclose(file);
    assert_int_equal(chmod(program->path, 0700), 0);
    unlink(program->log);
}

static void begin_command(struct rig *rig, const struct program *program, const char *more)
{
    struct fake *fake = rig_fake(rig, serve_politely, NULL);
    rig_service(rig,
        "{at: %s, health: {path: %s, method: command, arguments: [%s], every: 20ms%s}}", fake->text,
        program->path, program->log, more);
}

static void read_log(const struct program *program, char *room, size_t size)
{
    FILE *file = fopen(program->log, "r");
    room[0] = '\0';
    if (!file)
        return;
    room[fread(room, 1, size - 1, file)] = '\0';
    fclose(file);
}

static void end_command(const struct program *program)
{
    unlink(program->path);
    unlink(program->log);
}

static void test_exit_code(void **state)
{
    struct rig *rig = *state;
    struct program program = {"", ""};
    write_program(&program, "echo disk full; echo more; exit 3");
    begin_command(rig, &program, "");
    rig_until(says(rig, "down: 3 × exit code 3: disk full"));
    end_command(&program);
    write_program(&program, "exit 0");
    rig_until(says(rig, "up: 2 good answers"));
    end_command(&program);
}

static void test_environment(void **state)
{
    struct rig *rig = *state;
    struct program program = {"", ""};
    char room[4096], line[128];
    assert_int_equal(setenv("WEIR_TEST_SECRET", "hush", 1), 0);
    write_program(
        &program, "env > $1.new; ls /proc/self/fd | wc -l >> $1.new; pwd >> $1.new; mv $1.new $1");
    begin_command(rig, &program, "");
    rig_until(access(program.log, R_OK) == 0);
    read_log(&program, room, sizeof room);
    snprintf(line, sizeof line, "WEIR_ENDPOINT=%s\n", rig->fakes[0].text);
    assert_non_null(strstr(room, line));
    assert_non_null(strstr(room, "WEIR_SERVICE=demo\n"));
    assert_non_null(strstr(room, "WEIR_HOST=127.0.0.1\n"));
    assert_non_null(strstr(room, strchr(rig->fakes[0].text, ':') + 1));
    assert_non_null(strstr(room, "WEIR_STATE=up\n"));
    assert_null(strstr(room, "hush"));
    assert_non_null(strstr(room, "\n4\n/\n")); /* 0, 1, 2 and what lists them */
    end_command(&program);
}

static bool is_alive(const char *number)
{
    return atoi(number) > 1 && kill(atoi(number), 0) == 0;
}

/* The command, and what it has started, are killed. A busy machine may kill it before it has come
 * to write anything: then it is the next one's turn. */
static void test_command_times_out(void **state)
{
    struct rig *rig = *state;
    struct program program = {"", ""};
    char room[64];
    write_program(&program, "sleep 60 & echo $! > $1.new; mv $1.new $1; wait");
    begin_command(rig, &program, ", timeout: 200ms, fall: 1");
    rig_until(says(rig, "down: 1 × no answer in time"));
    rig_until(access(program.log, R_OK) == 0);
    read_log(&program, room, sizeof room);
    assert_true(atoi(room) > 1);
    rig_until(!is_alive(room));
    end_command(&program);
}

static void test_command_is_stopped_with_its_service(void **state)
{
    struct rig *rig = *state;
    struct program program = {"", ""};
    char room[64];
    write_program(&program, "echo $$ > $1.new; mv $1.new $1; sleep 60");
    begin_command(rig, &program, ", timeout: 1m");
    rig_until(access(program.log, R_OK) == 0);
    read_log(&program, room, sizeof room);
    assert_true(is_alive(room));
    rig_service(rig, "%s", rig->fakes[0].text);
    rig_until(!is_alive(room));
    end_command(&program);
}

static void test_command_that_is_none(void **state)
{
    struct rig *rig = *state;
    struct program program = {"/nowhere/at/all", "x"};
    begin_command(rig, &program, ", fall: 1");
    rig_until(says(rig, "down: 1 × it cannot be asked, No such file or directory"));
}

/* More than a pipe holds must not stop it. */
static void test_command_that_says_much(void **state)
{
    struct rig *rig = *state;
    struct program program = {"", ""};
    write_program(&program, "head -c 300000 /dev/zero | tr '\\0' x; echo done > $1; exit 1");
    begin_command(rig, &program, ", fall: 1");
    rig_until(says(rig, "down: 1 × exit code 1: xxx"));
    end_command(&program);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

static int run_all(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_bodies),
        TEST(test_headers),
        TEST(test_statuses),
        TEST(test_endless_body),
        TEST(test_doubt_hurries),
        TEST(test_idle_endpoints_are_asked_less_often),
        TEST(test_exit_code),
        TEST(test_environment),
        TEST(test_command_times_out),
        TEST(test_command_is_stopped_with_its_service),
        TEST(test_command_that_is_none),
        TEST(test_command_that_says_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run_all);
}
