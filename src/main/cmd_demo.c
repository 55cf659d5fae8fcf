/* `weir demo`: a shop of four services behind the gateway, to look at and to play with. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/embedded.h"
#include "base/must.h"
#include "gateway/gateway.h"
#include "main/arguments.h"
#include "main/demo_service.h"
#include "main/load.h"
#include "main/local_authority.h"
#include "main/running.h"
#include "main/signals.h"
#include "run/socket.h"

#define EXAMPLE "examples/shop.yaml"

struct demo_run {
    char path[64];   /* of the configuration */
    char folder[64]; /* made for it, or "" */
    bool is_secure;
    struct local_authority authority; /* when it is */
};

#define LISTEN_LINE "listen: \"127.0.0.1:${WEIR_PORT:-8080}\"\n"

/* The example with other listeners. */
static bool write_secure(FILE *file, struct slice content, const struct local_authority *authority)
{
    size_t at = slice_find_slice(content, SLICE(LISTEN_LINE));
    must(at < content.size);
    struct slice rest = slice_from(content, at + strlen(LISTEN_LINE));
    return fwrite(content.data, 1, at, file) == at &&
           fprintf(file,
               "listen:\n"
               "  https: {address: \"127.0.0.1:${WEIR_TLS_PORT:-443}\"}\n"
               "  http: {address: \"127.0.0.1:${WEIR_PORT:-8080}\", redirect: true}\n"
               "tls: {cert: '%s', key: '%s'}\n",
               authority->cert, authority->key) > 0 &&
           fwrite(rest.data, 1, rest.size, file) == rest.size;
}

static bool write_example(FILE *file, const struct demo_run *run)
{
    struct slice content = embedded_file(SLICE("shop.yaml"));
    if (run->is_secure)
        return write_secure(file, content, &run->authority);
    return fwrite(content.data, 1, content.size, file) == content.size;
}

/* In a checkout the example itself is served, so that editing it shows a reload; else a copy of it.
 */
static bool place_configuration(struct demo_run *run)
{
    if (!run->is_secure && access(EXAMPLE, R_OK) == 0) {
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
    bool is_written = write_example(file, run);
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
    if (!getenv("WEIR_TLS_PORT") && !is_free(443)) /* or not ours to have */
        set_number("WEIR_TLS_PORT", is_free(8443) ? 8443 : 0);
}

static void print_trust(const char *authority)
{
    printf("  Browsers warn until they trust the authority that was made for you:\n"
           "    %s\n"
           "  It can vouch for localhost alone. On Debian, for everything but browsers:\n"
           "    sudo cp '%s' /usr/local/share/ca-certificates/weir-demo.crt\n"
           "    sudo update-ca-certificates\n"
           "  In Firefox and Chromium: Settings, Certificates, Authorities, Import.\n\n",
        authority, authority);
}

static void print_guide(void *argument, struct gateway *gateway)
{
    const struct demo_run *run = argument;
    char data[256], base[280];
    struct text at = text_fixed(data, sizeof data);
    unsigned port = gateway_snapshot(gateway)->https_port;
    text_add(&at, run->is_secure ? SLICE("https://localhost") : SLICE("http://"));
    if (!run->is_secure)
        gateway_print_listeners(gateway, &at);
    else if (port != 443)
        text_format(&at, ":%u", port);
    snprintf(base, sizeof base, "%.*s", SLICE_ARG(text_slice(&at)));
    printf("Weir serves %s: a shop of four services behind one door.\n\n"
           "  In a browser:  %s/\n\n",
        run->path, base);
    if (run->is_secure)
        print_trust(run->authority.authority);
    printf("  %s with curl:\n", run->is_secure ? "And" : "Or");
    static const char *const calls[] = {"%s/users", "%s/users/1", "%s/orders",
        "-d '{\"user\":1,\"total\":12}' %s/orders", "-i -X POST %s/login   # six times: then 429",
        "-X PUT '%s/orders/_switch?latency=300ms&fail=30%25'", NULL};
    char trust[LOCAL_PATH_MAX + 16] = "";
    if (run->is_secure)
        snprintf(trust, sizeof trust, "--cacert '%s' ", run->authority.authority);
    for (size_t i = 0; calls[i]; i++) {
        const char *mark = strstr(calls[i], "%s");
        printf("    curl %s%.*s%s%s\n", trust, (int)(mark - calls[i]), calls[i], base, mark + 2);
    }
    printf("\n  weir status shows the services; edit %s and it is reloaded; Ctrl-C ends it.\n",
        run->path);
    fflush(stdout);
}

static bool make_authority(struct demo_run *run)
{
    enum status e = run->is_secure ? local_authority_get(&run->authority) : OK;
    if (e)
        fprintf(stderr, "weir demo: cannot make certificates: %s\n",
            e == NOT_FOUND  ? "HOME is not set"
            : e == IO_ERROR ? strerror(errno)
                            : status_sentence(e));
    return !e;
}

static int run_demo(const char *control, bool is_secure)
{
    struct demo *demo;
    struct demo_run place = {.folder = "", .is_secure = is_secure};
    signals_block();
    if (!make_authority(&place))
        return EXIT_FAILED;
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
    bool is_secure = false;
    const struct argument taken[] = {
        {.name = "--control", .value = &control}, {.name = "--tls", .flag = &is_secure}, {0}};
    int code = arguments_read(&demo_command, count, words, taken);
    return code ? code : run_demo(control, is_secure);
}

static const char *const options[] = {"--control", "--tls", NULL};

const struct command demo_command = {.name = "demo",
    .arguments = "[--tls] [--control SOCKET]",
    .summary = "Starts four small services and the gateway in front of them.",
    .help =
        "The services keep a little state and can be made slow or faulty; a page shows the calls.\n"
        "--tls makes an authority for this machine and serves https://localhost.",
    .options = options,
    .run = run};
