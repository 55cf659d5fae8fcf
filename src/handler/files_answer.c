#include "handler/files_answer.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "handler/files_body.h"
#include "handler/files_condition.h"
#include "handler/files_open.h"
#include "handler/files_range.h"
#include "handler/files_type.h"

/* What is told about the representation in every answer. */
struct representation {
    enum encoding encoding;
    bool varies;
    struct slice type, etag, last_modified, cache_control;
    struct validators validators;
    int64_t size;
};

/* Puts the variant that the client likes best in the place of the file. */
static enum status choose_variant(
    struct exchange *x, struct files_found *found, enum encoding *ret_encoding)
{
    struct encoding_wishes wishes =
        encoding_read_wishes(fields_combined(&x->request.fields, SLICE("accept-encoding")));
    enum encoding order[ENCODING_COUNT];
    unsigned count =
        encoding_choose(&wishes, found->variants->items, found->variants->count, order);
    *ret_encoding = ENCODING_IDENTITY;
    for (unsigned i = 0; i < count; i++) {
        struct slice name = arena_join(
            &x->arena, (const struct slice[]){found->path, encoding_suffix(order[i])}, 2);
        int fd;
        struct stat stat;
        if (!name.data)
            return NO_MEMORY;
        if (files_open(found->root, name, &fd, &stat))
            continue;
        if (S_ISREG(stat.st_mode)) {
            close(found->fd);
            found->fd = fd;
            found->stat = stat;
            *ret_encoding = order[i];
            return OK;
        }
        close(fd);
    }
    return OK;
}

/* Strong: another content is another file, or has another size or time. */
static struct slice make_etag(struct arena *arena, const struct stat *stat)
{
    const uint64_t facts[] = {(uint64_t)stat->st_dev, (uint64_t)stat->st_ino,
        (uint64_t)stat->st_size, (uint64_t)stat->st_mtim.tv_sec, (uint64_t)stat->st_mtim.tv_nsec};
    uint64_t hash = hash_bytes(slice_of((const char *)facts, sizeof facts));
    return arena_format(arena, "\"%016llx\"", (unsigned long long)hash);
}

static enum status describe(struct exchange *x, const struct files_found *found,
    struct slice cache_control, struct representation *what)
{
    char date[HTTP_DATE_SIZE];
    what->validators.now = clock_wall() / SECOND;
    what->validators.last_modified = found->stat.st_mtim.tv_sec;
    if (what->validators.last_modified > what->validators.now) /* RFC 9110 §8.8.2.1 */
        what->validators.last_modified = what->validators.now;
    clock_http_date(what->validators.last_modified, date);
    what->last_modified = arena_copy(&x->arena, slice_of(date, sizeof date));
    what->etag = what->validators.etag = make_etag(&x->arena, &found->stat);
    what->type = files_type_of(found->path);
    what->varies = found->variants->count > 0;
    what->cache_control = cache_control;
    what->size = found->stat.st_size;
    return what->last_modified.data && what->etag.data ? OK : NO_MEMORY;
}

/* The fields that 200, 206 and 304 have in common (RFC 9110 §15.4.5). */
static enum status respond(struct exchange *x, int status, const struct representation *what)
{
    struct fields *fields = &x->response.fields;
    enum status e =
        exchange_respond(x, status, status == 304 ? SLICE_NONE : what->type, SLICE_NONE);
    if (!e)
        e = fields_add_known(fields, FIELD_ETAG, what->etag);
    if (!e)
        e = fields_add_known(fields, FIELD_LAST_MODIFIED, what->last_modified);
    if (!e && what->cache_control.size)
        e = fields_add_known(fields, FIELD_CACHE_CONTROL, what->cache_control);
    if (!e && what->varies)
        e = fields_add_known(fields, FIELD_VARY, SLICE("Accept-Encoding"));
    if (!e && status != 304)
        e = fields_add_known(fields, FIELD_ACCEPT_RANGES, SLICE("bytes"));
    if (!e && status != 304 && what->encoding != ENCODING_IDENTITY)
        e = fields_add_known(fields, FIELD_CONTENT_ENCODING, encoding_token(what->encoding));
    return e;
}

/* Gives the answer a body; the descriptor is its own from here on. */
static enum status attach(
    struct exchange *x, int *fd, const struct file_piece *pieces, unsigned count)
{
    enum status e = file_body_new(&x->arena, *fd, pieces, count, &x->response.body);
    if (!e)
        *fd = -1;
    return e;
}

static enum status answer_whole(struct exchange *x, int *fd, const struct representation *what)
{
    struct file_piece *piece = arena_new(&x->arena, struct file_piece);
    enum status e = piece ? respond(x, 200, what) : NO_MEMORY;
    if (e)
        return e;
    piece->size = what->size;
    return attach(x, fd, piece, 1);
}

