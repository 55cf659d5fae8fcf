/* What registries answer, made into findings. One function a kind of source, each in its file. For
 * the fuzzer, which has no finder to complain to: then the source's is NULL, its options cleared.
 */
#pragma once

#include "service/http_source.h"

/* INVALID after a complaint, NO_MEMORY, FULL, CANCELLED. */
enum status consul_read(
    struct http_source *source, const struct json_value *root, struct findings *findings);
enum status docker_read(
    struct http_source *source, const struct json_value *root, struct findings *findings);
enum status eureka_read(
    struct http_source *source, const struct json_value *root, struct findings *findings);

/* One EndpointSlice, which need not live on. */
enum status k8s_read(
    struct http_source *source, const struct json_value *slice, struct findings *findings);

/* One key of etcd with its value, in base64 both. INVALID, with what is wrong in `trouble`. */
enum status etcd_read(const struct json_value *kv, struct findings *findings, struct text *trouble);

#define REGISTRY_OPTIONS_ROOM 4096 /* more than the options of any of them take */
