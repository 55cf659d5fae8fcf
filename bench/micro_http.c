/* What one look at HTTP/1.1 costs, in nanoseconds: the best of several rounds, on one warm core.
 *
 *   tools/build release bench-programs && build/release/micro_http [WORD]
 *
 * With a word, only the lines that have it. */
#include <stdio.h>
#include <stdlib.h>

#include "http/exchange.h"
#include "http/forwarded.h"
#include "http/h1_parse.h"
#include "http/uri.h"

#define ROUNDS 2000 /* short ones: the best is one that nobody interrupted */
#define TIMES  1000

static const struct h1_limits limits = H1_LIMITS_DEFAULT;

/* Keeps the optimiser from seeing that nothing comes of it. */
static void use(const void *p)
{
    __asm__ volatile("" : : "r"(p) : "memory");
}

typedef void task(struct arena *arena, const void *argument);

/* The arena is emptied after each time, as after each exchange. */
static double measure(task *run, const void *argument)
{
    _Alignas(max_align_t) static char block[4096];
    double best = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        instant begin = clock_now();
        for (int i = 0; i < TIMES; i++) {
            struct arena arena;
            arena_init(&arena, sizeof block, 0);
            arena_lend(&arena, block, sizeof block);
            run(&arena, argument);
            arena_release(&arena);
        }
        double each = (double)(clock_now() - begin) / TIMES;
        best = each < best ? each : best;
    }
    return best;
}

static void nothing(struct arena *arena, const void *argument)
{
    use(arena);
    use(argument);
}

static void parse_request(struct arena *arena, const void *argument)
{
    const struct slice *bytes = argument;
    struct http_request request;
    struct h1_framing framing;
    struct h1_parser parser;
    size_t size;
    fields_init(&request.fields, arena);
    h1_parser_init(&parser, H1_REQUEST_HEAD, &limits, &request.fields);
    if (h1_parse(&parser, *bytes, &size))
        abort();
    struct slice copy = arena_copy(arena, slice_head(*bytes, size));
    h1_parser_move(&parser, copy.data);
    if (h1_finish_request(&parser, arena, &request, &framing))
        abort();
    use(&request);
}

static void parse_response(struct arena *arena, const void *argument)
{
    const struct slice *bytes = argument;
    struct http_response response;
    struct h1_framing framing;
    struct h1_parser parser;
    size_t size;
    fields_init(&response.fields, arena);
    h1_parser_init(&parser, H1_RESPONSE_HEAD, &limits, &response.fields);
    if (h1_parse(&parser, *bytes, &size))
        abort();
    struct slice copy = arena_copy(arena, slice_head(*bytes, size));
    h1_parser_move(&parser, copy.data);
    if (h1_finish_response(&parser, METHOD_GET, &response, &framing))
        abort();
    use(&response);
}

static void write_response(struct arena *arena, const void *argument)
{
    const struct http_response *response = argument;
    struct h1_framing framing = {.kind = H1_LENGTH, .length = 128, .keep_alive = true};
    char room[1024];
    struct text text = text_fixed(room, sizeof room);
    use(arena);
    h1_write_response_head(&text, response, HTTP_1_1, &framing);
    use(room);
}

static void write_request(struct arena *arena, const void *argument)
{
    const struct http_request *request = argument;
    struct h1_framing framing = {.kind = H1_NO_BODY, .keep_alive = true};
    char room[2048];
    struct text text = text_fixed(room, sizeof room);
    use(arena);
    h1_write_request_head(&text, request, &framing);
    use(room);
}

static void find_ids(struct arena *arena, const void *argument)
{
    const struct slice *names = argument;
    use(arena);
    for (int i = 0; i < 10; i++) {
        enum field_id id = field_id_of(names[i]);
        use(&id);
    }
}

static void normalise(struct arena *arena, const void *argument)
{
    struct slice path;
    if (uri_normalise_path(arena, *(const struct slice *)argument, ENCODED_SLASH_REFUSE, &path))
        abort();
    use(&path);
}

static void forward(struct arena *arena, const void *argument)
{
    struct exchange x;
    x.arena = *arena;
    x.request = *(const struct http_request *)argument;
    fields_init(&x.request.fields, &x.arena);
    x.request.scheme = SLICE("http");
    address_parse_ip(SLICE("192.0.2.1"), 1, &x.peer);
    if (forwarded_read(&x, NULL, 0) || forwarded_write(&x, FORWARDED_X))
        abort();
    use(&x);
    *arena = x.arena;
}