static struct slice content_range(struct arena *arena, const struct byte_range *range, int64_t size)
{
    return arena_format(arena, "bytes %lld-%lld/%lld", (long long)range->first,
        (long long)range->last, (long long)size);
}

static enum status answer_range(
    struct exchange *x, int *fd, const struct representation *what, const struct byte_range *range)
{
    struct file_piece *piece = arena_new(&x->arena, struct file_piece);
    struct slice text = content_range(&x->arena, range, what->size);
    enum status e = piece && text.data ? respond(x, 206, what) : NO_MEMORY;
    if (!e)
        e = fields_add_known(&x->response.fields, FIELD_CONTENT_RANGE, text);
    if (e)
        return e;
    piece->offset = range->first;
    piece->size = range->last - range->first + 1;
    return attach(x, fd, piece, 1);
}

static struct file_piece text_piece(struct slice text)
{
    return (struct file_piece){.text = text, .size = (int64_t)text.size};
}

/* multipart/byteranges (RFC 9110 §14.6): head, bytes, head, bytes, …, end. */
static enum status answer_ranges(struct exchange *x, int *fd, const struct representation *what,
    const struct byte_ranges *ranges)
{
    unsigned count = 2 * ranges->count + 1;
    struct file_piece *pieces = arena_array(&x->arena, count, sizeof *pieces);
    const uint64_t salt[] = {(uint64_t)clock_wall(), x->id_number};
    unsigned long long boundary = hash_bytes(slice_of((const char *)salt, sizeof salt));
    struct slice type =
        arena_format(&x->arena, "multipart/byteranges; boundary=weir%016llx", boundary);
    if (!pieces || !type.data)
        return NO_MEMORY;
    for (unsigned i = 0; i < ranges->count; i++) {
        const struct byte_range *range = &ranges->items[i];
        struct slice head = arena_format(&x->arena,
            "%s--weir%016llx\r\nContent-Type: %.*s\r\n"
            "Content-Range: bytes %lld-%lld/%lld\r\n\r\n",
            i ? "\r\n" : "", boundary, SLICE_ARG(what->type), (long long)range->first,
            (long long)range->last, (long long)what->size);
        if (!head.data)
            return NO_MEMORY;
        pieces[2 * i] = text_piece(head);
        pieces[2 * i + 1].offset = range->first;
        pieces[2 * i + 1].size = range->last - range->first + 1;
    }
    struct slice end = arena_format(&x->arena, "\r\n--weir%016llx--\r\n", boundary);
    if (!end.data)
        return NO_MEMORY;
    pieces[count - 1] = text_piece(end);
    enum status e = respond(x, 206, what);
    if (!e)
        e = fields_set_known(&x->response.fields, FIELD_CONTENT_TYPE, type);
    return e ? e : attach(x, fd, pieces, count);
}

static enum status refuse_range(struct exchange *x, const struct representation *what)
{
    struct slice text = arena_format(&x->arena, "bytes */%lld", (long long)what->size);
    if (!text.data)
        return NO_MEMORY;
    enum status e = fields_set_known(&x->response.fields, FIELD_CONTENT_RANGE, text);
    return e ? e : RANGE_NOT_SATISFIABLE;
}

/* Which part of it, if a part was asked for: only by GET, and only by one Range field. */
static enum status answer_content(struct exchange *x, int *fd, const struct representation *what)
{
    const struct field *field = fields_find(&x->request.fields, FIELD_RANGE);
    struct byte_ranges ranges;
    if (x->request.method != METHOD_GET || !field ||
        fields_next(&x->request.fields, FIELD_RANGE, field) ||
        !condition_if_range(&x->request, &what->validators))
        return answer_whole(x, fd, what);
    enum status e = byte_ranges_read(field->value, what->size, &ranges);
    if (e == INVALID)
        return answer_whole(x, fd, what);
    if (e)
        return refuse_range(x, what);
    return ranges.count == 1 ? answer_range(x, fd, what, &ranges.items[0])
                             : answer_ranges(x, fd, what, &ranges);
}

static enum status answer(struct exchange *x, struct files_found *found, struct slice cache_control)
{
    struct representation what = {.encoding = ENCODING_IDENTITY};
    enum status e = choose_variant(x, found, &what.encoding);
    if (!e)
        e = describe(x, found, cache_control, &what);
    if (e)
        return e;
    switch (condition_evaluate(&x->request, &what.validators)) {
    case CONDITION_NOT_MODIFIED:
        return respond(x, 304, &what);
    case CONDITION_FAILED:
        return PRECONDITION_FAILED;
    case CONDITION_PROCEED:
        break;
    }
    return answer_content(x, &found->fd, &what);
}

enum status files_answer(struct exchange *x, struct files_found *found, struct slice cache_control)
{
    enum status e = answer(x, found, cache_control);
    if (found->fd >= 0)
        close(found->fd);
    return e;
}
