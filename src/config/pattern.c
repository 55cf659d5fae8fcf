/* A match needs three things besides the pattern: room for the groups, limits, and a stack for the
 * machine code. They are made once a thread and kept, since a match never waits, so that no other
 * fiber of the thread can be in one. The JIT would otherwise use 32 KiB of the caller's stack,
 * which is half of a fiber's. */
#include "config/pattern.h"

#include <pthread.h>
#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/must.h"
#include "base/text.h"

#define MATCH_LIMIT      100000 /* steps of backtracking: about a millisecond */
#define DEPTH_LIMIT      1000
#define HEAP_LIMIT       1024 /* KiB */
#define JIT_STACK_FIRST  32768
#define JIT_STACK_MAX    262144
#define PROBLEM_MAX_SIZE 256

struct pattern {
    struct slice text;  /* in the arena */
    pcre2_code *search; /* owned */
    pcre2_code *whole;  /* owned; the same, but only for all of a subject */
};

struct scratch {
    pcre2_match_data *match;     /* owned */
    pcre2_match_context *limits; /* owned */
    pcre2_jit_stack *stack;      /* owned; NULL: no JIT here */
};

static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;
static pthread_key_t scratch_key;

static void free_scratch(void *argument)
{
    struct scratch *scratch = argument;
    pcre2_match_data_free(scratch->match);
    pcre2_match_context_free(scratch->limits);
    pcre2_jit_stack_free(scratch->stack);
    free(scratch);
}

static void create_key(void)
{
    must(pthread_key_create(&scratch_key, free_scratch) == 0);
}

static struct scratch *new_scratch(void)
{
    struct scratch *scratch = calloc(1, sizeof *scratch);
    if (!scratch)
        return NULL;
    scratch->match = pcre2_match_data_create(PATTERN_GROUPS_MAX, NULL);
    scratch->limits = pcre2_match_context_create(NULL);
    scratch->stack = pcre2_jit_stack_create(JIT_STACK_FIRST, JIT_STACK_MAX, NULL);
    if (!scratch->match || !scratch->limits || pthread_setspecific(scratch_key, scratch)) {
        free_scratch(scratch);
        return NULL;
    }
    pcre2_set_match_limit(scratch->limits, MATCH_LIMIT);
    pcre2_set_depth_limit(scratch->limits, DEPTH_LIMIT);
    pcre2_set_heap_limit(scratch->limits, HEAP_LIMIT);
    if (scratch->stack)
        pcre2_jit_stack_assign(scratch->limits, NULL, scratch->stack);
    return scratch;
}

static struct scratch *get_scratch(void)
{
    pthread_once(&scratch_once, create_key);
    struct scratch *scratch = pthread_getspecific(scratch_key);
    return scratch ? scratch : new_scratch();
}

/* --- compiling */

static void free_codes(void *argument)
{
    struct pattern *pattern = argument;
    pcre2_code_free(pattern->search);
    pcre2_code_free(pattern->whole);
}

static const char *describe(struct arena *arena, int code)
{
    PCRE2_UCHAR8 message[PROBLEM_MAX_SIZE];
    if (pcre2_get_error_message(code, message, sizeof message) < 0)
        return "a malformed regular expression";
    const char *text = arena_text(arena, slice_of_text((const char *)message));
    return text ? text : "a malformed regular expression";
}

static enum status refuse(
    const char *problem, size_t offset, const char **ret_problem, size_t *ret_offset)
{
    *ret_problem = problem;
    *ret_offset = offset;
    return INVALID;
}

static enum status compile_code(struct arena *arena, struct slice text, uint32_t options,
    pcre2_code **ret_code, const char **ret_problem, size_t *ret_offset)
{
    int error;
    PCRE2_SIZE offset;
    options |= PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_DOLLAR_ENDONLY;
    PCRE2_SPTR8 bytes = (PCRE2_SPTR8)(text.size ? text.data : "");
    pcre2_code *code = pcre2_compile(bytes, text.size, options, &error, &offset, NULL);
    if (!code && error == PCRE2_ERROR_HEAP_FAILED)
        return NO_MEMORY;
    if (!code)
        return refuse(describe(arena, error), offset < text.size ? offset : text.size, ret_problem,
            ret_offset);
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); /* without JIT it is interpreted */
    *ret_code = code;
    return OK;
}

