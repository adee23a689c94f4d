/*
 * text/data/family.h - a prompt with K answers as tokens: what all of them begin with once, then each answer's own.
 *
 *     ids      p p p p a a a b b        shared 4, starts {4, 7, 9}
 *     batch    {0,4,-1} {4,3,0} {7,2,0} a parent with two children (text/data/batch.h), read at rows 6 and 8
 *
 * Each answer's conversation is rendered and tokenised whole; what is shared is the longest common prefix of the
 * results, since the tokens of prompt + answer are not always the tokens of prompt, then of answer. Every answer keeps
 * a token of its own, also where it is the beginning of another. One answer shares nothing: it is a segment alone.
 *
 * The scored text ends with the token that closes the answer, the last one that text/data/dataset.h would train: what a
 * template writes after it (ChatML's newline, phi3's <|endoftext|>) is not part of it. Without a chat template the
 * text is prompt + answer + the tokenizer's end-of-text token, and the prompt has to be a single message of the user.
 *
 * Too long. FAMILY_DROP leaves an answer out whose conversation has more than max_length tokens. FAMILY_KEEP_END leaves
 * it out only where the answer alone has more; otherwise the prompt loses its beginning, for all answers of the family
 * as much as the longest of them needs, so that they are judged by the same prompt, and so that it stays shared.
 *
 * Errors:    0, or -1 with a sentence in *err; *out then holds nothing.
 * Ownership: a family owns its arrays, and keeps them to be filled again; one with both capacities 0 borrows them.
 * Threads:   an encoder does not change after it was opened; any number of threads may use it.
 */
#ifndef ATTUNE_TEXT_DATA_FAMILY_H
#define ATTUNE_TEXT_DATA_FAMILY_H

#include "base/err.h"
#include "base/json.h"
#include "text/chat_template/chat_template.h"
#include "text/data/batch.h"
#include "text/tokenizer/tokenizer.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Answers of one family. */
#define FAMILY_ANSWERS_MAX 4096

struct family {
    int32_t *ids;    /* [starts[count]]: the shared tokens, then each answer's own */
    int32_t *starts; /* [count + 1]: answer k's own are ids[starts[k] .. starts[k+1] - 1], one at least */
    int32_t shared;  /* starts[0]; 0: the answers stand alone */
    int32_t count;   /* answers */
    int32_t cut;     /* tokens that the prompt has lost to max_length */
    size_t id_capacity, start_capacity;
};

enum family_too_long { FAMILY_DROP, FAMILY_KEEP_END };

struct family_options {
    const struct tokenizer *tokenizer;
    const struct chat_template *chat; /* NULL: the model has none */
    int32_t max_length;               /* tokens of prompt and one answer; 0: no limit */
    enum family_too_long too_long;
    int64_t now;             /* what time templates think it is, as in struct dataset_options: 0 is a fixed date */
    const json_t *variables; /* object of further template variables, or NULL */
};

/* Tokenizer, template and variables are borrowed until the encoder is closed. */
struct family_encoder;
int family_encoder_open(struct family_encoder **out, const struct family_options *options, struct err *err);
void family_encoder_close(struct family_encoder *encoder);

struct family_answer {
    const char *text; /* UTF-8 */
    size_t length;
};

/*
 * The family of the answers that fit. messages: a JSON array of {"role","content"}, the conversation up to the answer.
 * fits[k] says whether answer k is in it; those that are keep their order. *out may hold no answer at all (count 0).
 */
int family_encode(const struct family_encoder *encoder, const json_t *messages, const struct family_answer *answers,
                  int32_t count, struct family *out, bool *fits, struct err *err);

/* Tokens as they are: rollouts. */
struct family_ids {
    const int32_t *ids;
    int32_t length;
};
/* The prompt is what is shared, of a single answer too, so that an answer's own tokens are those given. Each has one at
 * least. */
int family_from_ids(struct family *out, const struct family_ids *prompt, const struct family_ids *answers,
                    int32_t count, struct err *err);

void family_free(struct family *family);

/* What a batch needs for it. The readings are `count`. */
int32_t family_tokens(const struct family *family);
int32_t family_segments(const struct family *family);
/* The same without sharing: the sum over the answers of their conversations' tokens. */
int64_t family_unshared_tokens(const struct family *family);
/* Tokens of answer k's conversation. */
int32_t family_length(const struct family *family, int32_t answer);
/* The longest of them; 0 where there is none. */
int32_t family_longest(const struct family *family);

/*
 * Appends the family and, for each answer in order, a reading at its last row (batch_read()). `key` names the family
 * for random numbers; each segment draws its own. Returns the index of the first answer's segment; the others follow.
 */
int32_t family_append(struct batch *batch, const struct family *family, uint64_t key);

#endif
