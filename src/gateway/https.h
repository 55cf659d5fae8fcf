/* What holds for requests because of HTTPS, before they are routed. */
#pragma once

#include "gateway/entrance.h"
#include "gateway/snapshot.h"

/* MISDIRECTED: the connection is not for the request's host; PLAIN_HTTP: it should have spoken TLS;
 * then the connection is closed after the answer. */
enum status https_admit(const struct snapshot *snapshot, struct exchange *x);

/* Whether the client is to come back by HTTPS. What authorities ask for to see that a host is ours
 * (RFC 8555 §8.3) is answered where it is asked. */
bool https_is_elsewhere(const struct exchange *x);

/* 308 to the same place by HTTPS. BAD_HOST when the client does not say where it is. */
enum status https_redirect(const struct snapshot *snapshot, struct exchange *x);
