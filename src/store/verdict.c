#include "store/store_ops.h"

bool store_read_number(struct slice text, int64_t *ret_number)
{
    bool is_negative = slice_has_prefix(text, SLICE("-"));
    uint64_t magnitude;
    if (!slice_to_u64(slice_from(text, is_negative), &magnitude))
        return false;
    if (magnitude > (uint64_t)INT64_MAX + is_negative)
        return false;
    *ret_number = (int64_t)(is_negative ? 0 - magnitude : magnitude);
    return true;
}

static void write(struct store_verdict *verdict, struct slice value, int64_t ttl, bool is_lease)
{
    verdict->change = STORE_WRITE;
    verdict->value = value;
    verdict->ttl = ttl;
    verdict->is_lease = is_lease;
}

static enum status judge_add(
    const struct store_question *question, struct slice there, struct store_verdict *verdict)
{
    if (there.data) {
        verdict->tells = true;
        return CONFLICT;
    }
    write(verdict, question->value, question->ttl, true);
    return OK;
}

static enum status judge_swap(const struct store_question *question, struct slice there,
    bool was_lease, struct store_verdict *verdict)
{
    if (!there.data || !slice_equal(there, question->expected))
        return CONFLICT;
    if (!question->value.data)
        verdict->change = STORE_REMOVE;
    else
        write(verdict, question->value, question->ttl,
            was_lease && slice_equal(there, question->value));
    return OK;
}

static enum status judge_count(struct store_question *question, struct slice there, bool was_lease,
    struct store_verdict *verdict)
{
    int64_t number = 0, sum;
    if (there.data && !store_read_number(there, &number))
        return INVALID;
    if (__builtin_add_overflow(number, question->delta, &sum))
        return INVALID;
    question->results[0] = sum;
    text_add_i64(&verdict->made, sum);
    write(verdict, text_slice(&verdict->made), there.data ? 0 : question->ttl, was_lease);
    return OK;
}

static enum status judge_script(struct store_question *question, struct slice there, bool was_lease,
    int64_t now, struct store_verdict *verdict)
{
    struct store_cell cell = {.value = there, .now = now, .next = &verdict->made};
    const struct store_script *script = question->program->script;
    script->run(script, &cell, question->arguments, question->results);
    if (cell.ttl > 0) {
        struct slice made = text_slice(&verdict->made);
        write(verdict, made.data ? made : SLICE(""), cell.ttl, was_lease);
    } else if (cell.ttl < 0) {
        verdict->change = STORE_REMOVE;
    }
    return OK;
}

static enum status judge(struct store_question *question, struct slice there, bool was_lease,
    int64_t now, struct store_verdict *verdict)
{
    switch (question->verb) {
    case STORE_GET:
        verdict->tells = there.data;
        return there.data ? OK : NOT_FOUND;
    case STORE_SET:
        write(verdict, question->value, question->ttl, false);
        return OK;
    case STORE_ADD:
        return judge_add(question, there, verdict);
    case STORE_SWAP:
        return judge_swap(question, there, was_lease, verdict);
    case STORE_COUNT:
        return judge_count(question, there, was_lease, verdict);
    case STORE_RUN:
        return judge_script(question, there, was_lease, now, verdict);
    case STORE_PUBLISH: /* is no matter of keys */
        break;
    }
    return INVALID;
}

enum status store_judge(struct store_question *question, struct slice there, bool was_lease,
    int64_t now, struct store_verdict *ret_verdict)
{
    *ret_verdict = (struct store_verdict){.made = text_growing(STORE_VALUE_MAX)};
    enum status e = judge(question, there, was_lease, now, ret_verdict);
    e = !e && ret_verdict->made.failed ? NO_MEMORY : e;
    if (e)
        ret_verdict->change = STORE_KEEP;
    return e;
}

void store_verdict_release(struct store_verdict *verdict)
{
    text_release(&verdict->made);
}

struct store_clock store_clock_now(void)
{
    return (struct store_clock){clock_wall() - clock_now()};
}
