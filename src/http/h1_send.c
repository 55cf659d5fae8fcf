#include "http/h1.h"

#include "run/loop.h"
#include "run/splice.h"

/* A head and first bytes up to this size together are copied into one piece: that costs less than
 * handing the kernel two. */
#define COPY_MAX        8192

#define CHUNK_LINE_SIZE 18 /* 16 digits, CR, LF */
#define PARTS_MAX       5

/* One write: head, chunk line, data, what ends the chunk or the body. */
struct parts {
    struct iovec items[PARTS_MAX];
    int count;
    size_t before; /* bytes in front of the data */
    size_t data;
    size_t size;
};

struct sender {
    struct stream *stream;
    struct body *body;
    const struct h1_framing *framing;
    int64_t idle;
    instant deadline;
    uint64_t sent;  /* body bytes */
    bool is_source; /* the body was at fault */
    bool is_done;
    struct text trailers; /* growing; the last chunk and its trailers, when there are any */
};

static void add_part(struct parts *parts, struct slice s)
{
    if (s.size == 0)
        return;
    parts->items[parts->count++] = (struct iovec){(void *)s.data, s.size};
    parts->size += s.size;
}

/* --- writing */

static int skip(struct iovec *items, int count, size_t size)
{
    int first = 0;
    while (first < count && size >= items[first].iov_len)
        size -= items[first++].iov_len;
    memmove(items, items + first, (size_t)(count - first) * sizeof *items);
    count -= first;
    if (count) {
        items[0].iov_base = (char *)items[0].iov_base + size;
        items[0].iov_len -= size;
    }
    return count;
}

/* Writes everything; goes on after a timeout as long as each `idle` lets some bytes through. */
static enum status write_items(
    struct sender *sender, struct iovec *items, int count, size_t *ret_written)
{
    *ret_written = 0;
    for (;;) {
        size_t size = 0;
        instant until = clock_sooner(sender->deadline, clock_after(loop_now(), sender->idle));
        enum status e = stream_writev(sender->stream, items, count, until, &size);
        *ret_written += size;
        if (e != TIMEOUT || size == 0 || loop_now() >= sender->deadline)
            return e;
        count = skip(items, count, size);
    }
}

static struct slice join(const struct parts *parts, char *room)
{
    size_t size = 0;
    for (int i = 0; i < parts->count; i++) {
        memcpy(room + size, parts->items[i].iov_base, parts->items[i].iov_len);
        size += parts->items[i].iov_len;
    }
    return slice_of(room, size);
}

/* Small parts leave as one piece, from a buffer that was used a moment ago. */
static enum status write_joined(struct sender *sender, struct parts *parts, size_t *ret_written)
{
    struct buffer *buffer = buffer_take_small();
    if (!buffer)
        return write_items(sender, parts->items, parts->count, ret_written);
    struct slice joined = join(parts, buffer->data);
    struct iovec item = {(void *)joined.data, joined.size};
    enum status e = write_items(sender, &item, 1, ret_written);
    buffer_give(buffer);
    return e;
}

static enum status write_parts(struct sender *sender, struct parts *parts)
{
    size_t written;
    enum status e = parts->count > 1 && parts->size <= COPY_MAX
                        ? write_joined(sender, parts, &written)
                        : write_items(sender, parts->items, parts->count, &written);
    if (e == OK)
        written = parts->size;
    if (written > parts->before) {
        size_t handed = written - parts->before;
        sender->sent += handed < parts->data ? handed : parts->data;
    }
    return e;
}

/* --- what is written */

static enum status source_failed(struct sender *sender, enum status e)
{
    sender->is_source = true;
    return e;
}

static bool has_trailers(const struct body *body)
{
    for (uint32_t i = 0; body->trailers && i < body->trailers->count; i++)
        if (body->trailers->items[i].name.size)
            return true;
    return false;
}

/* The last chunk; the memory is the sender's. */
static enum status last_chunk(struct sender *sender, struct slice *ret_chunk)
{
    const struct fields *fields = sender->body->trailers;
    if (!has_trailers(sender->body)) {
        *ret_chunk = SLICE("0\r\n\r\n");
        return OK;
    }
    struct text *text = &sender->trailers;
    text_add_literal(text, "0\r\n");
    for (uint32_t i = 0; i < fields->count; i++) {
        if (fields->items[i].name.size == 0)
            continue;
        text_add(text, fields->items[i].name);
        text_add_literal(text, ": ");
        text_add(text, fields->items[i].value);
        text_add_literal(text, "\r\n");
    }
    text_add_literal(text, "\r\n");
    if (text->failed)
        return NO_MEMORY;
    *ret_chunk = text_slice(text);
    return OK;
}

