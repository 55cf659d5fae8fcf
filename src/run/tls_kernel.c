#include "run/tls_kernel.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/must.h"
#include "run/loop_core.h"
#include "run/socket.h"

/* --- keys */

static void put_sequence(unsigned char *out, uint64_t sequence)
{
    for (int i = 0; i < 8; i++)
        out[i] = (unsigned char)(sequence >> (56 - 8 * i));
}

static uint64_t get_sequence(const unsigned char *from)
{
    uint64_t sequence = 0;
    for (int i = 0; i < 8; i++)
        sequence = sequence << 8 | from[i];
    return sequence;
}

/* Where the kernel's struct has them: the first nonce is in two parts, except for ChaCha20. */
struct places {
    unsigned char *key, *salt, *iv, *sequence;
    size_t key_size, salt_size;
    unsigned short cipher;
    socklen_t size;
};

#define PLACES(number, member)                                                               \
    {                                                                                        \
        .key = keys->member.key, .salt = keys->member.salt, .iv = keys->member.iv,           \
        .sequence = keys->member.rec_seq, .key_size = sizeof keys->member.key,               \
        .salt_size = sizeof keys->member.salt, .cipher = number, .size = sizeof keys->member \
    }

static struct places places_of(unsigned suite, union tls_kernel_keys *keys)
{
    switch (suite) {
    case 0x1301:
        return (struct places)PLACES(TLS_CIPHER_AES_GCM_128, aes_128);
    case 0x1302:
        return (struct places)PLACES(TLS_CIPHER_AES_GCM_256, aes_256);
    case 0x1303:
        return (struct places)PLACES(TLS_CIPHER_CHACHA20_POLY1305, chacha);
    default:
        return (struct places){.size = 0};
    }
}

socklen_t tls_kernel_write_keys(const struct record_keys *keys, union tls_kernel_keys *ret_keys)
{
    struct places places = places_of(keys->suite, ret_keys);
    if (!places.size)
        return 0;
    must(places.key_size == keys->key_size);
    memset(ret_keys, 0, sizeof *ret_keys);
    ret_keys->info.version = TLS_1_3_VERSION;
    ret_keys->info.cipher_type = places.cipher;
    memcpy(places.key, keys->key, keys->key_size);
    memcpy(places.salt, keys->nonce, places.salt_size);
    memcpy(places.iv, keys->nonce + places.salt_size, sizeof keys->nonce - places.salt_size);
    put_sequence(places.sequence, keys->sequence);
    return places.size;
}

/* --- handing over */

static uint8_t bit_of(const struct tls_direct *direct)
{
    return (uint8_t)(1u << (record_half_suite(&direct->out) & 7));
}

/* What a failure means that has to do with this connection only. */
static bool is_passing(int error)
{
    return error == ENOTCONN || error == ENOMEM || error == ENOBUFS || error == EINTR;
}

static bool give_keys(int descriptor, const struct record_keys *keys)
{
    union tls_kernel_keys theirs;
    socklen_t size = tls_kernel_write_keys(keys, &theirs);
    if (!size) {
        errno = EINVAL;
        return false;
    }
    bool is_done = setsockopt(descriptor, SOL_TLS, TLS_TX, &theirs, size) == 0;
    int error = errno;
    OPENSSL_cleanse(&theirs, sizeof theirs);
    errno = error;
    return is_done;
}

/* Once the kernel's layer is there it stays, and lets through what it has no keys for. */
static bool attach(int descriptor, const struct record_keys *keys)
{
    bool is_there = setsockopt(descriptor, IPPROTO_TCP, TCP_ULP, "tls", sizeof "tls") == 0;
    return (is_there || errno == EEXIST) && give_keys(descriptor, keys);
}

static enum status try_kernel(struct tls *tls, const struct record_keys *keys)
{
    int descriptor = socket_descriptor(tls->below);
    if (attach(descriptor, keys))
        return OK;
    if (!is_passing(errno))
        tls->server->kernel_refuses |= bit_of(tls->direct);
    return FULL;
}

static enum status hand_over(struct tls *tls, instant deadline)
{
    struct tls_direct *direct = tls->direct;
    struct record_keys keys;
    enum status e = tls_flush(tls, deadline);
    if (e)
        return e;
    if (direct->owes_update) /* the client has asked for it meanwhile */
        return FULL;
    if (!record_half_tell(&direct->out, &keys))
        return NO_MEMORY;
    e = try_kernel(tls, &keys);
    OPENSSL_cleanse(&keys, sizeof keys);
    if (e)
        return e;
    direct->is_in_kernel = true;
    EVP_CIPHER_CTX_free(direct->out.cipher);
    direct->out.cipher = NULL;
    tally_add(&loop_here->tally.kernel_tls_connections, 1);
    return OK;
}

