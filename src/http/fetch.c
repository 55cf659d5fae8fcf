#include "http/fetch.h"

#include "run/loop.h"
#include "run/resolver.h"
#include "run/socket.h"

#define REQUEST_MAX ((size_t)16 << 20)

static const struct h1_limits limits = H1_LIMITS_DEFAULT;

/* --- places */

static const struct {
    struct slice prefix;
    uint16_t port;
    bool is_tls;
} schemes[] = {{SLICE_INIT("http://"), 80, false}, {SLICE_INIT("https://"), 443, true}};

static enum status parse_local(struct slice url, struct fetch_place *place, const char **problem)
{
    place->is_local = true;
    place->authority = place->host = SLICE("localhost");
    *problem = "a unix socket is written unix:/run/x.sock";
    return address_parse(url, &place->local);
}

static enum status parse_rest(
    struct arena *arena, struct slice rest, struct fetch_place *place, const char **problem)
{
    size_t slash = slice_find(rest, '/');
    uint16_t port = 0;
    place->authority = arena_copy(arena, slice_head(rest, slash));
    place->path = arena_copy(arena, slice_from(rest, slash));
    if (!place->authority.data || !place->path.data)
        return NO_MEMORY;
    *problem = "no host stands in it: http://consul.internal:8500";
    enum status e = uri_parse_authority(arena, place->authority, &place->host, &port);
    if (e)
        return e == NO_MEMORY ? e : INVALID;
    place->port = port ? port : place->port;
    if (place->host.size == 0)
        return INVALID;
    *problem = "its path has bytes that no URL has";
    for (size_t i = 0; i < place->path.size; i++)
        if ((unsigned char)place->path.data[i] <= ' ' || place->path.data[i] == 127)
            return INVALID;
    return OK;
}

enum status fetch_place_parse(
    struct arena *arena, struct slice url, struct fetch_place *ret_place, const char **ret_problem)
{
    struct fetch_place place = {.port = 0};
    enum status e = INVALID;
    *ret_problem = "it begins with http://, https:// or unix:";
    if (slice_has_prefix(url, SLICE("unix:")))
        e = parse_local(url, &place, ret_problem);
    for (size_t i = 0; e && i < sizeof schemes / sizeof *schemes; i++) {
        if (!slice_has_prefix(url, schemes[i].prefix))
            continue;
        place.port = schemes[i].port;
        place.is_tls = schemes[i].is_tls;
        e = parse_rest(arena, slice_from(url, schemes[i].prefix.size), &place, ret_problem);
        break;
    }
    if (!e)
        *ret_place = place;
    return e;
}

/* --- connections */

void fetch_init(struct fetch *fetch, const struct fetch_place *place, struct resolver *resolver,
    struct tls_client *tls)
{
    *fetch = (struct fetch){.place = place, .resolver = resolver, .tls = tls, .trouble = ""};
}

static enum status connect_plainly(
    struct fetch *fetch, struct arena *arena, instant deadline, struct stream **ret_stream)
{
    if (!fetch->place->is_local)
        return resolver_connect(fetch->resolver, fetch->place->host, fetch->place->port, arena,
            deadline, ret_stream, &fetch->trouble);
    enum status e = socket_connect(&fetch->place->local, NULL, deadline, ret_stream);
    if (e)
        fetch->trouble = resolver_connect_trouble(e);
    return e;
}

static enum status begin_tls(
    struct fetch *fetch, struct stream *plain, instant deadline, struct stream **ret_stream)
{
    struct stream *secure;
    enum status e = fetch->tls ? tls_connect(plain, fetch->tls, fetch->place->host, NULL, &secure)
                               : TLS_PROTOCOL;
    if (e) {
        fetch->trouble = "TLS cannot be begun";
        stream_close(plain);
        return e;
    }
    e = tls_handshake(secure, deadline);
    if (e) {
        const char *why = tls_trouble(secure);
        fetch->trouble = *why ? why : "the TLS handshake failed";
        stream_close(secure);
        return e;
    }
    *ret_stream = secure;
    return OK;
}

static enum status open_connection(struct fetch *fetch, struct arena *arena, instant deadline)
{
    struct stream *stream;
    if (fetch->is_open && stream_is_quiet(fetch->wire.stream))
        return OK;
    fetch_close(fetch);
    enum status e = connect_plainly(fetch, arena, deadline, &stream);
    if (!e && fetch->place->is_tls)
        e = begin_tls(fetch, stream, deadline, &stream);
    if (e)
        return e;
    wire_init(&fetch->wire, stream);
    fetch->is_open = true;
    return OK;
}

