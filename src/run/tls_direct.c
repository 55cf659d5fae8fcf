/* A server's connection after a handshake of TLS 1.3: records are read and written here, straight
 * between the kernel and whoever reads or writes, and OpenSSL's connection is freed, which is most
 * of what an idle one costs. Keys come from the secrets that were noted (tls_secrets.c); the
 * handshake, and with it everything that is hard, stays OpenSSL's. */
#include <openssl/err.h>
#include <stdlib.h>

#include "base/must.h"
#include "run/buffer.h"
#include "run/io.h"
#include "run/loop.h"
#include "run/tls_core.h"
#include "run/tls_kernel.h"

#define SCRATCH_LEAST ((size_t)RECORD_HEADER + RECORD_SEALED_MAX)
#define BATCH_MOST    ((size_t)128 * 1024) /* of records that leave in one system call */
#define UNSENT_JOINED ((size_t)2048)
#define IDLE_RECORDS  32 /* that carry nothing, in a row: whoever sends more only keeps us busy */

static struct tls *self_of(struct stream *stream)
{
    return list_entry(stream, struct tls, stream);
}

/* --- the end of the handshake */

static void note_facts(struct tls_direct *direct, SSL *ssl)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
    direct->version = SSL_get_version(ssl);
    direct->cipher = SSL_CIPHER_standard_name(cipher);
    direct->is_resumed = SSL_session_reused(ssl) == 1;
    direct->certificate = SSL_get1_peer_certificate(ssl);
    direct->is_verified = direct->certificate && SSL_get_verify_result(ssl) == X509_V_OK;
}

static enum status make_direct(const struct tls *tls, struct tls_direct **ret_direct)
{
    const struct tls_secrets *secrets = tls->secrets;
    const SSL_CIPHER *cipher = SSL_get_current_cipher(tls->ssl);
    unsigned suite = cipher ? SSL_CIPHER_get_protocol_id(cipher) : 0;
    struct tls_direct *direct = calloc(1, sizeof *direct);
    if (!direct)
        return NO_MEMORY;
    enum status e = record_half_init(&direct->in, tls->server->suites, suite,
        slice_of((const char *)secrets->in, secrets->in_size), 0, false);
    if (!e)
        e = record_half_init(&direct->out, tls->server->suites, suite,
            slice_of((const char *)secrets->out, secrets->out_size), secrets->out_records, true);
    if (e) {
        tls_direct_free(direct);
        return e;
    }
    note_facts(direct, tls->ssl);
    *ret_direct = direct;
    return OK;
}

enum status tls_direct_begin(struct tls *tls)
{
    enum status e = NOT_FOUND;
    const struct tls_secrets *secrets = tls->secrets;
    if (SSL_version(tls->ssl) == TLS1_3_VERSION && !SSL_has_pending(tls->ssl) && secrets &&
        secrets->in_size && secrets->out_size)
        e = make_direct(tls, &tls->direct);
    tls_secrets_free(tls->secrets);
    tls->secrets = NULL;
    ERR_clear_error();
    if (e)
        return e == NOT_FOUND ? OK : e;
    SSL_free(tls->ssl);
    tls->ssl = NULL;
    tls->stream.ops = &tls_direct_ops;
    return OK;
}

void tls_direct_free(struct tls_direct *direct)
{
    if (!direct)
        return;
    record_half_release(&direct->in);
    record_half_release(&direct->out);
    tls_forget(&direct->plain);
    X509_free(direct->certificate);
    free(direct);
}

/* --- what TLS itself says */

/* Without waiting: what finds no room is kept, and goes before whatever is written next. */
static void send_message(struct tls *tls, enum record_type type, struct slice message)
{
    char room[64];
    struct record_half *out = &tls->direct->out;
    must(message.size + RECORD_EXTRA <= sizeof room);
    if (tls->out_outcome)
        return;
    size_t size = 0;
    if (record_seal_begin(out, message.size, room) &&
        record_seal_piece(out, message, room + RECORD_HEADER))
        size = record_seal_end(out, message.size, type, room);
    tls->out_outcome = size ? tls_send_or_keep(tls, room, size) : NO_MEMORY;
}

