#include "gateway/http2_options.h"

#define H2(member) offsetof(struct http2_options, member)

static const struct option rows[] = {
    {"streams-max", OPTION_INTEGER, H2(streams_max), .fallback = "128", .minimum = 1,
        .maximum = 65536,
        .help = "How many requests may be under way at once on a connection; further ones are "
                "refused unread."},
    {"stream-window", OPTION_SIZE, H2(stream_window), .fallback = "256KiB", .minimum = 1024,
        .maximum = 1 << 30,
        .help = "How much of a request's body a client may send ahead of who reads it."},
    {"connection-window", OPTION_SIZE, H2(connection_window), .fallback = "1MiB", .minimum = 65536,
        .maximum = 1 << 30, .help = "The same for all bodies of a connection together."},
    {"continuations-max", OPTION_INTEGER, H2(continuations_max), .fallback = "8", .minimum = 1,
        .maximum = 1000, .help = "Into how many further frames a header section may be cut."},
    {"decoded-max", OPTION_SIZE, H2(decoded_max), .fallback = "1MiB", .minimum = 262144,
        .maximum = 1 << 30,
        .help =
            "How large a header section may grow while it is decoded, at 32 bytes more a field; "
            "beyond that its connection ends, not only its request."},
    {"resets", OPTION_RATE, H2(rates[H2_RESETS]), .fallback = "200/10s",
        .help = "How many requests a client may reset, or send so that they must be reset."},
    {"settings", OPTION_RATE, H2(rates[H2_SETTINGS]), .fallback = "50/10s",
        .help = "How many SETTINGS frames it may send."},
    {"pings", OPTION_RATE, H2(rates[H2_PINGS]), .fallback = "1000/10s",
        .help = "How many PING frames."},
    {"empty-frames", OPTION_RATE, H2(rates[H2_EMPTY_FRAMES]), .fallback = "200/10s",
        .help = "How many frames that carry nothing."},
    {"window-updates", OPTION_RATE, H2(rates[H2_UPDATES]), .fallback = "2000/10s",
        .help =
            "How many WINDOW_UPDATE frames beyond those that what was sent to it may bring about."},
    {"priorities", OPTION_RATE, H2(rates[H2_PRIORITIES]), .fallback = "1000/10s",
        .help = "How many PRIORITY and PRIORITY_UPDATE frames."},
    {"large-heads", OPTION_RATE, H2(rates[H2_LARGE_HEADS]), .fallback = "20/10s",
        .help = "How many requests with more fields, or larger ones, than a head may have."},
    {"stalls", OPTION_RATE, H2(rates[H2_STALLS]), .fallback = "100/min",
        .help =
            "How many answers it may leave untaken until `body-timeout` gives each of them up."},
    {NULL}};

const struct option_table http2_table = {.name = "http2",
    .help = "Bounds of HTTP/2 with clients. A client that goes beyond one of the rates loses its "
            "connection (ENHANCE_YOUR_CALM).",
    .options = rows,
    .size = sizeof(struct http2_options),
    .example = "http: {http2: {streams-max: 100, resets: 100/10s}}"};

struct slice h2_flood_name(enum h2_flood flood)
{
    static const struct slice names[H2_FLOOD_COUNT] = {
        [H2_RESETS] = SLICE_INIT("resets"),
        [H2_SETTINGS] = SLICE_INIT("settings"),
        [H2_PINGS] = SLICE_INIT("pings"),
        [H2_EMPTY_FRAMES] = SLICE_INIT("empty-frames"),
        [H2_UPDATES] = SLICE_INIT("window-updates"),
        [H2_PRIORITIES] = SLICE_INIT("priorities"),
        [H2_LARGE_HEADS] = SLICE_INIT("large-heads"),
        [H2_STALLS] = SLICE_INIT("stalls"),
        [H2_CONTINUATIONS] = SLICE_INIT("continuations"),
        [H2_SLOW_HEADS] = SLICE_INIT("slow-heads"),
    };
    return names[flood];
}
