#include "policy/idempotency_answer.h"

#include "store/store.h"

static void add_field(struct exchange *x, struct slice name, struct slice value)
{
    if (value.data)
        (void)fields_add(&x->response.fields, field_id_of(name), name, value);
}

static struct slice seconds_up(struct exchange *x, int64_t nanoseconds)
{
    int64_t seconds = nanoseconds / SECOND + (nanoseconds % SECOND != 0);
    return arena_format(&x->arena, "%lld", (long long)seconds);
}

enum status idempotency_refuse(
    struct exchange *x, enum status reason, struct slice detail, int64_t wait, struct slice docs)
{
    exchange_respond_problem(x, reason, detail);
    if (wait > 0)
        add_field(x, field_name(FIELD_RETRY_AFTER), seconds_up(x, wait));
    if (docs.size)
        add_field(
            x, SLICE("Link"), arena_format(&x->arena, "<%.*s>; rel=\"help\"", SLICE_ARG(docs)));
    return OK;
}

int64_t idempotency_wait(const struct idempotency_record *running, int64_t wall)
{
    int64_t now = wall / MILLISECOND;
    int64_t elapsed = now - running->begun, left = running->until - now;
    int64_t wait = elapsed;
    if (left > 0 && wait > left)
        wait = left;
    if (wait < SECOND / MILLISECOND)
        wait = SECOND / MILLISECOND;
    return wait < MINUTE / MILLISECOND ? wait * MILLISECOND : MINUTE;
}

void idempotency_say_expiry(struct exchange *x, int64_t expiry)
{
    char *date = arena_bytes(&x->arena, HTTP_DATE_SIZE);
    if (!date)
        return;
    clock_http_date(expiry / (SECOND / MILLISECOND), date);
    add_field(x, SLICE("Idempotency-Expires"), slice_of(date, HTTP_DATE_SIZE));
}

/* What others have put there before the answer stays with it. */
static enum status fill_fields(struct exchange *x, const struct idempotency_record *record)
{
    const struct fields earlier = x->response.fields;
    struct fields fields;
    fields_init(&fields, &x->arena);
    enum status e = idempotency_record_read_fields(record->fields, &fields);
    if (!e)
        e = fields_append(&fields, &earlier);
    if (!e)
        e = exchange_respond(x, record->status, SLICE_NONE, record->body);
    if (!e)
        x->response.fields = fields;
    return e;
}

/* Trailers go with a body whose length is not said. */
static enum status fill_trailers(struct exchange *x, struct slice rest)
{
    if (rest.size == 0)
        return OK;
    struct fields *trailers = arena_new(&x->arena, struct fields);
    if (!trailers)
        return NO_MEMORY;
    fields_init(trailers, &x->arena);
    x->response.body->trailers = trailers;
    x->response.body->length = BODY_LENGTH_UNKNOWN;
    return idempotency_record_read_fields(rest, trailers);
}

enum status idempotency_replay(struct exchange *x, const struct idempotency_record *record)
{
    enum status e = fill_fields(x, record);
    if (!e)
        e = fill_trailers(x, record->trailers);
    if (e)
        return e;
    add_field(x, SLICE("Idempotent-Replayed"), SLICE("true"));
    idempotency_say_expiry(x, record->until);
    return OK;
}

enum status idempotency_refuse_large(
    struct exchange *x, const struct idempotency_record *record, struct slice docs)
{
    struct slice rest = record->fields, name, value;
    struct slice detail = arena_format(&x->arena,
        "The request was done and answered with %d; that answer was too large to be kept.",
        record->status);
    (void)idempotency_refuse(x, RESULT_TOO_LARGE, detail, 0, docs);
    while (idempotency_record_next(&rest, &name, &value)) {
        enum field_id id = field_id_of(name);
        if (id == FIELD_LOCATION || id == FIELD_CONTENT_LOCATION || id == FIELD_ETAG)
            add_field(x, name, value);
    }
    idempotency_say_expiry(x, record->until);
    return OK;
}

enum status idempotency_keep_answer(struct exchange *x, const struct idempotency_record *running,
    int64_t expiry, const struct fields *earlier, struct slice body, struct slice *ret_bytes)
{
    struct text text = text_growing(STORE_VALUE_MAX);
    struct idempotency_record record = *running;
    record.kind = body.data ? IDEMPOTENCY_DONE : IDEMPOTENCY_LARGE;
    record.until = expiry > running->begun ? expiry : running->begun;
    record.status = x->response.status;
    idempotency_record_write(&record, &text);
    idempotency_record_write_fields(&x->response.fields, earlier, &text);
    idempotency_record_write_fields(body.data ? x->response.body->trailers : NULL, NULL, &text);
    if (body.data)
        text_add(&text, body);
    struct slice bytes = text.failed ? SLICE_NONE : arena_copy(&x->arena, text_slice(&text));
    bool is_too_large = text.failed && body.data;
    text_release(&text);
    if (is_too_large)
        return idempotency_keep_answer(x, running, expiry, earlier, SLICE_NONE, ret_bytes);
    if (!bytes.data)
        return NO_MEMORY;
    *ret_bytes = bytes;
    return OK;
}
