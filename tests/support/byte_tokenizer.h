/*
 * tests/support/byte_tokenizer.h - a tokenizer that can be read off by eye: ids are bytes ('A' is 65), and behind them
 * <|im_start|> 256, <|im_end|> 257, <s> 258.
 */
#ifndef ATTUNE_TESTS_SUPPORT_BYTE_TOKENIZER_H
#define ATTUNE_TESTS_SUPPORT_BYTE_TOKENIZER_H

#include "base/strbuf.h"
#include <stdbool.h>

enum { BYTE_IM_START = 256, BYTE_IM_END, BYTE_BOS };

/* Appends the text of its tokenizer.json; with `bos` the post-processor puts <s> in front of a text. */
void byte_tokenizer_json(struct strbuf *out, bool bos);

#endif