static void send_alert(struct tls *tls, int level, int alert)
{
    char message[2] = {(char)level, (char)alert};
    if (tls->direct->is_in_kernel)
        tls_kernel_alert(tls, level, alert);
    else
        send_message(tls, RECORD_ALERT, slice_of(message, sizeof message));
}

static enum status refuse(struct tls *tls, int alert)
{
    if (!tls->has_said_end)
        send_alert(tls, 2, alert);
    tls->has_said_end = true;
    return tls->outcome = CLOSED;
}

/* New keys for what we send (RFC 8446 §4.6.3). Nothing leaves under old ones when that fails. */
static enum status update_own_keys(struct tls *tls)
{
    tls->direct->owes_update = false;
    send_message(tls, RECORD_HANDSHAKE, slice_of("\x18\0\0\1\0", KEY_UPDATE_SIZE));
    if (!tls->out_outcome)
        tls->out_outcome = record_half_update(&tls->direct->out);
    return tls->out_outcome;
}

static void say_end(struct tls *tls)
{
    if (tls->outcome || tls->out_outcome || tls->has_said_end)
        return;
    tls->has_said_end = true;
    send_alert(tls, 1, ALERT_CLOSE_NOTIFY);
}

/* The peer wants other keys before we send on, and the kernel keeps those that it has. */
static enum status end_in_order(struct tls *tls)
{
    say_end(tls);
    tls->out_outcome = CLOSED;
    return tls->outcome_in = END;
}

/* KeyUpdate, in one record or several, is all that a client may say (RFC 8446 §4.6). Nothing can
 * stand behind it in its record, which is the last one under the old keys. One that wants to be
 * answered is before whatever is written next: a single answer to any number of them. */
static enum status obey_handshake(struct tls *tls, struct slice part)
{
    struct tls_direct *direct = tls->direct;
    if (part.size == 0 || part.size > KEY_UPDATE_SIZE - direct->message_size)
        return refuse(tls, ALERT_UNEXPECTED_MESSAGE);
    memcpy(direct->message + direct->message_size, part.data, part.size);
    direct->message_size += (uint8_t)part.size;
    size_t known = direct->message_size < 4 ? direct->message_size : 4;
    if (memcmp(direct->message, "\x18\0\0\1", known) != 0)
        return refuse(tls, ALERT_UNEXPECTED_MESSAGE);
    if (direct->message_size < KEY_UPDATE_SIZE)
        return OK;
    direct->message_size = 0;
    if (direct->message[4] > 1)
        return refuse(tls, ALERT_ILLEGAL_PARAMETER);
    direct->owes_update = direct->owes_update || direct->message[4] == 1;
    tls->outcome = record_half_update(&direct->in);
    if (direct->owes_update && direct->is_in_kernel && !tls->outcome)
        return end_in_order(tls);
    return tls->outcome;
}

static enum status obey_alert(struct tls *tls, struct slice message)
{
    if (message.size != 2)
        return refuse(tls, ALERT_UNEXPECTED_MESSAGE);
    int alert = (unsigned char)message.data[1];
    if (alert == ALERT_USER_CANCELED)
        return OK;
    if (alert == ALERT_CLOSE_NOTIFY)
        return tls->outcome_in = END;
    tls->alert = alert;
    return tls->outcome = CLOSED;
}

/* What is not data. Nothing comes between the parts of a message (RFC 8446 §5.1). */
static enum status obey(struct tls *tls, enum record_type type, struct slice message)
{
    if (++tls->direct->idle_records > IDLE_RECORDS)
        return refuse(tls, ALERT_UNEXPECTED_MESSAGE);
    if (tls->direct->message_size && type != RECORD_HANDSHAKE)
        return refuse(tls, ALERT_UNEXPECTED_MESSAGE);
    switch (type) {
    case RECORD_DATA:
        return OK; /* it is empty */
    case RECORD_ALERT:
        return obey_alert(tls, message);
    case RECORD_HANDSHAKE:
        return obey_handshake(tls, message);
    default:
        return refuse(tls, ALERT_UNEXPECTED_MESSAGE);
    }
}

/* --- reading */

