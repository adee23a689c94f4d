/* ppo/judge.c - see judge.h. */
#include "ppo/judge.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "ppo/roles.h"
#include <string.h>

/* ---- how it is done ---- */

/* The prompt as a list of messages: a text is one message of the user. */
static json_t *messages_of(const struct prompt *prompt, struct err *err)
{
    json_t *value = json_loads(prompt->json, JSON_DECODE_ANY, NULL);
    if (!value) {
        err_set(err, "out of memory while a prompt was read");
        return NULL;
    }
    if (json_is_array(value))
        return value;
    json_t *messages = json_pack("[{s:s, s:o}]", "role", "user", "content", value);
    if (!messages)
        err_set(err, "out of memory while a prompt was read");
    return messages;
}

/* The conversation of a prompt and a short answer, as the reward model reads it. */
static int render_probe(const struct judge *judge, const struct prompt *prompt, struct family *family, struct err *err)
{
    json_t *messages = messages_of(prompt, err);
    struct family_answer answer = {"ok", 2};
    bool fits = false;
    int rc = messages ? family_encode(judge->encoder, messages, &answer, 1, family, &fits, err) : -1;
    json_decref(messages);
    if (rc == 0 && !fits)
        rc = err_set(err, "max_length is too small for an answer to the prompt '%s'", prompt->text);
    return rc;
}

/* Looks at one prompt: what closes an answer, and whether the prompt's tokens are the policy's. */
static int look_at_text(struct judge *judge, const struct ppo_data *data, const struct model *policy, struct err *err)
{
    const struct prompt *prompt = data->train.items[0];
    struct family family = {0};
    bool same = false;
    if (ppo_same_tokenizer(policy->folder, judge->scorer->model->folder, &same, err) != 0 ||
        render_probe(judge, prompt, &family, err) != 0)
        return -1;
    int32_t length = family_length(&family, 0);
    judge->closing_token = family.ids[length - 1];
    judge->anew = !same || length <= prompt->count ||
                  memcmp(family.ids, prompt->ids, (size_t)prompt->count * sizeof *prompt->ids) != 0;
    family_free(&family);
    return 0;
}

static int check_positions(const struct judge *judge, const struct ppo_data *data, struct err *err)
{
    int64_t longest = ppo_data_longest(data) + ppo_data_longest_answer(data) + 1;
    int32_t positions = judge->scorer->model->config.max_positions;
    if (judge->anew || longest <= positions)
        return 0;
    return err_set(err,
                   "reward_model: a prompt with its answer may have %lld tokens, but the reward model was made for %d "
                   "positions (max_position_embeddings); set max_length to %d or less",
                   (long long)longest, positions, positions - 1);
}

int judge_open(struct judge *judge, const struct recipe *recipe, const struct ppo_data *data,
               const struct scorer *scorer, const struct model *policy, struct err *err)
{
    *judge = (struct judge){.recipe = recipe, .scorer = scorer};
    struct family_options options = scorer_family_options(scorer, recipe->max_length);
    if (family_encoder_open(&judge->encoder, &options, err) != 0 || look_at_text(judge, data, policy, err) != 0 ||
        check_positions(judge, data, err) != 0) {
        judge_close(judge);
        return err_prefix(err, "reward_model");
    }
    /* Of words nobody knows how many tokens they will be: at most max_length. */
    int64_t longest = judge->anew ? recipe->max_length : ppo_data_longest(data) + ppo_data_longest_answer(data) + 1;
    judge->limits = scorer_limits(scorer, (int32_t)longest);
    log_info("reward model %s: %s", scorer->folder,
             judge->anew ? "has another tokenizer or template, so it reads the answers' words"
                         : "reads the tokens as they were sampled");
    return 0;
}

void judge_close(struct judge *judge)
{
    family_encoder_close(judge->encoder);
    pass_free(judge->own_pass);
    batch_free(&judge->batch);
    for (int64_t i = 0; judge->families && i < judge->capacity; i++)
        family_free(&judge->families[i]);
    mem_free(judge->families);
    mem_free(judge->ids);
    mem_free(judge->scores);
    *judge = (struct judge){0};
}

/* ---- memory ---- */

bool judge_shares_pass(const struct judge *judge, const struct model *policy)
{
    return ppo_same_shape(&policy->config, &judge->scorer->model->config);
}

int judge_plan(const struct judge *judge, const struct model *policy, struct backend *backend, struct memory_plan *plan,
               struct err *err)
{
    return judge_shares_pass(judge, policy) ? 0 : pass_plan(judge->scorer->model, &judge->limits, backend, plan, err);
}

