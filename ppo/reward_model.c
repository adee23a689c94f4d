/* ppo/reward_model.c - see reward_model.h. */
#include "ppo/reward_model.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "ppo/roles.h"
#include <string.h>

#define SHOWN_MAX 60 /* bytes of a prompt in a message */

/* ---- how it is done ---- */

/* The prompt as a list of messages: a text is one message of the user. */
static json_t *messages_of(const struct prompt *prompt, struct err *err)
{
    json_t *value = json_loads(prompt->json, JSON_DECODE_ANY, NULL);
    if (!value) {
        err_set(err, "out of memory while a prompt was read");
        return NULL;
    }
    if (json_is_array(value)) {
        return value;
    }
    json_t *messages = json_pack("[{s:s, s:o}]", "role", "user", "content", value);
    if (!messages) {
        err_set(err, "out of memory while a prompt was read");
    }
    return messages;
}

/* Bytes of a prompt's text to show: its first line, and not much of that. */
static int shown(const char *text)
{
    return (int)utf8_cut(text, strcspn(text, "\n"), SHOWN_MAX);
}

/* The conversation of a prompt and a short answer, as the reward model reads it. */
static int render_probe(const struct reward_model *reward, const struct family_encoder *encoder,
                        const struct prompt *prompt, struct family *family, struct err *err)
{
    json_t *messages = messages_of(prompt, err);
    struct family_answer answer = {"ok", 2};
    bool fits;
    int result = messages ? family_encode(encoder, messages, &answer, 1, family, &fits, err) : -1;
    json_decref(messages);
    if (result == 0) {
        result = scorer_check(reward->scorer, family, err);
    }
    return result == 0 ? 0 : err_prefix(err, "the prompt '%.*s'", shown(prompt->text), prompt->text);
}

/*
 * Looks at all of these prompts before the first is answered. A template may refuse one of them, and should not do so
 * in the middle of a run. And two templates may agree on a question and not on a system message, while a text that goes
 * on is a question to the reward model: *odd becomes the first prompt whose tokens are not the policy's.
 */
static int look_at_prompts(struct reward_model *reward, const struct family_encoder *encoder,
                           const struct ppo_prompts *prompts, const struct prompt **odd, struct err *err)
{
    struct family family = {0};
    int result = 0;
    for (size_t i = 0; i < prompts->count; i++) {
        const struct prompt *prompt = prompts->items[i];
        if (i > 0 && prompt == prompts->items[i - 1]) { /* once more, through a weight */
            continue;
        }
        result = render_probe(reward, encoder, prompt, &family, err);
        if (result != 0) {
            break;
        }
        int32_t length = family_length(&family, 0), closing = family.ids[length - 1];
        if (reward->closing_token < 0) {
            reward->closing_token = closing;
        }
        bool like = length > prompt->count && closing == reward->closing_token &&
                    memcmp(family.ids, prompt->ids, (size_t)prompt->count * sizeof *prompt->ids) == 0;
        if (!like && !*odd) {
            *odd = prompt;
        }
    }
    family_free(&family);
    return result;
}

static void say_how(const struct reward_model *reward, bool same_tokenizer, const struct prompt *odd)
{
    const char *folder = reward->scorer->folder;
    if (!same_tokenizer) {
        log_info("reward model %s: has another tokenizer, so it reads the answers' words", folder);
    } else if (odd) {
        log_info("reward model %s: reads the answers' words, since it writes the prompt '%.*s' otherwise than the "
                 "policy",
                 folder, shown(odd->text), odd->text);
    } else {
        log_info("reward model %s: reads the tokens as they were sampled", folder);
    }
}

/* What closes an answer, and whether sampled tokens can be scored as they are. */
static int look_at_text(struct reward_model *reward, const struct ppo_data *data, const struct model *policy,
                        struct err *err)
{
    const struct ppo_prompts *kinds[] = {&data->train, &data->eval, &data->samples};
    const struct prompt *odd = NULL;
    struct family_encoder *encoder;
    struct family_options options = scorer_family_options(reward->scorer, 0);
    options.max_length = 0; /* whether a prompt is cut is another question */
    bool same = false;
    if (ppo_same_tokenizer(policy->folder, reward->scorer->model->folder, &same, err) != 0 ||
        family_encoder_open(&encoder, &options, err) != 0) {
        return -1;
    }
    int result = 0;
    reward->closing_token = -1;
    for (size_t i = 0; result == 0 && i < sizeof kinds / sizeof *kinds; i++) {
        result = look_at_prompts(reward, encoder, kinds[i], &odd, err);
    }
    family_encoder_close(encoder);
    if (result != 0) {
        return -1;
    }
    reward->anew = !same || odd;
    say_how(reward, same, odd);
    return 0;
}

