#include "prefs-db/page.h"
#include "base/log.h"
#include "base/mem.h"
#include "prefs-db/api.h"
#include "prefs-db/assets.h"

#include <pthread.h>
#include <string.h>

#define COOKIE_SECONDS   (30 * 24 * 60 * 60)
#define OVERVIEW_SECONDS 10 /* a report is kept this long */

struct page {
    struct http_server *server;
    struct prefs *store, *reader;
    int64_t project;
    pthread_mutex_t store_lock, reader_lock;
    struct strbuf overview; /* the last report, under reader_lock */
    double overview_at;
};

/* Under store_lock. 0: known, else the status. */
static unsigned authenticate(struct page *page, const struct http_request *request, struct prefs_annotator *annotator,
                             struct strbuf *out)
{
    struct err err;
    if (request->cookie == NULL) {
        return http_error(out, 401, "log in with a token first");
    }
    int result = prefs_authenticate(page->store, request->cookie, annotator, &err);
    return result == 0 ? 0 : http_error(out, result == PREFS_REFUSED ? 401 : 503, err.text);
}

/* A long read on a connection of its own, so that labelling goes on meanwhile. */
static unsigned overview(struct page *page, struct strbuf *out)
{
    unsigned status = 200;
    pthread_mutex_lock(&page->reader_lock);
    if (page->overview.length == 0 || clock_seconds() - page->overview_at > OVERVIEW_SECONDS) {
        strbuf_clear(&page->overview);
        status = api_overview(page->reader, page->project, &page->overview);
        page->overview_at = clock_seconds();
    }
    strbuf_append(out, strbuf_text(&page->overview), page->overview.length);
    if (status != 200) {
        strbuf_clear(&page->overview);
    }
    pthread_mutex_unlock(&page->reader_lock);
    return status;
}

static unsigned login(struct page *page, const struct http_request *request, struct http_answer *answer)
{
    char token[PREFS_TOKEN_SIZE];
    struct prefs_annotator annotator;
    struct err err;
    unsigned status = api_login_token(token, request->body, request->body_length, &answer->body);
    if (status != 0) {
        return status;
    }
    pthread_mutex_lock(&page->store_lock);
    int result = prefs_authenticate(page->store, token, &annotator, &err);
    pthread_mutex_unlock(&page->store_lock);
    if (result != 0) {
        return http_error(&answer->body, result == PREFS_REFUSED ? 401 : 503, err.text);
    }
    answer->sets_cookie = true;
    answer->cookie_seconds = COOKIE_SECONDS;
    strbuf_puts(&answer->cookie, token);
    strbuf_puts(&answer->body, "{}");
    return 200;
}

static unsigned answer_post(struct page *page, const struct http_request *request, struct http_answer *answer)
{
    struct prefs_annotator annotator;
    struct strbuf *out = &answer->body;
    const char *path = request->path;
    if (strcmp(path, "/api/login") == 0) {
        return login(page, request, answer);
    }
    if (strcmp(path, "/api/logout") == 0) {
        answer->sets_cookie = true;
        strbuf_puts(out, "{}");
        return 200;
    }
    pthread_mutex_lock(&page->store_lock);
    unsigned status = authenticate(page, request, &annotator, out);
    if (status != 0) {
        /* said already */
    } else if (strcmp(path, "/api/next") == 0) {
        status = api_next(page->store, page->project, &annotator, out);
    } else if (strcmp(path, "/api/judgment") == 0) {
        status = api_judgment(page->store, page->project, &annotator, request->body, request->body_length, out);
    } else if (strcmp(path, "/api/undo") == 0) {
        status = api_undo(page->store, page->project, &annotator, request->body, request->body_length, out);
    } else {
        status = http_error(out, 404, "there is nothing here");
    }
    pthread_mutex_unlock(&page->store_lock);
    return status;
}

static unsigned answer_get(struct page *page, const struct http_request *request, struct strbuf *out)
{
    struct prefs_annotator annotator;
    const char *path = request->path;
    pthread_mutex_lock(&page->store_lock);
    unsigned status = authenticate(page, request, &annotator, out);
    bool report = strcmp(path, "/api/overview") == 0;
    if (status == 0 && strcmp(path, "/api/state") == 0) {
        status = api_state(page->store, page->project, &annotator, out);
    } else if (status == 0 && !report) {
        status = http_error(out, 404, "there is nothing here");
    } else if (status == 0 && annotator.role != PREFS_ROLE_ADMIN) {
        status = http_error(out, 403, "the overview is for admins");
    }
    pthread_mutex_unlock(&page->store_lock);
    return status == 0 ? overview(page, out) : status;
}

static bool is_call(const char *path)
{
    return strncmp(path, "/api/", 5) == 0;
}

static enum http_resource find_resource(void *context, const char *path)
{
    struct asset asset;
    (void)context;
    return is_call(path) ? HTTP_CALL : asset_find(path, &asset) ? HTTP_FILE : HTTP_NOTHING;
}

static void answer_request(void *context, const struct http_request *request, struct http_answer *answer)
{
    struct page *page = context;
    struct asset asset;
    if (!is_call(request->path) && asset_find(request->path, &asset)) {
        *answer = (struct http_answer){
            .status = 200, .type = asset.type, .constant = asset.bytes, .constant_size = asset.size};
        return;
    }
    answer->type = HTTP_JSON;
    answer->status = request->post ? answer_post(page, request, answer) : answer_get(page, request, &answer->body);
}

static void page_free(struct page *page)
{
    strbuf_free(&page->overview);
    pthread_mutex_destroy(&page->store_lock);
    pthread_mutex_destroy(&page->reader_lock);
    mem_free(page);
}

int page_start(struct page **out, struct prefs *store, struct prefs *reader, const struct page_options *options,
               struct err *err)
{
    struct page *page = mem_alloc(1, sizeof *page, err);
    if (page == NULL) {
        return -1;
    }
    *page = (struct page){.store = store, .reader = reader, .project = options->project};
    pthread_mutex_init(&page->store_lock, NULL);
    pthread_mutex_init(&page->reader_lock, NULL);
    const struct http_site site = {
        .context = page,
        .find = find_resource,
        .answer = answer_request,
        .host_help = "'attune prefs serve --host NAME' allows a further one",
    };
    if (http_start(&page->server, &site, &options->http, err) != 0) {
        page_free(page);
        return -1;
    }
    *out = page;
    return 0;
}

uint16_t page_port(const struct page *page)
{
    return http_port(page->server);
}

void page_stop(struct page *page)
{
    http_stop(page->server);
    page_free(page);
}
