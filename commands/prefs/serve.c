/* attune prefs serve: the labelling page. */
#include "base/args.h"
#include "base/file.h"
#include "base/log.h"
#include "commands/prefs/command.h"
#include "prefs-db/page.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define CERTIFICATE_MAX ((size_t)1 << 20)

struct wishes {
    struct page_options page;
    const char *certificate, *key, *project;
    bool remote;
};

static bool is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

static int check_wishes(const struct wishes *wishes)
{
    if (!is_loopback(wishes->page.http.address) && !wishes->remote) {
        fprintf(stderr,
                "attune prefs serve: %s can be reached from other machines; --allow-remote says that this is meant\n"
                "(a token then crosses the network: use --certificate and --key, or TLS in front, or an ssh tunnel to "
                "127.0.0.1)\n",
                wishes->page.http.address);
        return ARGS_USAGE;
    }
    if ((wishes->certificate == NULL) != (wishes->key == NULL)) {
        fprintf(stderr, "attune prefs serve: --certificate and --key go together\n");
        return ARGS_USAGE;
    }
    return 0;
}

static int serve(struct prefs *store, struct prefs *reader, const struct page_options *options, struct err *err)
{
    sigset_t stop;
    struct page *page = NULL;
    const struct http_options *http = &options->http;
    /* Blocked before the page's threads start, so that only sigwait() sees them. */
    sigemptyset(&stop);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &stop, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (page_start(&page, store, reader, options, err) != 0) {
        return -1;
    }
    bool ipv6 = strchr(http->address, ':') != NULL;
    printf("http%s://%s%s%s:%u/\n", http->certificate != NULL ? "s" : "", ipv6 ? "[" : "", http->address,
           ipv6 ? "]" : "", (unsigned)page_port(page));
    fflush(stdout);
    int signal_number = 0;
    sigwait(&stop, &signal_number);
    page_stop(page);
    return 0;
}

static int open_and_serve(struct wishes *wishes, const char *path)
{
    struct prefs *store = NULL, *reader = NULL;
    struct err err;
    struct strbuf certificate = {0}, key = {0};
    int status = prefs_open_project(&store, path, PREFS_WRITE, wishes->project, &wishes->page.project);
    if (status >= 0) {
        return status;
    }
    int result = prefs_open(&reader, path, PREFS_READ, &err);
    if (result == 0 && wishes->certificate != NULL) {
        result = file_read(&certificate, wishes->certificate, CERTIFICATE_MAX, &err) != 0 ||
                         file_read(&key, wishes->key, CERTIFICATE_MAX, &err) != 0
                     ? -1
                     : 0;
        wishes->page.http.certificate = strbuf_text(&certificate);
        wishes->page.http.key = strbuf_text(&key);
    }
    if (result == 0) {
        if (!is_loopback(wishes->page.http.address)) {
            log_warn("serving on %s: other machines can reach this page%s", wishes->page.http.address,
                     wishes->certificate == NULL
                         ? ", and tokens and labels cross the network unencrypted unless TLS stands in front"
                         : "");
        }
        result = serve(store, reader, &wishes->page, &err);
    }
    strbuf_free(&certificate);
    if (key.data != NULL) {
        explicit_bzero(key.data, key.length);
    }
    strbuf_free(&key);
    prefs_close(reader);
    prefs_close(store);
    return result != 0 ? prefs_fail(&err) : 0;
}

int prefs_command_serve(int argc, char **argv)
{
    const char *path = NULL;
    int64_t port = 8765;
    struct wishes wishes = {.page.http.address = "127.0.0.1"};
    const struct args_operand operands[] = {
        {.name = "DB", .help = "the database", .text = &path},
    };
    const struct args_option options[] = {
        {.name = "port",
         .argument = "N",
         .help = "0 takes any free one (default: 8765)",
         .whole = &port,
         .least = 0,
         .most = 65535},
        {.name = "listen",
         .argument = "ADDRESS",
         .help = "an IP address (default: 127.0.0.1)",
         .text = &wishes.page.http.address},
        {.name = "allow-remote",
         .help = "needed with --listen for an address that is not loopback",
         .flag = &wishes.remote},
        {.name = "host",
         .argument = "NAME",
         .help = "a name, with port if it has one, that browsers may use for this server",
         .text = &wishes.page.http.host},
        {.name = "certificate", .argument = "FILE", .help = "TLS certificate (PEM)", .text = &wishes.certificate},
        {.name = "key", .argument = "FILE", .help = "its private key (PEM)", .text = &wishes.key},
        {.name = "project", .argument = "NAME", .help = "the project to label", .text = &wishes.project},
    };
    const struct args_command command = {
        .name = "attune prefs serve",
        .summary =
            "Serves the labelling page and, for admins, the overview page, until interrupted. Annotators log in with "
            "the token that 'annotator add' printed.",
        .operands = operands,
        .operand_count = sizeof operands / sizeof *operands,
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    int status;
    if (!args_begin(&command, argc, argv, &status)) {
        return status;
    }
    wishes.page.http.port = (uint16_t)port;
    status = check_wishes(&wishes);
    return status != 0 ? status : open_and_serve(&wishes, path);
}
