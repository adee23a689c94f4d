/*
 * text/chat_template/builtin.h - looking up built-in chat templates.
 */
#ifndef ATTUNE_TEXT_CHAT_TEMPLATE_BUILTIN_H
#define ATTUNE_TEXT_CHAT_TEMPLATE_BUILTIN_H

#include "base/err.h"

/* The error for a name that is not built in, with the nearest one that is. Always returns -1. */
int chat_template_unknown(const char *name, struct err *err);

#endif
