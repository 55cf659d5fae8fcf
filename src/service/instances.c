#include "service/instances.h"

#include <openssl/crypto.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/table.h"
#include "run/loop.h"
#include "run/timer.h"
#include "run/wait.h"

struct entry {
    struct arena arena; /* all that was said */
    struct slice id, said;
    struct instance_options instance;
    int64_t lease;
    instant until;
};

struct instances {
    unsigned users;
    struct list node;            /* in the plane's list */
    struct slice service, token; /* owned */
    struct table entries;        /* by id: struct entry, owned */
    uint64_t index;
    struct wait_queue changed;
    struct timer expiry; /* of the lease that ends first, or before */
};

/* What is said of an instance when it registers. */
struct registration {
    struct instance_options instance;
    int64_t lease;
};

static void expire(struct timer *timer);
static void take_over(struct instances *instances, struct text *before);
static void instances_free(struct instances *instances);

static struct slice copy(struct slice s)
{
    return slice_of(strndup(s.size ? s.data : "", s.size), s.size);
}

static void free_entry(struct entry *entry)
{
    arena_release(&entry->arena);
    free(entry);
}

static struct instances *instances_new(struct service_plane *plane, struct slice service)
{
    struct instances *instances = calloc(1, sizeof *instances);
    if (!instances)
        return NULL;
    instances->service = copy(service);
    instances->index = 1;
    table_init(&instances->entries, INSTANCES_MAX);
    wait_queue_init(&instances->changed);
    timer_init(&instances->expiry, expire);
    list_push_back(&plane->instances, &instances->node);
    if (instances->service.data)
        take_over(instances, &plane->instances_before);
    return instances;
}

enum status instances_obtain(struct service_plane *plane, struct slice service, struct slice token,
    struct instances **ret_instances)
{
    struct slice kept = copy(token);
    struct instances *instances = instances_find(plane, service);
    if (!instances)
        instances = instances_new(plane, service);
    if (!instances || !instances->service.data || !kept.data) {
        if (instances && !instances->users)
            instances_free(instances);
        free((char *)kept.data);
        return NO_MEMORY;
    }
    instances->users++;
    free((char *)instances->token.data);
    instances->token = kept;
    *ret_instances = instances;
    return OK;
}

void instances_ref(struct instances *instances)
{
    instances->users++;
}

void instances_unref(struct instances *instances)
{
    if (instances && --instances->users == 0)
        instances_free(instances);
}

void instances_forget(struct service_plane *plane)
{
    list_each (node, &plane->instances) {
        list_remove(node);
        list_init(node);
    }
}

struct instances *instances_find(struct service_plane *plane, struct slice service)
{
    list_each (node, &plane->instances) {
        struct instances *instances = list_entry(node, struct instances, node);
        if (slice_equal(instances->service, service))
            return instances;
    }
    return NULL;
}

bool instances_admit(const struct instances *instances, struct slice token)
{
    return token.size && token.size == instances->token.size &&
           CRYPTO_memcmp(token.data, instances->token.data, token.size) == 0;
}

static void instances_free(struct instances *instances)
{
    table_each (one, &instances->entries)
        free_entry(one->value);
    table_release(&instances->entries);
    timer_cancel(&instances->expiry);
    list_remove(&instances->node);
    free((char *)instances->service.data);
    free((char *)instances->token.data);
    free(instances);
}

static void note_change(struct instances *instances)
{
    instances->index++;
    wait_queue_wake_all(&instances->changed);
}

/* --- leases */

static void plan_expiry(struct instances *instances)
{
    instant first = NEVER;
    table_each (one, &instances->entries)
        first = clock_sooner(first, ((struct entry *)one->value)->until);
    timer_set(&instances->expiry, first);
}

static struct entry *find_expired(const struct instances *instances)
{
    table_each (one, &instances->entries) {
        struct entry *entry = one->value;
        if (entry->until <= loop_now())
            return entry;
    }
    return NULL;
}

static void expire(struct timer *timer)
{
    struct instances *instances = list_entry(timer, struct instances, expiry);
    struct entry *entry;
    bool is_changed = false;
    while ((entry = find_expired(instances))) {
        table_remove(&instances->entries, entry->id);
        free_entry(entry);
        is_changed = true;
    }
    if (is_changed)
        note_change(instances);
    plan_expiry(instances);
}

