#include "main/explain_door.h"

#include <stdio.h>

#include "http/uri.h"
#include "main/command.h"

static const struct listen_address *find_door(const struct listen_options *listen, bool is_secure)
{
    const struct listen_address *found = listen->all;
    for (size_t i = listen->count; i-- > 0;) {
        const struct listen_address *one = &listen->all[i];
        if (one->kind == LISTEN_HTTP && one->is_tls == is_secure)
            found = one;
    }
    return found;
}

/* --- TLS */

static const struct served_certificate *find_certificate(
    const struct tls_plan *plan, const struct tls_host *host)
{
    for (size_t i = 0; i < plan->count; i++)
        if (host->identity_count &&
            plan->certificates[i].certificate->identity == host->identities[0])
            return &plan->certificates[i];
    return NULL;
}

static const char *clients_word(enum tls_client_certificate client)
{
    if (client == TLS_REQUIRED)
        return "clients must show one";
    return client == TLS_ASKED ? "clients may show one" : "";
}

static void explain_tls(const struct tls_plan *plan, struct slice name, struct json_writer *writer)
{
    const struct tls_host *host = plan ? tls_plan_find(plan, name) : NULL;
    bool is_named = host;
    if (!host && plan && plan->host_count)
        host = &plan->hosts[0];
    const struct served_certificate *served = host ? find_certificate(plan, host) : NULL;
    if (!served)
        return;
    int64_t until = tls_identity_until(served->certificate->identity) * SECOND;
    const char *clients = clients_word(host->client);
    if (!writer) {
        char time[ISO_TIME_SIZE];
        clock_iso_time(until, time);
        printf("tls:      %.*s, until %.10s%s%s%s\n", SLICE_ARG(served->cert_path), time,
            is_named ? "" : ", the first, since none has that name", *clients ? "; " : "", clients);
        return;
    }
    json_put_object(writer, "tls");
    json_put_text(writer, "certificate", served->cert_path);
    json_put_time(writer, "until", until);
    json_put_bool(writer, "has_the_name", is_named);
    json_put_text(writer, "clients", slice_of_text(clients));
    json_write_object_end(writer);
}

/* --- forward proxies */

static void print_targets(const struct option_list *targets)
{
    const struct proxy_pattern *patterns = targets->items;
    for (size_t i = 0; i < targets->count; i++)
        printf("%s%.*s", i ? ", " : "", SLICE_ARG(patterns[i].text));
}

static void explain_proxy(const struct listen_address *door, struct json_writer *writer)
{
    const struct option_list *targets = &door->proxy.proxy.to;
    const struct proxy_pattern *patterns = targets->items;
    if (!door->proxy.is_set)
        return;
    if (!writer) {
        printf("proxy:    takes clients to ");
        print_targets(targets);
        putchar('\n');
        return;
    }
    json_put_array(writer, "forward_proxy");
    for (size_t i = 0; i < targets->count; i++)
        json_write_string(writer, patterns[i].text);
    json_write_array_end(writer);
}

void explain_door(
    const struct snapshot *snapshot, struct slice host, bool is_secure, struct json_writer *writer)
{
    const struct listen_address *door = find_door(&snapshot->options->listen, is_secure);
    if (!door)
        return;
    if (writer)
        json_put_text(writer, "listener", door->text);
    else
        printf("listener: %.*s\n", SLICE_ARG(door->text));
    if (door->is_tls)
        explain_tls(snapshot->tls, host, writer);
    explain_proxy(door, writer);
}

static const char *leave_words(enum proxy_leave leave)
{
    static const char *const words[] = {
        [PROXY_NEVER] = "denied: nothing in the list has it",
        [PROXY_BY_ADDRESS] = "allowed if it leads to an address in the list",
        [PROXY_BY_NAME] = "allowed, to public addresses and those in the list",
    };
    return words[leave];
}

int explain_tunnel(const struct snapshot *snapshot, struct slice authority)
{
    struct arena arena;
    struct proxy_target target = {.is_tunnel = true};
    const struct listen_options *listen = &snapshot->options->listen;
    size_t found = 0;
    arena_init(&arena, 0, 0);
    enum status e = uri_parse_authority(&arena, authority, &target.host, &target.port);
    for (size_t i = 0; !e && i < listen->count; i++) {
        const struct listen_address *door = &listen->all[i];
        if (!door->proxy.is_set)
            continue;
        found++;
        printf("listener: %.*s\n", SLICE_ARG(door->text));
        explain_proxy(door, NULL);
        printf("tunnel:   %.*s, %s\n", SLICE_ARG(authority),
            leave_words(proxy_targets_look(&door->proxy.proxy.to, &target)));
    }
    arena_release(&arena);
    if (e || !target.port)
        fprintf(stderr, "weir: CONNECT needs a target such as api.example.com:443\n");
    else if (!found)
        fprintf(stderr, "weir: no listener is a forward proxy\n");
    return e || !target.port || !found ? EXIT_FAILED : EXIT_DONE;
}
