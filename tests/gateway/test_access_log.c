#include "gateway/access_log.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "support/files.h"
#include "support/unit.h"

struct fixture {
    struct exchange x;
    char folder[64];
    char path[96];
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct exchange *x = &f->x;
    arena_init(&x->arena, 0, 0);
    fields_init(&x->request.fields, &x->arena);
    x->request.method = METHOD_GET;
    x->request.method_text = SLICE("GET");
    x->request.version = HTTP_1_1;
    x->request.target = SLICE("/a?b=c");
    x->request.path = SLICE("/a");
    x->request.query = SLICE("b=c");
    x->request.host = SLICE("shop.example");
    x->response.status = 200;
    x->facts.ended = 1234567;
    x->facts.sent = 12;
    *state = f;
    snprintf(f->folder, sizeof f->folder, "/tmp/weir-log-XXXXXX");
    if (!mkdtemp(f->folder))
        return -1;
    snprintf(f->path, sizeof f->path, "%.63s/log", f->folder);
    return address_parse_ip(SLICE("10.0.0.9"), 0, &x->client);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    unlink(f->path);
    rmdir(f->folder);
    arena_release(&f->x.arena);
    free(f);
    return 0;
}

static struct slice line_of(struct fixture *f, enum log_format format)
{
    char *data = arena_bytes(&f->x.arena, 4096);
    struct text text = text_fixed(data, 4096);
    struct log_time time = {.wall = (int64_t)1763640000 * SECOND};
    access_log_format(&f->x, format, &time, &text);
    return text_slice(&text);
}

static void json_has_the_facts(void **state)
{
    struct fixture *f = *state;
    struct json_value *root;
    struct slice text;
    int64_t number;
    f->x.facts.reason = NO_ROUTE;
    assert_ok(fields_add_known(&f->x.request.fields, FIELD_USER_AGENT, SLICE("a\"b\t\xff")));
    assert_ok(json_parse(&f->x.arena, line_of(f, LOG_JSON), NULL, &root, NULL));
    assert_true(json_get_text(root, SLICE("time"), &text));
    assert_slice(text, "2025-11-20T12:00:00.000Z");
    assert_true(json_get_text(root, SLICE("client.address"), &text));
    assert_slice(text, "10.0.0.9");
    assert_true(json_get_text(root, SLICE("user_agent.original"), &text));
    assert_slice(text, "a\"b\t\xef\xbf\xbd");
    assert_true(json_get_text(root, SLICE("reason"), &text));
    assert_slice(text, "no-route");
    assert_true(json_get_i64(root, SLICE("http.response.status_code"), &number));
    assert_int_equal(number, 200);
    const struct json_value *duration = json_get(root, SLICE("duration"));
    assert_slice(duration->text, "0.001234");
}

/* A handshake that failed was no request: nothing is said of one. */
static void what_was_no_request_has_no_fields_of_one(void **state)
{
    struct fixture *f = *state;
    struct exchange x = {.request.host = SLICE("shop.example"),
        .facts = {
            .listener = SLICE("web"), .reason = TLS_CERTIFICATE, .trouble = SLICE("expired")}};
    x.arena = f->x.arena;
    f->x = x;
    assert_ok(address_parse_ip(SLICE("10.0.0.9"), 4711, &f->x.client));
    assert_slice(line_of(f, LOG_JSON),
        "{\"time\":\"2025-11-20T12:00:00.000Z\",\"listener\":\"web\",\"client.address\":\"10.0.0."
        "9\","
        "\"client.port\":4711,\"tls.client.server_name\":\"shop.example\","
        "\"reason\":\"tls-certificate\",\"error.message\":\"expired\"}\n");
    assert_slice(line_of(f, LOG_COMBINED),
        "10.0.0.9 - - [20/Nov/2025:12:00:00 +0000] \"-\" 0 0 \"-\" \"-\"\n");
    f->x.request.host = SLICE_NONE;
    f->x.facts.trouble = SLICE_NONE;
    assert_slice(line_of(f, LOG_JSON), "{\"time\":\"2025-11-20T12:00:00.000Z\",\"listener\":"
                                       "\"web\",\"client.address\":\"10.0.0.9\","
                                       "\"client.port\":4711,\"reason\":\"tls-certificate\"}\n");
}

static void combined_cannot_be_forged(void **state)
{
    struct fixture *f = *state;
    assert_ok(fields_add_known(&f->x.request.fields, FIELD_USER_AGENT, SLICE("x\" 200 \t1.2.3.4")));
    assert_slice(line_of(f, LOG_COMBINED),
        "10.0.0.9 - - [20/Nov/2025:12:00:00 +0000] \"GET /a?b=c HTTP/1.1\" 200 12 \"-\" "
        "\"x\\x22 200 \\x091.2.3.4\"\n");
}

static struct slice repeated(struct fixture *f, char c, size_t size)
{
    char *data = arena_bytes(&f->x.arena, size);
    memset(data, c, size);
    return slice_of(data, size);
}