static void hold_until(struct instances *instances, struct entry *entry, instant until)
{
    entry->until = until;
    if (until < instances->expiry.when)
        timer_set(&instances->expiry, until);
}

static void renew(struct instances *instances, struct entry *entry)
{
    hold_until(instances, entry, loop_now() + entry->lease);
}

/* --- registering */

static bool is_id(struct slice id)
{
    for (size_t i = 0; i < id.size; i++)
        if ((unsigned char)id.data[i] <= ' ' || (unsigned char)id.data[i] >= 127)
            return false;
    return id.size > 0 && id.size <= INSTANCE_ID_MAX;
}

static enum status read_body(struct entry *entry, struct text *trouble)
{
    struct registration said = {.lease = 0};
    struct diagnostics diagnostics;
    struct node *root;
    struct source source = {SLICE("<body>"), entry->said};
    diagnostics_init(&diagnostics, &entry->arena);
    struct reader reader = {
        .arena = &entry->arena, .diagnostics = &diagnostics, .subject = SLICE("instance")};
    enum status e = instance_json_tree(&entry->arena, &source, trouble, &root);
    if (!e)
        e = option_read(&reader, &registration_table, root, &said);
    if (!e && diagnostics.errors)
        e = INVALID;
    instance_word(&diagnostics, trouble);
    if (e)
        return e;
    entry->instance = said.instance;
    entry->lease = said.lease;
    return OK;
}

static enum status make_entry(
    struct slice id, struct slice body, struct text *trouble, struct entry **ret_entry)
{
    struct entry *entry = calloc(1, sizeof *entry);
    if (!entry)
        return NO_MEMORY;
    arena_init(&entry->arena, 1024, (size_t)1 << 20);
    entry->id = arena_copy(&entry->arena, id);
    entry->said = arena_copy(&entry->arena, body);
    enum status e = entry->id.data && entry->said.data ? OK : NO_MEMORY;
    if (!e)
        e = read_body(entry, trouble);
    if (e)
        free_entry(entry);
    else
        *ret_entry = entry;
    return e;
}

static enum status replace(
    struct instances *instances, struct entry *old, struct entry *entry, bool *ret_is_new)
{
    if (old)
        table_remove(&instances->entries, old->id);
    enum status e = table_put(&instances->entries, entry->id, entry);
    if (old)
        free_entry(old);
    if (e) {
        free_entry(entry);
        return e;
    }
    renew(instances, entry);
    note_change(instances);
    *ret_is_new = !old;
    return OK;
}

enum status instances_put(struct instances *instances, struct slice id, struct slice body,
    struct text *trouble, bool *ret_is_new)
{
    struct entry *entry, *old = table_get(&instances->entries, id);
    if (!is_id(id)) {
        text_format(trouble, "an id has 1 to %d visible characters", INSTANCE_ID_MAX);
        return INVALID;
    }
    if (!body.size && !old)
        return NOT_FOUND;
    if (!body.size || (old && slice_equal(old->said, body))) {
        renew(instances, old);
        *ret_is_new = false;
        return OK;
    }
    enum status e = make_entry(id, body, trouble, &entry);
    return e ? e : replace(instances, old, entry, ret_is_new);
}

enum status instances_remove(struct instances *instances, struct slice id)
{
    struct entry *entry = table_remove(&instances->entries, id);
    if (!entry)
        return NOT_FOUND;
    free_entry(entry);
    note_change(instances);
    return OK;
}

/* --- for a successor: JSON in lines; the first of a service has its index */

/* What each line of a service begins with. */
static void write_head(struct json_writer *w, const struct instances *instances)
{
    json_write_object(w);
    json_put_text(w, "service", instances->service);
}

static void save_service(const struct instances *instances, struct text *text)
{
    struct json_writer w;
    json_writer_init(&w, text, 0);
    write_head(&w, instances);
    json_put_u64(&w, "index", instances->index);
    json_write_object_end(&w);
    text_add_char(text, '\n');
}

static void save_entry(
    const struct instances *instances, const struct entry *entry, struct text *text)
{
    struct json_writer w;
    json_writer_init(&w, text, 0);
    write_head(&w, instances);
    json_put_text(&w, "id", entry->id);
    json_put_i64(&w, "until", entry->until);
    json_put_text(&w, "said", entry->said);
    json_write_object_end(&w);
    text_add_char(text, '\n');
}

