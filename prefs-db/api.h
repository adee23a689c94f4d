/*
 * prefs-db/api.h - the JSON behind the labelling page: bodies in, answers out.
 *
 * Each call appends its answer to *out and returns the HTTP status: 200; 400 and 409 for a request that stays wrong;
 * 503 where the database could not do it now. The answer to a failure is {"error":"..."}.
 */
#ifndef ATTUNE_PREFS_DB_API_H
#define ATTUNE_PREFS_DB_API_H

#include "prefs-db/store.h"

unsigned api_state(struct prefs *store, int64_t project, const struct prefs_annotator *annotator, struct strbuf *out);
unsigned api_next(struct prefs *store, int64_t project, const struct prefs_annotator *annotator, struct strbuf *out);
/* With "next": true the answer brings the next task along, as api_next() gives it. */
unsigned api_judgment(struct prefs *store, int64_t project, const struct prefs_annotator *annotator, const char *body,
                      size_t length, struct strbuf *out);
unsigned api_undo(struct prefs *store, int64_t project, const struct prefs_annotator *annotator, const char *body,
                  size_t length, struct strbuf *out);
unsigned api_overview(struct prefs *store, int64_t project, struct strbuf *out);
/* The token of a login body; 0 on success, else the status. */
unsigned api_login_token(char token[PREFS_TOKEN_SIZE], const char *body, size_t length, struct strbuf *out);

#endif
