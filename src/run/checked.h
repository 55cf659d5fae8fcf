/* What the checking tools must be told about stacks that the compiler does not know of:
 * AddressSanitizer keeps shadow memory and "fake" frames a stack, ThreadSanitizer a history a
 * stack, valgrind guesses stacks by the distance that the stack pointer jumps. Without them, all of
 * this compiles to nothing (valgrind's notes to a few idle instructions when stacks are made).
 *
 * The order around a switch: checked_leave on the old stack, the switch, checked_arrive on the new
 * one. */
#pragma once

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define CHECKED_ADDRESS 1
#endif
#if defined(__SANITIZE_THREAD__)
#define CHECKED_THREAD 1
#endif
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CHECKED_ADDRESS 1
#endif
#if __has_feature(thread_sanitizer)
#define CHECKED_THREAD 1
#endif
#endif
#if __has_include(<valgrind/valgrind.h>)
#define CHECKED_VALGRIND 1
#endif

#ifdef CHECKED_ADDRESS
#include <pthread.h>
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef CHECKED_THREAD
#include <sanitizer/tsan_interface.h>
#endif
#ifdef CHECKED_VALGRIND
#include <valgrind/valgrind.h>
#endif

/* The sanitizers' frames are several times as large as the usual ones. */
#if defined(CHECKED_ADDRESS) || defined(CHECKED_THREAD)
#define CHECKED_STACK_FACTOR 4
#else
#define CHECKED_STACK_FACTOR 1
#endif

/* For functions that are entered and never left, as what a fiber ends in: ThreadSanitizer counts
 * entries and exits. */
#ifndef CHECKED_THREAD
#define CHECKED_NEVER_LEFT
#elif defined(__clang__)
#define CHECKED_NEVER_LEFT __attribute__((disable_sanitizer_instrumentation))
#else
#define CHECKED_NEVER_LEFT __attribute__((no_sanitize("thread")))
#endif

/* What the tools keep for one stack. */
struct checked {
#ifdef CHECKED_ADDRESS
    const void *bottom;
    size_t size;
    void *fake_frames;
#endif
#ifdef CHECKED_THREAD
    void *history;
#endif
#ifdef CHECKED_VALGRIND
    unsigned valgrind_id;
#endif
    char nothing[0]; /* a struct has a member */
};

/* The stack that the thread came with. */
static inline void checked_adopt_thread(struct checked *checked)
{
#ifdef CHECKED_ADDRESS
    pthread_attr_t attributes;
    void *bottom = NULL;
    size_t size = 0;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        pthread_attr_getstack(&attributes, &bottom, &size);
        pthread_attr_destroy(&attributes);
    }
    checked->bottom = bottom;
    checked->size = size;
#endif
#ifdef CHECKED_THREAD
    checked->history = __tsan_get_current_fiber();
#endif
    (void)checked;
}

/* A stack was made of this memory ... */
static inline void checked_add(struct checked *checked, void *bottom, void *top)
{
#ifdef CHECKED_VALGRIND
    checked->valgrind_id = (unsigned)VALGRIND_STACK_REGISTER(bottom, top);
#endif
    (void)checked, (void)bottom, (void)top;
}

/* ... and is no more; nothing runs on it. */
static inline void checked_remove(struct checked *checked)
{
#ifdef CHECKED_THREAD
    if (checked->history)
        __tsan_destroy_fiber(checked->history);
    checked->history = NULL;
#endif
#ifdef CHECKED_VALGRIND
    VALGRIND_STACK_DEREGISTER(checked->valgrind_id);
#endif
    (void)checked;
}

/* A new life begins on the stack: what the last one left there is forgotten. */
static inline void checked_begin(struct checked *checked, void *bottom, void *top)
{
#ifdef CHECKED_ADDRESS
    checked->bottom = bottom;
    checked->size = (size_t)((char *)top - (char *)bottom);
    checked->fake_frames = NULL;
    __asan_unpoison_memory_region(bottom, checked->size);
#endif
#ifdef CHECKED_THREAD
    if (!checked->history) /* dear: kept from one life to the next */
        checked->history = __tsan_create_fiber(0);
#endif
    (void)checked, (void)bottom, (void)top;
}

/* About to switch from one to the other; `for_good` when nothing will ever come back to `from`. */
static inline void checked_leave(struct checked *from, struct checked *to, int for_good)
{
#ifdef CHECKED_ADDRESS
    __sanitizer_start_switch_fiber(for_good ? NULL : &from->fake_frames, to->bottom, to->size);
#endif
#ifdef CHECKED_THREAD
    __tsan_switch_to_fiber(to->history, 0);
#endif
    (void)from, (void)to, (void)for_good;
}

/* Just arrived on `here`, for the first time or again. */
static inline void checked_arrive(struct checked *here)
{
#ifdef CHECKED_ADDRESS
    __sanitizer_finish_switch_fiber(here->fake_frames, NULL, NULL);
#endif
    (void)here;
}
