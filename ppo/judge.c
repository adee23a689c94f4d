/* ppo/judge.c - see judge.h. */
#include "ppo/judge.h"
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
    if (json_is_array(value))
        return value;
    json_t *messages = json_pack("[{s:s, s:o}]", "role", "user", "content", value);
    if (!messages)
        err_set(err, "out of memory while a prompt was read");
    return messages;
}

/* Bytes of a prompt's text to show: its first line, and not much of that. */
static int shown(const char *text)
{
    return (int)utf8_cut(text, strcspn(text, "\n"), SHOWN_MAX);
}

/* The conversation of a prompt and a short answer, as the reward model reads it. */
static int render_probe(const struct judge *judge, const struct family_encoder *encoder, const struct prompt *prompt,
                        struct family *family, struct err *err)
{
    json_t *messages = messages_of(prompt, err);
    struct family_answer answer = {"ok", 2};
    bool fits;
    int rc = messages ? family_encode(encoder, messages, &answer, 1, family, &fits, err) : -1;
    json_decref(messages);
    if (rc == 0)
        rc = scorer_check(judge->scorer, family, err);
    return rc == 0 ? 0 : err_prefix(err, "the prompt '%.*s'", shown(prompt->text), prompt->text);
}

/*
 * Looks at all of these prompts before the first is answered. A template may refuse one of them, and should not do so
 * in the middle of a run. And two templates may agree on a question and not on a system message, while a text that goes
 * on is a question to the reward model: *odd becomes the first prompt whose tokens are not the policy's.
 */
static int look_at_prompts(struct judge *judge, const struct family_encoder *encoder, const struct ppo_prompts *prompts,
                           const struct prompt **odd, struct err *err)
{
    struct family family = {0};
    int rc = 0;
    for (size_t i = 0; i < prompts->count; i++) {
        const struct prompt *prompt = prompts->items[i];
        if (i > 0 && prompt == prompts->items[i - 1]) /* once more, through a weight */
            continue;
        rc = render_probe(judge, encoder, prompt, &family, err);
        if (rc != 0)
            break;
        int32_t length = family_length(&family, 0), closing = family.ids[length - 1];
        if (judge->closing_token < 0)
            judge->closing_token = closing;
        bool like = length > prompt->count && closing == judge->closing_token &&
                    memcmp(family.ids, prompt->ids, (size_t)prompt->count * sizeof *prompt->ids) == 0;
        if (!like && !*odd)
            *odd = prompt;
    }
    family_free(&family);
    return rc;
}

static void say_how(const struct judge *judge, bool same_tokenizer, const struct prompt *odd)
{
    const char *folder = judge->scorer->folder;
    if (!same_tokenizer)
        log_info("reward model %s: has another tokenizer, so it reads the answers' words", folder);
    else if (odd)
        log_info("reward model %s: reads the answers' words, since it writes the prompt '%.*s' otherwise than the "
                 "policy",
                 folder, shown(odd->text), odd->text);
    else
        log_info("reward model %s: reads the tokens as they were sampled", folder);
}

/* What closes an answer, and whether sampled tokens can be scored as they are. */
static int look_at_text(struct judge *judge, const struct ppo_data *data, const struct model *policy, struct err *err)
{
    const struct ppo_prompts *kinds[] = {&data->train, &data->eval, &data->samples};
    const struct prompt *odd = NULL;
    struct family_encoder *encoder;
    struct family_options options = scorer_family_options(judge->scorer, 0);
    options.max_length = 0; /* whether a prompt is cut is another question */
    bool same = false;
    if (ppo_same_tokenizer(policy->folder, judge->scorer->model->folder, &same, err) != 0 ||
        family_encoder_open(&encoder, &options, err) != 0)
        return -1;
    int rc = 0;
    judge->closing_token = -1;
    for (size_t i = 0; rc == 0 && i < sizeof kinds / sizeof *kinds; i++)
        rc = look_at_prompts(judge, encoder, kinds[i], &odd, err);
    family_encoder_close(encoder);
    if (rc != 0)
        return -1;
    judge->anew = !same || odd;
    say_how(judge, same, odd);
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
    return 0;
}

void judge_close(struct judge *judge)
{
    family_encoder_close(judge->encoder);
    pass_free(judge->own_pass);
    batch_free(&judge->batch);
    for (int64_t i = 0; judge->families && i < JUDGE_FAMILIES; i++)
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

size_t judge_size(const struct judge *judge, const struct judge_most *most)
{
    size_t group = (size_t)most->group, numbers = group * (size_t)(most->length + 1);
    size_t family = judge->anew ? group * (size_t)judge->recipe->max_length : (size_t)most->prompt + numbers;
    /* A family's arrays may have grown to twice what it needs. */
    return JUDGE_FAMILIES * (2 * family * sizeof(int32_t) + group * sizeof(float)) + numbers * sizeof(int32_t);
}

int judge_start(struct judge *judge, struct pass *pass, const struct judge_most *most, struct err *err)
{
    const struct pass_limits *limits = &judge->limits;
    size_t numbers = (size_t)(most->group * (most->length + 1));
    judge->pass = pass;
    if (!judge_shares_pass(judge, pass_model(pass))) {
        if (pass_create(&judge->own_pass, judge->scorer->model, limits, err) != 0)
            return -1;
        judge->pass = judge->own_pass;
    }
    judge->families = mem_alloc(JUDGE_FAMILIES, sizeof *judge->families, err);
    judge->scores = mem_alloc(JUDGE_FAMILIES * (size_t)most->group, sizeof *judge->scores, err);
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

/* The next prompt's answers as a family, from answer *first on, which becomes the one behind them. */
static int next_family(struct judge *judge, const struct prompt *const *prompts, const struct episodes *episodes,
                       const struct strbuf *words, int64_t *first, struct family *family, struct err *err)
{
    int64_t prompt = episodes->items[*first].prompt, begin = *first;
    while (*first < episodes->count && episodes->items[*first].prompt == prompt)
        ++*first;
    int32_t count = (int32_t)(*first - begin);
    return judge->anew ? family_of_words(judge, prompts[prompt], words + begin, count, family, err)
                       : family_of_tokens(judge, prompts[prompt], episodes, begin, count, family, err);
}

int judge_score(struct judge *judge, const struct prompt *const *prompts, struct episodes *episodes,
                const struct strbuf *words, struct err *err)
{
    for (int64_t first = 0, next = 0; first < episodes->count; first = next) {
        size_t families = 0;
        while (families < JUDGE_FAMILIES && next < episodes->count)
            if (next_family(judge, prompts, episodes, words, &next, &judge->families[families++], err) != 0)
                return err_prefix(err, "reward_model");
        if (scorer_score(judge->scorer, judge->pass, &judge->batch, judge->families, families, judge->scores, err) != 0)
            return -1;
        for (int64_t i = first; i < next; i++)
            episodes->items[i].score = (double)judge->scores[i - first];
    }
    return 0;
}
