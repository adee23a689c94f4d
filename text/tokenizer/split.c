/*
 * What becomes of matches: the five behaviors of a split, as the library has them.
 */
#include "text/tokenizer/splitter.h"

void split_begin(struct split *split, enum split_behavior behavior, bool invert, struct span_list *out, size_t start)
{
    *split = (struct split){.behavior = behavior, .invert = invert, .out = out, .done = start};
}

static int let_go(struct split *split, struct err *err)
{
    split->holding = false;
    return span_add(split->out, split->held.start, split->held.end, err);
}

/* Whether a piece joins the word before it, `previous` telling whether that one was a match. */
static bool joins(const struct split *split, bool match)
{
    switch (split->behavior) {
    case SPLIT_CONTIGUOUS:
        return match == split->held_match;
    case SPLIT_MERGED_WITH_PREVIOUS:
        return match && !split->held_match;
    case SPLIT_MERGED_WITH_NEXT:
        return !match && split->held_match;
    case SPLIT_REMOVED:
    case SPLIT_ISOLATED:
        break;
    }
    return false;
}

static int add_piece(struct split *split, size_t start, size_t end, bool match, struct err *err)
{
    match = match != split->invert;
    if (split->behavior == SPLIT_REMOVED) {
        return match ? 0 : span_add(split->out, start, end, err);
    }
    if (split->behavior == SPLIT_ISOLATED) {
        return span_add(split->out, start, end, err);
    }
    if (split->holding && joins(split, match)) {
        split->held.end = (uint32_t)end;
    } else {
        if (split->holding && let_go(split, err) != 0) {
            return -1;
        }
        split->held = (struct span){(uint32_t)start, (uint32_t)end};
        split->holding = true;
    }
    split->held_match = match;
    return 0;
}

int split_match(struct split *split, size_t start, size_t end, struct err *err)
{
    if (start > split->done && add_piece(split, split->done, start, false, err) != 0) {
        return -1;
    }
    split->done = end;
    return add_piece(split, start, end, true, err);
}

int split_end(struct split *split, size_t end, struct err *err)
{
    if (end > split->done && add_piece(split, split->done, end, false, err) != 0) {
        return -1;
    }
    return split->holding ? let_go(split, err) : 0;
}
