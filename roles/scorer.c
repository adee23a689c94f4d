/* roles/scorer.c - see scorer.h. */
#include "roles/scorer.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/minmax.h"
#include "roles/folder.h"
#include <assert.h>
#include <string.h>

/* ---- opening ---- */

static int no_score_head(const char *what, const char *folder, struct err *err)
{
    return err_set(err,
                   "'%s' is %s without a score head, so it gives tokens and no scores; give a run of attune reward, a "
                   "PEFT adapter of the task SEQ_CLS with its score head saved, or a model of a class "
                   "...ForSequenceClassification with one label",
                   folder, what);
}

static int open_adapter(struct scorer *scorer, const struct scorer_options *options, struct models *models,
                        struct err *err)
{
    const char *folder = options->folder;
    char *base = options->base ? mem_copy_string(options->base, strlen(options->base), err) : folder_base(folder, err);
    if (!base) {
        return -1;
    }
    int result = models_open(models, base, MODELS_NO_HEAD, false, &scorer->model, err);
    mem_free(base);
    if (result != 0 || adapter_open(&scorer->adapter, scorer->model, folder, err) != 0) {
        return -1;
    }
    return scorer->adapter->save_score ? 0 : no_score_head("an adapter", folder, err);
}

static int open_model(struct scorer *scorer, const struct scorer_options *options, struct models *models,
                      struct err *err)
{
    if (models_open(models, options->folder, MODELS_SCORE, false, &scorer->model, err) != 0) {
        return -1;
    }
    return model_tensor(scorer->model, TENSOR_SCORE) ? 0 : no_score_head("a model", options->folder, err);
}

static int open_text(struct scorer *scorer, const struct scorer_options *options, struct err *err)
{
    char *own = NULL;
    const char *chat_template = options->chat_template;
    if (!chat_template) {
        if (folder_chat_template(&own, options->folder, err) != 0) {
            return -1;
        }
        chat_template = own;
    }
    int result = model_text_open(&scorer->text, scorer->model->folder, chat_template, err);
    mem_free(own);
    return result;
}

int scorer_open(struct scorer *scorer, const struct scorer_options *options, struct models *models, struct err *err)
{
    enum folder_kind kind;
    *scorer = (struct scorer){0};
    if (folder_look(&kind, options->folder, err) != 0) {
        return -1;
    }
    scorer->folder = mem_copy_string(options->folder, strlen(options->folder), err);
    int result = scorer->folder ? 0 : -1;
    if (result == 0) {
        result = kind == FOLDER_ADAPTER ? open_adapter(scorer, options, models, err)
                                        : open_model(scorer, options, models, err);
    }
    if (result == 0) {
        result = open_text(scorer, options, err);
    }
    if (result != 0) {
        scorer_close(scorer);
        return err_prefix(err, "reward model");
    }
    return 0;
}

int scorer_plan(struct scorer *scorer, struct backend *backend, struct memory_plan *plan, struct err *err)
{
    return scorer->adapter ? adapter_plan(scorer->adapter, backend, false, plan, err) : 0;
}

int scorer_load(struct scorer *scorer, struct backend *backend, struct err *err)
{
    assert(scorer->model->backend);
    scorer->head = &scorer->model->score;
    if (!scorer->adapter) {
        return 0;
    }
    if (adapter_load(scorer->adapter, backend, false, err) != 0) {
        return -1;
    }
    scorer->head = &scorer->adapter->score;
    scorer->overlay = &scorer->adapter->overlay;
    return 0;
}

void scorer_close(struct scorer *scorer)
{
    adapter_free(scorer->adapter);
    model_text_close(&scorer->text);
    mem_free(scorer->folder);
    *scorer = (struct scorer){0};
}

int scorer_fingerprint(const struct scorer *scorer, struct hash *out, struct err *err)
{
    const struct adapter *adapter = scorer->adapter;
    struct {
        struct hash text, model, adapter;
        double offset;
    } parts = {scorer->text.fingerprint, model_fingerprint(scorer->model), {0}, 0};
    if (adapter && adapter_fingerprint(adapter, &parts.adapter, err) != 0) {
        return -1;
    }
    parts.offset = adapter ? adapter->score_offset : scorer->model->score_offset;
    *out = hash_bytes(&parts, sizeof parts);
    return 0;
}

/* ---- scoring ---- */

struct family_options scorer_family_options(const struct scorer *scorer, int64_t max_length)
{
    int32_t most = scorer->model->config.max_positions;
    return (struct family_options){
        .tokenizer = scorer->text.tokenizer,
        .chat = scorer->text.chat,
        .max_length = max_length > 0 && max_length < most ? (int32_t)max_length : most,
        .too_long = FAMILY_KEEP_END,
    };
}

