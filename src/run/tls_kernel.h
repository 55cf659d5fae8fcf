/* TLS in the kernel (Linux with CONFIG_TLS): a server's connection with TLS 1.3 (tls_direct.c)
 * whose sending side is handed over, so that long bodies go from one socket to the other and are
 * encrypted on the way, without coming into this process. For run/tls_*.c only.
 *
 * A connection is handed over when a long body is about to be spliced to it, and stays there: small
 * answers alone never make it worth it. What comes in is still opened here.
 *
 * - All that was encrypted here leaves before; then the kernel goes on with our key and the number
 *   of the next record.
 * - Kernels before 6.14 keep the key that they were given. So a body that would wear it out is not
 *   handed over; a connection that gets there by many takes no more requests; and when the client
 *   wants us to change our keys, the connection ends in order.
 * - The kernel takes records for which the socket has no room, and forgets those that are still
 *   there when the socket is shut down or closed. So the end (close_notify) is said when there is
 *   room, which is when none are left.
 * - A kernel that cannot do it is asked once for each suite (a server, so a worker, remembers). */
#pragma once

#include <linux/tls.h>

#include "run/tls_core.h"

/* What is shorter does not fill a pipe, and would not repay the hand-over. */
#define TLS_KERNEL_LEAST ((uint64_t)1024 * 1024)

/* So many records may go under a key that cannot be changed: the bound of AES-GCM (RFC 8446 §5.5).
 */
#define TLS_KERNEL_RECORDS_MAX ((uint64_t)1 << 24)

union tls_kernel_keys {
    struct tls_crypto_info info;
    struct tls12_crypto_info_aes_gcm_128 aes_128;
    struct tls12_crypto_info_aes_gcm_256 aes_256;
    struct tls12_crypto_info_chacha20_poly1305 chacha;
};

/* The keys as the kernel wants them; how many bytes they are, 0: it has no such suite. */
socklen_t tls_kernel_write_keys(const struct record_keys *keys, union tls_kernel_keys *ret_keys);

/* The stream's own; see run/stream.h. The second hands the connection over when it has to; FULL
 * when that cannot be. */
bool tls_kernel_takes_splices(const struct stream *stream, uint64_t coming);
enum status tls_kernel_splice_out(
    struct stream *stream, int pipe, size_t size, instant deadline, size_t *ret_size);

/* The rest is for connections that have been handed over. As stream_writev. */
enum status tls_kernel_write(
    struct tls *tls, const struct iovec *parts, int count, instant deadline, size_t *ret_size);

/* Says it as soon as there is room. Nothing may follow. */
void tls_kernel_alert(struct tls *tls, int level, int alert);

/* As tls_push and tls_flush. */
enum status tls_kernel_push(struct tls *tls);
enum status tls_kernel_flush(struct tls *tls, instant deadline);