enum status pattern_compile(struct arena *arena, struct slice text, struct pattern **ret_pattern,
    const char **ret_problem, size_t *ret_offset)
{
    if (text.size > PATTERN_SIZE_MAX)
        return refuse("a regular expression has at most 4096 bytes", PATTERN_SIZE_MAX, ret_problem,
            ret_offset);
    struct pattern *pattern = arena_new(arena, struct pattern);
    if (!pattern || !arena_defer(arena, free_codes, pattern))
        return NO_MEMORY;
    pattern->text = arena_copy(arena, text);
    if (!pattern->text.data)
        return NO_MEMORY;
    enum status e = compile_code(arena, text, 0, &pattern->search, ret_problem, ret_offset);
    if (!e)
        e = compile_code(arena, text, PCRE2_ANCHORED | PCRE2_ENDANCHORED, &pattern->whole,
            ret_problem, ret_offset);
    if (e)
        return e;
    uint32_t groups = 0;
    pcre2_pattern_info(pattern->search, PCRE2_INFO_CAPTURECOUNT, &groups);
    if (groups >= PATTERN_GROUPS_MAX)
        return refuse("a regular expression has at most 15 groups; (?:…) counts not", 0,
            ret_problem, ret_offset);
    *ret_pattern = pattern;
    return OK;
}

struct slice pattern_text(const struct pattern *pattern)
{
    return pattern->text;
}

/* --- matching */

static struct slice group_at(struct slice subject, const PCRE2_SIZE *ends, int i)
{
    if (ends[2 * i] == PCRE2_UNSET || ends[2 * i] > ends[2 * i + 1])
        return SLICE_NONE;
    return slice_of(subject.data + ends[2 * i], ends[2 * i + 1] - ends[2 * i]);
}

static enum status match_from(const pcre2_code *code, struct slice subject, size_t from,
    struct slice groups[PATTERN_GROUPS_MAX])
{
    struct scratch *scratch = get_scratch();
    if (!scratch)
        return NO_MEMORY;
    if (!subject.data)
        subject.data = "";
    int count = pcre2_match(
        code, (PCRE2_SPTR8)subject.data, subject.size, from, 0, scratch->match, scratch->limits);
    if (count == PCRE2_ERROR_NOMATCH)
        return NOT_FOUND;
    if (count < 0)
        return TOO_LARGE;
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(scratch->match);
    for (int i = 0; i < PATTERN_GROUPS_MAX; i++)
        groups[i] = i < count ? group_at(subject, ends, i) : SLICE_NONE;
    return OK;
}

enum status pattern_match(const struct pattern *pattern, struct slice subject, bool whole,
    struct slice groups[PATTERN_GROUPS_MAX])
{
    return match_from(whole ? pattern->whole : pattern->search, subject, 0, groups);
}

/* --- replacing */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The number of a group by its number or name, or -1. */
static int find_group(const struct pattern *pattern, struct slice name)
{
    uint64_t number;
    uint32_t groups = 0;
    pcre2_pattern_info(pattern->search, PCRE2_INFO_CAPTURECOUNT, &groups);
    if (slice_to_u64(name, &number))
        return number <= groups ? (int)number : -1;
    char terminated[64];
    if (name.size == 0 || name.size >= sizeof terminated)
        return -1;
    memcpy(terminated, name.data, name.size);
    terminated[name.size] = '\0';
    int found = pcre2_substring_number_from_name(pattern->search, (PCRE2_SPTR8)terminated);
    return found < 0 ? -1 : found;
}

