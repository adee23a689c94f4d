/*
 * text/data/dataset.h - training examples from files of records: tokens, and which of them are learned.
 *
 *     file -> records -> messages or text -> chat template -> tokens and trained -> cut to max_length -> struct example
 *
 * Files are .jsonl (an object a line) or .json (an array of objects), told apart by content, plain or gzip; a .txt is
 * one text. A format is detected from the first records of a file, or named:
 *
 *     alpaca      {"instruction","input","output"}  with "system" and "history": [[user, assistant], ...] where given
 *     sharegpt    {"conversations": [{"from": "human|gpt|system|...", "value"}]}
 *     messages    {"messages": [{"role","content"}]}   content may be a list of {"type": "text", "text"}
 *     completion  {"prompt","completion"}   two strings, or two lists of messages
 *     text        {"text"}
 *     prompt      {"prompt"}: a string or a list of messages, without an answer; for prompt_list_load() only
 *     and the formats of text/data/preference.h by their names: the best answer is the one to learn
 *
 * What is learned. Of conversations the turns of the trained roles, from after the generation prompt through the
 * end-of-turn token: a token is trained when its first byte lies in a span of text/chat_template/chat_template.h. Text
 * that came out of a template is encoded without the tokenizer's special tokens, so that BOS is never doubled. An
 * Alpaca record is a conversation whose user says instruction + "\n" + input; for a model without a chat template the
 * built-in `alpaca` template is used, and said in the report.
 *
 * Plain text is treated as TRL's SFTTrainer does: the tokenizer's end-of-text token is put after it unless it stands
 * there, special tokens are added as the post-processor says, and all tokens are trained. prompt + completion as
 * strings are encoded as one text with the end-of-text token after it; trained is what follows the tokens that it has
 * in common with the encoded prompt.
 *
 * Too long. The first max_length tokens are kept, as TRL does, and the example is counted as truncated (its end-of-turn
 * token is gone, which the report says), or it is dropped and counted. Only a .txt loses nothing: it is cut into
 * examples of max_length tokens. Examples without a trained token are left out and counted.
 *
 * Weights. A source of weight 2.5 is there twice whole and once by half, drawn by `seed`; its copies share their
 * tokens.
 *
 * Errors:    0, or -1 with a sentence that names file and line (or number of the record in an array) and what to do.
 * Ownership: a dataset owns its examples' tokens; options, tokenizer and template are borrowed during the call only.
 */
#ifndef ATTUNE_TEXT_DATA_DATASET_H
#define ATTUNE_TEXT_DATA_DATASET_H

#include "base/err.h"
#include "base/json.h"
#include "base/threads.h"
#include "text/chat_template/chat_template.h"
#include "text/tokenizer/tokenizer.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dataset_source {
    const char *path;   /* a file, or with a split a folder that holds <split>.jsonl, .json or .txt, also as .gz */
    const char *format; /* NULL: detect */
    const char *split;  /* NULL: all; else the file of that name, or the records whose member "split" is this */
    double weight;      /* > 0; 0 counts as 1 */
};

enum dataset_too_long { DATASET_TRUNCATE, DATASET_DROP };

/* The date for templates that print one where options.now is 0: that of Llama 3's template, 26 July 2024. */
#define DATASET_DATE INT64_C(1721952000)

/* Zeroed but for tokenizer, chat and max_length is a good default. */
struct dataset_options {
    const struct tokenizer *tokenizer;
    const struct chat_template *chat; /* NULL: the model has none */
    int32_t max_length;               /* tokens; 0: no limit */
    bool train_on_prompt;             /* every token but an added BOS is trained */
    const char *const *roles;         /* whose turns are trained; NULL: {"assistant"} */
    size_t role_count;
    bool skip_bad_records; /* count them instead of stopping at the first */
    enum dataset_too_long too_long;
    uint64_t seed; /* for weights that are no whole number */
    int64_t now;   /* what time templates think it is: 0 DATASET_DATE, so that a resumed run sees the same; -1 now */
    const json_t *variables; /* object of further template variables, or NULL */
    struct pool *pool;       /* NULL: the calling thread alone. Results are the same. */
    bool show_progress;      /* a bar on standard error while reading takes long */
};

