/* Finders: sources at run time: who is followed to find endpoints (discovery.h), and what is known.
 *
 * A source is kept in the registry by what it is and all its options, so services share it and
 * reloads that change nothing about it keep it. Rosters watch it and are told of each change. When
 * it goes away the last endpoints that were good stay, and it is tried again after pauses that grow
 * and are drawn at random. All on the control thread. */
#pragma once

#include "base/json_writer.h"
#include "base/list.h"
#include "service/discovery.h"
#include "service/plane.h"

struct roster;
struct finder_entry;

/* What a source is to be made of. */
struct finder_recipe {
    const struct discovery *type;
    struct slice text, rest;    /* "consul://user", "user" */
    const struct node *options; /* a map; NULL: none */
    struct place place;         /* for complaints */
};

/* A roster's interest in a source. */
struct finder_watch {
    struct list node;           /* in the roster's list */
    struct list finder_node;    /* in the source's list */
    struct finder_entry *entry; /* counted */
    struct roster *roster;      /* told by roster_update */
    const void *user;           /* whatever finds it again */
};

/* The roster watches a source from now on. INVALID after a complaint; NO_MEMORY. */
enum status finder_watch_add(struct roster *roster, struct reader *reader,
    const struct finder_recipe *recipe, const void *user);

/* All that a roster watches. */
void finder_watch_remove_all(struct roster *roster);

/* Begins to follow what the roster watches, as far as nobody does yet. When the service begins to
 * be used. */
void finder_watch_start_all(struct roster *roster);

/* The source that was added with `user`; NULL: none. */
struct finder *finder_watch_find(const struct roster *roster, const void *user);

/* What it has found, until the next change. */
const struct found_list *finder_found(const struct finder *finder);

/* Why nothing is known: INCOMPLETE, there was no answer yet; UPSTREAM_…, it cannot be asked. OK
 * once something is known, even if it is that there is nothing. */
enum status finder_outcome(const struct finder *finder);

/* For status: "sources": [...] of what a roster watches. */
void finder_watch_describe(const struct roster *roster, struct json_writer *writer);

/* At the end of the process: before the registry goes. */
void finder_collect_metrics(struct service_plane *plane);

/* --- for kinds of sources */

struct service_plane *finder_plane(const struct finder *finder);
struct slice finder_rest(const struct finder *finder);
struct slice finder_text(const struct finder *finder);

/* What tells it from others with the same text, for people and metrics: "consul://user v1". */
void finder_name_add(struct finder *finder, struct arena *arena, struct slice word);

/* All that there is. CANCELLED, and nothing is told any more: the fiber was cancelled meanwhile,
 * and who follows is to return. Not after a wait that returned that. */
enum status finder_report(struct finder *finder, const struct findings *findings);

/* There was an answer, which changes nothing. */
void finder_heard(struct finder *finder);

/* It cannot be followed now, for what was complained of; but it is known by itself when that is
 * over, so `follow` goes on. Again means nothing more. */
void finder_fail(struct finder *finder, enum status e);

/* The newest question was answered. */
bool finder_is_up(const struct finder *finder);

/* Something that the operator ought to know, though it is followed. */
void finder_say(struct finder *finder, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Why it cannot be followed, in words for people. */
void finder_complain(struct finder *finder, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