/* Room to receive into: of the loop's pool, or of its own when that lends only small ones. */
struct scratch {
    char *data;
    size_t capacity, begin, end;
    struct buffer *lent; /* NULL: `data` is owned */
};

static bool scratch_take(struct scratch *scratch, struct buffer *lent, size_t least)
{
    *scratch = (struct scratch){.lent = lent};
    if (lent && lent->capacity >= least) {
        scratch->data = lent->data;
        scratch->capacity = lent->capacity;
        return true;
    }
    buffer_give(lent);
    scratch->lent = NULL;
    scratch->data = malloc(least);
    scratch->capacity = least;
    return scratch->data != NULL;
}

static void scratch_give(struct scratch *scratch)
{
    if (scratch->lent)
        buffer_give(scratch->lent);
    else
        free(scratch->data);
}

/* All that has come, up to what the reader can use and one record more. */
static void receive(struct tls *tls, struct scratch *scratch, size_t wanted)
{
    size_t have = tls->early.size - tls->early.begin, size;
    size_t most =
        wanted + SCRATCH_LEAST < scratch->capacity ? wanted + SCRATCH_LEAST : scratch->capacity;
    if (tls->early.data) {
        memcpy(scratch->data, tls->early.data + tls->early.begin, have);
        tls_forget(&tls->early);
        scratch->end = have;
    }
    if (have >= most)
        return;
    enum status e = tls->below->ops->try_read(tls->below, scratch->data + have, most - have, &size);
    if (e == OK)
        scratch->end += size;
    else if (e == END)
        tls->below_ended = true;
    else if (e != INCOMPLETE)
        tls->below_outcome = e;
}

static int alert_of(enum status e)
{
    if (e == TOO_LARGE)
        return ALERT_RECORD_OVERFLOW;
    return e == NOT_FOUND ? ALERT_UNEXPECTED_MESSAGE : ALERT_BAD_RECORD_MAC;
}

/* Opens the record at the front: straight to the reader when there is room for all of it, else
 * where it lies, and what does not fit is kept. */
static enum status open_one(struct tls *tls, struct scratch *scratch, size_t size, char *data,
    size_t capacity, size_t *done)
{
    char *record = scratch->data + scratch->begin;
    char *out = record + RECORD_HEADER;
    if (data && capacity - *done >= size - RECORD_HEADER)
        out = data + *done;
    enum record_type type;
    size_t plain;
    enum status e = record_open(&tls->direct->in, slice_of(record, size), out, &plain, &type);
    if (e)
        return refuse(tls, alert_of(e));
    scratch->begin += size;
    if (type != RECORD_DATA || plain == 0 || tls->direct->message_size)
        return obey(tls, type, slice_of(out, plain));
    tls->direct->idle_records = 0;
    size_t fits = plain < capacity - *done ? plain : capacity - *done;
    if (out == record + RECORD_HEADER && data)
        memcpy(data + *done, out, fits);
    *done += fits;
    if (tls_keep(&tls->direct->plain, out + fits, plain - fits))
        return OK;
    return tls->outcome = NO_MEMORY; /* what is lost must not be missing in the middle */
}

/* As many whole records as there are and have room; one at least, even without room. */
static enum status open_all(
    struct tls *tls, struct scratch *scratch, char *data, size_t capacity, size_t *done)
{
    enum status e = OK;
    while (!e && !tls->direct->plain.data) {
        size_t size;
        struct slice bytes =
            slice_of(scratch->data + scratch->begin, scratch->end - scratch->begin);
        e = record_measure(bytes, &size);
        if (e == INCOMPLETE || (!e && size > bytes.size))
            return OK;
        if (e)
            return refuse(tls, e == TOO_LARGE ? ALERT_RECORD_OVERFLOW : ALERT_UNEXPECTED_MESSAGE);
        e = open_one(tls, scratch, size, data, capacity, done);
        if (*done == capacity && capacity)
            break;
    }
    return e;
}

static size_t take_plain(struct tls_kept *plain, char *data, size_t capacity)
{
    size_t left = plain->size - plain->begin;
    size_t size = left < capacity ? left : capacity;
    memcpy(data, plain->data + plain->begin, size);
    plain->begin += size;
    if (plain->begin == plain->size)
        tls_forget(plain);
    return size;
}