static int check_positions(const struct reward_model *reward, const struct ppo_data *data, struct err *err)
{
    int64_t longest = ppo_data_longest(data) + ppo_data_longest_answer(data) + 1;
    int32_t positions = reward->scorer->model->config.max_positions;
    if (reward->anew || longest <= positions) {
        return 0;
    }
    return err_set(err,
                   "reward_model: a prompt with its answer may have %lld tokens, but the reward model was made for %d "
                   "positions (max_position_embeddings); set max_length to %d or less",
                   (long long)longest, positions, positions - 1);
}

int reward_model_open(struct reward_model *reward, const struct recipe *recipe, const struct ppo_data *data,
                      const struct scorer *scorer, const struct model *policy, int32_t pass_tokens, struct err *err)
{
    *reward = (struct reward_model){.recipe = recipe, .scorer = scorer};
    struct family_options options = scorer_family_options(scorer, recipe->max_length);
    if (family_encoder_open(&reward->encoder, &options, err) != 0 || look_at_text(reward, data, policy, err) != 0 ||
        check_positions(reward, data, err) != 0) {
        reward_model_close(reward);
        return err_prefix(err, "reward_model");
    }
    /* Of words nobody knows how many tokens they will be: at most max_length. */
    int64_t longest = reward->anew ? recipe->max_length : ppo_data_longest(data) + ppo_data_longest_answer(data) + 1;
    reward->limits = scorer_limits(scorer, (int32_t)longest, pass_tokens);
    return 0;
}

void reward_model_close(struct reward_model *reward)
{
    family_encoder_close(reward->encoder);
    pass_free(reward->own_pass);
    batch_free(&reward->batch);
    for (int64_t i = 0; reward->families && i < REWARD_MODEL_FAMILIES; i++) {
        family_free(&reward->families[i]);
    }
    mem_free(reward->families);
    mem_free(reward->ids);
    mem_free(reward->scores);
    *reward = (struct reward_model){0};
}

/* ---- memory ---- */

bool reward_model_shares_pass(const struct reward_model *reward, const struct model *policy)
{
    return ppo_same_shape(&policy->config, &reward->scorer->model->config);
}

int reward_model_plan(const struct reward_model *reward, const struct model *policy, struct backend *backend,
                      struct memory_plan *plan, struct err *err)
{
    return reward_model_shares_pass(reward, policy)
               ? 0
               : pass_plan(reward->scorer->model, &reward->limits, backend, plan, err);
}

size_t reward_model_size(const struct reward_model *reward, const struct answer_most *most)
{
    size_t group = (size_t)most->group, numbers = group * (size_t)(most->length + 1);
    size_t family = reward->anew ? group * (size_t)reward->recipe->max_length : (size_t)most->prompt + numbers;
    /* A family's arrays may have grown to twice what it needs. */
    return REWARD_MODEL_FAMILIES * (2 * family * sizeof(int32_t) + group * sizeof(float)) + numbers * sizeof(int32_t);
}

int reward_model_start(struct reward_model *reward, struct pass *pass, const struct answer_most *most, struct err *err)
{
    const struct pass_limits *limits = &reward->limits;
    size_t numbers = (size_t)(most->group * (most->length + 1));
    reward->pass = pass;
    if (!reward_model_shares_pass(reward, pass_model(pass))) {
        if (pass_create(&reward->own_pass, reward->scorer->model, limits, err) != 0) {
            return -1;
        }
        reward->pass = reward->own_pass;
    }
    reward->families = mem_alloc(REWARD_MODEL_FAMILIES, sizeof *reward->families, err);
    reward->scores = mem_alloc(REWARD_MODEL_FAMILIES * (size_t)most->group, sizeof *reward->scores, err);
    reward->ids = mem_alloc(numbers, sizeof *reward->ids, err);
    if (!reward->families || !reward->scores || !reward->ids) {
        return -1;
    }
    return batch_create(&reward->batch, limits->tokens, limits->segments, limits->predictions, err);
}