/* --- questions */

static void write_request(
    struct text *text, const struct fetch_place *place, const struct fetch_question *question)
{
    text_format(text, "%s %.*s%.*s HTTP/1.1\r\nHost: %.*s\r\nUser-Agent: weir\r\n",
        question->method, SLICE_ARG(place->path), SLICE_ARG(question->target),
        SLICE_ARG(place->authority));
    for (size_t i = 0; i < question->field_count; i++)
        if (question->fields[i].value.size)
            text_format(text, "%s: %.*s\r\n", question->fields[i].name,
                SLICE_ARG(question->fields[i].value));
    if (question->type.size)
        text_format(text, "Content-Type: %.*s\r\n", SLICE_ARG(question->type));
    if (!question->body.data) {
        text_add_literal(text, "\r\n");
        return;
    }
    text_format(text, "Content-Length: %zu\r\n\r\n", question->body.size);
    text_add(text, question->body);
}

static enum status send_request(
    struct fetch *fetch, const struct fetch_question *question, instant deadline)
{
    struct text text = text_growing(REQUEST_MAX);
    write_request(&text, fetch->place, question);
    enum status e = text.failed
                        ? NO_MEMORY
                        : stream_write(fetch->wire.stream, text.data, text.size, deadline, NULL);
    text_release(&text);
    return e;
}

static enum status read_head(
    struct fetch *fetch, enum http_method method, struct arena *arena, instant deadline)
{
    enum status e;
    fetch->response = (struct http_response){.status = 0};
    fields_init(&fetch->response.fields, arena);
    do
        e = h1_read_response(
            &fetch->wire, arena, &limits, method, deadline, &fetch->response, &fetch->framing);
    while (!e && fetch->response.status < 200 && fetch->response.status != 101);
    if (!e) {
        h1_body_init(&fetch->body, &fetch->wire, &limits, &fetch->framing, arena, 0);
        fetch->has_body = true;
        return OK;
    }
    fetch->trouble = e == TIMEOUT              ? "no answer in time"
                     : e == END || e == CLOSED ? "it closed the connection"
                                               : "its answer is not HTTP";
    if (e == END)
        return CLOSED;
    return e == TIMEOUT || e == CANCELLED || e == NO_MEMORY || e == CLOSED ? e : INVALID;
}

enum status fetch_ask(struct fetch *fetch, const struct fetch_question *question,
    struct arena *arena, instant deadline)
{
    enum http_method method = http_method_of(slice_of_text(question->method));
    fetch->trouble = "";
    fetch_done(fetch);
    enum status e = open_connection(fetch, arena, deadline);
    if (!e) {
        fetch->trouble = "the question could not be sent";
        e = send_request(fetch, question, deadline);
    }
    if (!e)
        e = read_head(fetch, method, arena, deadline);
    if (e)
        fetch_close(fetch);
    else
        fetch->trouble = "";
    return e;
}

enum status fetch_read(struct fetch *fetch, instant deadline, struct slice *ret_bytes)
{
    enum status e = body_read(&fetch->body.body, deadline, ret_bytes);
    if (e && e != END)
        fetch->trouble = e == TIMEOUT ? "its answer did not go on in time" : "its answer broke off";
    return e;
}

enum status fetch_read_all(
    struct fetch *fetch, size_t limit, instant deadline, struct slice *ret_bytes)
{
    enum status e = body_read_all(&fetch->body.body, fetch->body.arena, limit, deadline, ret_bytes);
    if (e)
        fetch->trouble = e == TIMEOUT     ? "its answer did not come in time"
                         : e == TOO_LARGE ? "its answer is too large"
                                          : "its answer broke off";
    return e;
}

void fetch_done(struct fetch *fetch)
{
    if (!fetch->has_body)
        return;
    bool may_go_on = fetch->framing.keep_alive && h1_body_is_complete(&fetch->body);
    body_drop(&fetch->body.body);
    fetch->has_body = false;
    if (!may_go_on)
        fetch_close(fetch);
}

void fetch_close(struct fetch *fetch)
{
    if (fetch->has_body)
        body_drop(&fetch->body.body);
    fetch->has_body = false;
    if (fetch->is_open)
        wire_release(&fetch->wire);
    fetch->is_open = false;
}
