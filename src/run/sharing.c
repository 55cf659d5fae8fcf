#include "run/sharing.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/must.h"
#include "run/acceptor.h"
#include "run/loop.h"
#include "run/mailbox.h"

#define LINE 64

struct share_member {
    _Alignas(LINE) _Atomic size_t count;
    struct share_group *group;
    size_t index;
    struct loop *loop;
};

/* A connection on its way to another worker. */
struct handed {
    struct handed *next;
    int descriptor;
    struct address peer;
};

/* What others have handed to one member for one listener: a stack that anyone may push onto while
 * it is open. Only the member opens, empties and closes it. */
struct inbox {
    _Alignas(LINE) _Atomic(struct handed *) first; /* CLOSED_INBOX: none may */
    _Atomic bool is_rung;                          /* the message is on its way */
    struct message bell;
    struct shared_acceptor *acceptor; /* the member's; NULL when closed */
};

/* One listening descriptor. Stays with the group when all acceptors are gone, since another worker
 * may just be looking at it; a later socket with the same number uses it again. */
struct share_listener {
    struct share_listener *next;
    int descriptor;
    struct inbox inboxes[]; /* by member */
};

struct share_group {
    pthread_mutex_t lock;             /* for joining and for adding listeners */
    struct share_listener *listeners; /* owned */
    size_t capacity;
    _Atomic size_t count;
    struct share_member members[];
};

struct shared_acceptor {
    struct acceptor acceptor; /* first: acceptor_free frees it */
    accept_callback *accepted;
    void *argument; /* of `accepted` */
    struct share_member *member;
    struct share_listener *listener;
    struct inbox *inbox;
};

/* What `first` points at when the inbox is closed. */
static const struct handed closed_inbox;
#define CLOSED_INBOX ((struct handed *)&closed_inbox)

enum status share_group_new(size_t capacity, struct share_group **ret_group)
{
    size_t size = sizeof(struct share_group) + capacity * sizeof(struct share_member);
    struct share_group *group = aligned_alloc(LINE, (size + LINE - 1) / LINE * LINE);
    if (!group)
        return NO_MEMORY;
    memset(group, 0, size);
    pthread_mutex_init(&group->lock, NULL);
    group->capacity = capacity;
    *ret_group = group;
    return OK;
}

void share_group_free(struct share_group *group)
{
    if (!group)
        return;
    while (group->listeners) {
        struct share_listener *listener = group->listeners;
        group->listeners = listener->next;
        free(listener);
    }
    pthread_mutex_destroy(&group->lock);
    free(group);
}

enum status share_join(struct share_group *group, struct share_member **ret_member)
{
    pthread_mutex_lock(&group->lock);
    size_t index = atomic_load(&group->count);
    if (index < group->capacity) {
        struct share_member *member = &group->members[index];
        *member = (struct share_member){.group = group, .index = index, .loop = loop_current()};
        atomic_store(&group->count, index + 1);
        *ret_member = member;
    }
    pthread_mutex_unlock(&group->lock);
    return index < group->capacity ? OK : FULL;
}

static struct handed *take_all(struct inbox *inbox)
{
    return atomic_exchange(&inbox->first, NULL);
}

/* Gives what was handed over to the callback, which may free the acceptor. */
static void welcome(struct shared_acceptor *shared, struct handed *handed)
{
    while (handed) {
        struct handed *next = handed->next;
        shared->accepted(shared->argument, handed->descriptor, &handed->peer);
        free(handed);
        handed = next;
    }
}

/* `is_rung` is cleared first: whoever pushes after that rings again. */
static void bell_rang(struct message *message)
{
    struct inbox *inbox = list_entry(message, struct inbox, bell);
    atomic_store(&inbox->is_rung, false);
    struct shared_acceptor *shared = inbox->acceptor;
    if (!shared)
        return;
    acceptor_hold(&shared->acceptor);
    welcome(shared, take_all(inbox));
    acceptor_let_go(&shared->acceptor);
}

/* False: it is closed, or there is no memory. */
static bool hand_over(
    struct inbox *inbox, struct loop *loop, int descriptor, const struct address *peer)
{
    struct handed *handed = malloc(sizeof *handed);
    if (!handed)
        return false;
    *handed = (struct handed){atomic_load(&inbox->first), descriptor, *peer};
    do {
        if (handed->next == CLOSED_INBOX) {
            free(handed);
            return false;
        }
    } while (!atomic_compare_exchange_weak(&inbox->first, &handed->next, handed));
    if (!atomic_exchange(&inbox->is_rung, true))
        mailbox_post(loop, &inbox->bell);
    return true;
}

