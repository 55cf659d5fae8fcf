#include "run/link.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "run/descriptor.h"

/* What carries descriptors beside the bytes, aligned as the kernel wants it. */
union ancillary {
    struct cmsghdr header;
    char data[CMSG_SPACE(LINK_DESCRIPTORS_MAX * sizeof(int))];
};

void link_init(struct link *link, int descriptor)
{
    link->descriptor = descriptor;
    link->size = link->taken = 0;
    link->came = 0;
}

void link_release(struct link *link)
{
    for (unsigned i = 0; i < link->came; i++)
        close(link->descriptors[i]);
    if (link->descriptor >= 0)
        close(link->descriptor);
    link->came = 0;
    link->descriptor = -1;
}

static void attach(struct msghdr *message, union ancillary *ancillary, int descriptor)
{
    memset(ancillary, 0, sizeof *ancillary);
    message->msg_control = ancillary;
    message->msg_controllen = CMSG_SPACE(sizeof(int));
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
}

/* One sendmsg; waits first when there is no room. */
static enum status send_some(
    const struct link *link, const struct msghdr *message, instant deadline, size_t *ret_size)
{
    for (;;) {
        ssize_t sent = sendmsg(link->descriptor, message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) {
            *ret_size = (size_t)sent;
            return OK;
        }
        if (errno == EPIPE || errno == ECONNRESET)
            return CLOSED;
        if (errno != EAGAIN && errno != EINTR)
            return IO_ERROR;
        enum status e = descriptor_wait_writable(link->descriptor, deadline);
        if (e)
            return e;
    }
}

enum status link_send(struct link *link, struct slice message, int descriptor, instant deadline)
{
    char frame[LINK_HEADER_SIZE + LINK_MESSAGE_MAX];
    union ancillary ancillary;
    size_t size = LINK_HEADER_SIZE + message.size;
    if (message.size > LINK_MESSAGE_MAX)
        return TOO_LARGE;
    for (int i = 0; i < 4; i++)
        frame[i] = (char)(message.size >> (24 - 8 * i));
    frame[4] = descriptor >= 0;
    if (message.size)
        memcpy(frame + LINK_HEADER_SIZE, message.data, message.size);
    for (size_t done = 0; done < size;) {
        struct iovec part = {frame + done, size - done};
        struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
        if (descriptor >= 0 && done == 0)
            attach(&header, &ancillary, descriptor);
        size_t sent;
        enum status e = send_some(link, &header, deadline, &sent);
        if (e)
            return e;
        done += sent;
    }
    return OK;
}

/* Keeps the descriptors that came; false when there are too many of them, or some were cut off. */
static bool keep_descriptors(struct link *link, struct msghdr *message)
{
    bool fits = !(message->msg_flags & MSG_CTRUNC);
    for (struct cmsghdr *h = CMSG_FIRSTHDR(message); h; h = CMSG_NXTHDR(message, h)) {
        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int descriptor;
            memcpy(&descriptor, CMSG_DATA(h) + i * sizeof(int), sizeof descriptor);
            if (link->came < LINK_DESCRIPTORS_MAX) {
                link->descriptors[link->came++] = descriptor;
                continue;
            }
            close(descriptor);
            fits = false;
        }
    }
    return fits;
}

static enum status receive_some(struct link *link, instant deadline)
{
    union ancillary ancillary;
    for (;;) {
        struct iovec part = {link->data + link->size, sizeof link->data - link->size};
        struct msghdr message = {.msg_iov = &part,
            .msg_iovlen = 1,
            .msg_control = &ancillary,
            .msg_controllen = sizeof ancillary};
        ssize_t size = recvmsg(link->descriptor, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (size == 0 || (size < 0 && errno == ECONNRESET))
            return link->size ? INCOMPLETE : END;
        if (size > 0) {
            link->size += (size_t)size;
            return keep_descriptors(link, &message) ? OK : INVALID;
        }
        if (errno != EAGAIN && errno != EINTR)
            return IO_ERROR;
        enum status e = descriptor_wait_readable(link->descriptor, deadline);
        if (e)
            return e;
    }
}

static void forget_taken(struct link *link)
{
    link->size -= link->taken;
    memmove(link->data, link->data + link->taken, link->size);
    link->taken = 0;
}

static size_t message_size(const struct link *link)
{
    size_t size = 0;
    for (int i = 0; i < 4; i++)
        size = size << 8 | (unsigned char)link->data[i];
    return size;
}

static enum status take_descriptor(struct link *link, int *ret_descriptor)
{
    *ret_descriptor = -1;
    if (!link->data[4])
        return OK;
    if (!link->came)
        return INVALID;
    *ret_descriptor = link->descriptors[0];
    link->came--;
    memmove(link->descriptors, link->descriptors + 1, link->came * sizeof(int));
    return OK;
}

static enum status receive_until(struct link *link, size_t size, instant deadline)
{
    enum status e = OK;
    while (!e && link->size < size)
        e = receive_some(link, deadline);
    return e;
}

enum status link_receive(
    struct link *link, instant deadline, struct slice *ret_message, int *ret_descriptor)
{
    forget_taken(link);
    enum status e = receive_until(link, LINK_HEADER_SIZE, deadline);
    if (!e && message_size(link) > LINK_MESSAGE_MAX)
        e = INVALID;
    if (!e)
        e = receive_until(link, LINK_HEADER_SIZE + message_size(link), deadline);
    if (!e)
        e = take_descriptor(link, ret_descriptor);
    if (e)
        return e;
    *ret_message = slice_of(link->data + LINK_HEADER_SIZE, message_size(link));
    link->taken = LINK_HEADER_SIZE + message_size(link);
    return OK;
}
