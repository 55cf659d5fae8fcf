#include "config/layout_scan.h"

#include <stdlib.h>
#include <yaml.h>

#define DEPTH_MAX 1024

struct scan {
    struct layout_line *lines; /* owned */
    size_t count;
    size_t open[DEPTH_MAX]; /* lines where maps and lists begin; SIZE_MAX: not in brackets */
    size_t depth;
};

static enum status split_lines(struct scan *scan, struct slice source)
{
    size_t count = 1;
    for (size_t i = 0; i < source.size; i++)
        count += source.data[i] == '\n';
    scan->lines = calloc(count, sizeof *scan->lines);
    if (!scan->lines)
        return NO_MEMORY;
    struct slice rest = source, line;
    while (scan->count < count && slice_split(&rest, '\n', &line)) {
        if (line.size && line.data[line.size - 1] == '\r')
            line.size--;
        scan->lines[scan->count++].text = line;
    }
    return OK;
}

static size_t blanks_of(struct slice line)
{
    size_t blanks = 0;
    while (blanks < line.size && line.data[blanks] == ' ')
        blanks++;
    return blanks;
}

/* The signs behind "|" or ">" at the end of a line: "+" for all empty lines, digits for the
 * indentation. */
static void read_header(struct slice line, bool *ret_keeps, unsigned *ret_indent)
{
    size_t i = line.size;
    for (size_t j = 0; j < line.size; j++) /* the last one that begins a word */
        if ((line.data[j] == '|' || line.data[j] == '>') && (j == 0 || line.data[j - 1] == ' '))
            i = j + 1;
        else if (line.data[j] == '#' && i < line.size)
            break;
    for (; i < line.size && line.data[i] != ' '; i++) {
        if (line.data[i] == '+')
            *ret_keeps = true;
        else if (line.data[i] >= '1' && line.data[i] <= '9')
            *ret_indent = (unsigned)(line.data[i] - '0');
    }
}

static void note_body(struct scan *scan, size_t header, size_t end)
{
    bool keeps = false;
    unsigned indent = 0;
    read_header(scan->lines[header].text, &keeps, &indent);
    size_t last = end;
    while (!keeps && last > header + 1 && slice_trim(scan->lines[last - 1].text).size == 0)
        last--;
    size_t column = 0;
    for (size_t i = header + 1; i < last; i++) {
        struct slice text = scan->lines[i].text;
        if (blanks_of(text) < text.size) {
            column = blanks_of(text);
            break;
        }
    }
    for (size_t i = header + 1; i < last; i++) {
        struct layout_line *line = &scan->lines[i];
        line->kind = LINE_BODY;
        line->body_column = column;
        line->body_indent = indent;
    }
}

static void note_scalar(struct scan *scan, const yaml_event_t *event)
{
    size_t begin = event->start_mark.line, end = event->end_mark.line;
    yaml_scalar_style_t style = event->data.scalar.style;
    if (style == YAML_LITERAL_SCALAR_STYLE || style == YAML_FOLDED_SCALAR_STYLE) {
        size_t behind = end + (event->end_mark.column > 0);
        note_body(scan, begin, behind < scan->count ? behind : scan->count);
        return;
    }
    for (size_t i = begin; i < end && i + 1 < scan->count; i++) {
        scan->lines[i].keeps_end = true;
        scan->lines[i + 1].kind = LINE_FOLDED;
    }
}

static void open_collection(struct scan *scan, size_t line, bool is_flow)
{
    if (scan->depth < DEPTH_MAX)
        scan->open[scan->depth] = is_flow ? line : SIZE_MAX;
    scan->depth++;
}

static void close_collection(struct scan *scan, size_t line)
{
    scan->depth--;
    if (scan->depth >= DEPTH_MAX || scan->open[scan->depth] == SIZE_MAX)
        return;
    for (size_t i = scan->open[scan->depth] + 1; i <= line && i < scan->count; i++) {
        scan->lines[i].flow_depth++;
        if (scan->lines[i].kind == LINE_FREE)
            scan->lines[i].kind = LINE_FLOW;
    }
}

static void note(struct scan *scan, const yaml_event_t *event)
{
    size_t line = event->start_mark.line;
    switch ((int)event->type) {
    case YAML_SCALAR_EVENT:
        note_scalar(scan, event);
        return;
    case YAML_MAPPING_START_EVENT:
        open_collection(scan, line, event->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE);
        return;
    case YAML_SEQUENCE_START_EVENT:
        open_collection(scan, line, event->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE);
        return;
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        close_collection(scan, line);
        return;
    default:
        return;
    }
}

static enum status read_events(struct scan *scan, struct slice source)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return NO_MEMORY;
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(
        &parser, (const unsigned char *)(source.size ? source.data : ""), source.size);
    bool is_end = false, is_valid = true;
    while (!is_end && is_valid) {
        yaml_event_t event;
        is_valid = yaml_parser_parse(&parser, &event);
        if (!is_valid)
            break;
        note(scan, &event);
        is_end = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return is_valid ? OK : INVALID;
}

enum status layout_scan(struct slice source, struct layout_line **ret_lines, size_t *ret_count)
{
    struct scan scan = {.count = 0};
    enum status e = split_lines(&scan, source);
    if (!e)
        e = read_events(&scan, source);
    if (e) {
        free(scan.lines);
        return e;
    }
    *ret_lines = scan.lines;
    *ret_count = scan.count;
    return OK;
}
