/* `weir demo`: a shop of four services behind the gateway, to look at and to play with. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/embedded.h"
#include "gateway/gateway.h"
#include "main/arguments.h"
#include "main/demo_service.h"
#include "main/load.h"
#include "main/running.h"
#include "main/signals.h"
#include "run/socket.h"

#define EXAMPLE "examples/shop.yaml"

struct demo_run {
    char path[64];   /* of the configuration */
    char folder[64]; /* made for it, or "" */
};

/* In a checkout the example itself is served, so that editing it shows a reload; else a copy of it.
 */
static bool place_configuration(struct demo_run *run)
{
    struct slice content = embedded_file(SLICE("shop.yaml"));
    if (access(EXAMPLE, R_OK) == 0) {
        snprintf(run->path, sizeof run->path, "%s", EXAMPLE);
        return true;
    }
    snprintf(run->folder, sizeof run->folder, "/tmp/weir-demo-XXXXXX");
    if (!mkdtemp(run->folder))
        return false;
    snprintf(run->path, sizeof run->path, "%.40s/shop.yaml", run->folder);
    FILE *file = fopen(run->path, "w");
    if (!file)
        return false;
    bool is_written = fwrite(content.data, 1, content.size, file) == content.size;
    return fclose(file) == 0 && is_written;
}

static void remove_configuration(const struct demo_run *run)
{
    if (!run->folder[0])
        return;
    (void)unlink(run->path);
    (void)rmdir(run->folder);
}

static bool is_free(uint16_t port)
{
    struct address address;
    int descriptor;
    if (address_parse_ip(SLICE("127.0.0.1"), port, &address) ||
        socket_listen(&address, 1, &descriptor))
        return false;
    close(descriptor);
    return true;
}

static void set_number(const char *name, uint16_t number)
{
    char text[8];
    snprintf(text, sizeof text, "%u", number);
    setenv(name, text, 1);
}

/* The example reads its ports from the environment: those that are taken are replaced. */
static void set_ports(const struct demo *demo)
{
    set_number("USER_PORT", demo_port(demo, "users"));
    set_number("ORDER_PORT", demo_port(demo, "orders"));
    set_number("PAYMENT_PORT", demo_port(demo, "payments"));
    set_number("CART_PORT", demo_port(demo, "cart"));
    set_number("PAGE_PORT", demo_port(demo, "page"));
    if (!getenv("WEIR_PORT") && !is_free(8080))
        set_number("WEIR_PORT", 0);
    if (!getenv("WEIR_ADMIN_PORT") && !is_free(8081))
        set_number("WEIR_ADMIN_PORT", 0);
}

static void print_guide(void *argument, struct gateway *gateway)
{
    const struct demo_run *run = argument;
    char data[256];
    struct text at = text_fixed(data, sizeof data);
    gateway_print_listeners(gateway, &at);
    printf("Weir serves %s: a shop of four services behind one door.\n\n"
           "  In a browser:  http://%.*s/\n\n  Or with curl:\n",
        run->path, SLICE_ARG(text_slice(&at)));
    static const char *const calls[] = {"%s/users", "%s/users/1", "%s/orders",
        "-d '{\"user\":1,\"total\":12}' %s/orders", "-i -X POST %s/login   # six times: then 429",
        "-X PUT '%s/orders/_switch?latency=300ms&fail=30%25'", NULL};
    char base[280];
    snprintf(base, sizeof base, "http://%.*s", SLICE_ARG(text_slice(&at)));
    for (size_t i = 0; calls[i]; i++) {
        const char *mark = strstr(calls[i], "%s");
        printf("    curl %.*s%s%s\n", (int)(mark - calls[i]), calls[i], base, mark + 2);
    }
    printf("\n  weir status shows the services; edit %s and it is reloaded; Ctrl-C ends it.\n",
        run->path);
    fflush(stdout);
}

static int run_demo(const char *control)
{
    struct demo *demo;
    struct demo_run place = {.folder = ""};
    signals_block();
    enum status e = demo_start(&demo);
    if (e) {
        fprintf(stderr, "weir demo: cannot start the services: %s\n", status_sentence(e));
        return EXIT_FAILED;
    }
    set_ports(demo);
    int code = EXIT_FAILED;
    if (place_configuration(&place))
        code = running_run(&(struct run_options){.path = place.path,
            .control = control,
            .watches = true,
            .ready = print_guide,
            .argument = &place});
    else
        fprintf(stderr, "weir demo: cannot write %s: %s\n", place.path, strerror(errno));
    remove_configuration(&place);
    demo_stop(demo);
    return code;
}

static int run(int count, char **words)
{
    const char *control = NULL;
    const struct argument taken[] = {{.name = "--control", .value = &control}, {0}};
    int code = arguments_read(&demo_command, count, words, taken);
    return code ? code : run_demo(control);
}

static const char *const options[] = {"--control", NULL};

const struct command demo_command = {.name = "demo",
    .arguments = "[--control SOCKET]",
    .summary = "Starts four small services and the gateway in front of them.",
    .help =
        "The services keep a little state and can be made slow or faulty; a page shows the calls.",
    .options = options,
    .run = run};
