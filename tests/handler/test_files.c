#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/unit.h"
#include "support/on_loop.h"
#include "support/world.h"

extern const struct handler_type files_handler;

/* The folder that is served; each test begins with it empty of everything but what set_up writes.
 */
struct site {
    char root[64];
    struct world *world;
};

static void put(struct site *site, const char *name, const char *content)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", site->root, name);
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    const struct timespec times[2] = {{784111777, 0}, {784111777, 5}};
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
}

static void make(struct site *site, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", site->root, name);
    assert_int_equal(mkdir(path, 0755), 0);
}

static void use(struct site *site, const char *more)
{
    char config[512];
    snprintf(config, sizeof config, "{root: \"%s\"%s}", site->root, more);
    world_handler(site->world, &files_handler, config);
}

static int set_up(void **state)
{
    struct site *site = calloc(1, sizeof *site);
    snprintf(site->root, sizeof site->root, "/tmp/weir-site-XXXXXX");
    assert_non_null(mkdtemp(site->root));
    site->world = world_new();
    put(site, "index.html", "<h1>home</h1>");
    put(site, "data.txt", "0123456789");
    put(site, "empty.txt", "");
    make(site, "docs");
    put(site, "docs/index.html", "docs");
    make(site, "bare");
    put(site, "bare/a b&c.txt", "x");
    put(site, ".secret", "s");
    use(site, "");
    *state = site;
    return 0;
}

static int tear_down(void **state)
{
    struct site *site = *state;
    char command[128];
    world_free(site->world);
    snprintf(command, sizeof command, "rm -rf -- %s", site->root);
    assert_int_equal(system(command), 0);
    free(site);
    return 0;
}

static struct world *ask(void **state, const char *method, const char *target)
{
    struct site *site = *state;
    world_request(site->world, method, target);
    return site->world;
}

static struct world *get(void **state, const char *target)
{
    struct world *world = ask(state, "GET", target);
    assert_ok(world_serve(world));
    return world;
}

static void assert_missing(void **state, const char *target)
{
    enum status e = world_serve(ask(state, "GET", target));
    if (e != NO_FILE)
        fail_msg("%s: %s", target, status_word(e));
}