/* Of so many bytes: when they come in small pieces not every record is full. */
static uint64_t records_of(uint64_t size)
{
    return 2 * (size / RECORD_PLAIN_MAX + 1);
}

bool tls_kernel_takes_splices(const struct stream *stream, uint64_t coming)
{
    const struct tls *tls = tls_of(stream);
    const struct tls_direct *direct = tls->direct;
    if (direct->is_in_kernel)
        return true;
    return tls->server->uses_kernel && coming >= TLS_KERNEL_LEAST && !direct->owes_update &&
           !(tls->server->kernel_refuses & bit_of(direct)) &&
           records_of(coming) + direct->out.sequence < RECORDS_A_KEY;
}

/* --- writing */

/* The kernel alone knows how many records it has made of what was spliced. */
static void ask_sequence(struct tls *tls)
{
    struct record_half *out = &tls->direct->out;
    union tls_kernel_keys theirs;
    struct places places = places_of(record_half_suite(out), &theirs);
    socklen_t size = places.size;
    must(size);
    if (getsockopt(socket_descriptor(tls->below), SOL_TLS, TLS_TX, &theirs, &size) == 0)
        out->sequence = get_sequence(places.sequence);
    OPENSSL_cleanse(&theirs, sizeof theirs);
}

/* The next request comes on another connection. */
static void watch_wear(struct tls *tls)
{
    const struct record_half *out = &tls->direct->out;
    if (record_half_is_worn(out) && !tls->outcome_in)
        tls->outcome_in = END;
    if (out->sequence >= TLS_KERNEL_RECORDS_MAX)
        tls->out_outcome = CLOSED;
}

enum status tls_kernel_splice_out(
    struct stream *stream, int pipe, size_t size, instant deadline, size_t *ret_size)
{
    struct tls *tls = tls_of(stream);
    *ret_size = 0;
    enum status e = tls->outcome ? tls->outcome : tls->out_outcome;
    if (!e && !tls->direct->is_in_kernel)
        e = hand_over(tls, deadline);
    if (e)
        return e;
    e = tls->below->ops->splice_out(tls->below, pipe, size, deadline, ret_size);
    tally_add(&loop_here->tally.kernel_tls_bytes, (int64_t)*ret_size);
    ask_sequence(tls);
    watch_wear(tls);
    return e;
}

enum status tls_kernel_write(
    struct tls *tls, const struct iovec *parts, int count, instant deadline, size_t *ret_size)
{
    size_t size = 0;
    enum status e = tls->out_outcome;
    if (!e)
        e = stream_writev(tls->below, parts, count, deadline, &size);
    tls->direct->out.sequence += 1 + size / RECORD_PLAIN_MAX;
    watch_wear(tls);
    if (ret_size)
        *ret_size = size;
    return e;
}

/* --- the end */

/* Then none of the records that the kernel has taken are left either: it holds one back only when
 * there is no room at all. */
static bool has_room(const struct tls *tls)
{
    struct pollfd look = {.fd = socket_descriptor(tls->below), .events = POLLOUT};
    return poll(&look, 1, 0) != 0;
}

/* One record that is no data. */
static enum status send_alert(const struct tls *tls)
{
    union {
        char room[CMSG_SPACE(1)];
        struct cmsghdr header;
    } control = {
        .header = {
            .cmsg_len = CMSG_LEN(1), .cmsg_level = SOL_TLS, .cmsg_type = TLS_SET_RECORD_TYPE}};
    struct iovec part = {tls->direct->alert, sizeof tls->direct->alert};
    struct msghdr message = {.msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof control.room};
    *CMSG_DATA(&control.header) = RECORD_ALERT;
    if (sendmsg(socket_descriptor(tls->below), &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
        return OK;
    return errno == EAGAIN || errno == EINTR ? INCOMPLETE : CLOSED;
}

enum status tls_kernel_push(struct tls *tls)
{
    enum status e = OK;
    if (!tls->direct->owes_alert && !tls->has_said_end) /* what else there is the kernel has */
        return OK;
    if (!has_room(tls))
        return INCOMPLETE;
    if (tls->direct->owes_alert)
        e = send_alert(tls);
    tls->direct->owes_alert = e == INCOMPLETE;
    return e;
}

enum status tls_kernel_flush(struct tls *tls, instant deadline)
{
    enum status e = tls_kernel_push(tls);
    while (e == INCOMPLETE) {
        e = socket_wait_for_room(tls->below, deadline);
        if (!e)
            e = tls_kernel_push(tls);
    }
    return e;
}

void tls_kernel_alert(struct tls *tls, int level, int alert)
{
    tls->direct->alert[0] = (unsigned char)level;
    tls->direct->alert[1] = (unsigned char)alert;
    tls->direct->owes_alert = true;
    (void)tls_kernel_push(tls);
}