void instances_save(struct service_plane *plane, struct text *text)
{
    list_each (node, &plane->instances) {
        const struct instances *instances = list_entry(node, struct instances, node);
        save_service(instances, text);
        table_each (one, &instances->entries)
            save_entry(instances, one->value, text);
    }
}

void instances_restore(struct service_plane *plane, struct slice text)
{
    text_add(&plane->instances_before, text);
}

static void take_entry(struct instances *instances, const struct json_value *line)
{
    struct slice id = SLICE_NONE, said = SLICE_NONE;
    struct text trouble = text_fixed(NULL, 0);
    struct entry *entry;
    int64_t until = 0;
    bool is_whole = json_get_text(line, SLICE("id"), &id) &&
                    json_get_text(line, SLICE("said"), &said) &&
                    json_get_i64(line, SLICE("until"), &until);
    if (!is_whole || !is_id(id) || until <= loop_now() || make_entry(id, said, &trouble, &entry))
        return;
    if (table_put(&instances->entries, entry->id, entry)) {
        free_entry(entry);
        return;
    }
    hold_until(instances, entry, clock_sooner(until, loop_now() + entry->lease));
}

static void take_line(struct instances *instances, struct slice text)
{
    struct json_value *line;
    struct arena arena;
    int64_t index;
    arena_init(&arena, 0, 0);
    if (json_parse(&arena, text, NULL, &line, NULL))
        line = NULL;
    if (json_get_i64(line, SLICE("index"), &index) && index > 0)
        instances->index = (uint64_t)index;
    else
        take_entry(instances, line);
    arena_release(&arena);
}

/* Each line once: whoever is registered anew later begins with nobody. */
static void take_over(struct instances *instances, struct text *before)
{
    struct slice rest = text_slice(before), line;
    struct text head = text_growing(0);
    struct json_writer w;
    if (!rest.size)
        return;
    json_writer_init(&w, &head, 0);
    write_head(&w, instances);
    text_add_char(&head, ',');
    while (!head.failed && rest.size && slice_split(&rest, '\n', &line)) {
        if (!slice_has_prefix(line, text_slice(&head)))
            continue;
        take_line(instances, line);
        before->data[line.data - before->data] = '#';
    }
    text_release(&head);
}

/* --- looking */

uint64_t instances_index(const struct instances *instances)
{
    return instances->index;
}

enum status instances_wait(struct instances *instances, uint64_t index, instant deadline)
{
    enum status e = OK;
    while (!e && instances->index == index)
        e = wait_queue_wait(&instances->changed, deadline);
    return e;
}

static void write_entry(struct json_writer *w, const struct entry *entry)
{
    char room[ADDRESS_TEXT_MAX];
    struct text address = text_fixed(room, sizeof room);
    const struct instance_options *instance = &entry->instance;
    address_format(&instance->address, &address);
    json_write_object(w);
    json_put_text(w, "id", entry->id);
    json_put_text(w, "address", text_slice(&address));
    json_put_i64(w, "weight", instance->weight);
    json_put_i64(w, "tier", instance->tier);
    json_put_text(w, "zone", instance->zone);
    json_put_text(w, "state", slice_of_text(instance_states[instance->state]));
    json_put_object(w, "labels");
    for (size_t i = 0; i < instance->labels.count; i++) {
        json_write_key(w, instance->labels.entries[i].key);
        json_write_string(w, *(const struct slice *)instance->labels.entries[i].value);
    }
    json_write_object_end(w);
    json_put_double(w, "lease_seconds", (double)entry->lease / (double)SECOND);
    json_write_object_end(w);
}

void instances_write(const struct instances *instances, struct json_writer *w)
{
    json_write_object(w);
    json_put_text(w, "service", instances->service);
    json_put_u64(w, "index", instances->index);
    json_put_array(w, "instances");
    table_each (one, &instances->entries)
        write_entry(w, one->value);
    json_write_array_end(w);
    json_write_object_end(w);
}

enum status instances_find_all(const struct instances *instances, struct findings *findings)
{
    enum status e = OK;
    table_each (one, &instances->entries)
        if (!e)
            e = instance_find(findings, &((const struct entry *)one->value)->instance, "it");
    return e;
}
