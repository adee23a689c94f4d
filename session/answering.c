/* session/answering.c - see answering.h. */
#include "session/answering.h"

struct generate_options answering_options(const struct answering *answering, const struct session *session,
                                          struct stop_tokens *stop_tokens)
{
    *stop_tokens = stop_tokens_of(&session->model->config, &session->text);
    return (struct generate_options){
        .sampling = {.temperature = (float)answering->temperature,
                     .top_k = (int32_t)answering->top_k,
                     .top_p = (float)answering->top_p,
                     .repetition_penalty = (float)answering->repetition_penalty},
        .max_new_tokens = (int32_t)answering->max_new_tokens,
        .stop_tokens = stop_tokens->ids,
        .seed = (uint64_t)answering->seed,
    };
}

int prompt_messages_text(struct strbuf *out, const struct prompt *prompt, struct err *err)
{
    bool is_list = prompt->json[0] == '[';
    strbuf_printf(out, is_list ? "%s" : "[{\"role\":\"user\",\"content\":%s}]", prompt->json);
    return strbuf_check(out, err);
}

int answering_open(struct prompt_list **prompts, struct generator **generator, const struct answering *answering,
                   const struct session *session, const char *path, const char *format, int64_t samples,
                   int64_t sequences, struct err *err)
{
    int64_t prompt_tokens = session->model->config.max_positions - answering->max_new_tokens;
    if (prompt_tokens < 1) {
        return err_set(err, "--max-new-tokens %lld leaves no room for a prompt in the model's %d positions",
                       (long long)answering->max_new_tokens, session->model->config.max_positions);
    }
    struct dataset_options options = session_dataset_options(session, prompt_tokens);
    if (prompt_list_load(prompts, path, format, &options, err) != 0) {
        return -1;
    }
    struct generator_limits limits = {.sequences = (int32_t)sequences,
                                      .samples = (int32_t)samples,
                                      .max_prompt = prompt_list_longest(*prompts),
                                      .max_new = (int32_t)answering->max_new_tokens,
                                      .max_rank = session_max_rank(session)};
    for (size_t i = 0; i < (*prompts)->count; i++) {
        const struct prompt *prompt = &(*prompts)->items[i];
        if (session_check_ids(session, prompt->ids, prompt->count, err) != 0) {
            return -1;
        }
    }
    return generator_create(generator, session->model, &limits, err);
}
