#include "config/yaml_problem.h"

enum pointing {
    AT_PROBLEM, /* where the reader stopped */
    AT_CONTEXT, /* where the thing began that is wrong */
    AT_BOTH,    /* the former, with the latter as a second place */
};

/* The first row whose context (if it has one) and problem are libyaml's. */
static const struct wording {
    const char *context, *problem;
    enum pointing pointing;
    const char *message, *hint, *related;
} wordings[] = {
    {NULL, "could not find expected ':'", AT_CONTEXT, "a \":\" is missing behind this key",
        "key: value", NULL},
    {NULL, "mapping values are not allowed in this context", AT_PROBLEM,
        "a \":\" is not allowed here",
        "text with a colon and a blank in it needs quotes; a map begins on a line of its own",
        NULL},
    {NULL, "mapping keys are not allowed in this context", AT_PROBLEM,
        "a \"?\" is not allowed here", "text that begins with it needs quotes", NULL},
    {NULL, "block sequence entries are not allowed in this context", AT_PROBLEM,
        "a list's \"-\" is not allowed here", "put each item on a line of its own, or write [a, b]",
        NULL},
    {"while scanning a quoted scalar", "found unexpected end of stream", AT_CONTEXT,
        "this quote is never closed", "", NULL},
    {"while scanning a quoted scalar", "found unexpected document indicator", AT_CONTEXT,
        "this quote is never closed", "", NULL},
    {NULL, "found unknown escape character", AT_PROBLEM, "an unknown escape in double quotes",
        "write \\\\ for a backslash, or use single quotes", NULL},
    {NULL, "did not find expected hexdecimal number", AT_PROBLEM,
        "an escape in double quotes has too few hexadecimal digits", "\\x41, \\u0041, \\U00000041",
        NULL},
    {NULL, "found invalid Unicode character escape code", AT_PROBLEM,
        "an escape in double quotes means no character", "", NULL},
    {NULL, "did not find expected comment or line break", AT_PROBLEM,
        "only a comment may stand behind \"|\" or \">\"", "the text begins on the next line", NULL},
    {NULL, "found an indentation indicator equal to 0", AT_PROBLEM,
        "the number behind \"|\" or \">\" is 1 to 9", "", NULL},
    {NULL, "found a tab character where an indentation space is expected", AT_PROBLEM,
        "a tab is not allowed here", "indent with blanks", NULL},
    {NULL, "found a tab character that violates indentation", AT_PROBLEM,
        "a tab is not allowed here", "indent with blanks", NULL},
    {"while scanning an alias", NULL, AT_CONTEXT, "a \"*\" refers to the name behind it",
        "text that begins with it needs quotes", NULL},
    {"while scanning an anchor", NULL, AT_CONTEXT, "an \"&\" gives the name behind it to a value",
        "text that begins with it needs quotes", NULL},
    {"while scanning a tag", NULL, AT_CONTEXT, "tags are not read",
        "text that begins with \"!\" needs quotes", NULL},
    {"while parsing a tag", NULL, AT_CONTEXT, "tags are not read",
        "text that begins with \"!\" needs quotes", NULL},
    {"while parsing a node", NULL, AT_PROBLEM, "tags are not read",
        "text that begins with \"!\" needs quotes", NULL},
    {"while scanning a directive", NULL, AT_CONTEXT, "text cannot begin with \"%\"",
        "put it into quotes", NULL},
    {"while scanning a %YAML directive", NULL, AT_CONTEXT, "a malformed version of YAML",
        "this line can be left out", NULL},
    {"while scanning a %TAG directive", NULL, AT_CONTEXT, "tags are not read",
        "this line can be left out", NULL},
    {"while parsing a %TAG directive", NULL, AT_CONTEXT, "tags are not read",
        "this line can be left out", NULL},
    {NULL, "found duplicate %YAML directive", AT_PROBLEM, "a second version of YAML",
        "this line can be left out", NULL},
    {NULL, "found incompatible YAML document", AT_PROBLEM, "YAML 1.1 and 1.2 are read, no other",
        "this line can be left out", NULL},
    {NULL, "found unexpected ':'", AT_PROBLEM, "a \":\" is not allowed here",
        "text with a colon in it needs quotes", NULL},
    {NULL, "did not find expected key", AT_BOTH, "this is no key of the map that it stands in",
        "is the indentation right?", "the map begins here"},
    {NULL, "did not find expected '-' indicator", AT_BOTH,
        "this is no item of the list that it stands in",
        "is the indentation right, or a \"-\" missing?", "the list begins here"},
    {NULL, "did not find expected ',' or ']'", AT_BOTH, "a \",\" or \"]\" is missing", "",
        "the list begins here"},
    {NULL, "did not find expected ',' or '}'", AT_BOTH, "a \",\" or \"}\" is missing", "",
        "the map begins here"},
    {NULL, "did not find expected node content", AT_PROBLEM, "a value is missing here", "", NULL},
    {NULL, "did not find expected <document start>", AT_PROBLEM,
        "this does not belong to what stands above", "is the indentation right?", NULL},
};

