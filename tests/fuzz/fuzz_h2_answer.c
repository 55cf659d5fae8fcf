/* What a service sends by HTTP/2: whatever it is, nothing gets through that could not stand in a
 * message of HTTP/1.1, and nothing is left behind. */
#include <signal.h>

#include "base/must.h"
#include "http/h2_client.h"
#include "run/loop.h"
#include "run/socket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct h1_limits limits = H1_LIMITS_DEFAULT;

struct input {
    const uint8_t *data;
    size_t size;
};

static void check_fields(const struct fields *fields)
{
    for (uint32_t i = 0; i < fields->count; i++) {
        const struct field *field = &fields->items[i];
        must(field->name.size == 0 || field_name_is_valid(field->name));
        must(field->name.size == 0 || field_value_is_valid(field->value));
        must(field->id != FIELD_TRANSFER_ENCODING && field->id != FIELD_CONNECTION);
    }
}

static void read_body(struct h2_call *call, const struct h1_framing *framing, instant deadline)
{
    struct body *body = h2_call_body(call, 0);
    uint64_t received = 0;
    struct slice part;
    enum status e;
    while (!(e = body_read(body, deadline, &part)))
        received += part.size;
    if (e == END && framing->kind == H1_LENGTH)
        must(received == framing->length);
    if (e == END && body->trailers)
        check_fields(body->trailers);
}

static void read_answer(struct h2_call *call)
{
    struct http_response response;
    struct h1_framing framing;
    instant deadline = loop_now() + 20 * MILLISECOND;
    do {
        if (h2_call_read_head(call, deadline, &response, &framing))
            return;
        must(response.status >= 100 && response.status <= 999 && response.status != 101);
        check_fields(&response.fields);
    } while (response.status < 200);
    if (framing.kind != H1_NO_BODY)
        read_body(call, &framing, deadline);
}

static void begin_request(struct http_request *request, struct arena *arena)
{
    *request = (struct http_request){.method = METHOD_GET,
        .method_text = SLICE("GET"),
        .authority = SLICE("a.example"),
        .path = SLICE("/")};
    fields_init(&request->fields, arena);
}

static void run(void *argument)
{
    const struct input *input = argument;
    struct h2_client_options options = {
        .requests = 1, .window = 65535, .limits = &limits, .scheme = SLICE("http")};
    struct h1_framing framing = {.kind = H1_NO_BODY};
    struct stream *ours, *theirs;
    struct h2_client *client;
    struct http_request request;
    struct h2_call call;
    struct arena arena;
    must(socket_pair(&ours, &theirs) == OK);
    must(h2_client_new(ours, &options, &client) == OK);
    arena_init(&arena, 0, 1 << 20);
    begin_request(&request, &arena);
    must(h2_call_begin(&call, client, &arena, &request, &framing, false) == OK);
    (void)stream_write(theirs, "\0\0\0\4\0\0\0\0\0", 9, loop_now() + MILLISECOND, NULL);
    (void)stream_write(theirs, input->data, input->size, loop_now() + MILLISECOND, NULL);
    (void)stream_shutdown(theirs);
    read_answer(&call);
    h2_call_end(&call);
    h2_client_close(client);
    stream_close(theirs);
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size < 60000 ? size : 60000};
    signal(SIGPIPE, SIG_IGN);
    must(loop_run_main(NULL, run, &input) == OK);
    return 0;
}
