/* Questions to a store as commands, and replies as answers. What Redis has no command for, and what
 * is to be one step there, is a script. */
#include "run/loop.h"
#include "service/plane.h"
#include "store/redis_state.h"

/* ARGV: the value, milliseconds. Gives back what is there already. */
static const struct store_script add_script = {
    .lua = "local there = redis.call('GET', KEYS[1])\n"
           "if there then return there end\n"
           "redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])\n"
           "return false\n"};

/* ARGV: what is expected, milliseconds, and the new value; without it the key goes. */
static const struct store_script swap_script = {
    .lua = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\n"
           "if ARGV[3] then\n"
           "  redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[2])\n"
           "else\n"
           "  redis.call('DEL', KEYS[1])\n"
           "end\n"
           "return 1\n"};

/* ARGV: how much, milliseconds. The sum comes back as text: a number of Lua's has no 64 bits. */
static const struct store_script count_script = {.lua =
                                                     "redis.call('INCRBY', KEYS[1], ARGV[1])\n"
                                                     "if redis.call('PTTL', KEYS[1]) < 0 then\n"
                                                     "  redis.call('PEXPIRE', KEYS[1], ARGV[2])\n"
                                                     "end\n"
                                                     "return redis.call('GET', KEYS[1])\n"};

bool redis_programs_init(struct store_program programs[REDIS_PROGRAMS])
{
    return !store_program_init(&programs[REDIS_ADD], &add_script) &&
           !store_program_init(&programs[REDIS_SWAP], &swap_script) &&
           !store_program_init(&programs[REDIS_COUNT], &count_script) &&
           !store_program_init(&programs[REDIS_PRESENCE], &presence_script);
}

/* --- commands */

static void add_word(struct redis_command *command, struct slice word)
{
    command->words[command->count++] = word;
}

static void add_number(struct redis_command *command, int64_t number)
{
    struct text text = text_fixed(command->numbers[command->number_count++], REDIS_NUMBER_ROOM);
    text_add_i64(&text, number);
    add_word(command, text_slice(&text));
}

/* Milliseconds, rounded up. */
static void add_ttl(struct redis_command *command, int64_t ttl)
{
    add_number(command, ttl / MILLISECOND + (ttl % MILLISECOND > 0));
}

/* The first words; of a program by its digest. */
static void begin(
    struct redis_command *command, const struct store_program *program, struct slice key)
{
    command->program = program;
    if (program) {
        add_word(command, SLICE("EVALSHA"));
        add_word(command, slice_of(program->sha, STORE_SHA_SIZE - 1));
        add_word(command, SLICE("1"));
    }
    add_word(command, key);
}

static void write_get(struct redis_command *command, struct slice key)
{
    add_word(command, SLICE("GET"));
    begin(command, NULL, key);
}

static void write_set(
    struct redis_command *command, const struct store_question *question, struct slice key)
{
    add_word(command, SLICE("SET"));
    begin(command, NULL, key);
    add_word(command, question->value);
    add_word(command, SLICE("PX"));
    add_ttl(command, question->ttl);
}

static void write_run(
    struct redis_command *command, const struct store_question *question, struct slice key)
{
    begin(command, question->program, key);
    for (unsigned i = 0; i < question->program->script->arguments; i++)
        add_number(command, question->arguments[i]);
}

static void write_publish(
    struct redis_command *command, const struct store_question *question, struct slice channel)
{
    add_word(command, SLICE("PUBLISH"));
    begin(command, NULL, channel);
    add_word(command, question->value);
}

static void write_command(struct redis_command *command, const struct store_program *programs,
    const struct store_question *question, struct slice key)
{
    switch (question->verb) {
    case STORE_GET:
        write_get(command, key);
        break;
    case STORE_SET:
        write_set(command, question, key);
        break;
    case STORE_ADD:
        begin(command, &programs[REDIS_ADD], key);
        add_word(command, question->value);
        add_ttl(command, question->ttl);
        break;
    case STORE_SWAP:
        begin(command, &programs[REDIS_SWAP], key);
        add_word(command, question->expected);
        add_ttl(command, question->ttl);
        if (question->value.data)
            add_word(command, question->value);
        break;
    case STORE_COUNT:
        begin(command, &programs[REDIS_COUNT], key);
        add_number(command, question->delta);
        add_ttl(command, question->ttl);
        break;
    case STORE_RUN:
        write_run(command, question, key);
        break;
    case STORE_PUBLISH:
        write_publish(command, question, key);
        break;
    }
}

/* --- replies */

/* What is there; `found` when something is. */
static enum status take_there(
    struct store_question *question, const struct resp_token *token, enum status found)
{
    if (token->kind != RESP_TEXT)
        return INVALID;
    struct slice there = arena_copy(question->arena, token->text);
    if (!there.data)
        return NO_MEMORY;
    question->there = there;
    return found;
}

static enum status take_sum(struct store_question *question, const struct resp_token *token)
{
    return token->kind == RESP_TEXT && store_read_number(token->text, &question->results[0])
               ? OK
               : INVALID;
}