/* Nobody gets out of the log by values that are too long for a line. */
static void values_of_a_long_line_are_cut(void **state)
{
    struct fixture *f = *state;
    struct json_value *root;
    struct slice text;
    assert_ok(fields_add_known(&f->x.request.fields, FIELD_USER_AGENT, repeated(f, '\xff', 30000)));
    assert_ok(fields_add_known(&f->x.request.fields, FIELD_REFERER, repeated(f, '"', 30000)));
    f->x.request_id = SLICE("the-id");
    f->x.request.path = f->x.request.target = repeated(f, 'p', 8000);
    f->x.request.query = repeated(f, '"', 8000);
    f->x.request.host = repeated(f, 'h', 8000);
    f->x.request.method_text = repeated(f, 'M', 8000);
    for (int format = LOG_JSON; format <= LOG_COMBINED; format++) {
        char line[16384];
        struct text written = text_fixed(line, sizeof line);
        struct log_time time = {.wall = (int64_t)1763640000 * SECOND};
        access_log_format(&f->x, (enum log_format)format, &time, &written);
        assert_true(slice_has_suffix(text_slice(&written), SLICE("\n")));
        if (format == LOG_COMBINED) {
            assert_true(slice_has_prefix(text_slice(&written), SLICE("10.0.0.9 - - [20/Nov")));
            continue;
        }
        assert_ok(json_parse(&f->x.arena, text_slice(&written), NULL, &root, NULL));
        assert_true(json_get_text(root, SLICE("client.address"), &text));
        assert_slice(text, "10.0.0.9");
        assert_true(json_get_text(root, SLICE("url.path"), &text));
        assert_slices(text, repeated(f, 'p', 1024));
        assert_non_null(json_get(root, SLICE("log.cut")));
    }
}

/* Where not even that fits, it says so. */
static void line_that_fits_nowhere_is_named(void **state)
{
    struct fixture *f = *state;
    char line[200];
    struct text text = text_fixed(line, sizeof line);
    struct log_time time = {.wall = (int64_t)1763640000 * SECOND};
    f->x.request_id = SLICE("the-id");
    f->x.facts.route = repeated(f, 'r', 500);
    access_log_format(&f->x, LOG_JSON, &time, &text);
    assert_slice(
        text_slice(&text), "{\"reason\":\"log-line-too-long\",\"request.id\":\"the-id\"}\n");
}

/* The text of the second is kept, the milliseconds are not. */
static void time_goes_on(void **state)
{
    struct fixture *f = *state;
    struct log_time time = {.wall = (int64_t)1763640000 * SECOND};
    static const char *const want[] = {"12:00:00.000Z", "12:00:00.999Z", "12:00:01.007Z"};
    static const int64_t steps[] = {0, 999 * MILLISECOND, 8 * MILLISECOND};
    for (int i = 0; i < 3; i++) {
        char line[4096];
        struct text text = text_fixed(line, sizeof line);
        time.wall += steps[i];
        access_log_format(&f->x, LOG_JSON, &time, &text);
        assert_slices(slice_of(line + 20, 13), slice_of_text(want[i]));
    }
}

static size_t count_lines(struct slice text)
{
    size_t lines = 0;
    for (size_t i = 0; i < text.size; i++)
        lines += text.data[i] == '\n';
    return lines;
}

static void every_line_is_written(void **state)
{
    struct fixture *f = *state;
    struct log_options options = {.to = slice_of_text(f->path), .buffer = 1 << 20};
    struct access_log *log;
    assert_ok(access_log_new(&options, 2, &log));
    for (int i = 0; i < 1000; i++)
        access_log_add(log, (unsigned)i % 2, &f->x, clock_wall());
    assert_int_equal(access_log_read_counters(log).written, 1000);
    access_log_free(log);
    struct slice written = read_test_file(f->path);
    assert_int_equal(count_lines(written), 1000);
    free((char *)written.data);
}

/* A pipe that nobody reads: lines beyond the ring are dropped and counted, and nobody waits. */
static void slow_target_drops(void **state)
{
    struct fixture *f = *state;
    signal(SIGPIPE, SIG_IGN); /* as the program does */
    assert_int_equal(mkfifo(f->path, 0600), 0);
    int reader = open(f->path, O_RDONLY | O_NONBLOCK);
    assert_true(reader >= 0);
    struct log_options options = {.to = slice_of_text(f->path), .buffer = 4096};
    struct access_log *log;
    assert_ok(access_log_new(&options, 1, &log));
    for (int i = 0; i < 5000; i++)
        access_log_add(log, 0, &f->x, clock_wall());
    struct access_log_counters counters = access_log_read_counters(log);
    assert_true(counters.dropped > 1000);
    assert_int_equal(counters.written + counters.dropped, 5000);
    close(reader);
    access_log_free(log);
}

/* The same pipe while the gateway stops: what is left is tried for a second, then given up. */
static void slow_target_does_not_hold_up_a_stop(void **state)
{
    struct fixture *f = *state;
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(mkfifo(f->path, 0600), 0);
    int reader = open(f->path, O_RDONLY | O_NONBLOCK);
    assert_true(reader >= 0);
    struct log_options options = {.to = slice_of_text(f->path), .buffer = 1 << 20};
    struct access_log *log;
    assert_ok(access_log_new(&options, 1, &log));
    for (int i = 0; i < 3000; i++)
        access_log_add(log, 0, &f->x, clock_wall());
    instant began = clock_now();
    access_log_free(log);
    assert_true(clock_now() - began < 5 * SECOND);
    close(reader);
}

