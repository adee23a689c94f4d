/*
 * tests/text/helper_chat_template.h - rendering chats in tests, with what trains made visible.
 */
#ifndef ATTUNE_TESTS_TEXT_HELPER_CHAT_TEMPLATE_H
#define ATTUNE_TESTS_TEXT_HELPER_CHAT_TEMPLATE_H

#include "base/json.h"
#include "base/strbuf.h"
#include "text/chat_template/chat_template.h"

/* JSON with ' for ", so that it reads well in C. Fails the test where it is not JSON. */
json_t *json_of(const char *text);

/* Compiles; fails the test where that fails. */
struct chat_template *template_of(const char *source);

/*
 * The text of a chat with its spans in brackets: [[trained]] or, where the turn is not closed, [[trained]?. Valid until
 * the next call.
 */
const char *marked(const struct chat_template *chat, const json_t *messages, const struct chat_options *options);

/* Renders messages (as for json_of()) by a template's source and compares the marked text. */
void assert_marked(const char *source, const char *messages, const struct chat_options *options, const char *expected);

/* The same where rendering or compiling must fail with `part` in the sentence. */
void assert_template_fails(const char *source, const char *messages, const char *part);

#endif
