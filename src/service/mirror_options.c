#include "service/mirror_options.h"

#include "base/clock.h"
#include "config/unit.h"

/* "order.v2" or "order.v2 5%". */
static enum status read_mirror(struct reader *reader, const struct node *node, void *value)
{
    struct mirror_options *mirror = value;
    struct slice rest = node->text, name;
    const char *problem = NULL;
    if (node->kind != NODE_SCALAR || !slice_split(&rest, ' ', &name))
        return NOT_FOUND;
    mirror->to = name;
    mirror->place = node_place_at(node, 0, name.size);
    rest = slice_trim(rest);
    if (!rest.size)
        return OK;
    if (!unit_parse_share(rest, &mirror->share, &problem) && mirror->share <= 1)
        return OK;
    return diagnostics_error(reader->diagnostics,
        node_place_at(node, (size_t)(rest.data - node->text.data), rest.size), SLICE("order.v2 5%"),
        "behind the service stands the share of requests, up to 100%%");
}

#define MIRROR(member) offsetof(struct mirror_options, member)

static const char *const compares[] = {
    [MIRROR_COMPARE_STATUS] = "status", [MIRROR_COMPARE_BODY] = "body", NULL};

static const struct option rows[] = {
    {"to", OPTION_TEXT, MIRROR(to), .is_required = true, .place_offset = MIRROR(place),
        .help = "The service, or the version of one (order.v2), that gets the copies."},
    {"share", OPTION_SHARE, MIRROR(share), .fallback = "100%", .minimum = 0, .maximum = 100,
        .help = "How many of the requests are copied."},
    {"body", OPTION_SIZE, MIRROR(body), .fallback = "64KiB", .minimum = 0, .maximum = 16 << 20,
        .help = "Requests with a longer body are not copied, and counted as too-large."},
    {"copies", OPTION_INTEGER, MIRROR(copies), .fallback = "32", .minimum = 1, .maximum = 10000,
        .help = "How many copies each worker has under way; more are dropped, and counted as "
                "busy."},
    {"timeout", OPTION_DURATION, MIRROR(timeout), .fallback = "5s", .minimum = MILLISECOND,
        .maximum = DAY, .help = "How long a copy may take, its answer's body included."},
    {"unsafe", OPTION_FLAG, MIRROR(unsafe), .fallback = "false",
        .help = "Copies POST, PUT, DELETE and the like too, which change something; calls of gRPC "
                "are POST."},
    {"compare", OPTION_CHOICE, MIRROR(compare), .fallback = "status", .choices = compares,
        .help = "What is compared beside the time: the status, or the bodies as well, by a hash."},
    {NULL}};

const struct option_table mirror_table = {.name = "mirror",
    .help = "Copies of requests go to another service too. Its answers are dropped, and compared "
            "with the original ones. A copy never delays or fails the original, is asked once, and "
            "says what it is by the field X-Weir-Mirror.",
    .options = rows,
    .size = sizeof(struct mirror_options),
    .read_phrase = read_mirror,
    .example = "order.v2 5%"};