/* ---- scores ---- */

/* The tokens of `count` answers of one prompt, each closed. */
static int family_of_tokens(struct reward_model *reward, const struct prompt *prompt, const struct episodes *episodes,
                            int64_t first, int32_t count, struct family *family, struct err *err)
{
    struct family_ids asked = {prompt->ids, prompt->count};
    struct family_ids *answers = mem_alloc((size_t)count, sizeof *answers, err);
    int32_t *ids = reward->ids;
    if (!answers) {
        return -1;
    }
    for (int32_t i = 0; i < count; i++) {
        const struct episode *episode = &episodes->items[first + i];
        int32_t length = 0, vocabulary = reward->scorer->model->config.vocabulary;
        /* A policy with more rows than its tokenizer has tokens may sample one that is no text, and no row here. */
        for (int32_t t = 0; t < episode->length - episode->stopped; t++) {
            if (episodes->tokens[episode->first + t] < vocabulary) {
                ids[length++] = episodes->tokens[episode->first + t];
            }
        }
        ids[length++] = reward->closing_token;
        answers[i] = (struct family_ids){ids, length};
        ids += length;
    }
    int result = family_from_ids(family, &asked, answers, count, err);
    mem_free(answers);
    return result;
}

/* The words of `count` answers of one prompt, rendered and tokenised as the reward model wants them. */
static int family_of_words(struct reward_model *reward, const struct prompt *prompt, const struct strbuf *words,
                           int32_t count, struct family *family, struct err *err)
{
    json_t *messages = messages_of(prompt, err);
    struct family_answer *answers = messages ? mem_alloc((size_t)count, sizeof *answers, err) : NULL;
    bool *fits = answers ? mem_alloc((size_t)count, sizeof *fits, err) : NULL;
    for (int32_t i = 0; fits && i < count; i++) {
        answers[i] = (struct family_answer){strbuf_text(&words[i]), words[i].length};
    }
    int result = fits ? family_encode(reward->encoder, messages, answers, count, family, fits, err) : -1;
    if (result == 0) {
        result = scorer_check(reward->scorer, family, err);
    }
    for (int32_t i = 0; result == 0 && i < count; i++) {
        if (!fits[i]) {
            result =
                err_set(err,
                        "an answer has more than max_length = %lld tokens for the reward model; raise max_length, or "
                        "lower response_length",
                        (long long)reward->recipe->max_length);
        }
    }
    json_decref(messages);
    mem_free(answers);
    mem_free(fits);
    return result;
}

/* The next prompt's answers as a family, from answer *first on, which becomes the one after them. */
static int next_family(struct reward_model *reward, const struct prompt *const *prompts,
                       const struct episodes *episodes, const struct strbuf *words, int64_t *first,
                       struct family *family, struct err *err)
{
    int64_t prompt = episodes->items[*first].prompt, begin = *first;
    while (*first < episodes->count && episodes->items[*first].prompt == prompt) {
        ++*first;
    }
    int32_t count = (int32_t)(*first - begin);
    return reward->anew ? family_of_words(reward, prompts[prompt], words + begin, count, family, err)
                        : family_of_tokens(reward, prompts[prompt], episodes, begin, count, family, err);
}

int reward_model_score(struct reward_model *reward, const struct prompt *const *prompts, struct episodes *episodes,
                       const struct strbuf *words, struct err *err)
{
    for (int64_t first = 0, next = 0; first < episodes->count; first = next) {
        size_t families = 0;
        while (families < REWARD_MODEL_FAMILIES && next < episodes->count) {
            if (next_family(reward, prompts, episodes, words, &next, &reward->families[families++], err) != 0) {
                return err_prefix(err, "reward_model");
            }
        }
        if (scorer_score(reward->scorer, reward->pass, &reward->batch, reward->families, families, reward->scores,
                         err) != 0) {
            return -1;
        }
        for (int64_t i = first; i < next; i++) {
            episodes->items[i].score = (double)reward->scores[i - first];
        }
    }
    return 0;
}
