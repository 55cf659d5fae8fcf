#include "http/fetch.h"
#include "policy/inquiry.h"
#include "run/loop.h"

/* Questions to who becomes known while the gateway runs, and so is no service of it: an endpoint
 * that a provider names. A connection a question, without retries. */

static enum status copy_fields(
    const struct inquiry *inquiry, struct arena *arena, struct fetch_question *question)
{
    const struct fields *fields = inquiry->fields;
    struct fetch_field *copies =
        arena_array(arena, (fields ? fields->count : 0) + 1, sizeof *copies);
    if (!copies)
        return NO_MEMORY;
    question->fields = copies;
    for (uint32_t i = 0; fields && i < fields->count; i++) {
        const struct field *field = &fields->items[i];
        if (!field->name.size)
            continue;
        copies[question->field_count] =
            (struct fetch_field){arena_text(arena, field->name), field->value};
        if (!copies[question->field_count++].name)
            return NO_MEMORY;
    }
    return OK;
}

static enum status ask(struct fetch *fetch, const struct inquiry *inquiry, struct arena *arena,
    instant deadline, struct inquiry_answer *ret_answer)
{
    struct fetch_question question = {.method = inquiry->body.data ? "POST" : "GET",
        .type = inquiry->type,
        .body = inquiry->body};
    size_t most = inquiry->body_max ? inquiry->body_max : INQUIRY_BODY_MAX;
    enum status e = copy_fields(inquiry, arena, &question);
    if (!e)
        e = fetch_ask(fetch, &question, arena, deadline);
    if (e)
        return e;
    struct inquiry_answer answer = {
        .status = fetch->response.status, .fields = fetch->response.fields};
    e = fetch_read_all(fetch, most, deadline, &answer.body);
    if (!e)
        *ret_answer = answer;
    return e;
}

enum status inquiry_ask_elsewhere(const struct inquiry_target *target, const struct exchange *x,
    const struct inquiry_elsewhere *elsewhere, const struct inquiry *inquiry, struct arena *arena,
    struct inquiry_answer *ret_answer)
{
    struct fetch_place place;
    struct fetch fetch;
    const char *problem;
    instant began = loop_now();
    instant deadline = clock_sooner(x->deadline, clock_after(began, inquiry->timeout));
    enum status e = fetch_place_parse(arena, elsewhere->url, &place, &problem);
    if (e)
        return e;
    if (!place.path.size)
        place.path = SLICE("/");
    fetch_init(&fetch, &place, elsewhere->resolver, elsewhere->tls);
    e = ask(&fetch, inquiry, arena, deadline, ret_answer);
    fetch_close(&fetch);
    inquiry_count(target, x->worker, began, e ? 0 : ret_answer->status);
    return e;
}
