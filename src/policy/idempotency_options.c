#include "policy/idempotency_options.h"

#define ROW(member) offsetof(struct idempotency_options, member)

static const char *const method_words[] = {"POST", "PUT", "PATCH", "DELETE", NULL};
static const enum http_method methods[] = {METHOD_POST, METHOD_PUT, METHOD_PATCH, METHOD_DELETE};
static const char *const unknown_words[] = {"refuse", "retry", NULL};
static const char *const unavailable_words[] = {"refuse", "local", "pass", NULL};

/* --- statuses */

bool idempotency_has_status(const struct idempotency_statuses *statuses, int status)
{
    unsigned i = (unsigned)status - IDEMPOTENCY_STATUS_FIRST;
    return status >= IDEMPOTENCY_STATUS_FIRST && status <= IDEMPOTENCY_STATUS_LAST &&
           statuses->bits[i / 64] >> i % 64 & 1;
}

static void add_statuses(struct idempotency_statuses *statuses, unsigned first, unsigned last)
{
    for (unsigned i = first; i <= last; i++) {
        unsigned at = i - IDEMPOTENCY_STATUS_FIRST;
        statuses->bits[at / 64] |= (uint64_t)1 << at % 64;
    }
}

/* "503", "5xx". */
static enum status read_status(struct reader *reader, const struct node *node, void *ret_value)
{
    uint64_t status;
    struct idempotency_statuses *statuses = ret_value;
    struct slice word = node->kind == NODE_SCALAR ? node->text : SLICE_NONE;
    bool is_class = word.size == 3 && slice_equal(slice_from(word, 1), SLICE("xx"));
    if (is_class && word.data[0] >= '2' && word.data[0] <= '5') {
        unsigned first = (unsigned)(word.data[0] - '0') * 100;
        add_statuses(statuses, first, first + 99);
        return OK;
    }
    if (!slice_to_u64(word, &status) || status < IDEMPOTENCY_STATUS_FIRST ||
        status > IDEMPOTENCY_STATUS_LAST)
        return diagnostics_error(reader->diagnostics, node->place, SLICE("503, or 5xx"),
            "this is no status of an answer");
    add_statuses(statuses, (unsigned)status, (unsigned)status);
    return OK;
}

static enum status read_statuses(struct reader *reader, const struct node *node, void *ret_value)
{
    enum status outcome = OK;
    if (node->kind != NODE_LIST)
        return read_status(reader, node, ret_value);
    for (size_t i = 0; i < node->count; i++) {
        enum status e = read_status(reader, node->items[i], ret_value);
        outcome = e ? e : outcome;
    }
    return outcome;
}

/* --- the table */

static const struct option method_item = {
    .name = "method", .kind = OPTION_CHOICE, .choices = method_words, .help = "A method."};
static const struct option field_item = {
    .name = "field", .kind = OPTION_TEXT, .help = "The name of a field."};

