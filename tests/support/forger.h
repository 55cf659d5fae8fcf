/* A client of TLS 1.3 whose records are made by hand, with the keys that its OpenSSL agreed on;
 * what the server answers is read by OpenSSL. */
#pragma once

#include "run/tls_core.h"
#include "support/meeting.h"

enum { CHANGE_CIPHER = 20, UNKNOWN_TYPE = 99 }; /* of records */

struct forger {
    struct meeting meeting;
    struct record_suite *suites;
    struct stream *server, *client, *wire; /* borrowed: `wire` is under the client */
    struct record_half out;
};

/* Shakes hands. `cipher`: all that the client offers; NULL: what it likes. */
void forger_begin_with(struct forger *forger, const char *cipher);
void forger_begin(struct forger *forger);
void forger_end(struct forger *forger);

/* Makes a record, with `padding` zeros behind the type; its size. */
size_t forge(
    struct forger *forger, unsigned type, struct slice content, size_t padding, char *record);
void send_forged(struct forger *forger, unsigned type, struct slice content, size_t padding);
void send_data(struct forger *forger, struct slice data);

#define UPDATE  slice_of("\x18\0\0\1\0", 5)
#define REQUEST slice_of("\x18\0\0\1\1", 5)

/* Sends one of these, and goes on with new keys. */
void update_keys(struct forger *forger, struct slice message);

/* The server writes. */
void answer(struct forger *forger, struct slice data);

/* The server, or the client, reads just these bytes, in any number of pieces. */
#define assert_hears(forger, data) check_hears((forger)->server, SLICE(data), __FILE__, __LINE__)
#define assert_told(forger, data)  check_hears((forger)->client, SLICE(data), __FILE__, __LINE__)

/* The server is done with this client, and has told it why. */
#define assert_refused(forger, alert) check_refused((forger), (alert), __FILE__, __LINE__)

void check_hears(struct stream *stream, struct slice expected, const char *file, int line);
void check_refused(struct forger *forger, int alert, const char *file, int line);
