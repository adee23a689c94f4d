/* ppo/batches.c - see batches.h. */
#include "ppo/batches.h"
#include "base/minmax.h"
#include "ppo/recipe.h"

static int64_t up(int64_t count, int64_t parts)
{
    return (count + parts - 1) / parts;
}

/* Answers of the largest mini-batch (ppo/update.c cuts between prompts where there are enough of them). */
static int64_t mini_batch_answers(const struct recipe *recipe)
{
    int64_t prompts = recipe->per_device_train_batch_size, samples = ppo_keys(recipe)->num_generations;
    int64_t parts = ppo_keys(recipe)->num_mini_batches;
    return parts <= prompts ? up(prompts, parts) * samples : up(prompts * samples, parts);
}

int64_t ppo_piece_answers(const struct recipe *recipe)
{
    return up(mini_batch_answers(recipe), recipe->gradient_accumulation_steps);
}

struct pass_limits ppo_pass_limits(const struct ppo_data *data, int32_t max_rank, int32_t pass_tokens)
{
    const struct recipe *recipe = data->recipe;
    int64_t answers = ppo_piece_answers(recipe), together = min(answers, ppo_keys(recipe)->num_generations);
    int64_t prompt = ppo_data_longest(data), length = ppo_keys(recipe)->response_length;
    int64_t family = prompt + together * length;                              /* the largest there can be */
    int64_t all = answers * length + up(answers, together) * prompt + prompt; /* a piece may begin within a family */
    int64_t tokens = min(max(family, pass_tokens), all);
    int64_t segments = min(2 * answers, tokens), predictions = min(answers * length, tokens);
    if (data->ptx) {
        int64_t longest = data->ptx->longest, texts = mini_batch_answers(recipe);
        tokens = max(tokens, max(longest, min(pass_tokens, texts * longest)));
        segments = max(segments, min(texts, tokens));
        predictions = max(predictions, tokens);
    }
    return (struct pass_limits){
        .tokens = (int32_t)tokens,
        .segments = (int32_t)segments,
        .predictions = (int32_t)predictions,
        .max_rank = max_rank,
        .training = true,
        .checkpointing = recipe->gradient_checkpointing,
    };
}

static int64_t prompt_length(const struct ppo_view *view, int64_t answer)
{
    return view->prompts[view->episodes->items[answer].prompt]->count;
}

/* How many of the next answers are to one prompt, and the tokens of that family. */
static int64_t family_answers(const struct ppo_view *view, const int64_t *answers, int64_t count, int64_t *tokens)
{
    const struct episode *items = view->episodes->items;
    int64_t taken = 0;
    *tokens = prompt_length(view, answers[0]);
    for (; taken < count && items[answers[taken]].prompt == items[answers[0]].prompt; taken++) {
        *tokens += items[answers[taken]].length;
    }
    return taken;
}

int64_t ppo_pass_answers(const struct ppo_view *view, const int64_t *answers, int64_t count)
{
    int64_t taken = 0, tokens = 0, family_tokens;
    while (taken < count) {
        int64_t family = family_answers(view, answers + taken, count - taken, &family_tokens);
        if (!batch_takes(&tokens, family_tokens, view->pass_tokens)) {
            break;
        }
        taken += family;
    }
    return taken;
}

void ppo_pass_load(struct ppo_parts *parts, const struct ppo_view *view, const int64_t *answers, int64_t count)
{
    struct batch *batch = &parts->batch;
    const struct episodes *episodes = view->episodes;
    int32_t parent = -1;
    batch_clear(batch);
    for (int64_t i = 0; i < count; i++) {
        const struct episode *episode = &episodes->items[answers[i]];
        const struct prompt *prompt = view->prompts[episode->prompt];
        if (i == 0 || episode->prompt != episodes->items[answers[i - 1]].prompt) {
            parent = batch_append(batch, prompt->ids, NULL, prompt->count, -1, 0);
        }
        batch_append(batch, episodes->tokens + episode->first, parts->trained, (int32_t)episode->length, parent, 0);
    }
    pass_load(parts->pass, batch);
}

int64_t ppo_pass_texts(struct ppo_parts *parts, int64_t first, int64_t count)
{
    int64_t taken = 0, tokens = 0;
    while (taken < count && batch_takes(&tokens, ppo_data_ptx(&parts->data, first + taken)->length,
                                        parts->backend->traits.pass_tokens)) {
        taken++;
    }
    return taken;
}

void ppo_pass_load_texts(struct ppo_parts *parts, int64_t first, int64_t count)
{
    batch_clear(&parts->batch);
    for (int64_t i = 0; i < count; i++) {
        const struct example *example = ppo_data_ptx(&parts->data, first + i);
        batch_append(&parts->batch, example->ids, example->trained, example->length, -1, 0);
    }
    pass_load(parts->pass, &parts->batch);
}