struct example {
    const int32_t *ids; /* [length] */
    const uint8_t
        *trained;   /* [length]: whether token i is to be predicted from those before it; never so for the first */
    int32_t length; /* >= 2 */
    int32_t trained_count; /* >= 1 */
    uint64_t record; /* from source, number of the record and copy; the same in every run: a key for random numbers */
    uint64_t prompt_hash; /* of what stands before the first answer; of plain text as a whole */
    bool truncated;
    int32_t source; /* index of the dataset_source */
    int32_t copy;   /* 0, or which repetition through the source's weight */
    int64_t line;   /* of the file, where the record begins, from 1 */
};

struct dataset_counts {
    int64_t read;      /* records, bad ones included */
    int64_t bad;       /* could not be read, and were skipped */
    int64_t truncated; /* examples cut to max_length */
    int64_t cut_turns; /* of those: whose last trained turn has lost its end */
    int64_t dropped;   /* too long, and left out */
    int64_t untrained; /* without a trained token, and left out */
};

struct dataset_report {
    char *path;         /* the file */
    const char *format; /* "alpaca", ... */
    char *sentence;     /* "data.jsonl: alpaca records (told from the first 16)" */
    char *first_bad;    /* the first record that was skipped, with file, line and reason; NULL: none */
    struct dataset_counts counts;
    size_t examples; /* of this source, copies included */
};

struct dataset {
    struct example *examples; /* in the order of the sources and their records */
    size_t count;
    struct dataset_report *sources;
    size_t source_count;
    struct dataset_counts counts;   /* sums over the sources */
    int32_t longest;                /* tokens of the longest example */
    int64_t tokens, trained_tokens; /* copies included */
    size_t bytes;                   /* host memory held */
    bool alpaca_template;           /* the built-in template was used, since the model has none */
    struct dataset_arena *arena;    /* private */
};

/* The tokens of all examples together may not exceed this. */
#define DATASET_TOKENS_MAX (INT64_C(1) << 40)
/* A .json array or .txt, decompressed. */
#define DATASET_ARRAY_MAX ((size_t)1 << 30)

/* Makes *out from the sources. A source without a usable example is an error; so is an unknown format. Free with
 * dataset_free(). */
int dataset_load(struct dataset **out, const struct dataset_source *sources, size_t count,
                 const struct dataset_options *options, struct err *err);
void dataset_free(struct dataset *dataset);

/*
 * Moves the examples of `share` of the distinct prompts (rounded, one at least, never all) from *train to *eval, chosen
 * by a hash of the prompt, so that no prompt is in both and the choice does not depend on the order of records. Copies
 * made for weights are not moved but left out: an eval record counts once. Both datasets share their tokens; each is
 * freed for itself. 0 < share < 1.
 */
int dataset_split(struct dataset *train, struct dataset **eval, double share, uint64_t seed, struct err *err);

/*
 * A prompt: what a model is given to continue, ending with the generation prompt of the template. For a model without
 * a chat template (options.chat NULL) a plain text, with special tokens as the post-processor adds them in front.
 */
struct prompt {
    const int32_t *ids;
    int32_t count;        /* >= 1 */
    const char *text;     /* to show: the words of the last user turn, or the plain text; zero-terminated */
    const char *json;     /* to write into a file: the prompt as a JSON string, or as a JSON list of messages */
    const char *rendered; /* the text that was encoded */
    uint64_t record;
};

struct prompt_list {
    struct prompt *items;
    size_t count, capacity;
    int64_t skipped; /* bad records, where options.skip_bad_records */
    struct dataset_arena *arena;
};

/*
 * All three add to *list, and make it where it is NULL. options->max_length > 0: a longer prompt is an error.
 *
 * From a file: of format prompt, or the prompt part of any other (what stands before the last answer of a
 * conversation); of a .txt, each line that is not empty. format may be NULL.
 */
int prompt_list_load(struct prompt_list **list, const char *path, const char *format,
                     const struct dataset_options *options, struct err *err);
/* The same of one source's path, format and split; its weight is not looked at. */
int prompt_list_load_source(struct prompt_list **list, const struct dataset_source *source,
                            const struct dataset_options *options, struct err *err);
/* One user turn; plain text for a model without a chat template. */
int prompt_list_add_text(struct prompt_list **list, const char *text, const struct dataset_options *options,
                         struct err *err);
/* A conversation so far: a JSON array of messages. A template is needed. */
int prompt_list_add_messages(struct prompt_list **list, const json_t *messages, const struct dataset_options *options,
                             struct err *err);
/* Tokens of the longest prompt, 1 at least: what generation must have room for. */
int32_t prompt_list_longest(const struct prompt_list *list);
void prompt_list_free(struct prompt_list *list);

#endif