#define CURL                                                                          \
    "GET /users/7 HTTP/1.1\r\nHost: shop.example:8080\r\nUser-Agent: curl/7.88.1\r\n" \
    "Accept: */*\r\n\r\n"

#define BROWSER                                                                                \
    "GET /products/search?q=weir&page=2 HTTP/1.1\r\nHost: shop.example\r\n"                    \
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"   \
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"              \
    "Accept-Language: en-GB,en;q=0.7,de;q=0.3\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n" \
    "Connection: keep-alive\r\nReferer: https://shop.example/products\r\n"                     \
    "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n"                         \
    "Upgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\n\r\n"

#define ANSWER                                                                                     \
    "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: application/json\r\n" \
    "Content-Length: 128\r\nServer: backend\r\nCache-Control: no-cache\r\n\r\n"

static void report(
    const char *only, const char *what, double empty, task *run, const void *argument)
{
    if (!strstr(what, only))
        return;
    printf("%-44s %7.1f ns\n", what, measure(run, argument) - empty);
}

int main(int argc, char **argv)
{
    const char *only = argc > 1 ? argv[1] : "";
    struct arena arena;
    struct http_request request = {.method = METHOD_GET,
        .method_text = SLICE("GET"),
        .path = SLICE("/products/search"),
        .query = SLICE("q=weir&page=2"),
        .authority = SLICE("shop.example")};
    struct http_response response = {.status = 200};
    const struct slice curl = SLICE(CURL), browser = SLICE(BROWSER), answer = SLICE(ANSWER);
    const struct slice path = SLICE("/products/search/by-name/index.html"),
                       odd = SLICE("/products/%61/../x/./%c3%a9");
    struct slice names[10];
    arena_init(&arena, 0, 0);
    fields_init(&request.fields, &arena);
    fields_init(&response.fields, &arena);
    static const char *const sent[][2] = {
        {"User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko"},
        {"Accept", "text/html,application/xhtml+xml"}, {"Accept-Language", "en-GB,en;q=0.7"},
        {"Accept-Encoding", "gzip, deflate, br"}, {"X-Forwarded-For", "192.0.2.1"},
        {"Sec-Fetch-Dest", "document"}, {"Upgrade-Insecure-Requests", "1"},
        {"Cookie", "session=0123456789abcdef0123456789abcdef"}, {"X-Request-Id", "0123"},
        {"Via", "1.1 weir"}};
    static const char *const answered[][2] = {{"Date", "Sun, 06 Nov 1994 08:49:37 GMT"},
        {"Content-Type", "application/json"}, {"Server", "backend"}, {"Cache-Control", "no-cache"},
        {"Via", "1.1 weir"}};
    for (int i = 0; i < 10; i++) {
        names[i] = slice_of_text(sent[i][0]);
        fields_add(&request.fields, field_id_of(names[i]), names[i], slice_of_text(sent[i][1]));
    }
    for (int i = 0; i < 5; i++) {
        struct slice name = slice_of_text(answered[i][0]);
        fields_add(&response.fields, field_id_of(name), name, slice_of_text(answered[i][1]));
    }
    double empty = measure(nothing, NULL);
    printf("sizes: field %zu, fields %zu, request %zu, body %zu, exchange %zu bytes\n",
        sizeof(struct field), sizeof(struct fields), sizeof(struct http_request),
        sizeof(struct h1_body), sizeof(struct exchange));
    printf("curl's request: %zu bytes; browser's: %zu; answer: %zu\n", curl.size, browser.size,
        answer.size);
    report(only, "an empty arena (taken off the others)", 0, nothing, NULL);
    report(only, "parse curl's request, 3 fields", empty, parse_request, &curl);
    report(only, "parse a browser's request, 11 fields", empty, parse_request, &browser);
    report(only, "parse an answer, 5 fields", empty, parse_response, &answer);
    report(only, "write an answer's head, 5 fields", empty, write_response, &response);
    report(only, "write a request's head, 10 fields", empty, write_request, &request);
    report(only, "ten look-ups of field names", empty, find_ids, names);
    report(only, "normalise a normal path of 35 bytes", empty, normalise, &path);
    report(only, "normalise an odd path", empty, normalise, &odd);
    report(only, "X-Forwarded-*: read and write", empty, forward, &request);
    arena_release(&arena);
    return 0;
}
