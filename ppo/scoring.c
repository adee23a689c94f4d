/* ppo/scoring.c - see scoring.h. */
#include "ppo/scoring.h"
#include "base/mem.h"

int scoring_words(const struct scoring *scoring, const struct episodes *episodes, int64_t answer, struct strbuf *out,
                  struct err *err)
{
    const struct episode *episode = &episodes->items[answer];
    return tokenizer_decode(scoring->text->tokenizer, episodes->tokens + episode->first, (size_t)episode->length,
                            TOKENIZER_SKIP_SPECIAL, out, err);
}

/* ---- reward_command ---- */

/* What is asked for an answer. A prompt's JSON is a string, or a list of messages. */
static struct reward_request request_of(const struct episodes *episodes, const struct prompt *const *prompts,
                                        const struct scoring_occasion *occasion, int64_t answer,
                                        const struct strbuf *words)
{
    const struct prompt *prompt = prompts[episodes->items[answer].prompt];
    return (struct reward_request){
        .iteration = occasion->iteration,
        .index = occasion->first_index + answer,
        .prompt = prompt->text,
        .messages = prompt->json[0] == '[' ? prompt->json : NULL,
        .response = strbuf_text(words),
        .response_length = words->length,
    };
}

static int ask_command(struct scoring *scoring, const struct prompt *const *prompts, struct episodes *episodes,
                       const struct strbuf *words, const struct scoring_occasion *occasion, struct err *err)
{
    size_t count = (size_t)episodes->count;
    struct reward_request *requests = mem_alloc(count, sizeof *requests, err);
    double *scores = requests ? mem_alloc(count, sizeof *scores, err) : NULL;
    int result = scores ? 0 : -1;
    for (size_t i = 0; result == 0 && i < count; i++) {
        requests[i] = request_of(episodes, prompts, occasion, (int64_t)i, &words[i]);
    }
    if (result == 0) {
        result = reward_command_score(scoring->command, requests, count, scores, err);
    }
    for (size_t i = 0; result == 0 && i < count; i++) {
        episodes->items[i].score = scores[i];
    }
    mem_free(requests);
    mem_free(scores);
    return result;
}

/* ---- either ---- */

int scoring_open(struct scoring *scoring, const struct recipe *recipe, const struct ppo_data *data,
                 const struct ppo_roles *roles, int32_t pass_tokens, struct err *err)
{
    *scoring = (struct scoring){.text = &data->text, .has_reward_model = roles->has_reward};
    return roles->has_reward ? reward_model_open(&scoring->reward_model, recipe, data, &roles->reward,
                                                 roles->policy.model, pass_tokens, err)
                             : 0;
}

int scoring_plan(const struct scoring *scoring, const struct model *policy, struct backend *backend,
                 struct memory_plan *plan, struct err *err)
{
    return scoring->has_reward_model ? reward_model_plan(&scoring->reward_model, policy, backend, plan, err) : 0;
}

size_t scoring_size(const struct scoring *scoring, const struct answer_most *most)
{
    return scoring->has_reward_model ? reward_model_size(&scoring->reward_model, most) : 0;
}

int scoring_start(struct scoring *scoring, struct pass *pass, const struct answer_most *most,
                  const struct reward_command_options *command, struct err *err)
{
    return scoring->has_reward_model ? reward_model_start(&scoring->reward_model, pass, most, err)
                                     : reward_command_open(&scoring->command, command, err);
}

void scoring_close(struct scoring *scoring)
{
    if (scoring->has_reward_model) {
        reward_model_close(&scoring->reward_model);
    }
    reward_command_close(scoring->command);
    *scoring = (struct scoring){0};
}

int scoring_score(struct scoring *scoring, const struct prompt *const *prompts, struct episodes *episodes,
                  const struct scoring_occasion *occasion, struct err *err)
{
    size_t count = (size_t)episodes->count;
    if (scoring->has_reward_model && !scoring->reward_model.anew) {
        return reward_model_score(&scoring->reward_model, prompts, episodes, NULL, err);
    }
    struct strbuf *words = mem_alloc(count, sizeof *words, err);
    int result = words ? 0 : -1;
    for (size_t i = 0; result == 0 && i < count; i++) {
        result = scoring_words(scoring, episodes, (int64_t)i, &words[i], err);
    }
    if (result == 0) {
        result = scoring->has_reward_model ? reward_model_score(&scoring->reward_model, prompts, episodes, words, err)
                                           : ask_command(scoring, prompts, episodes, words, occasion, err);
    }
    for (size_t i = 0; words && i < count; i++) {
        strbuf_free(&words[i]);
    }
    mem_free(words);
    return result;
}
