/* The WebSocket handshake (RFC 6455 §4): what a client's request must say, what the service is
 * asked, and whether the service's 101 answers that.
 *
 * By HTTP/2 the same is said in other words (RFC 8441): they are translated as they come in and
 * as they go out, and nobody in between knows. */
#pragma once

#include "http/exchange.h"

/* Makes of an extended CONNECT what a client of HTTP/1.1 would have asked: GET, Upgrade, and a key,
 * made of `random`, which HTTP/2 does not have. NO_MEMORY. */
enum status websocket_from_connect(struct http_request *request, const uint64_t random[2]);

/* The other way: of an answer of 101, one of 200 without the key's. */
void websocket_to_connect(struct http_response *response);

/* Of a service's answer to an extended CONNECT that was made of the request: of one of 2xx, the 101
 * that a service of HTTP/1.1 would have given. NO_MEMORY. */
enum status websocket_from_connected(
    const struct http_request *request, struct http_response *response);

/* True when the request asks to go on as a WebSocket. Other things that Upgrade may
 * ask for are passed over, as RFC 9110 §7.8 allows. To be asked before the fields that mean one
 * connection only are taken off. */
bool websocket_is_asked_for(const struct http_request *request);

/* Checks the rest of the handshake, and leaves of the extensions offered only permessage-deflate,
 * which the gateway can read past. BAD_HANDSHAKE; WEBSOCKET_VERSION, with the version that is
 * spoken here among the answer's fields (§4.4); NO_MEMORY. */
enum status websocket_check_request(struct exchange *x);

/* Whether a 101 is the answer to the request: its Upgrade and Connection, its key, and nothing
 * chosen that was not offered. `*ret_compresses`: permessage-deflate was agreed on.
 * UPSTREAM_UPGRADE. */
enum status websocket_check_response(
    const struct http_request *request, const struct http_response *response, bool *ret_compresses);

/* The Sec-WebSocket-Accept of a key, as 28 characters. */
#define WEBSOCKET_ACCEPT_SIZE 28
void websocket_accept(struct slice key, char accept[WEBSOCKET_ACCEPT_SIZE + 2]);
