/*
 * text/tokenizer/tokenizer.h - text to token ids and back, as a Hugging Face tokenizer.json says.
 *
 *     text -> added tokens -> normalizer -> pre-tokenizer -> byte-pair merges -> post-processor -> ids
 *     ids  -> tokens -> decoder -> text
 *
 * The ids are those of Hugging Face's `tokenizers` for any valid UTF-8. Models of type BPE are read, byte-level (GPT-2,
 * Llama 3, SmolLM2, Qwen) and SentencePiece-style with byte fallback (Llama 2, Mistral); anything the file asks for
 * that is not known here is an error that names it. Truncation and padding sections are not applied.
 *
 * Threads:   a tokenizer does not change after tokenizer_open(); any number of threads may use one at the same time.
 * Errors:    0, or -1 with a full sentence in *err. A failed call leaves its outputs as they were.
 * Ownership: strings that are returned belong to the tokenizer.
 */
#ifndef ATTUNE_TEXT_TOKENIZER_TOKENIZER_H
#define ATTUNE_TEXT_TOKENIZER_TOKENIZER_H

#include "base/err.h"
#include "base/strbuf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tokenizer;

/* The longest text of one tokenizer_encode() call, in bytes. */
#define TOKENIZER_TEXT_MAX ((size_t)256 << 20)

/*
 * `path` is a tokenizer.json, or a folder that holds one. Files beside it are read where they are there:
 * tokenizer_config.json and special_tokens_map.json (special tokens, added tokens, chat template), chat_template.jinja.
 */
int tokenizer_open(struct tokenizer **out, const char *path, struct err *err);

/* The same from the text of a tokenizer.json alone; `where` is what errors call it. */
int tokenizer_open_memory(struct tokenizer **out, const char *json, size_t length, const char *where, struct err *err);

void tokenizer_free(struct tokenizer *tokenizer);

/*
 * Tokens of a text. starts[i] .. ends[i] is the range of bytes of the input text that token i came from. Ranges grow
 * with i and, where nothing is normalized away, tile the text: leading spaces belong to their token (`trim_offsets` is
 * not applied). A token that is only a part of a character (byte-level pieces, byte fallback) has exactly its bytes
 * where the character was in the text as it stands, and the whole source where a normalizer made it. What is put in by
 * a normalizer or pre-tokenizer (the space before the first word) has the range of the character it was put before;
 * what the post-processor adds has an empty range, at 0 in front of the text and at its end after it.
 */
struct token_list {
    int32_t *ids;
    uint32_t *starts, *ends; /* NULL until the first call with TOKENIZER_OFFSETS */
    size_t count, capacity;
};

void token_list_free(struct token_list *list);

enum {
    TOKENIZER_ADD_SPECIAL = 1, /* the post-processor's tokens (beginning and end of text) */
    TOKENIZER_OFFSETS = 2, /* fill starts and ends; a list is filled with offsets from its first token on, or never */
};

/* Appends the tokens of `text` to *out. Bytes that are not UTF-8 are an error that names the first of them. */
int tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t length, unsigned flags,
                     struct token_list *out, struct err *err);

enum {
    /* Leave out special tokens, and ids that no token has: many models have more rows than their tokenizer tokens, and
     * sampling may hit one. */
    TOKENIZER_SKIP_SPECIAL = 1,
};

/* Appends the text of the tokens to *out. Without TOKENIZER_SKIP_SPECIAL an id that no token has is an error. Bytes
 * that are no UTF-8 become U+FFFD.
 */
int tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *ids, size_t count, unsigned flags,
                     struct strbuf *out, struct err *err);

/*
 * Decoding while tokens are being made: each call takes one id and appends to *out the text that has become certain;
 * text that may still change (the first bytes of a character) is kept back. tokenizer_decode_end() appends what was
 * kept back. The pieces put together are what tokenizer_decode() gives for all ids.
 *
 *     struct token_stream stream = {0};
 *     while (...) tokenizer_decode_next(tokenizer, &stream, id, TOKENIZER_SKIP_SPECIAL, &out, err);
 *     tokenizer_decode_end(tokenizer, &stream, &out, err);
 *     token_stream_free(&stream);
 */
struct token_stream {
    int32_t *waiting; /* tokens whose text is not certain yet */
    size_t count, capacity;
    unsigned flags;
    bool started; /* some text has been given out */
};

int tokenizer_decode_next(const struct tokenizer *tokenizer, struct token_stream *stream, int32_t id, unsigned flags,
                          struct strbuf *out, struct err *err);
int tokenizer_decode_end(const struct tokenizer *tokenizer, struct token_stream *stream, struct strbuf *out,
                         struct err *err);
void token_stream_free(struct token_stream *stream);

/* The id of a token as the vocabulary spells it ("\xC4\xA0the", "<|im_end|>"); -1: there is none. */
int32_t tokenizer_id(const struct tokenizer *tokenizer, const char *token);
/* The token of an id; NULL: there is none. */
const char *tokenizer_token(const struct tokenizer *tokenizer, int32_t id);
/* One more than the highest id: rows an embedding needs. */
int32_t tokenizer_size(const struct tokenizer *tokenizer);
bool tokenizer_is_special(const struct tokenizer *tokenizer, int32_t id);

/* The special tokens that tokenizer_config.json or special_tokens_map.json names; NULL and -1 where they name none. */
const char *tokenizer_bos_token(const struct tokenizer *tokenizer);
const char *tokenizer_eos_token(const struct tokenizer *tokenizer);
int32_t tokenizer_bos_id(const struct tokenizer *tokenizer);
int32_t tokenizer_eos_id(const struct tokenizer *tokenizer);
int32_t tokenizer_pad_id(const struct tokenizer *tokenizer);
int32_t tokenizer_unk_id(const struct tokenizer *tokenizer);

/*
 * The Jinja source of the model's chat template: chat_template.jinja, else `chat_template` of tokenizer_config.json (of
 * a list, the one named "default"); NULL where there is none.
 */
const char *tokenizer_chat_template(const struct tokenizer *tokenizer);

#endif
