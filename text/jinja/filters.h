/*
 * text/jinja/filters.h - the second half of the filters, for the first.
 */
#ifndef ATTUNE_TEXT_JINJA_FILTERS_H
#define ATTUNE_TEXT_JINJA_FILTERS_H

#include "text/jinja/machine.h"

/* Filters of sequences and dictionaries; NULL for an unknown name. */
const struct jinja_builtin *jinja_find_list_filter(const char *name);

#endif
