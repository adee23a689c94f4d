/* attune prefs serve: the labelling page. */
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
        return COMMAND_USAGE;
    }
    if ((wishes->certificate == NULL) != (wishes->key == NULL)) {
        fprintf(stderr, "attune prefs serve: --certificate and --key go together\n");
        return COMMAND_USAGE;
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
    int code = prefs_open_project(&store, path, PREFS_WRITE, wishes->project, &wishes->page.project);
    if (code >= 0) {
        return code;
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
    const char *words[PREFS_WORDS_MAX];
    int64_t port = 8765;
    struct wishes wishes = {.page.http.address = "127.0.0.1"};
    const struct prefs_option options[] = {
        {"port", OPTION_NUMBER, &port, "N", "0 takes any free one (default: 8765)", 0, 65535},
        {"listen", OPTION_TEXT, &wishes.page.http.address, "ADDRESS", "an IP address (default: 127.0.0.1)", 0, 0},
        {"allow-remote", OPTION_FLAG, &wishes.remote, NULL, "needed with --listen for an address that is not loopback",
         0, 0},
        {"host", OPTION_TEXT, &wishes.page.http.host, "NAME",
         "a name, with port if it has one, that browsers may use for this server", 0, 0},
        {"certificate", OPTION_TEXT, &wishes.certificate, "FILE", "TLS certificate (PEM)", 0, 0},
        {"key", OPTION_TEXT, &wishes.key, "FILE", "its private key (PEM)", 0, 0},
        {"project", OPTION_TEXT, &wishes.project, "NAME", "the project to label", 0, 0},
    };
    const struct prefs_usage usage = {
        "serve",
        "DB",
        1,
        1,
        "Serves the labelling page and, for admins, the overview page, until interrupted. Annotators log in with the\n"
        "token that 'annotator add' printed.",
        options,
        sizeof options / sizeof options[0]};
    int code = prefs_read_words(&usage, argc, argv, words);
    if (code >= 0) {
        return code;
    }
    wishes.page.http.port = (uint16_t)port;
    code = check_wishes(&wishes);
    return code != 0 ? code : open_and_serve(&wishes, words[0]);
}
