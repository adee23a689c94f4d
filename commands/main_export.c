/* commands/main_export.c - attune export: an adapter or a run as files that other tools load. */
#include "base/args.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "lora/merge.h"
#include "roles/folder.h"
#include "train/device.h"
#include <string.h>

enum { DTYPE_KEEP = 3 };

struct exporting {
    const char *source, *base, *to;
    bool merge, json;
    int dtype; /* enum dtype, or DTYPE_KEEP */
};

static int write_adapter(const struct adapter *adapter, const char *to, const char *base, struct err *err)
{
    char *path = file_join(to, "adapter_config.json", err);
    int result = path ? 0 : -1;
    if (result == 0 && file_exists(path)) {
        result = err_set(err, "'%s' already holds an adapter; give a folder that is not there yet", to);
    }
    mem_free(path);
    if (result == 0) {
        result = file_make_dirs(to, err);
    }
    return result == 0 ? adapter_save(adapter, to, base, err) : -1;
}

/* A model goes with the template that its texts were rendered with. */
static int merge(const struct exporting *export, const struct adapter *adapter, struct err *err)
{
    char *chat_template = NULL;
    if (folder_chat_template(&chat_template, export->source, err) != 0) {
        return -1;
    }
    struct merge_options options = {.keep_dtype = export->dtype == DTYPE_KEEP,
                                    .dtype = export->dtype == DTYPE_KEEP ? DTYPE_F32 : (enum dtype) export->dtype,
                                    .chat_template = chat_template};
    int result = adapter_merge(adapter, export->to, &options, err);
    mem_free(chat_template);
    return result;
}

static int export_adapter(const struct exporting *export, struct err *err)
{
    struct backend *backend = NULL;
    struct model *model = NULL;
    struct adapter *adapter = NULL;
    int result = -1;
    char *base =
        export->base ? mem_copy_string(export->base, strlen(export->base), err) : folder_base(export->source, err);
    if (base && device_open(&backend, &(struct device_options){.dtype = "f32", .device = "cpu"}, err) == 0 &&
        model_open(&model, base, err) == 0 && adapter_open(&adapter, model, export->source, err) == 0 &&
        adapter_load(adapter, backend, false, err) == 0) {
        result = export->merge ? merge(export, adapter, err) : write_adapter(adapter, export->to, base, err);
    }
    adapter_free(adapter);
    model_free(model);
    if (backend) {
        backend->free(backend);
    }
    mem_free(base);
    return result;
}

/* A model folder, as full tuning leaves it: written again, perhaps in another dtype. */
static int export_model(const struct exporting *export, struct err *err)
{
    struct model *model;
    if (model_open(&model, export->source, err) != 0) {
        return -1;
    }
    struct export_options options = {.keep_dtype = export->dtype == DTYPE_KEEP,
                                     .dtype = export->dtype == DTYPE_KEEP ? DTYPE_F32 : (enum dtype) export->dtype};
    int result = model_export(model, export->to, &options, err);
    model_free(model);
    return result;
}

static int run(const struct exporting *export, struct err *err)
{
    enum folder_kind kind;
    if (folder_look(&kind, export->source, err) != 0 ||
        (kind == FOLDER_ADAPTER ? export_adapter(export, err) : export_model(export, err)) != 0) {
        return -1;
    }
    if (export->json) {
        struct strbuf line = {0};
        strbuf_puts(&line, "{\"to\": ");
        strbuf_put_json(&line, export->to, strlen(export->to));
        strbuf_puts(&line, "}");
        puts(strbuf_text(&line));
        strbuf_free(&line);
    } else {
        log_info("wrote %s", export->to);
    }
    return 0;
}

int main(int argc, char **argv)
{
    mem_hook_libraries();
    static const char *const dtypes[] = {"f32", "bf16", "f16", "keep", NULL};
    struct exporting export = {.dtype = DTYPE_KEEP};
    const struct args_operand operands[] = {{.name = "RUN|ADAPTER",
                                             .help = "folder of a run, a checkpoint, an adapter or a model",
                                             .text = &export.source}};
    const struct args_option options[] = {
        {.name = "to", .argument = "DIR", .help = "folder to make", .text = &export.to},
        {.name = "merge",
         .help = "merge the adapter into its base: a model that loads anywhere",
         .flag = &export.merge},
        {.name = "base",
         .argument = "DIR",
         .help = "the base model (default: what the adapter names)",
         .text = &export.base},
        {.name = "dtype",
         .argument = "D",
         .help = "of the written model: f32, bf16, f16, or keep the base's (default keep)",
         .choice = &export.dtype,
         .choices = dtypes},
        {.name = "json", .help = "print what was written as JSON", .flag = &export.json},
    };
    const struct args_command command = {
        .name = "attune export",
        .summary = "Writes a tuned model: the adapter in PEFT's form, or with --merge a model folder that transformers "
                   "and vLLM load. A reward model becomes one of transformers' ...ForSequenceClassification.",
        .more = "Examples:\n  attune export runs/alpaca --merge --to out/\n  attune export runs/alpaca/checkpoint-200 "
                "--to adapter/",
        .operands = operands,
        .operand_count = 1,
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    int status;
    if (!args_begin(&command, argc, argv, &status)) {
        return status;
    }
    struct err err;
    if (!export.to) {
        err_set(&err, "--to DIR is needed: the folder to make");
        args_end(&command, -1, &err);
        return ARGS_USAGE;
    }
    return args_end(&command, run(&export, &err), &err);
}
