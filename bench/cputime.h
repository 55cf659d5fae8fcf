/*
 * How much processor time other processes have used, from the scheduler's own account in
 * nanoseconds
 * (/proc/PID/task/TID/schedstat), summed over their threads. The load generator reads it at the
 * very moments when its measurement begins and ends, so that both cover the same requests.
 */
#pragma once

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

enum { CPUTIME_MOST = 64 };

struct cputime_watch {
    size_t count;
    pid_t pids[CPUTIME_MOST];
};

static inline void cputime_add(struct cputime_watch *w, pid_t pid)
{
    if (w->count < CPUTIME_MOST)
        w->pids[w->count++] = pid;
}

static inline uint64_t cputime_of_thread(pid_t pid, const char *thread)
{
    char path[64];
    unsigned long long nanoseconds = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%.20s/schedstat", (int)pid, thread);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%llu", &nanoseconds) != 1)
        nanoseconds = 0;
    fclose(file);
    return nanoseconds;
}

/* The sum over all threads of the watched processes that are alive now. */
static inline uint64_t cputime_of(const struct cputime_watch *w)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < w->count; i++) {
        char path[32];
        snprintf(path, sizeof path, "/proc/%d/task", (int)w->pids[i]);
        DIR *tasks = opendir(path);
        if (tasks == NULL)
            continue;
        for (struct dirent *entry = readdir(tasks); entry != NULL; entry = readdir(tasks)) {
            if (entry->d_name[0] != '.')
                sum += cputime_of_thread(w->pids[i], entry->d_name);
        }
        closedir(tasks);
    }
    return sum;
}
