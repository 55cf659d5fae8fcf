/* Splicing: moving bytes from one stream to another without taking them into this process. A pipe
 * carries them inside the kernel, so a body costs two system calls a pipeful and no copying: above
 * some 16 KiB that is cheaper than reading and writing.
 *
 *     e = splice_read(from, left, deadline, &splice, &size);
 *     if (e == OK)
 *         e = splice_write(to, splice, deadline, &size);
 *     splice_give(splice);
 *
 * A `struct splice` is a pipe of the loop's pool with bytes in it. Take one only when there are
 * bytes to put into it, give it back as soon as they are gone: splice_read waits without one. Each
 * is two descriptors and up to 1 MiB of the kernel's memory, so a loop lends at most
 * loop_options.splices_max, and none while the system refuses pipes of a useful size (all pipes of
 * an unprivileged user share a limit, pipe-user-pages-soft). Who gets none reads and writes. */
#pragma once

#include "run/stream.h"

#define SPLICE_LEAST ((size_t)16 * 1024) /* below this, reading and writing costs less */

struct splice;

/* True when a stream takes what is spliced, of which so many bytes are to come: a socket does, and
 * TLS when the kernel is to encrypt (run/tls_kernel.c). */
static inline bool splice_is_welcome(const struct stream *to, uint64_t coming)
{
    return to->ops->splice_out && (!to->ops->takes_splices || to->ops->takes_splices(to, coming));
}

/* True when all that one stream brings can be spliced to the other, however much it is. */
static inline bool splice_is_possible(const struct stream *from, const struct stream *to)
{
    return from->ops->splice_in && splice_is_welcome(to, UINT64_MAX);
}

/* Waits for bytes, then moves at least one and at most `most` into a pipe. As stream_read; FULL
 * when there is no pipe to be had: read instead. */
enum status splice_read(struct stream *from, size_t most, instant deadline,
    struct splice **ret_splice, size_t *ret_size);

/* Moves all of it on, waiting as often as needed; a stream that cannot take it after all is written
 * to. As stream_writev: `*ret_size` (may be NULL) says, also on failure, how many bytes were handed
 * over; the rest is still there. */
enum status splice_write(
    struct stream *to, struct splice *splice, instant deadline, size_t *ret_size);

/* Bytes that are still in it. */
size_t splice_size(const struct splice *splice);

/* Back to the calling thread's loop, which throws away one that is not empty. NULL is fine. */
void splice_give(struct splice *splice);
