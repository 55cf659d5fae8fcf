/*
 * What the three bench programs share: sockets on loopback, the clock, and the little of HTTP/1.1
 * that tells where a message ends.
 *
 * Everything is static inline so that each program stays one source file. The programs serve
 * measurements on a quiet machine between trusted ends: they end at the first impossible error, and
 * they know messages whose length is given by Content-Length only.
 */
#pragma once

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS 1000000000ULL

/* Prints the text with errno's meaning and ends the program. */
__attribute__((noreturn, format(printf, 1, 2))) static inline void die(const char *format, ...)
{
    int saved = errno;
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, ": %s\n", strerror(saved));
    exit(1);
}

/* Nanoseconds on a clock that never goes back. */
static inline uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

/* Allows this process as many descriptors as it may have. */
static inline void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Parses a decimal number that must fill the whole text and lie in 0..most. */
static inline uint64_t parse_number(const char *what, const char *text, uint64_t most)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || value > most) {
        errno = EINVAL;
        die("%s \"%s\"", what, text);
    }
    return value;
}

static inline struct sockaddr_in loopback(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static inline void set_flag(int fd, int level, int name)
{
    int yes = 1;
    if (setsockopt(fd, level, name, &yes, sizeof yes) < 0)
        die("setsockopt");
}

/* A listening, non-blocking socket on 127.0.0.1, or on each address of the loopback device; several
 * processes may share the port. */
static inline int listen_at(uint16_t port, bool everywhere)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = loopback(port);
    if (fd < 0)
        die("socket");
    if (everywhere) {
        address.sin_addr.s_addr = htonl(INADDR_ANY);
        if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", sizeof "lo") < 0)
            die("lo");
    }
    set_flag(fd, SOL_SOCKET, SO_REUSEADDR);
    set_flag(fd, SOL_SOCKET, SO_REUSEPORT);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 4096) < 0)
        die("port %u", port);
    return fd;
}

static inline int listen_on(uint16_t port)
{
    return listen_at(port, false);
}

/* A connected, non-blocking socket to 127.0.0.1, or -1. Loopback connects at once, so waiting for
 * it costs nothing and saves a state. */
static inline int connect_to(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = loopback(port);
    if (fd < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
        close(fd);
        return -1;
    }
    set_flag(fd, IPPROTO_TCP, TCP_NODELAY);
    return fd;
}

/* Registers a socket for both directions, edge-triggered, once for its whole life. */
static inline void watch(int epoll, int fd, void *owner)
{
    struct epoll_event event = {
        .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = owner};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        die("epoll_ctl");
}

/* Registers a listening socket; level-triggered, so a burst may be accepted in parts. */
static inline void watch_listener(int epoll, int fd, void *owner)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = owner};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        die("epoll_ctl");
}

/* The next waiting connection, non-blocking and without Nagle's delay, or -1 if there is none. */
static inline int accept_one(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0)
        set_flag(fd, IPPROTO_TCP, TCP_NODELAY);
    return fd;
}

struct head {
    size_t length; /* of the head with its empty line */
    uint64_t body; /* what Content-Length says, else 0 */
};

static inline uint64_t head_digits(const char *at, const char *end)
{
    uint64_t value = 0;
    while (at < end && *at == ' ')
        at++;
    while (at < end && *at >= '0' && *at <= '9')
        value = value * 10 + (uint64_t)(*at++ - '0');
    return value;
}

/* Finds the end of a head and its Content-Length in one walk over the lines. Returns false, and
 * leaves ret_head alone, if the head is not complete. */
static inline bool head_parse(const char *bytes, size_t length, struct head *ret_head)
{
    static const char name[] = "content-length:";
    const char *at = bytes, *end = bytes + length;
    uint64_t body = 0;
    for (;;) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        if (newline == NULL)
            return false;
        size_t line = (size_t)(newline - at);
        if (line <= 1) {
            *ret_head = (struct head){(size_t)(newline + 1 - bytes), body};
            return true;
        }
        if ((*at | 0x20) == 'c' && line >= sizeof name - 1 &&
            strncasecmp(at, name, sizeof name - 1) == 0)
            body = head_digits(at + sizeof name - 1, newline);
        at = newline + 1;
    }
}
