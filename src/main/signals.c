#include "main/signals.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "run/io.h"

struct signals {
    struct io io;
    void (*got)(void *argument, int signal);
    void *argument;
};

static void arrived(void *argument, unsigned ready)
{
    struct signals *signals = argument;
    struct signalfd_siginfo info;
    (void)ready;
    while (read(signals->io.descriptor, &info, sizeof info) == (ssize_t)sizeof info)
        signals->got(signals->argument, (int)info.ssi_signo);
}

static sigset_t block(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL); /* fails for wrong arguments only */
    return set;
}

void signals_block(void)
{
    (void)block();
}

static int open_descriptor(void)
{
    sigset_t set = block();
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

enum status signals_new(
    void (*got)(void *argument, int signal), void *argument, struct signals **ret_signals)
{
    struct signals *signals = calloc(1, sizeof *signals);
    if (!signals)
        return NO_MEMORY;
    signals->got = got;
    signals->argument = argument;
    int descriptor = open_descriptor();
    enum status e = descriptor < 0 ? IO_ERROR : OK;
    if (!e)
        e = io_watch(&signals->io, descriptor, IO_READ, arrived, signals);
    if (e) {
        if (descriptor >= 0)
            close(descriptor);
        free(signals);
        return e;
    }
    *ret_signals = signals;
    return OK;
}

void signals_free(struct signals *signals)
{
    if (!signals)
        return;
    int descriptor = signals->io.descriptor;
    io_remove(&signals->io);
    close(descriptor);
    free(signals);
}