static size_t count_of(const struct share_member *member)
{
    return atomic_load_explicit(&member->count, memory_order_relaxed);
}

/* Who should have the next connection: the member itself, unless it has more than a sixteenth over
 * the average. */
static struct share_member *choose(struct share_member *self, const struct share_listener *listener)
{
    struct share_group *group = self->group;
    struct share_member *least = self;
    size_t members = atomic_load_explicit(&group->count, memory_order_acquire);
    size_t total = 0, own = count_of(self), fewest = own;
    for (size_t i = 0; i < members; i++) {
        size_t count = count_of(&group->members[i]);
        total += count;
        if (count < fewest && atomic_load_explicit(&listener->inboxes[i].first,
                                  memory_order_relaxed) != CLOSED_INBOX) {
            least = &group->members[i];
            fewest = count;
        }
    }
    return own * members > total + total / 16 + members ? least : self;
}

static void accepted_by_kernel(void *argument, int descriptor, const struct address *peer)
{
    struct shared_acceptor *shared = argument;
    struct share_member *self = shared->member;
    struct share_member *chosen = choose(self, shared->listener);
    atomic_fetch_add_explicit(&chosen->count, 1, memory_order_relaxed);
    if (chosen != self) {
        if (hand_over(&shared->listener->inboxes[chosen->index], chosen->loop, descriptor, peer))
            return;
        atomic_fetch_sub_explicit(&chosen->count, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&self->count, 1, memory_order_relaxed);
    }
    shared->accepted(shared->argument, descriptor, peer);
}

static struct share_listener *new_listener(struct share_group *group, int descriptor)
{
    size_t size = sizeof(struct share_listener) + group->capacity * sizeof(struct inbox);
    struct share_listener *listener = aligned_alloc(LINE, (size + LINE - 1) / LINE * LINE);
    if (!listener)
        return NULL;
    listener->descriptor = descriptor;
    for (size_t i = 0; i < group->capacity; i++) {
        struct inbox *inbox = &listener->inboxes[i];
        *inbox = (struct inbox){.bell.deliver = bell_rang};
        atomic_init(&inbox->first, CLOSED_INBOX);
    }
    listener->next = group->listeners;
    group->listeners = listener;
    return listener;
}

static struct share_listener *find_listener(struct share_group *group, int descriptor)
{
    pthread_mutex_lock(&group->lock);
    struct share_listener *listener = group->listeners;
    while (listener && listener->descriptor != descriptor)
        listener = listener->next;
    if (!listener)
        listener = new_listener(group, descriptor);
    pthread_mutex_unlock(&group->lock);
    return listener;
}

static void close_inbox(struct acceptor *acceptor)
{
    struct shared_acceptor *shared = (struct shared_acceptor *)acceptor;
    shared->inbox->acceptor = NULL;
    welcome(shared, atomic_exchange(&shared->inbox->first, CLOSED_INBOX));
}

enum status acceptor_new_shared(int descriptor, struct share_member *member,
    accept_callback *accepted, void *argument, struct acceptor **ret_acceptor)
{
    must(member->loop == loop_current());
    struct share_listener *listener = find_listener(member->group, descriptor);
    struct shared_acceptor *shared = listener ? malloc(sizeof *shared) : NULL;
    if (!shared)
        return NO_MEMORY;
    struct inbox *inbox = &listener->inboxes[member->index];
    enum status e = EXISTS;
    if (!inbox->acceptor)
        e = acceptor_open(&shared->acceptor, descriptor, accepted_by_kernel, shared);
    if (e) {
        free(shared);
        return e;
    }
    shared->acceptor.closed = close_inbox;
    shared->accepted = accepted;
    shared->argument = argument;
    shared->member = member;
    shared->listener = listener;
    shared->inbox = inbox;
    inbox->acceptor = shared;
    atomic_store(&inbox->first, NULL);
    *ret_acceptor = &shared->acceptor;
    return OK;
}

void share_done(struct share_member *member)
{
    must(count_of(member) > 0);
    atomic_fetch_sub_explicit(&member->count, 1, memory_order_relaxed);
}

size_t share_count(const struct share_member *member)
{
    return count_of(member);
}
