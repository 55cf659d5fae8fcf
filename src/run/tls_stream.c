#include <openssl/err.h>
#include <stdlib.h>

#include "base/must.h"
#include "run/buffer.h"
#include "run/io.h"
#include "run/loop.h"
#include "run/tls_core.h"

#define GATHER_MOST  ((size_t)128 * 1024) /* of records that leave in one system call */
#define RECORD_ROOM  512                  /* header, padding, proof; or a message of TLS itself */
#define RECORDS_READ 16                   /* that one read yields at most */

static struct tls *self_of(struct stream *stream)
{
    return list_entry(stream, struct tls, stream);
}

/* --- reading */

/* What can be read without waiting; INCOMPLETE: nothing. */
static enum status take(struct tls *tls, void *data, size_t capacity, size_t *ret_size)
{
    if (tls->outcome)
        return tls->outcome;
    ERR_clear_error();
    int result = SSL_read_ex(tls->ssl, data, capacity, ret_size);
    return result > 0 ? OK : tls_failure(tls, result);
}

/* The same, but leaves it there; messages of TLS itself are dealt with. */
static enum status look(struct tls *tls)
{
    char byte;
    size_t size;
    if (tls->outcome)
        return tls->outcome;
    if (SSL_pending(tls->ssl) > 0)
        return OK;
    ERR_clear_error();
    int result = SSL_peek_ex(tls->ssl, &byte, 1, &size);
    return result > 0 ? OK : tls_failure(tls, result);
}

static enum status wait_readable(struct stream *stream, instant deadline)
{
    struct tls *tls = self_of(stream);
    must(tls->is_ready);
    for (;;) {
        if (look(tls) != INCOMPLETE)
            return OK;
        enum status e = stream_wait_readable(tls->below, deadline);
        if (e)
            return e;
    }
}

/* The records behind the first one that have arrived already. */
static size_t take_more(struct tls *tls, char *data, size_t capacity)
{
    size_t total = 0, size;
    for (int i = 1; i < RECORDS_READ && total < capacity && SSL_has_pending(tls->ssl); i++) {
        ERR_clear_error();
        int result = SSL_read_ex(tls->ssl, data + total, capacity - total, &size);
        if (result <= 0) {
            tls_failure(tls, result); /* sticky, or said again */
            break;
        }
        total += size;
    }
    return total;
}

static enum status read_some(
    struct stream *stream, void *data, size_t capacity, instant deadline, size_t *ret_size)
{
    struct tls *tls = self_of(stream);
    size_t size;
    must(tls->is_ready);
    enum status e = io_begin(deadline);
    while (!e) {
        e = take(tls, data, capacity, &size);
        if (e == OK) {
            *ret_size = size + take_more(tls, (char *)data + size, capacity - size);
            return OK;
        }
        if (e == INCOMPLETE)
            e = stream_wait_readable(tls->below, deadline);
    }
    return e;
}

/* --- writing */

/* What is left to be written, and room to join small parts in. */
struct source {
    const struct iovec *parts;
    int count;
    size_t used;         /* of the first part */
    size_t left;         /* of all */
    struct buffer *room; /* owned, or NULL: not needed yet */
};

static void advance(struct source *source, size_t size)
{
    source->left -= size;
    source->used += size;
    while (source->count > 0 && source->used >= source->parts->iov_len) {
        source->used -= source->parts->iov_len;
        source->parts++;
        source->count--;
    }
}

static size_t join(const struct source *source, char *room, size_t capacity)
{
    size_t size = 0, from = source->used;
    for (int i = 0; i < source->count && size < capacity; i++) {
        size_t more = source->parts[i].iov_len - from;
        if (more > capacity - size)
            more = capacity - size;
        memcpy(room + size, (char *)source->parts[i].iov_base + from, more);
        size += more;
        from = 0;
    }
    return size;
}

/* The bytes of the next record: where they are, or joined. */
static enum status next_record(struct source *source, struct slice *ret_bytes)
{
    size_t here = source->parts->iov_len - source->used;
    if (here >= source->left || here >= TLS_RECORD_MAX) {
        const char *data = (char *)source->parts->iov_base + source->used;
        *ret_bytes = slice_of(data, here < TLS_RECORD_MAX ? here : TLS_RECORD_MAX);
        return OK;
    }
    if (!source->room)
        source->room = buffer_take_small();
    if (!source->room)
        return NO_MEMORY;
    *ret_bytes = slice_of(source->room->data, join(source, source->room->data, TLS_RECORD_MAX));
    return OK;
}