/* Why nothing more comes, once everything that came has been read. */
static enum status end_of(struct tls *tls)
{
    if (tls->outcome)
        return tls->outcome;
    if (tls->outcome_in)
        return tls->outcome_in;
    if (tls->below_outcome)
        return tls->outcome = tls->below_outcome;
    if (tls->below_ended) /* without close_notify */
        return tls->outcome = CLOSED;
    return INCOMPLETE;
}

/* Opens what has come, into `data` or, what does not fit, into what is kept. INCOMPLETE: nothing
 * has. */
static enum status fetch(struct tls *tls, char *data, size_t capacity, size_t *ret_size)
{
    struct scratch scratch;
    size_t done = 0, have = tls->early.size - tls->early.begin;
    enum status e = have && !tls->outcome && !tls->outcome_in ? INCOMPLETE : end_of(tls);
    if (e != INCOMPLETE)
        return e;
    if (!scratch_take(&scratch, buffer_take(), have > SCRATCH_LEAST ? have : SCRATCH_LEAST))
        return NO_MEMORY;
    receive(tls, &scratch, capacity);
    e = open_all(tls, &scratch, data, capacity, &done);
    if (!e && !tls_keep(&tls->early, scratch.data + scratch.begin, scratch.end - scratch.begin))
        tls->outcome = NO_MEMORY;
    scratch_give(&scratch);
    if (done == 0 && !tls->direct->plain.data)
        return end_of(tls);
    *ret_size = done;
    return OK;
}

/* What can be read without waiting; INCOMPLETE: nothing. */
static enum status take(struct tls *tls, char *data, size_t capacity, size_t *ret_size)
{
    if (!tls->direct->plain.data)
        return fetch(tls, data, capacity, ret_size);
    *ret_size = take_plain(&tls->direct->plain, data, capacity);
    return OK;
}

/* The same, but leaves it there; messages of TLS itself are dealt with. */
static enum status look(struct tls *tls)
{
    size_t size;
    return tls->direct->plain.data ? OK : fetch(tls, NULL, 0, &size);
}

static enum status wait_readable(struct stream *stream, instant deadline)
{
    struct tls *tls = self_of(stream);
    for (;;) {
        if (look(tls) != INCOMPLETE)
            return OK;
        enum status e = stream_wait_readable(tls->below, deadline);
        if (e)
            return e;
    }
}

static enum status read_some(
    struct stream *stream, void *data, size_t capacity, instant deadline, size_t *ret_size)
{
    struct tls *tls = self_of(stream);
    enum status e = io_begin(deadline);
    while (!e) {
        e = take(tls, data, capacity, ret_size);
        if (e != INCOMPLETE)
            return e;
        e = stream_wait_readable(tls->below, deadline);
    }
    return e;
}

/* --- writing */

/* What is left to be written. */
struct source {
    const struct iovec *parts;
    size_t used; /* of the first part */
    size_t left; /* of all */
};

static enum status seal_one(struct tls *tls, struct source *source, char *out, size_t *ret_size)
{
    size_t plain = source->left < RECORD_PLAIN_MAX ? source->left : RECORD_PLAIN_MAX;
    bool is_good = record_seal_begin(&tls->direct->out, plain, out);
    for (size_t done = 0; is_good && done < plain;) {
        size_t here = source->parts->iov_len - source->used;
        size_t size = here < plain - done ? here : plain - done;
        struct slice piece = slice_of((char *)source->parts->iov_base + source->used, size);
        is_good =
            size == 0 || record_seal_piece(&tls->direct->out, piece, out + RECORD_HEADER + done);
        done += size;
        source->used += size;
        if (source->used == source->parts->iov_len) {
            source->parts++;
            source->used = 0;
        }
    }
    source->left -= plain;
    *ret_size = is_good ? record_seal_end(&tls->direct->out, plain, RECORD_DATA, out) : 0;
    return *ret_size ? OK : (tls->outcome = NO_MEMORY);
}

