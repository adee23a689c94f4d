/* session/opened.c - see opened.h. */
#include "session/opened.h"
#include "base/mem.h"
#include "roles/folder.h"
#include "train/device.h"

const char *const opened_dtypes[] = {"auto", "f32", "bf16", NULL};
const char *const opened_devices[] = {"auto", "cpu", "cuda", NULL};

/* With the template that was asked for, else the one that the adapter was trained with, else the model's own. */
static int open_text(struct opened *opened, struct err *err)
{
    char *trained = NULL;
    if (!opened->chat_template && opened->adapter_folder &&
        folder_chat_template(&trained, opened->adapter_folder, err) != 0) {
        return -1;
    }
    int result = model_text_open(&opened->text, opened->folder, trained ? trained : opened->chat_template, err);
    mem_free(trained);
    return result;
}

int opened_check(struct opened *opened, struct err *err)
{
    if (models_open(&opened->models, opened->folder, MODELS_VOCABULARY, false, &opened->model, err) != 0 ||
        open_text(opened, err) != 0) {
        return -1;
    }
    if (!opened->adapter_folder) {
        return 0;
    }
    if (adapter_open(&opened->adapter, opened->model, opened->adapter_folder, err) != 0) {
        return -1;
    }
    return opened->adapter->save_score
               ? err_set(err, "--adapter %s is a reward model, which gives scores and no tokens; give it as --reward",
                         opened->adapter_folder)
               : 0;
}

int opened_model(struct opened *opened, struct err *err)
{
    struct device_options device = {.dtype = opened_dtypes[opened->dtype],
                                    .device = opened_devices[opened->device],
                                    .threads = (int)opened->threads};
    struct scorer_options reward = {.folder = opened->reward,
                                    .base = opened->reward_base,
                                    .chat_template = opened->folder ? NULL : opened->chat_template};
    if (device_open(&opened->backend, &device, err) != 0 || (opened->folder && opened_check(opened, err) != 0) ||
        (opened->reward && scorer_open(&opened->scorer, &reward, &opened->models, err) != 0) ||
        models_load(&opened->models, opened->backend, err) != 0) {
        return -1;
    }
    if (opened->adapter) {
        if (adapter_load(opened->adapter, opened->backend, false, err) != 0) {
            return -1;
        }
        opened->overlay = &opened->adapter->overlay;
    }
    return opened->reward ? scorer_load(&opened->scorer, opened->backend, err) : 0;
}

void opened_close(struct opened *opened)
{
    scorer_close(&opened->scorer);
    adapter_free(opened->adapter);
    model_text_close(&opened->text);
    models_close(&opened->models);
    if (opened->backend) {
        opened->backend->free(opened->backend);
    }
    *opened = (struct opened){0};
}

struct dataset_options opened_dataset_options(const struct opened *opened, int64_t max_length)
{
    int32_t most = opened->model->config.max_positions;
    return (struct dataset_options){
        .tokenizer = opened->text.tokenizer,
        .chat = opened->text.chat,
        .max_length = max_length > 0 && max_length < most ? (int32_t)max_length : most,
    };
}

int opened_check_ids(const struct opened *opened, const int32_t *ids, int32_t count, struct err *err)
{
    int32_t vocabulary = opened->model->config.vocabulary;
    for (int32_t i = 0; i < count; i++) {
        if (ids[i] < 0 || ids[i] >= vocabulary) {
            return err_set(err,
                           "the tokenizer of %s makes the id %d, but the model's vocabulary has %d; the tokenizer "
                           "belongs to another model",
                           opened->folder, ids[i], vocabulary);
        }
    }
    return 0;
}

int32_t opened_max_rank(const struct opened *opened)
{
    return opened->overlay ? opened->overlay->max_rank : 0;
}