/* OpenSSL changes its keys when it is told to, and not when they are worn. */
static void change_worn_keys(struct tls *tls)
{
    if (++tls->written < RECORDS_A_KEY)
        return;
    tls->written = 0;
    if (SSL_version(tls->ssl) == TLS1_3_VERSION)
        SSL_key_update(tls->ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
}

static enum status write_record(struct tls *tls, struct source *source)
{
    struct slice bytes;
    size_t size;
    enum status e = next_record(source, &bytes);
    if (e)
        return e;
    change_worn_keys(tls);
    ERR_clear_error();
    int result = SSL_write_ex(tls->ssl, bytes.data, bytes.size, &size);
    if (result <= 0 && tls->out_outcome) {
        ERR_clear_error();
        return tls->out_outcome;
    }
    if (result <= 0)
        return tls_failure(tls, result);
    advance(source, size);
    return OK;
}

/* Many records in one system call, as far as there is a buffer for them. */
static enum status write_batch(struct tls *tls, struct source *source, instant deadline)
{
    struct buffer *buffer = buffer_take();
    enum status e = OK;
    if (!buffer)
        return NO_MEMORY;
    size_t room = buffer->capacity < GATHER_MOST ? buffer->capacity : GATHER_MOST;
    tls->gathered = buffer;
    tls->gathered_size = 0;
    do
        e = write_record(tls, source);
    while (!e && source->left && tls->gathered_size + TLS_RECORD_MAX + RECORD_ROOM <= room);
    tls->gathered = NULL;
    if (!e)
        e = tls_send(tls, buffer->data, tls->gathered_size, deadline);
    buffer_give(buffer);
    return e;
}

static enum status write_one(struct tls *tls, struct source *source, instant deadline)
{
    enum status e = write_record(tls, source);
    return e ? e : tls_flush(tls, deadline);
}

static enum status write_all(
    struct stream *stream, const struct iovec *parts, int count, instant deadline, size_t *ret_size)
{
    struct tls *tls = self_of(stream);
    struct source source = {.parts = parts, .count = count};
    must(tls->is_ready);
    for (int i = 0; i < count; i++)
        source.left += parts[i].iov_len;
    size_t total = source.left;
    advance(&source, 0);
    enum status e = io_begin(deadline);
    if (!e)
        e = tls->outcome ? tls->outcome : tls_flush(tls, deadline);
    while (!e && source.left)
        e = source.left > 2 * TLS_RECORD_MAX ? write_batch(tls, &source, deadline)
                                             : write_one(tls, &source, deadline);
    buffer_give(source.room);
    if (ret_size)
        *ret_size = total - source.left;
    return e;
}

/* Says that nothing more comes. Nobody waits for it: what finds no room is not said. */
static void say_end(struct tls *tls)
{
    if (!tls->is_ready || tls->outcome || tls->out_outcome || tls->has_said_end)
        return;
    tls->has_said_end = true;
    ERR_clear_error();
    SSL_shutdown(tls->ssl);
    ERR_clear_error();
}

static enum status shut_down(struct stream *stream)
{
    struct tls *tls = self_of(stream);
    say_end(tls);
    return tls_end_below(tls);
}

/* --- resting */

static bool has_something(struct tls *tls)
{
    return look(tls) != INCOMPLETE;
}

static bool is_quiet(struct stream *stream)
{
    struct tls *tls = self_of(stream);
    bool has_ended = SSL_get_shutdown(tls->ssl) & SSL_RECEIVED_SHUTDOWN;
    if (tls->outcome || has_ended || SSL_pending(tls->ssl) > 0)
        return false;
    /* What came with the end of the handshake may not have got to OpenSSL yet. */
    if (!tls->early.data && stream_is_quiet(tls->below) && !SSL_has_pending(tls->ssl))
        return true;
    return !has_something(tls);
}

/* Bytes have come to a parked stream; they need not be for who parked it. */
static void awake(void *argument)
{
    struct tls *tls = argument;
    if (has_something(tls))
        parking_call(&tls->parking);
    else
        stream_park(tls->below, awake, tls);
}

static void park(struct stream *stream, stream_callback *call, void *argument)
{
    struct tls *tls = self_of(stream);
    parking_begin(&tls->parking, call, argument);
    if (is_quiet(stream))
        stream_park(tls->below, awake, tls);
    else
        parking_stir(&tls->parking);
}

void tls_unpark(struct stream *stream)
{
    struct tls *tls = self_of(stream);
    parking_end(&tls->parking);
    stream_unpark(tls->below);
}

void tls_on_break(struct stream *stream, stream_callback *call, void *argument)
{
    stream_on_break(self_of(stream)->below, call, argument);
}

void tls_bound_unsent(struct stream *stream, size_t size)
{
    stream_bound_unsent(self_of(stream)->below, size);
}

/* --- the rest */

void tls_free(struct tls *tls)
{
    parking_end(&tls->parking);
    SSL_free(tls->ssl);
    tls_server_unref(tls->server);
    tls_client_unref(tls->client);
    tls_forget(&tls->early);
    tls_forget(&tls->unsent);
    tls_certificate_facts_free(tls->certificate);
    tls_direct_free(tls->direct);
    tls_secrets_free(tls->secrets);
    free(tls->name);
    free(tls);
}

static void close_stream(struct stream *stream)
{
    struct tls *tls = self_of(stream);
    say_end(tls);
    tls_leave(tls);
}

const struct address *tls_peer(const struct stream *stream)
{
    return stream_peer(tls_of(stream)->below);
}

const struct address *tls_local(const struct stream *stream)
{
    return stream_local(tls_of(stream)->below);
}

int tls_release(struct stream *stream)
{
    (void)stream;
    return -1;
}

static const struct stream_ops tls_ops = {
    .wait_readable = wait_readable,
    .read = read_some,
    .writev = write_all,
    .shutdown = shut_down,
    .is_quiet = is_quiet,
    .park = park,
    .unpark = tls_unpark,
    .on_break = tls_on_break,
    .bound_unsent = tls_bound_unsent,
    .close = close_stream,
    .break_off = tls_break_off,
    .peer = tls_peer,
    .local = tls_local,
    .release = tls_release,
};

struct tls *tls_of(const struct stream *stream)
{
    bool is_tls = stream->ops == &tls_ops || stream->ops == &tls_direct_ops;
    return is_tls ? self_of((struct stream *)stream) : NULL;
}

enum status tls_new(struct stream *below, SSL_CTX *context, BIO_METHOD *method, struct slice early,
    struct tls **ret_tls)
{
    must(below->ops->try_read && below->ops->try_write);
    struct tls *tls = calloc(1, sizeof *tls);
    BIO *bio = tls ? tls_bio_new(method, tls) : NULL;
    SSL *ssl = bio ? SSL_new(context) : NULL;
    if (!ssl || !tls_keep(&tls->early, early.data, early.size)) {
        SSL_free(ssl);
        BIO_free(bio);
        free(tls);
        ERR_clear_error();
        return NO_MEMORY;
    }
    SSL_set_bio(ssl, bio, bio);
    SSL_set_app_data(ssl, tls);
    tls->stream.ops = &tls_ops;
    tls->below = below;
    tls->ssl = ssl;
    tls->alert = -1;
    parking_init(&tls->parking);
    *ret_tls = tls;
    return OK;
}

/* --- the handshake */

static enum status step(struct tls *tls)
{
    if (tls->outcome)
        return tls->outcome;
    ERR_clear_error();
    int result = SSL_do_handshake(tls->ssl);
    return result > 0 ? OK : tls_failure(tls, result);
}

/* In a handshake buffers stay, since record follows record; then only while there is something in
 * them. Reading ahead saves each record a system call. */
static void settle(SSL *ssl)
{
    SSL_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
    SSL_free_buffers(ssl);
    SSL_set_read_ahead(ssl, 1);
}

static enum status approve(struct tls *tls)
{
    if (tls->server && !tls_server_approves(tls))
        return tls->outcome = TLS_CERTIFICATE;
    tls->is_ready = true;
    enum status e = tls->server ? tls_direct_begin(tls) : OK;
    if (tls->ssl)
        settle(tls->ssl);
    return e;
}

/* A ticket, which is all that can be left to be sent, leaves with the first answer. */
static enum status finish(struct tls *tls, instant deadline)
{
    enum status e = approve(tls);
    tls->is_corked = false;
    return e || tls->direct ? e : tls_flush(tls, deadline);
}

enum status tls_handshake(struct stream *stream, instant deadline)
{
    struct tls *tls = tls_of(stream);
    must(tls && !tls->is_ready);
    enum status e = io_begin(deadline);
    while (!e) {
        e = step(tls);
        if (e == OK)
            return finish(tls, deadline);
        enum status sent = tls_flush(tls, deadline);
        if (e == INCOMPLETE)
            e = sent ? sent : stream_wait_readable(tls->below, deadline);
    }
    return e == END ? CLOSED : e;
}
