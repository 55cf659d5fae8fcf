#include "policy/token_memory.h"

#include <stdlib.h>

#define TOKENS_MAX ((size_t)1 << 20) /* more than the memory's size lets in */
#define KEY_SIZE   32

void token_memory_init(struct token_memory *memory)
{
    table_init(&memory->table, TOKENS_MAX);
    list_init(&memory->recent);
    memory->size = 0;
    memory->epoch = 0;
}

/* Signatures look drawn at random, so a part of one tells tokens apart. */
static struct slice key_of(struct slice text)
{
    return text.size > KEY_SIZE ? slice_from(text, text.size - KEY_SIZE) : text;
}

static void forget(struct token_memory *memory, struct known_token *token)
{
    (void)table_remove(&memory->table, key_of(token->text));
    list_remove(&token->node);
    memory->size -= token->arena.used;
    known_token_unref(token);
}

static void forget_all(struct token_memory *memory)
{
    list_each (node, &memory->recent)
        forget(memory, list_entry(node, struct known_token, node));
}

void token_memory_release(struct token_memory *memory)
{
    forget_all(memory);
    table_release(&memory->table);
}

void token_memory_turn(struct token_memory *memory, uint32_t epoch)
{
    if (memory->epoch == epoch)
        return;
    forget_all(memory);
    memory->epoch = epoch;
}

static void release_memory(void *memory)
{
    token_memory_release(memory);
}

enum status token_memories_new(
    struct arena *arena, unsigned workers, struct token_memory **ret_memories)
{
    struct token_memory *memories = arena_array(arena, workers + 1, sizeof *memories);
    if (!memories)
        return NO_MEMORY;
    for (unsigned i = 0; i < workers; i++) {
        token_memory_init(&memories[i]);
        if (!arena_defer(arena, release_memory, &memories[i]))
            return NO_MEMORY;
    }
    *ret_memories = memories;
    return OK;
}

struct known_token *token_memory_find(struct token_memory *memory, struct slice text, int64_t now)
{
    struct known_token *token = table_get(&memory->table, key_of(text));
    if (!token || !slice_equal(token->text, text))
        return NULL;
    if (now >= token->until) {
        forget(memory, token);
        return NULL;
    }
    list_remove(&token->node);
    list_push_front(&memory->recent, &token->node);
    token->users++;
    return token;
}

enum status known_token_new(struct slice text, struct known_token **ret_token)
{
    struct known_token *token = calloc(1, sizeof *token);
    if (!token)
        return NO_MEMORY;
    arena_init(&token->arena, 1024, 0);
    list_init(&token->node);
    token->users = 1;
    token->text = arena_copy(&token->arena, text);
    if (!token->text.data) {
        known_token_unref(token);
        return NO_MEMORY;
    }
    *ret_token = token;
    return OK;
}

void token_memory_add(struct token_memory *memory, struct known_token *token)
{
    struct slice key = key_of(token->text);
    if (token->arena.used > TOKEN_MEMORY_LARGE)
        return;
    struct known_token *same = table_get(&memory->table, key);
    if (same)
        forget(memory, same);
    while (memory->size + token->arena.used > TOKEN_MEMORY_SIZE)
        forget(memory, list_entry(memory->recent.previous, struct known_token, node));
    if (table_put(&memory->table, key, token))
        return;
    list_push_front(&memory->recent, &token->node);
    memory->size += token->arena.used;
    token->users++;
}

void known_token_unref(void *token)
{
    struct known_token *known = token;
    if (!known || --known->users > 0)
        return;
    arena_release(&known->arena);
    free(known);
}

enum status known_token_lend(
    struct known_token *token, struct arena *arena, const struct json_value **ret_claims)
{
    if (arena_own(arena, known_token_unref, token))
        return NO_MEMORY;
    *ret_claims = token->claims;
    return OK;
}
