#include "policy/idempotency_body.h"

#include "base/text.h"

static enum status read_download(struct body *body, instant deadline, struct slice *ret_bytes)
{
    struct idempotency_download *download = (struct idempotency_download *)body;
    if (download->bytes.size) {
        *ret_bytes = download->bytes;
        download->bytes = SLICE_NONE;
        return OK;
    }
    if (download->is_whole)
        return END;
    enum status e = body_read(download->inner, deadline, ret_bytes);
    body->trailers = download->inner->trailers;
    return e;
}

static struct slice peek_download(struct body *body, bool *ret_last)
{
    const struct idempotency_download *download = (struct idempotency_download *)body;
    *ret_last = download->is_whole;
    return download->bytes;
}

static enum status wait_for_download(struct body *body, instant deadline)
{
    struct idempotency_download *download = (struct idempotency_download *)body;
    bool is_here = download->bytes.size || download->is_whole;
    return is_here ? OK : body_wait(download->inner, deadline);
}

static void drop_download(struct body *body)
{
    body_drop(((struct idempotency_download *)body)->inner);
}

/* OK also when there is more. */
static enum status gather(
    struct idempotency_download *download, struct text *text, size_t max, instant deadline)
{
    for (;;) {
        struct slice part;
        enum status e = body_read(download->inner, deadline, &part);
        download->is_whole = e == END;
        if (e)
            return e == END ? OK : e;
        text_add(text, part);
        if (text->failed)
            return NO_MEMORY;
        if (text->size > max)
            return OK;
    }
}

enum status idempotency_download_init(struct idempotency_download *download, struct body *inner,
    struct arena *arena, size_t max, bool is_endless, instant deadline)
{
    static const struct body_ops ops = {.read = read_download,
        .peek = peek_download,
        .wait = wait_for_download,
        .drop = drop_download};
    *download = (struct idempotency_download){
        .body = {.ops = &ops, .length = inner->length}, .inner = inner};
    if (is_endless || inner->length > (int64_t)max)
        return OK;
    struct text text = text_growing(0);
    enum status e = gather(download, &text, max, deadline);
    if (!e)
        download->bytes = arena_copy(arena, text_slice(&text));
    text_release(&text);
    if (e)
        return e;
    download->body.trailers = inner->trailers;
    if (download->is_whole && !(inner->trailers && inner->trailers->count))
        download->body.length = (int64_t)download->bytes.size;
    return download->bytes.data ? OK : NO_MEMORY;
}
