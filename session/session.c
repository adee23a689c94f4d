/* session/session.c - see session.h. */
#include "session/session.h"
#include "base/mem.h"
#include "roles/folder.h"
#include "train/device.h"

const char *const session_dtypes[] = {"auto", "f32", "bf16", NULL};
const char *const session_devices[] = {"auto", "cpu", "cuda", NULL};

/* With the template that was asked for, else the one that the adapter was trained with, else the model's own. */
static int open_text(struct session *session, struct err *err)
{
    char *trained = NULL;
    if (!session->chat_template && session->adapter_folder &&
        folder_chat_template(&trained, session->adapter_folder, err) != 0) {
        return -1;
    }
    int result = model_text_open(&session->text, session->folder, trained ? trained : session->chat_template, err);
    mem_free(trained);
    return result;
}

int session_check(struct session *session, struct err *err)
{
    if (models_open(&session->models, session->folder, MODELS_VOCABULARY, false, &session->model, err) != 0 ||
        open_text(session, err) != 0) {
        return -1;
    }
    if (!session->adapter_folder) {
        return 0;
    }
    if (adapter_open(&session->adapter, session->model, session->adapter_folder, err) != 0) {
        return -1;
    }
    return session->adapter->save_score
               ? err_set(err, "--adapter %s is a reward model, which gives scores and no tokens; give it as --reward",
                         session->adapter_folder)
               : 0;
}

int session_open(struct session *session, struct err *err)
{
    struct device_options device = {.dtype = session_dtypes[session->dtype],
                                    .device = session_devices[session->device],
                                    .threads = (int)session->threads};
    struct scorer_options reward = {.folder = session->reward,
                                    .base = session->reward_base,
                                    .chat_template = session->folder ? NULL : session->chat_template};
    if (device_open(&session->backend, &device, err) != 0 || (session->folder && session_check(session, err) != 0) ||
        (session->reward && scorer_open(&session->scorer, &reward, &session->models, err) != 0) ||
        models_load(&session->models, session->backend, err) != 0) {
        return -1;
    }
    if (session->adapter) {
        if (adapter_load(session->adapter, session->backend, false, err) != 0) {
            return -1;
        }
        session->overlay = &session->adapter->overlay;
    }
    return session->reward ? scorer_load(&session->scorer, session->backend, err) : 0;
}

void session_close(struct session *session)
{
    scorer_close(&session->scorer);
    adapter_free(session->adapter);
    model_text_close(&session->text);
    models_close(&session->models);
    if (session->backend) {
        session->backend->free(session->backend);
    }
    *session = (struct session){0};
}

struct dataset_options session_dataset_options(const struct session *session, int64_t max_length)
{
    int32_t most = session->model->config.max_positions;
    return (struct dataset_options){
        .tokenizer = session->text.tokenizer,
        .chat = session->text.chat,
        .max_length = max_length > 0 && max_length < most ? (int32_t)max_length : most,
    };
}

int session_check_ids(const struct session *session, const int32_t *ids, int32_t count, struct err *err)
{
    int32_t vocabulary = session->model->config.vocabulary;
    for (int32_t i = 0; i < count; i++) {
        if (ids[i] < 0 || ids[i] >= vocabulary) {
            return err_set(err,
                           "the tokenizer of %s makes the id %d, but the model's vocabulary has %d; the tokenizer "
                           "belongs to another model",
                           session->folder, ids[i], vocabulary);
        }
    }
    return 0;
}

int32_t session_max_rank(const struct session *session)
{
    return session->overlay ? session->overlay->max_rank : 0;
}