static const struct option rows[] = {
    {"methods", OPTION_LIST, ROW(methods), .item = &method_item, .item_size = sizeof(int),
        .fallback = "POST", .help = "Which requests: POST, PUT, PATCH, DELETE."},
    {"required", OPTION_FLAG, ROW(is_required), .fallback = "false",
        .help = "Whether they need an Idempotency-Key: without one they get 400. Else those "
                "without one pass as if the policy were not there."},
    {"per", OPTION_EXPRESSION, ROW(per),
        .help = "Whose keys they are. By default those of the issuer and subject that an `auth` "
                "has found; when neither is known, what Authorization says belongs to the request, "
                "so that nobody is given another's answer."},
    {"fields", OPTION_LIST, ROW(fields), .item = &field_item, .item_size = sizeof(struct slice),
        .fallback = "content-type",
        .help = "Header fields by which a request is the same, besides its method, path, query and "
                "body."},
    {"keep", OPTION_DURATION, ROW(keep), .fallback = "24h", .minimum = SECOND, .maximum = 90 * DAY,
        .help = "How long results are kept; answers say until when in Idempotency-Expires."},
    {"lease", OPTION_DURATION, ROW(lease), .fallback = "30s", .minimum = SECOND, .maximum = HOUR,
        .help = "How long a key is held by a gateway that is not heard of any more. While a "
                "request runs, it is renewed."},
    {"unknown", OPTION_CHOICE, ROW(unknown), .choices = unknown_words, .fallback = "refuse",
        .help = "When nobody can say what became of the first request, since its gateway was "
                "killed or the service did not answer, and the lease is over: `refuse` with 500, "
                "or `retry` it, which may do it twice unless the service knows Idempotency-Fence."},
    {"except", OPTION_CUSTOM, ROW(except), .read = read_statuses, .form = "503, or [429, 5xx]",
        .schema = "{\"type\": [\"integer\", \"string\", \"array\"], \"items\": {\"type\": "
                  "[\"integer\", \"string\"]}}",
        .help = "Statuses whose answers are not kept: the request may be done again. Of calls of "
                "gRPC those that their statuses stand for. By default all answers of the service "
                "are kept, also failures."},
    {"request-body", OPTION_SIZE, ROW(request_max), .fallback = "1MiB", .minimum = 0,
        .maximum = 8 << 20,
        .help = "The most bytes of a request's body, which is read before the request goes on; "
                "else 413."},
    {"answer-body", OPTION_SIZE, ROW(answer_max), .fallback = "1MiB", .minimum = 0,
        .maximum = 3 << 19,
        .help =
            "The most bytes of an answer's body that are kept. Of a larger one, and of a stream "
            "of events, the head is; who asks again gets 409."},
    {"store", OPTION_CHOICE, ROW(store), .choices = store_place_words, .fallback = "auto",
        .help = STORE_PLACE_HELP},
    {"if-unavailable", OPTION_CHOICE, ROW(if_unavailable), .choices = unavailable_words,
        .fallback = "refuse",
        .help = "When the store cannot be asked: `refuse` with 503; `local`, this gateway's memory "
                "takes its place; `pass`, the request goes on as if it had no key. With the latter "
                "two a request may be done twice."},
    {"timeout", OPTION_DURATION, ROW(timeout), .fallback = "5s", .minimum = MILLISECOND,
        .maximum = MINUTE,
        .help = "How long a request waits for the store, at most, before it runs and after; a "
                "`timeout` of the store's own may be shorter."},
    {"docs", OPTION_TEXT, ROW(docs),
        .help = "A URL where clients can read about it, for refusals (Link, rel=help)."},
    {NULL},
};

static enum status check(struct reader *reader, const struct node *node, void *value)
{
    struct idempotency_options *options = value;
    const struct slice *fields = options->fields.items;
    options->is_retried = options->unknown == 1;
    for (size_t i = 0; i < options->fields.count; i++)
        if (!field_name_is_valid(fields[i]))
            return diagnostics_error(reader->diagnostics, node->place, SLICE("content-type"),
                "\"%.*s\" is no name of a field", SLICE_ARG(slice_head(fields[i], 100)));
    for (size_t i = 0; i < options->docs.size; i++)
        if (options->docs.data[i] <= ' ' || strchr("<>\"", options->docs.data[i]) ||
            options->docs.data[i] > '~')
            return diagnostics_error(reader->diagnostics, node->place,
                SLICE("https://docs.shop.example/retries"), "`docs` is no URL");
    return OK;
}

const struct option_table idempotency_table = {
    .name = "idempotent",
    .help =
        "Does a request once, however often it is sent with the same Idempotency-Key: who sends "
        "it again gets the first one's answer.",
    .options = rows,
    .size = sizeof(struct idempotency_options),
    .shorthand = "methods",
    .check = check,
    .example = "idempotent: {methods: [POST, PATCH], required: true, keep: 48h}",
};

bool idempotency_is_for(const struct idempotency_options *options, enum http_method method)
{
    const int *words = options->methods.items;
    for (size_t i = 0; i < options->methods.count; i++)
        if (methods[words[i]] == method)
            return true;
    return false;
}