/* And a pipe that nobody has opened to read does not hold up a start: its reader may come later. */
static void pipe_may_get_its_reader_later(void **state)
{
    struct fixture *f = *state;
    char line[1024];
    assert_int_equal(mkfifo(f->path, 0600), 0);
    struct log_options options = {.to = slice_of_text(f->path), .buffer = 4096};
    struct access_log *log;
    assert_ok(access_log_new(&options, 1, &log));
    access_log_add(log, 0, &f->x, clock_wall());
    int reader = open(f->path, O_RDONLY);
    assert_true(reader >= 0);
    assert_true(read(reader, line, sizeof line) > 0);
    close(reader);
    access_log_free(log);
}

static void full_disk_is_counted(void **state)
{
    struct fixture *f = *state;
    struct log_options options = {.to = SLICE("/dev/full"), .buffer = 4096};
    struct access_log *log;
    assert_ok(access_log_new(&options, 1, &log));
    access_log_add(log, 0, &f->x, clock_wall());
    for (int i = 0; i < 500 && !access_log_read_counters(log).failed_writes; i++)
        usleep(10000);
    assert_true(access_log_read_counters(log).failed_writes > 0);
    access_log_free(log);
}

static void reopens_after_rotation(void **state)
{
    struct fixture *f = *state;
    struct log_options options = {.to = slice_of_text(f->path), .buffer = 4096};
    struct access_log *log;
    struct stat file;
    assert_ok(access_log_new(&options, 1, &log));
    assert_int_equal(unlink(f->path), 0);
    access_log_reopen(log);
    for (int i = 0; i < 500 && stat(f->path, &file); i++)
        usleep(10000);
    access_log_add(log, 0, &f->x, clock_wall());
    access_log_free(log);
    struct slice written = read_test_file(f->path);
    assert_int_equal(count_lines(written), 1);
    free((char *)written.data);
}

static void missing_folder_is_an_error(void **state)
{
    struct log_options options = {.to = SLICE("/nowhere/at/all/log"), .buffer = 4096};
    struct access_log *log;
    (void)state;
    assert_status(access_log_new(&options, 1, &log), IO_ERROR);
}

static void check_l4(const struct l4_facts *facts, enum log_format format, const char *line)
{
    char room[1024];
    struct text text = text_fixed(room, sizeof room);
    struct log_time time = {.wall = (int64_t)1763640000 * SECOND};
    access_log_format_l4(facts, format, &time, &text);
    assert_slices(text_slice(&text), slice_of_text(line));
}

static void layer_4_has_lines_of_its_own(void **state)
{
    (void)state;
    struct l4_facts facts = {.listener = SLICE(":5432"),
        .service = SLICE("db"),
        .endpoint = SLICE("10.0.0.1:5432"),
        .reason = UPSTREAM_CLOSED,
        .started = 1,
        .ended = 1500001,
        .connect_time = 20000,
        .received = 3,
        .sent = 4,
        .tries = 2};
    assert_ok(address_parse(SLICE("10.0.0.9:1234"), &facts.client));
    check_l4(&facts, LOG_JSON,
        "{\"time\":\"2025-11-20T12:00:00.000Z\",\"listener\":\":5432\","
        "\"network.transport\":\"tcp\",\"client.address\":\"10.0.0.9\",\"client.port\":1234,"
        "\"service\":\"db\",\"upstream.address\":\"10.0.0.1:5432\",\"bytes.received\":3,"
        "\"bytes.sent\":4,\"duration\":0.001500,\"upstream.connect.duration\":0.000020,"
        "\"upstream.tries\":2,\"reason\":\"upstream-closed\"}\n");
    check_l4(&facts, LOG_COMBINED,
        "10.0.0.9 - - [20/Nov/2025:12:00:00 +0000] \"CONNECT db TCP\" 502 4 \"-\" \"-\"\n");
    facts.reason = OK;
    facts.transport = L4_UDP;
    facts.service = SLICE_NONE;
    check_l4(&facts, LOG_COMBINED,
        "10.0.0.9 - - [20/Nov/2025:12:00:00 +0000] \"CONNECT - UDP\" 200 4 \"-\" \"-\"\n");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layer_4_has_lines_of_its_own),
        TEST(json_has_the_facts),
        TEST(what_was_no_request_has_no_fields_of_one),
        TEST(combined_cannot_be_forged),
        TEST(time_goes_on),
        TEST(values_of_a_long_line_are_cut),
        TEST(line_that_fits_nowhere_is_named),
        TEST(every_line_is_written),
        TEST(slow_target_drops),
        TEST(slow_target_does_not_hold_up_a_stop),
        TEST(pipe_may_get_its_reader_later),
        TEST(full_disk_is_counted),
        TEST(reopens_after_rotation),
        TEST(missing_folder_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
