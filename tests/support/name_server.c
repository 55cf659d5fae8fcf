#include "support/name_server.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <unistd.h>

enum { HEADER = 12, QUESTION_TAIL = 4 }; /* bytes; behind the name: type and class */

void name_reply_add(struct name_reply *reply, unsigned char type, unsigned char ttl,
    const void *data, unsigned char size)
{
    /* The name is a pointer to the question's; the class is IN. */
    const unsigned char head[] = {0xc0, HEADER, 0, type, 0, 1, 0, 0, 0, ttl, 0, size};
    assert_true(reply->size + sizeof head + size <= sizeof reply->bytes);
    memcpy(reply->bytes + reply->size, head, sizeof head);
    memcpy(reply->bytes + reply->size + sizeof head, data, size);
    reply->size += sizeof head + size;
    reply->bytes[7]++; /* answers */
}

void name_reply_add_address(struct name_reply *reply, uint32_t address)
{
    uint32_t on_the_wire = htonl(address);
    name_reply_add(reply, NAME_A, 0, &on_the_wire, sizeof on_the_wire);
}

/* Makes a reply without records of the question's bytes; what follows it (EDNS) is dropped. */
static void begin_reply(struct name_reply *reply)
{
    size_t end = HEADER;
    while (reply->bytes[end])
        end += reply->bytes[end] + 1u;
    reply->size = end + 1 + QUESTION_TAIL;
    reply->type = reply->bytes[end + 2];
    reply->label = (const char *)reply->bytes + HEADER + 1;
    reply->code = &reply->bytes[3];
    reply->bytes[2] |= 0x80; /* an answer */
    memset(reply->bytes + 6, 0, 6);
}

static void *serve(void *argument)
{
    struct name_server *server = argument;
    for (;;) {
        struct name_reply reply = {.size = 0};
        struct sockaddr_in from;
        socklen_t from_size = sizeof from;
        ssize_t size = recvfrom(server->descriptor, reply.bytes, sizeof reply.bytes, 0,
            (struct sockaddr *)&from, &from_size);
        if (size < HEADER + 1 + QUESTION_TAIL)
            return NULL; /* not a question: the end */
        begin_reply(&reply);
        if (server->answer(server->context, &reply))
            sendto(server->descriptor, reply.bytes, reply.size, 0, (struct sockaddr *)&from,
                from_size);
    }
}

static struct sockaddr_in address_of(const struct name_server *server)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    assert_int_equal(getsockname(server->descriptor, (struct sockaddr *)&address, &size), 0);
    return address;
}

void name_server_start(struct name_server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    server->descriptor = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server->descriptor, (struct sockaddr *)&address, sizeof address), 0);
    snprintf(
        server->where, sizeof server->where, "127.0.0.1:%d", ntohs(address_of(server).sin_port));
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

void name_server_stop(struct name_server *server)
{
    struct sockaddr_in address = address_of(server);
    sendto(server->descriptor, "end", 3, 0, (struct sockaddr *)&address, sizeof address);
    pthread_join(server->thread, NULL);
    close(server->descriptor);
}
