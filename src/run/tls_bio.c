#include <stdlib.h>

#include "run/buffer.h"
#include "run/tls_core.h"
#include "run/tls_kernel.h"

#define UNSENT_MAX ((size_t)256 * 1024) /* a peer that makes us speak and does not listen */

bool tls_keep(struct tls_kept *kept, const void *data, size_t size)
{
    size_t left = kept->size - kept->begin;
    if (size == 0)
        return true;
    char *room = left + size > UNSENT_MAX ? NULL : malloc(left + size);
    if (!room)
        return false;
    if (kept->data)
        memcpy(room, kept->data + kept->begin, left);
    memcpy(room + left, data, size);
    free(kept->data);
    *kept = (struct tls_kept){.data = room, .size = left + size};
    return true;
}

void tls_forget(struct tls_kept *kept)
{
    free(kept->data);
    *kept = (struct tls_kept){0};
}

static int take_early(struct tls_kept *early, char *data, size_t capacity, size_t *ret_size)
{
    size_t left = early->size - early->begin;
    *ret_size = left < capacity ? left : capacity;
    memcpy(data, early->data + early->begin, *ret_size);
    early->begin += *ret_size;
    if (early->begin == early->size)
        tls_forget(early);
    return 1;
}

/* In a handshake OpenSSL takes just one record after the other, since it must not have what comes
 * behind the last; here all that has come is read at once. */
static enum status read_ahead(struct tls *tls)
{
    char room[2048];
    size_t size;
    enum status e = tls->below->ops->try_read(tls->below, room, sizeof room, &size);
    if (e)
        return e;
    return tls_keep(&tls->early, room, size) ? OK : NO_MEMORY;
}

static int read_below(BIO *bio, char *data, size_t capacity, size_t *ret_size)
{
    struct tls *tls = BIO_get_data(bio);
    enum status e = OK;
    BIO_clear_retry_flags(bio);
    *ret_size = 0;
    if (!tls->is_ready && !tls->early.data)
        e = read_ahead(tls);
    if (!e && tls->early.data)
        return take_early(&tls->early, data, capacity, ret_size);
    if (!e)
        e = tls->below->ops->try_read(tls->below, data, capacity, ret_size);
    if (e == OK)
        return 1;
    if (e == INCOMPLETE)
        BIO_set_retry_read(bio);
    else if (e == END)
        tls->below_ended = true;
    else
        tls->below_outcome = e;
    return 0;
}

/* What leaves together with what follows. The writer makes sure that there is room. */
static enum status gather(struct tls *tls, const char *data, size_t size)
{
    if (size > tls->gathered->capacity - tls->gathered_size)
        return TOO_LARGE;
    memcpy(tls->gathered->data + tls->gathered_size, data, size);
    tls->gathered_size += size;
    return OK;
}

enum status tls_push(struct tls *tls)
{
    struct tls_kept *unsent = &tls->unsent;
    size_t sent;
    if (tls->direct && tls->direct->is_in_kernel)
        return tls_kernel_push(tls);
    if (tls->out_outcome)
        return tls->out_outcome;
    if (tls->is_flushing || tls->is_corked)
        return INCOMPLETE;
    if (!unsent->data)
        return OK;
    enum status e = tls->below->ops->try_write(
        tls->below, unsent->data + unsent->begin, unsent->size - unsent->begin, &sent);
    if (e)
        return e;
    unsent->begin += sent;
    if (unsent->begin < unsent->size)
        return INCOMPLETE;
    tls_forget(unsent);
    return OK;
}

enum status tls_send_or_keep(struct tls *tls, const char *data, size_t size)
{
    size_t sent = 0;
    enum status e = tls_push(tls);
    if (!e)
        e = tls->below->ops->try_write(tls->below, data, size, &sent);
    if (e != OK && e != INCOMPLETE)
        return e;
    return tls_keep(&tls->unsent, data + sent, size - sent) ? OK : NO_MEMORY;
}

/* All of it is taken, so that OpenSSL never has to try anything again: whoever reads and whoever
 * writes do not disturb each other. */
static int write_below(BIO *bio, const char *data, size_t size, size_t *ret_size)
{
    struct tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *ret_size = 0;
    if (!tls->out_outcome)
        tls->out_outcome =
            tls->gathered ? gather(tls, data, size) : tls_send_or_keep(tls, data, size);
    if (tls->out_outcome)
        return 0;
    *ret_size = size;
    return 1;
}

static long control(BIO *bio, int command, long number, void *pointer)
{
    const struct tls *tls = BIO_get_data(bio);
    (void)number;
    (void)pointer;
    if (command == BIO_CTRL_EOF)
        return tls->below_ended;
    return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP;
}

static int create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

BIO_METHOD *tls_bio_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "stream");
    if (method && BIO_meth_set_read_ex(method, read_below) &&
        BIO_meth_set_write_ex(method, write_below) && BIO_meth_set_ctrl(method, control) &&
        BIO_meth_set_create(method, create))
        return method;
    BIO_meth_free(method);
    return NULL;
}

BIO *tls_bio_new(BIO_METHOD *method, struct tls *tls)
{
    BIO *bio = BIO_new(method);
    if (bio)
        BIO_set_data(bio, tls);
    return bio;
}

/* Before what others have added meanwhile. */
static bool keep_first(struct tls *tls, const char *data, size_t size)
{
    struct tls_kept later = tls->unsent;
    tls->unsent = (struct tls_kept){0};
    bool is_kept =
        tls_keep(&tls->unsent, data, size) &&
        (!later.data || tls_keep(&tls->unsent, later.data + later.begin, later.size - later.begin));
    tls_forget(&later);
    return is_kept;
}

/* What the time was not enough for leaves with the next write. */
enum status tls_send(struct tls *tls, const void *data, size_t size, instant deadline)
{
    size_t sent = 0;
    tls->is_flushing = true;
    enum status e = stream_write(tls->below, data, size, deadline, &sent);
    tls->is_flushing = false;
    if (e == TIMEOUT && keep_first(tls, (const char *)data + sent, size - sent))
        return TIMEOUT;
    if (e && !tls->out_outcome)
        tls->out_outcome = CLOSED; /* it may have gone half: nothing can follow */
    return e;
}

enum status tls_flush(struct tls *tls, instant deadline)
{
    enum status e = tls->out_outcome;
    if (tls->direct && tls->direct->is_in_kernel)
        return tls_kernel_flush(tls, deadline);
    while (!e && tls->unsent.data) {
        struct tls_kept leaving = tls->unsent;
        tls->unsent = (struct tls_kept){0};
        e = tls_send(tls, leaving.data + leaving.begin, leaving.size - leaving.begin, deadline);
        tls_forget(&leaving);
    }
    return e;
}