int scorer_check(const struct scorer *scorer, const struct family *family, struct err *err)
{
    int32_t vocabulary = scorer->model->config.vocabulary;
    for (int32_t i = 0; i < family_tokens(family); i++) {
        if (family->ids[i] < 0 || family->ids[i] >= vocabulary) {
            return err_set(err,
                           "the tokenizer of %s makes the id %d, but the model's vocabulary has %d; the tokenizer "
                           "belongs to another model",
                           scorer->model->folder, family->ids[i], vocabulary);
        }
    }
    return 0;
}

int32_t scorer_max_rank(const struct scorer *scorer)
{
    return scorer->adapter ? adapter_max_rank(scorer->adapter) : 0;
}

struct pass_limits scorer_limits(const struct scorer *scorer, int32_t longest, int32_t pass_tokens)
{
    return (struct pass_limits){
        .tokens = max(longest, pass_tokens),
        .segments = SCORER_PASS_SEGMENTS,
        .predictions = SCORER_PASS_SEGMENTS,
        .max_rank = scorer_max_rank(scorer),
        .scorer = true,
    };
}

/* Rooms for more that batch and pass both have. */
struct batch_room {
    int32_t tokens, segments, readings;
};

static struct batch_room room_of(const struct pass *pass, const struct batch *batch)
{
    const struct pass_limits *limits = pass_limits(pass);
    return (struct batch_room){min(limits->tokens, batch->token_capacity) - batch->tokens,
                               min(limits->segments, batch->segment_capacity) - batch->segment_count,
                               min(limits->predictions, batch->prediction_capacity) - batch->prediction_count};
}

/* How many answers of the family, from number `first` on, there is room for. */
static int32_t answers_that_fit(const struct family *family, int32_t first, struct batch_room room)
{
    int32_t answer = first;
    room.tokens -= family->shared;
    room.segments -= family->shared > 0;
    for (; answer < family->count; answer++) {
        room.tokens -= family->starts[answer + 1] - family->starts[answer];
        if (room.tokens < 0 || --room.segments < 0 || --room.readings < 0) {
            break;
        }
    }
    return answer - first;
}

static void append(struct batch *batch, const struct family *family, int32_t first, int32_t count)
{
    int32_t parent = family->shared > 0 ? batch_append(batch, family->ids, NULL, family->shared, -1, 0) : -1;
    for (int32_t k = first; k < first + count; k++) {
        int32_t length = family->starts[k + 1] - family->starts[k],
                segment = batch_append(batch, family->ids + family->starts[k], NULL, length, parent, 0);
        batch_read(batch, segment, batch->tokens - 1);
    }
}

/* The scores of the batch's answers, after which it is empty. */
static int score_batch(const struct scorer *scorer, struct pass *pass, struct batch *batch, float **scores,
                       struct err *err)
{
    pass_load(pass, batch);
    pass_forward(pass, scorer->overlay, false);
    if (pass_score(pass, scorer->head, *scores, err) != 0) {
        return -1;
    }
    *scores += batch->prediction_count;
    batch_clear(batch);
    return 0;
}

/* A family begins in a batch that takes all of it, or in an empty one. */
static int score_family(const struct scorer *scorer, struct pass *pass, struct batch *batch,
                        const struct family *family, float **scores, struct err *err)
{
    for (int32_t next = 0; next < family->count;) {
        int32_t count = answers_that_fit(family, next, room_of(pass, batch));
        int64_t tokens = batch->tokens, whole = family_tokens(family);
        bool begins =
            batch->tokens == 0 ||
            (count == family->count && batch_takes(&tokens, whole, pass_model(pass)->backend->traits.pass_tokens));
        assert(batch->tokens > 0 || count > 0); /* the limits are too small for this conversation */
        if (begins) {
            append(batch, family, next, count);
            next += count;
        }
        if (next < family->count && score_batch(scorer, pass, batch, scores, err) != 0) {
            return -1;
        }
    }
    return 0;
}

int scorer_score(const struct scorer *scorer, struct pass *pass, struct batch *batch, const struct family *families,
                 size_t count, float *scores, struct err *err)
{
    struct model *home = pass_model(pass);
    int result = 0;
    pass_use(pass, scorer->model);
    batch_clear(batch);
    for (size_t i = 0; result == 0 && i < count; i++) {
        result = score_family(scorer, pass, batch, &families[i], &scores, err);
    }
    if (result == 0 && batch->tokens > 0) {
        result = score_batch(scorer, pass, batch, &scores, err);
    }
    pass_return(pass, home);
    return result;
}