static struct slice chunk_line(char line[CHUNK_LINE_SIZE], size_t size)
{
    struct text text = text_fixed(line, CHUNK_LINE_SIZE);
    text_add_hex(&text, size);
    text_add_literal(&text, "\r\n");
    return text_slice(&text);
}

/* True when a part would go past the length that was promised. */
static bool is_too_much(const struct sender *sender, size_t size)
{
    return sender->framing->kind == H1_LENGTH && size > sender->framing->length - sender->sent;
}

/* Writes the head, unless it is gone, with data that may be empty; `is_last` when the body ends
 * with it. */
static enum status send_part(
    struct sender *sender, struct slice head, struct slice data, bool is_last)
{
    struct parts parts = {0};
    char line[CHUNK_LINE_SIZE];
    bool is_chunked = sender->framing->kind == H1_CHUNKED;
    add_part(&parts, head);
    if (is_chunked && data.size)
        add_part(&parts, chunk_line(line, data.size));
    parts.before = parts.size;
    parts.data = data.size;
    add_part(&parts, data);
    struct slice end = SLICE_NONE;
    if (is_chunked && data.size)
        add_part(&parts, SLICE("\r\n"));
    if (is_chunked && is_last) {
        enum status e = last_chunk(sender, &end);
        if (e)
            return e;
        add_part(&parts, end);
    }
    sender->is_done = is_last;
    return parts.count ? write_parts(sender, &parts) : OK;
}

/* With a known length the last byte is the end; else the body may know already that nothing
 * follows. */
static bool is_end(const struct sender *sender, size_t size)
{
    if (sender->framing->kind == H1_LENGTH)
        return sender->sent + size == sender->framing->length;
    bool last = false;
    return body_peek(sender->body, &last).size == 0 && last;
}

static enum status send_next(struct sender *sender, struct slice head)
{
    struct slice data;
    enum status e = body_read(sender->body, sender->deadline, &data);
    if (e == END) {
        if (sender->framing->kind == H1_LENGTH)
            return source_failed(sender, INCOMPLETE);
        return send_part(sender, head, SLICE_NONE, true);
    }
    if (e)
        return source_failed(sender, e);
    if (is_too_much(sender, data.size))
        return source_failed(sender, TOO_LARGE);
    return send_part(sender, head, data, is_end(sender, data.size));
}

/* Writes what is in the pipe; goes on after a timeout as long as each `idle` lets some bytes
 * through. */
static enum status write_splice(struct sender *sender, struct splice *splice)
{
    for (;;) {
        size_t size = 0;
        instant until = clock_sooner(sender->deadline, clock_after(loop_now(), sender->idle));
        enum status e = splice_write(sender->stream, splice, until, &size);
        sender->sent += size;
        if (e != TIMEOUT || size == 0 || loop_now() >= sender->deadline)
            return e;
    }
}

/* The next part of a body whose bytes nobody has to see. FULL: they must be read. */
static enum status send_spliced(struct sender *sender)
{
    struct splice *splice;
    size_t size;
    if (sender->framing->kind != H1_LENGTH ||
        !splice_is_welcome(sender->stream, sender->framing->length - sender->sent))
        return FULL;
    enum status e = body_splice(sender->body, sender->deadline, &splice, &size);
    if (e)
        return e == FULL ? e : source_failed(sender, e);
    e = is_too_much(sender, size) ? source_failed(sender, TOO_LARGE) : write_splice(sender, splice);
    splice_give(splice);
    sender->is_done = sender->sent == sender->framing->length;
    return e;
}

/* What is here already leaves with the head; if nothing is, the head does not wait for it. */
static enum status send_first(struct sender *sender, struct slice head)
{
    bool last = false;
    const struct h1_framing *framing = sender->framing;
    if (framing->kind == H1_NO_BODY || (framing->kind == H1_LENGTH && framing->length == 0))
        return send_part(sender, head, SLICE_NONE, true);
    if (body_peek(sender->body, &last).size == 0 && !last)
        return send_part(sender, head, SLICE_NONE, false);
    return send_next(sender, head);
}

enum status h1_send(struct stream *stream, struct slice head, struct body *body,
    const struct h1_framing *framing, int64_t idle, instant deadline, uint64_t *ret_sent,
    bool *ret_source_failed)
{
    struct sender sender = {.stream = stream,
        .body = body,
        .framing = framing,
        .idle = idle,
        .deadline = deadline,
        .trailers = text_growing(0)};
    enum status e = send_first(&sender, head);
    while (e == OK && !sender.is_done) {
        e = send_spliced(&sender);
        if (e == FULL)
            e = send_next(&sender, SLICE_NONE);
    }
    text_release(&sender.trailers);
    *ret_sent = sender.sent;
    *ret_source_failed = sender.is_source;
    return e;
}