/* What TLS itself had to say before goes to the front, if it is short. */
static enum status take_unsent(
    struct tls *tls, struct scratch *scratch, instant deadline, size_t *ret_size)
{
    struct tls_kept *unsent = &tls->unsent;
    size_t size = unsent->size - unsent->begin;
    if (tls->out_outcome || size > UNSENT_JOINED)
        return tls_flush(tls, deadline);
    *ret_size = size;
    if (unsent->data)
        memcpy(scratch->data, unsent->data + unsent->begin, size);
    tls_forget(unsent);
    return OK;
}

static size_t next_size(const struct source *source)
{
    return (source->left < RECORD_PLAIN_MAX ? source->left : RECORD_PLAIN_MAX) + RECORD_EXTRA;
}

static enum status write_batch(
    struct tls *tls, struct source *source, struct scratch *scratch, instant deadline)
{
    size_t room = scratch->capacity < BATCH_MOST ? scratch->capacity : BATCH_MOST;
    size_t filled = 0;
    enum status e = OK;
    if (tls->direct->owes_update || record_half_is_worn(&tls->direct->out))
        e = update_own_keys(tls);
    if (!e)
        e = take_unsent(tls, scratch, deadline, &filled);
    while (!e && source->left && filled + next_size(source) <= room) {
        size_t size;
        e = seal_one(tls, source, scratch->data + filled, &size);
        filled += size;
    }
    return e ? e : tls_send(tls, scratch->data, filled, deadline);
}

/* What is small goes into a small buffer, so that large ones stay where they are needed. */
static bool take_room(struct scratch *scratch, size_t total)
{
    if (UNSENT_JOINED + total + RECORD_EXTRA > BUFFER_SMALL)
        return scratch_take(scratch, buffer_take(), SCRATCH_LEAST);
    struct buffer *lent = buffer_take_small();
    *scratch = (struct scratch){.lent = lent};
    if (!lent)
        return false;
    scratch->data = lent->data;
    scratch->capacity = lent->capacity;
    return true;
}

static enum status write_all(
    struct stream *stream, const struct iovec *parts, int count, instant deadline, size_t *ret_size)
{
    struct tls *tls = self_of(stream);
    struct source source = {.parts = parts};
    struct scratch scratch;
    for (int i = 0; i < count; i++)
        source.left += parts[i].iov_len;
    size_t total = source.left;
    enum status e = io_begin(deadline);
    if (!e && tls->outcome)
        e = tls->outcome;
    if (!e && tls->direct->is_in_kernel)
        return tls_kernel_write(tls, parts, count, deadline, ret_size);
    if (!e && total == 0) /* what was sealed before may still wait for room */
        e = tls_flush(tls, deadline);
    else if (!e && !take_room(&scratch, total))
        e = NO_MEMORY;
    if (!e && total) {
        while (!e && source.left)
            e = write_batch(tls, &source, &scratch, deadline);
        scratch_give(&scratch);
    }
    if (ret_size)
        *ret_size = total - source.left;
    return e;
}

static enum status shut_down(struct stream *stream)
{
    struct tls *tls = self_of(stream);
    say_end(tls);
    return tls_end_below(tls);
}

/* --- resting */

static bool is_quiet(struct stream *stream)
{
    struct tls *tls = self_of(stream);
    if (tls->direct->plain.data || tls->outcome || tls->outcome_in)
        return false;
    if (!tls->early.data && stream_is_quiet(tls->below))
        return true;
    return look(tls) == INCOMPLETE;
}

static void awake(void *argument)
{
    struct tls *tls = argument;
    if (look(tls) == INCOMPLETE)
        stream_park(tls->below, awake, tls);
    else
        parking_call(&tls->parking);
}

static void park(struct stream *stream, stream_callback *call, void *argument)
{
    struct tls *tls = self_of(stream);
    parking_begin(&tls->parking, call, argument);
    (void)tls_push(tls);
    if (is_quiet(stream))
        stream_park(tls->below, awake, tls);
    else
        parking_stir(&tls->parking);
}

static void close_stream(struct stream *stream)
{
    struct tls *tls = self_of(stream);
    say_end(tls);
    tls_leave(tls);
}

const struct stream_ops tls_direct_ops = {
    .wait_readable = wait_readable,
    .read = read_some,
    .writev = write_all,
    .splice_out = tls_kernel_splice_out,
    .takes_splices = tls_kernel_takes_splices,
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
