/*
 * prefs-db/page.h - the labelling page: its files, its login and its JSON interface, served by http/.
 *
 * Model answers may be anything: they travel as JSON strings only and the page shows them as text. The session's cookie
 * holds the annotator's token.
 *
 *     GET  / overview and the files they load           POST /api/login {"token"}     sets the cookie
 *     GET  /api/state     who, progress, rules          POST /api/logout {}
 *     GET  /api/overview  the report, admins only       POST /api/next {}             {"task":{..}} or {"task":null}
 *                                                       POST /api/judgment {..}       {"judgment":id}, and "task"
 *                                                       where the body says "next": true
 *                                                       POST /api/undo {"nonce"}      {"undone":true|false}
 * An error is {"error":"a sentence"}: 4xx stays wrong, 503 may be sent again (same nonce).
 */
#ifndef ATTUNE_PREFS_DB_PAGE_H
#define ATTUNE_PREFS_DB_PAGE_H

#include "http/server.h"
#include "prefs-db/store.h"

struct page_options {
    struct http_options http;
    int64_t project;
};

struct page;
/*
 * Serves in threads of its own until page_stop(). `store` (for writing) and `reader` (a second store of the same file,
 * for reports) are borrowed and may not be used by others meanwhile. The caller ignores SIGPIPE.
 */
int page_start(struct page **out, struct prefs *store, struct prefs *reader, const struct page_options *options,
               struct err *err);
uint16_t page_port(const struct page *page);
void page_stop(struct page *page);

#endif
