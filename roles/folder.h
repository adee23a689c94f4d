/*
 * roles/folder.h - what a folder that somebody names as tuned holds: an adapter, a model, or a run that is not
 * finished.
 */
#ifndef ATTUNE_ROLES_FOLDER_H
#define ATTUNE_ROLES_FOLDER_H

#include "base/err.h"

enum folder_kind { FOLDER_ADAPTER, FOLDER_MODEL };

/* Fails, saying what to give instead, where it is neither. */
int folder_look(enum folder_kind *kind, const char *folder, struct err *err);

/* The folder of the base model that an adapter names itself. NULL with *err where it leads nowhere; free with
 * mem_free(). */
char *folder_base(const char *adapter, struct err *err);

/*
 * *out: the chat template that the recipe of a run names (a file or a built-in name), NULL where the folder is that of
 * no run or the model's own template was used. Free with mem_free().
 */
int folder_chat_template(char **out, const char *folder, struct err *err);

#endif