/* Reads what stands at the "$" in front of `s`: its size, and the group (-1: a dollar sign). */
static enum status read_reference(
    const struct pattern *pattern, struct slice s, size_t *ret_size, int *ret_group)
{
    struct slice name;
    if (s.size > 1 && s.data[1] == '$') {
        *ret_size = 2;
        *ret_group = -1;
        return OK;
    }
    if (s.size > 1 && is_digit(s.data[1])) {
        name = slice_of(s.data + 1, 1 + (s.size > 2 && is_digit(s.data[2])));
        *ret_size = 1 + name.size;
    } else if (s.size > 1 && s.data[1] == '{') {
        size_t end = slice_find(s, '}');
        if (end == s.size)
            return INVALID;
        name = slice_of(s.data + 2, end - 2);
        *ret_size = end + 1;
    } else {
        return INVALID;
    }
    *ret_group = find_group(pattern, name);
    return *ret_group < 0 ? NOT_FOUND : OK;
}

enum status pattern_check_replacement(const struct pattern *pattern, struct slice replacement,
    const char **ret_problem, size_t *ret_offset)
{
    for (size_t i = 0; i < replacement.size;) {
        size_t size = slice_find(slice_from(replacement, i), '$');
        i += size;
        if (i == replacement.size)
            break;
        int group;
        enum status e = read_reference(pattern, slice_from(replacement, i), &size, &group);
        if (e == NOT_FOUND)
            return refuse("the regular expression has no such group", i, ret_problem, ret_offset);
        if (e)
            return refuse(
                "a group is written $1 or ${name}, a dollar sign $$", i, ret_problem, ret_offset);
        i += size;
    }
    return OK;
}

static void add_replacement(const struct pattern *pattern, struct slice replacement,
    const struct slice groups[PATTERN_GROUPS_MAX], struct text *text)
{
    while (replacement.size) {
        size_t size = slice_find(replacement, '$');
        text_add(text, slice_head(replacement, size));
        replacement = slice_from(replacement, size);
        if (!replacement.size)
            return;
        int group;
        if (read_reference(pattern, replacement, &size, &group)) {
            size = 1; /* unchecked: as it stands */
            text_add_char(text, '$');
        } else if (group < 0) {
            text_add_char(text, '$');
        } else {
            text_add(text, groups[group]);
        }
        replacement = slice_from(replacement, size);
    }
}

static size_t next_character(struct slice s, size_t i)
{
    do
        i++;
    while (i < s.size && ((unsigned char)s.data[i] & 0xc0) == 0x80);
    return i;
}

/* Adds the subject with its matches replaced. */
static enum status replace(const struct pattern *pattern, struct slice subject,
    struct slice replacement, bool all, struct text *text)
{
    struct slice groups[PATTERN_GROUPS_MAX];
    size_t done = 0, from = 0;
    enum status e = match_from(pattern->search, subject, 0, groups);
    if (e)
        return e;
    do {
        if (!groups[0].data) /* \K has moved the beginning behind the end */
            break;
        size_t begin = (size_t)(groups[0].data - subject.data), end = begin + groups[0].size;
        text_add(text, slice_of(subject.data + done, begin - done));
        add_replacement(pattern, replacement, groups, text);
        done = end;
        from = end > begin ? end : next_character(subject, end); /* not the empty match again */
        e = all && from <= subject.size ? match_from(pattern->search, subject, from, groups)
                                        : NOT_FOUND;
    } while (!e);
    text_add(text, slice_from(subject, done));
    return e == NOT_FOUND ? OK : e;
}

enum status pattern_replace(const struct pattern *pattern, struct slice subject,
    struct slice replacement, bool all, struct arena *arena, struct slice *ret_text)
{
    if (!subject.data)
        subject.data = "";
    struct text text = text_growing(0);
    enum status e = replace(pattern, subject, replacement, all, &text);
    if (!e && text.failed)
        e = NO_MEMORY;
    if (!e) {
        struct slice copy = arena_copy(arena, text_slice(&text));
        e = copy.data ? OK : NO_MEMORY;
        if (!e)
            *ret_text = copy;
    }
    text_release(&text);
    return e;
}