int judge_start(struct judge *judge, struct pass *pass, const struct judge_most *most, struct err *err)
{
    const struct pass_limits *limits = &judge->limits;
    size_t numbers = (size_t)(most->group * (most->length + 1));
    judge->pass = pass;
    if (!judge_shares_pass(judge, pass->model)) {
        if (pass_create(&judge->own_pass, judge->scorer->model, limits, err) != 0)
            return -1;
        judge->pass = judge->own_pass;
    }
    judge->capacity = most->answers;
    judge->families = mem_alloc((size_t)most->answers, sizeof *judge->families, err);
    judge->scores = mem_alloc((size_t)most->answers, sizeof *judge->scores, err);
    judge->ids = mem_alloc(numbers, sizeof *judge->ids, err);
    if (!judge->families || !judge->scores || !judge->ids)
        return -1;
    return batch_create(&judge->batch, limits->tokens, limits->segments, limits->predictions, err);
}

/* ---- scores ---- */

/* The tokens of `count` answers of one prompt, each closed. */
static int family_of_tokens(struct judge *judge, const struct prompt *prompt, const struct episodes *episodes,
                            int64_t first, int32_t count, struct family *family, struct err *err)
{
    struct family_ids asked = {prompt->ids, prompt->count};
    struct family_ids *answers = mem_alloc((size_t)count, sizeof *answers, err);
    int32_t *ids = judge->ids;
    if (!answers)
        return -1;
    for (int32_t i = 0; i < count; i++) {
        const struct episode *episode = &episodes->items[first + i];
        int32_t length = 0, vocabulary = judge->scorer->model->config.vocabulary;
        /* A policy with more rows than its tokenizer has tokens may sample one that is no text, and no row here. */
        for (int32_t t = 0; t < episode->length - episode->stopped; t++)
            if (episodes->tokens[episode->first + t] < vocabulary)
                ids[length++] = episodes->tokens[episode->first + t];
        ids[length++] = judge->closing_token;
        answers[i] = (struct family_ids){ids, length};
        ids += length;
    }
    int rc = family_from_ids(family, &asked, answers, count, err);
    mem_free(answers);
    return rc;
}

/* The words of `count` answers of one prompt, rendered and tokenised as the reward model wants them. */
static int family_of_words(struct judge *judge, const struct prompt *prompt, const struct strbuf *words, int32_t count,
                           struct family *family, struct err *err)
{
    json_t *messages = messages_of(prompt, err);
    struct family_answer *answers = messages ? mem_alloc((size_t)count, sizeof *answers, err) : NULL;
    bool *fits = answers ? mem_alloc((size_t)count, sizeof *fits, err) : NULL;
    for (int32_t i = 0; fits && i < count; i++)
        answers[i] = (struct family_answer){strbuf_text(&words[i]), words[i].length};
    int rc = fits ? family_encode(judge->encoder, messages, answers, count, family, fits, err) : -1;
    if (rc == 0)
        rc = scorer_check(judge->scorer, family, err);
    for (int32_t i = 0; rc == 0 && i < count; i++)
        if (!fits[i])
            rc = err_set(err,
                         "an answer has more than max_length = %lld tokens for the reward model; raise max_length, or "
                         "lower response_length",
                         (long long)judge->recipe->max_length);
    json_decref(messages);
    mem_free(answers);
    mem_free(fits);
    return rc;
}

int judge_score(struct judge *judge, const struct prompt *const *prompts, struct episodes *episodes,
                const struct strbuf *words, struct err *err)
{
    int64_t families = 0;
    for (int64_t first = 0; first < episodes->count;) {
        int64_t prompt = episodes->items[first].prompt;
        int32_t count = 0;
        while (first + count < episodes->count && episodes->items[first + count].prompt == prompt)
            count++;
        struct family *family = &judge->families[families++];
        int rc = judge->anew ? family_of_words(judge, prompts[prompt], words + first, count, family, err)
                             : family_of_tokens(judge, prompts[prompt], episodes, first, count, family, err);
        if (rc != 0)
            return err_prefix(err, "reward_model");
        first += count;
    }
    if (scorer_score(judge->scorer, judge->pass, &judge->batch, judge->families, (size_t)families, judge->scores,
                     err) != 0)
        return -1;
    for (int64_t i = 0; i < episodes->count; i++)
        episodes->items[i].score = (double)judge->scores[i];
    return 0;
}