struct place yaml_problem_place(const struct source *source, const yaml_mark_t *mark)
{
    return (struct place){source, (uint32_t)mark->line + 1, (uint32_t)mark->column + 1, 1};
}

static bool is_same(const char *wanted, const char *given)
{
    return !wanted || (given && strcmp(wanted, given) == 0);
}

static const struct wording *find_wording(const yaml_parser_t *parser)
{
    for (size_t i = 0; i < sizeof wordings / sizeof *wordings; i++)
        if (is_same(wordings[i].context, parser->context) &&
            is_same(wordings[i].problem, parser->problem))
            return &wordings[i];
    return NULL;
}

/* A character that begins nothing: most often a tab, or one that YAML keeps for itself. */
static enum status report_character(struct diagnostics *diagnostics, struct place place)
{
    struct slice rest = source_from(&place);
    char c = rest.size ? rest.data[0] : '\0';
    if (c == '\t')
        return diagnostics_error(
            diagnostics, place, SLICE("indent with blanks"), "a tab is not allowed here");
    if (c == '@' || c == '`' || c == '%')
        return diagnostics_error(
            diagnostics, place, SLICE("put it into quotes"), "text cannot begin with \"%c\"", c);
    return diagnostics_error(
        diagnostics, place, SLICE("put the text into quotes"), "this cannot begin a value");
}

/* True when nothing but blanks and comments follows: then not the end is interesting, but what was
 * never closed. */
static bool is_at_end(const struct source *source, struct place place)
{
    struct slice at = source_from(&place);
    if (!at.data)
        at = source_line(source, place.line);
    if (!at.data)
        return true;
    struct slice rest = slice_from(source->text, (size_t)(at.data - source->text.data)), line;
    while (slice_split(&rest, '\n', &line)) {
        line = slice_trim(line);
        if (line.size && line.data[0] != '#' && line.data[0] != '\r')
            return false;
    }
    return true;
}

static enum status report_worded(const yaml_parser_t *parser, const struct source *source,
    const struct wording *wording, struct diagnostics *diagnostics)
{
    struct place problem = yaml_problem_place(source, &parser->problem_mark);
    struct place context = yaml_problem_place(source, &parser->context_mark);
    struct slice hint = slice_of_text(wording->hint);
    bool is_flow = strstr(wording->message, "\",\"") != NULL;
    if (is_flow && is_at_end(source, problem))
        return diagnostics_error(diagnostics, context, SLICE(""), "this bracket is never closed");
    if (is_same("did not find expected node content", parser->problem) &&
        is_at_end(source, problem))
        return diagnostics_error(diagnostics, problem, SLICE("is a bracket not closed?"),
            "the text ends in the middle of a value");
    diagnostics_error(diagnostics, wording->pointing == AT_CONTEXT ? context : problem, hint, "%s",
        wording->message);
    if (wording->pointing == AT_BOTH)
        diagnostics_relate(diagnostics, context, wording->related);
    return INVALID;
}

enum status yaml_problem_report(
    const yaml_parser_t *parser, const struct source *source, struct diagnostics *diagnostics)
{
    if (parser->error == YAML_MEMORY_ERROR || !parser->problem)
        return NO_MEMORY;
    struct place place = yaml_problem_place(source, &parser->problem_mark);
    if (is_same("found character that cannot start any token", parser->problem))
        return report_character(diagnostics, place);
    const struct wording *wording = find_wording(parser);
    if (wording)
        return report_worded(parser, source, wording, diagnostics);
    return diagnostics_error(
        diagnostics, place, SLICE(""), "this is not YAML: %s", parser->problem);
}
