/* Looking at what a registry has, for `weir status`. On the control thread. */
#pragma once

#include "base/json_writer.h"
#include "base/registry.h"

/* Writes a member that has all objects of the kind of that name as a list: for each, `describe`
 * writes the members of a JSON object that has begun. */
void registry_describe(struct registry *registry, const char *kind, const char *member,
    void (*describe)(const void *object, struct json_writer *writer), struct json_writer *writer);