static void a_file_is_served(void **state)
{
    struct world *world = get(state, "/data.txt");
    assert_int_equal(world->x.response.status, 200);
    assert_int_equal(world->x.response.body->length, 10);
    assert_string_equal(world_answer_body(world), "0123456789");
    assert_string_equal(world_answer_field(world, "Content-Type"), "text/plain; charset=utf-8");
    assert_string_equal(
        world_answer_field(world, "Last-Modified"), "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_string_equal(world_answer_field(world, "Accept-Ranges"), "bytes");
    assert_string_equal(world_answer_field(world, "Vary"), "");
    assert_string_equal(world_answer_field(world, "Cache-Control"), "");
    assert_int_equal(strlen(world_answer_field(world, "ETag")), 18);
    assert_string_equal(world_answer_body(get(state, "/empty.txt")), "");
    assert_string_equal(world_answer_body(get(state, "/d%61ta.txt")), "0123456789");
    put(*state, "a+b.txt", "plus");
    assert_string_equal(world_answer_body(get(state, "/a+b.txt")), "plus");
}

static void the_first_bytes_can_be_peeked(void **state)
{
    struct world *world = get(state, "/data.txt");
    bool is_last = false;
    assert_slice(body_peek(world->x.response.body, &is_last), "0123456789");
    assert_true(is_last);
    assert_string_equal(world_answer_body(world), "0123456789");
}

static void a_large_file_comes_in_pieces(void **state)
{
    struct site *site = *state;
    size_t size = 3000000;
    char *content = malloc(size + 1);
    for (size_t i = 0; i < size; i++)
        content[i] = (char)('a' + i % 26);
    content[size] = '\0';
    put(site, "large.bin", content);
    struct world *world = get(state, "/large.bin");
    bool is_last = true;
    assert_true(body_peek(world->x.response.body, &is_last).size > 0);
    assert_false(is_last);
    assert_string_equal(world_answer_body(world), content);
    free(content);
}

static void a_file_that_shrinks_breaks_the_answer_off(void **state)
{
    struct site *site = *state;
    struct world *world = get(state, "/data.txt");
    put(site, "data.txt", "01");
    struct slice bytes;
    assert_ok(body_read(world->x.response.body, NEVER, &bytes));
    assert_slice(bytes, "01");
    assert_status(body_read(world->x.response.body, NEVER, &bytes), IO_ERROR);
    assert_status(body_read(world->x.response.body, NEVER, &bytes), IO_ERROR);
}

static void the_tag_changes_with_the_file(void **state)
{
    struct site *site = *state;
    char before[64];
    snprintf(before, sizeof before, "%s", world_answer_field(get(state, "/data.txt"), "ETag"));
    assert_string_equal(world_answer_field(get(state, "/data.txt"), "ETag"), before);
    put(site, "data.txt", "012345678");
    assert_string_not_equal(world_answer_field(get(state, "/data.txt"), "ETag"), before);
}

static void a_time_to_come_is_not_told(void **state)
{
    struct site *site = *state;
    char path[128];
    snprintf(path, sizeof path, "%s/data.txt", site->root);
    const struct timespec times[2] = {{4102444800, 0}, {4102444800, 0}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    struct slice date = slice_of_text(world_answer_field(get(state, "/data.txt"), "Last-Modified"));
    int64_t seconds;
    assert_true(clock_parse_http_date(date, &seconds));
    assert_in_range(seconds, clock_wall() / SECOND - 5, clock_wall() / SECOND);
}

static void folders_have_an_index(void **state)
{
    assert_string_equal(world_answer_body(get(state, "/")), "<h1>home</h1>");
    assert_string_equal(
        world_answer_field(get(state, "/"), "Content-Type"), "text/html; charset=utf-8");
    assert_string_equal(world_answer_body(get(state, "/docs/")), "docs");
    assert_missing(state, "/bare/");
}

static void a_folders_address_ends_with_a_slash(void **state)
{
    struct world *world = get(state, "/docs");
    assert_int_equal(world->x.response.status, 308);
    assert_string_equal(world_answer_field(world, "Location"), "./docs/");
    assert_string_equal(world_answer_field(get(state, "/docs?a=1"), "Location"), "./docs/?a=1");
    world = get(state, "/bare");
    assert_string_equal(world_answer_field(world, "Location"), "./bare/");
}

static void nothing_else_is_there(void **state)
{
    static const char *const targets[] = {"/missing", "/data.txt/", "/data.txt/x", "/docs/missing",
        "/.secret", "/docs/.hidden/x", "/docs%2Findex.html", "/%2e%2e/x", "/docs/..%2F..",
        "/data.txt%00", "/data%ZZ", "*"};
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++)
        assert_missing(state, targets[i]);
}

static void hidden_names_can_be_served(void **state)
{
    struct site *site = *state;
    make(site, ".well-known");
    put(site, ".well-known/a", "known");
    assert_string_equal(world_answer_body(get(state, "/.well-known/a")), "known");
    use(site, ", hidden: true");
    assert_string_equal(world_answer_body(get(state, "/.secret")), "s");
}

static void links_that_lead_out_are_not_followed(void **state)
{
    struct site *site = *state;
    char path[128];
    snprintf(path, sizeof path, "%s/passwd", site->root);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_missing(state, "/passwd");
}

static void other_methods_are_not_allowed(void **state)
{
    struct world *world = ask(state, "POST", "/data.txt");
    assert_status(world_serve(world), METHOD_NOT_ALLOWED);
    assert_string_equal(world_answer_field(world, "Allow"), "GET, HEAD");
}

static void head_says_the_same(void **state)
{
    struct world *world = ask(state, "HEAD", "/data.txt");
    world_field(world, "Range", "bytes=0-1");
    assert_ok(world_serve(world));
    assert_int_equal(world->x.response.status, 200);
    assert_int_equal(world->x.response.body->length, 10);
}

static void what_the_client_has_is_not_sent(void **state)
{
    struct site *site = *state;
    use(site, ", cache-control: max-age=60");
    char etag[64];
    snprintf(etag, sizeof etag, "%s", world_answer_field(get(state, "/data.txt"), "ETag"));
    struct world *world = ask(state, "GET", "/data.txt");
    world_field(world, "If-None-Match", etag);
    assert_ok(world_serve(world));
    assert_int_equal(world->x.response.status, 304);
    assert_string_equal(world_answer_field(world, "ETag"), etag);
    assert_string_equal(world_answer_field(world, "Cache-Control"), "max-age=60");
    assert_string_equal(world_answer_field(world, "Content-Type"), "");
    assert_true(body_is_empty(world->x.response.body));
    ask(state, "GET", "/data.txt");
    world_field(world, "If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_ok(world_serve(world));
    assert_int_equal(world->x.response.status, 304);
    ask(state, "GET", "/data.txt");
    world_field(world, "If-Match", "\"other\"");
    assert_status(world_serve(world), PRECONDITION_FAILED);
}

static struct world *get_range(void **state, const char *range)
{
    struct world *world = ask(state, "GET", "/data.txt");
    world_field(world, "Range", range);
    return world;
}

static void one_range_is_served(void **state)
{
    struct world *world = get_range(state, "bytes=2-4");
    assert_ok(world_serve(world));
    assert_int_equal(world->x.response.status, 206);
    assert_string_equal(world_answer_field(world, "Content-Range"), "bytes 2-4/10");
    assert_string_equal(world_answer_field(world, "Content-Type"), "text/plain; charset=utf-8");
    assert_int_equal(world->x.response.body->length, 3);
    assert_string_equal(world_answer_body(world), "234");
    world = get_range(state, "bytes=-3,77-");
    assert_ok(world_serve(world));
    assert_string_equal(world_answer_body(world), "789");
}

static void several_ranges_are_parts(void **state)
{
    struct world *world = get_range(state, "bytes=0-1,8-");
    assert_ok(world_serve(world));
    assert_int_equal(world->x.response.status, 206);
    assert_string_equal(world_answer_field(world, "Content-Range"), "");
    char type[128], expected[512];
    snprintf(type, sizeof type, "%s", world_answer_field(world, "Content-Type"));
    const char *boundary = strstr(type, "boundary=");
    assert_non_null(boundary);
    boundary += strlen("boundary=");
    assert_int_equal(strncmp(type, "multipart/byteranges; ", 22), 0);
    snprintf(expected, sizeof expected,
        "--%s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 0-1/10\r\n\r\n01"
        "\r\n--%s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 8-9/10\r\n\r\n"
        "89\r\n--%s--\r\n",
        boundary, boundary, boundary);
    assert_int_equal(world->x.response.body->length, strlen(expected));
    assert_string_equal(world_answer_body(world), expected);
}

static void a_range_behind_the_end_is_refused(void **state)
{
    struct world *world = get_range(state, "bytes=10-");
    assert_status(world_serve(world), RANGE_NOT_SATISFIABLE);
    assert_string_equal(world_answer_field(world, "Content-Range"), "bytes */10");
    exchange_respond_problem(&world->x, RANGE_NOT_SATISFIABLE, SLICE_NONE);
    assert_int_equal(world->x.response.status, 416);
    assert_string_equal(world_answer_field(world, "Content-Range"), "bytes */10");
}

static void a_range_that_does_not_count_is_the_whole(void **state)
{
    struct world *world = get_range(state, "bytes=x");
    assert_ok(world_serve(world));
    assert_int_equal(world->x.response.status, 200);
    world_field(get_range(state, "bytes=0-1"), "Range", "bytes=2-3");
    assert_ok(world_serve(world));
    assert_int_equal(world->x.response.status, 200);
    world_field(get_range(state, "bytes=0-1"), "If-Range", "\"other\"");
    assert_ok(world_serve(world));
    assert_int_equal(world->x.response.status, 200);
    world_field(get_range(state, "bytes=0-1"), "If-Range", "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_ok(world_serve(world));
    assert_int_equal(world->x.response.status, 206);
}

static void a_compressed_twin_is_served_to_whom_it_suits(void **state)
{
    struct site *site = *state;
    put(site, "app.js", "plain");
    put(site, "app.js.gz", "gzipped");
    put(site, "app.js.br", "brotli!!");
    use(site, ", precompressed: [br, zst, gzip]");
    struct world *world = get(state, "/app.js");
    char plain_etag[64];
    snprintf(plain_etag, sizeof plain_etag, "%s", world_answer_field(world, "ETag"));
    assert_string_equal(world_answer_body(world), "plain");
    assert_string_equal(world_answer_field(world, "Vary"), "Accept-Encoding");
    assert_string_equal(world_answer_field(world, "Content-Encoding"), "");
    ask(state, "GET", "/app.js");
    world_field(world, "Accept-Encoding", "gzip, zstd");
    world_field(world, "Accept-Encoding", "br;q=0.5");
    assert_ok(world_serve(world));
    assert_string_equal(world_answer_body(world), "gzipped"); /* there is no app.js.zst */
    assert_string_equal(world_answer_field(world, "Content-Encoding"), "gzip");
    assert_string_equal(
        world_answer_field(world, "Content-Type"), "text/javascript; charset=utf-8");
    assert_string_not_equal(world_answer_field(world, "ETag"), plain_etag);
    ask(state, "GET", "/app.js");
    world_field(world, "Accept-Encoding", "br");
    world_field(world, "Range", "bytes=-2");
    assert_ok(world_serve(world));
    assert_string_equal(world_answer_body(world), "!!");
}

static void a_page_stands_for_paths_that_are_not_there(void **state)
{
    struct site *site = *state;
    use(site, ", fallback: /index.html");
    struct world *world = get(state, "/cart/7");
    assert_int_equal(world->x.response.status, 200);
    assert_string_equal(world_answer_body(world), "<h1>home</h1>");
    assert_string_equal(world_answer_field(world, "Content-Type"), "text/html; charset=utf-8");
    assert_missing(state, "/app.1234.js");
    assert_string_equal(world_answer_body(get(state, "/v1.2/cart")), "<h1>home</h1>");
    assert_missing(state, "/.git");
    assert_string_equal(world_answer_body(get(state, "/bare/")), "<h1>home</h1>");
}

static void a_folder_can_show_what_is_in_it(void **state)
{
    struct site *site = *state;
    use(site, ", list: true");
    struct world *world = get(state, "/bare/");
    assert_int_equal(world->x.response.status, 200);
    assert_string_equal(world_answer_field(world, "Content-Type"), "text/html; charset=utf-8");
    const char *page = world_answer_body(world);
    assert_non_null(
        strstr(page, "<a href=\"./a%20b%26c.txt\">a b&amp;c.txt</a><td>1<td>1994-11-06 08:49"));
    assert_non_null(strstr(page, "<title>/bare/</title>"));
    make(site, "bare/<script>");
    put(site, "bare/.hidden", "");
    page = world_answer_body(get(state, "/bare/"));
    assert_non_null(strstr(page, "<a href=\"./%3Cscript%3E/\">&lt;script&gt;/</a>"));
    assert_null(strstr(page, "<script>"));
    assert_null(strstr(page, ".hidden"));
    assert_string_equal(world_answer_body(get(state, "/docs/")), "docs");
}

static void a_listing_has_folders_first(void **state)
{
    struct site *site = *state;
    use(site, ", list: true, index: none.html");
    const char *page = world_answer_body(get(state, "/"));
    static const char *const order[] = {
        "./bare/", "./docs/", "./data.txt", "./empty.txt", "./index.html"};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        page = strstr(page, order[i]);
        assert_non_null(page);
    }
    assert_null(strstr(world_answer_body(get(state, "/")), "../"));
    assert_non_null(strstr(world_answer_body(get(state, "/docs/")), "<a href=\"../\">"));
}

static void a_relative_root_is_beside_its_file(void **state)
{
    struct site *site = *state;
    struct world *world = site->world;
    struct source *source = arena_new(&world->arena, struct source);
    source->name = arena_format(&world->arena, "%s/weir.yaml", site->root);
    source->text = SLICE("it: {root: docs}\n");
    struct node *tree;
    diagnostics_init(&world->diagnostics, &world->arena);
    assert_ok(tree_read(&world->arena, source, NULL, &world->diagnostics, &tree));
    world->config = arena_zalloc(&world->arena, files_handler.options->size);
    assert_ok(option_read(
        &world->reader, files_handler.options, node_get(tree, SLICE("it")), world->config));
    assert_ok(files_handler.prepare(&world->prepare, world->config));
    assert_int_equal(world->diagnostics.count, 0);
    assert_string_equal(world_answer_body(get(state, "/")), "docs");
}

static void a_root_that_is_not_there_is_warned_of(void **state)
{
    struct site *site = *state;
    world_handler(site->world, &files_handler, "/no/such/folder");
    assert_int_equal(site->world->diagnostics.errors, 0);
    assert_int_equal(site->world->diagnostics.count, 1);
    assert_missing(state, "/");
    static const char *const wrong[] = {
        "{}", "\"\"", "{root: ., precompressed: [lzma]}", "{root: ., cache-control: \"a\\nb\"}"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        world_complaints(site->world, files_handler.options, wrong[i]);
}

/* After everything above has been done a thousand times no descriptor is lost. */
static void descriptors_are_not_lost(void **state)
{
    struct site *site = *state;
    use(site, ", list: true, precompressed: gzip");
    static const char *const targets[] = {"/", "/data.txt", "/missing", "/docs", "/bare/", "/.x"};
    int before = dup(0);
    close(before);
    for (int i = 0; i < 60; i++) {
        struct world *world = ask(state, "GET", targets[i % 6]);
        world_field(world, "Accept-Encoding", "gzip");
        world_field(world, "If-None-Match", i % 2 ? "*" : "\"x\"");
        world_field(world, "Range", i % 3 ? "bytes=0-0,1-1" : "bytes=99-");
        (void)world_serve(world);
    }
    ask(state, "GET", "/");
    int after = dup(0);
    close(after);
    assert_int_equal(after, before);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

static int run(void)
{
    const struct CMUnitTest tests[] = {
        EACH(a_file_is_served),
        EACH(the_first_bytes_can_be_peeked),
        EACH(a_large_file_comes_in_pieces),
        EACH(a_file_that_shrinks_breaks_the_answer_off),
        EACH(the_tag_changes_with_the_file),
        EACH(a_time_to_come_is_not_told),
        EACH(folders_have_an_index),
        EACH(a_folders_address_ends_with_a_slash),
        EACH(nothing_else_is_there),
        EACH(hidden_names_can_be_served),
        EACH(links_that_lead_out_are_not_followed),
        EACH(other_methods_are_not_allowed),
        EACH(head_says_the_same),
        EACH(what_the_client_has_is_not_sent),
        EACH(one_range_is_served),
        EACH(several_ranges_are_parts),
        EACH(a_range_behind_the_end_is_refused),
        EACH(a_range_that_does_not_count_is_the_whole),
        EACH(a_compressed_twin_is_served_to_whom_it_suits),
        EACH(a_page_stands_for_paths_that_are_not_there),
        EACH(a_folder_can_show_what_is_in_it),
        EACH(a_listing_has_folders_first),
        EACH(a_relative_root_is_beside_its_file),
        EACH(a_root_that_is_not_there_is_warned_of),
        EACH(descriptors_are_not_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run);
}