static enum status take_results(
    struct store_question *question, const struct resp_token *list, struct slice rest)
{
    unsigned count = question->program->script->results;
    int64_t results[STORE_ARGUMENTS_MAX];
    if (list->kind != RESP_LIST || list->number != count)
        return INVALID;
    for (unsigned i = 0; i < count; i++) {
        struct resp_token token;
        if (resp_read(&rest, &token) || token.kind != RESP_NUMBER)
            return INVALID;
        results[i] = token.number;
    }
    memcpy(question->results, results, count * sizeof *results);
    return OK;
}

static enum status take_flag(const struct resp_token *token)
{
    if (token->kind != RESP_NUMBER)
        return INVALID;
    return token->number ? OK : CONFLICT;
}

/* What a cluster says that cannot serve was not done. */
static enum status take_error(struct redis_asking *asking, struct slice error)
{
    struct redis_redirect redirect;
    asking->is_unknown = slice_has_prefix(error, SLICE("NOSCRIPT"));
    if (slice_has_prefix(error, SLICE("CLUSTERDOWN")))
        return STORE_UNAVAILABLE;
    if (redis_redirect_read(error, &redirect))
        return INVALID;
    asking->is_redirected = true;
    asking->is_ask = redirect.is_ask;
    asking->slot = redirect.slot;
    asking->port = redirect.port;
    memcpy(asking->host, redirect.host.data, redirect.host.size);
    asking->host[redirect.host.size] = '\0';
    return INVALID;
}

static enum status take_reply(struct redis_call *call, struct slice reply)
{
    struct redis_asking *asking = (struct redis_asking *)call;
    struct store_question *question = asking->question;
    struct slice rest = reply;
    struct resp_token token;
    if (resp_read(&rest, &token))
        return INVALID;
    if (token.kind == RESP_ERROR) {
        return take_error(asking, token.text);
    }
    switch (question->verb) {
    case STORE_GET:
        return token.kind == RESP_NOTHING ? NOT_FOUND : take_there(question, &token, OK);
    case STORE_ADD:
        return token.kind == RESP_NOTHING ? OK : take_there(question, &token, CONFLICT);
    case STORE_SET:
        return token.kind == RESP_TEXT ? OK : INVALID;
    case STORE_SWAP:
        return take_flag(&token);
    case STORE_COUNT:
        return take_sum(question, &token);
    case STORE_RUN:
        return take_results(question, &token, rest);
    case STORE_PUBLISH: /* how many connections heard it at once: not how many gateways will */
        return token.kind == RESP_NUMBER ? OK : INVALID;
    }
    return INVALID;
}

/* --- asking */

/* What goes before the command stays right before it: nobody else runs between the two. */
static enum status ask_once(struct redis_link *link, const struct redis_command *command,
    struct redis_asking *asking, bool is_ask, instant deadline)
{
    asking->is_unknown = false;
    asking->call.answer = take_reply;
    if (is_ask && !redis_send(link, (const struct slice[]){SLICE_INIT("ASKING")}, 1, NULL))
        return STORE_UNAVAILABLE;
    return redis_ask(link, command->words, command->count, &asking->call, deadline);
}

/* A server that does not know a script yet is told the whole. */
enum status redis_command_ask(struct redis_link *link, struct redis_command *command,
    struct redis_asking *asking, bool is_ask, instant deadline)
{
    const struct store_program *program = command->program;
    if (program) {
        command->words[0] = SLICE("EVALSHA");
        command->words[1] = slice_of(program->sha, STORE_SHA_SIZE - 1);
    }
    enum status e = ask_once(link, command, asking, is_ask, deadline);
    if (e != INVALID || !asking->is_unknown || !program)
        return e;
    command->words[0] = SLICE("EVAL");
    command->words[1] = slice_of_text(program->script->lua);
    return ask_once(link, command, asking, is_ask, deadline);
}

enum status redis_answer_uncounted(struct redis *redis, struct store_question *question)
{
    struct redis_seat *seat = &redis->seats[question->worker];
    struct redis_command command = {.count = 0};
    struct redis_asking asking = {.question = question};
    struct text key = text_fixed(command.key, sizeof command.key);
    text_add(&key, redis->prefix);
    text_add(&key, question->key);
    if (key.failed)
        return TOO_LARGE;
    command.key_word = text_slice(&key);
    write_command(&command, redis->programs, question, command.key_word);
    instant until = clock_sooner(question->deadline, loop_now() + redis->timeout);
    enum status e = STORE_UNAVAILABLE;
    bool has_slot = seat->nodes && question->verb != STORE_PUBLISH; /* any node tells all others */
    if (seat->link)
        e = has_slot ? redis_nodes_ask(seat->nodes, &command, &asking, until)
                     : redis_command_ask(seat->link, &command, &asking, false, until);
    return e;
}

enum status redis_answer(struct store *store, struct store_question *question)
{
    struct redis *redis = (struct redis *)store;
    enum status e = redis_answer_uncounted(redis, question);
    stores_count(redis->stores, &redis->stores->redis, question->worker, e);
    return e;
}
