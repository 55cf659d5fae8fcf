/* Mailboxes: how threads talk. A message is posted to a loop by any thread and delivered on that
 * loop's thread, in the order of posting (per sender), outside any fiber; so `deliver` must not
 * wait (it may start a fiber). Posting never blocks and never allocates: the message is the
 * caller's memory until `deliver` is called with it. */
#pragma once

struct loop;

struct message {
    struct message *next;                     /* the mailbox' own */
    void (*deliver)(struct message *message); /* owns the message from here on */
};

/* From any thread. The loop must outlive its posters: whoever ends a loop first makes sure nobody
 * posts any more. */
void mailbox_post(struct loop *loop, struct message *message);
