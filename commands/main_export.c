/* commands/main_export.c - attune export: an adapter or a run as files that other tools load. */
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "commands/opened.h"
#include "lora/merge.h"
#include "train/device.h"
#include <string.h>

enum { DTYPE_KEEP = 3 };

struct export
{
    const char *source, *base, *to;
    bool merge, json;
    int dtype; /* enum dtype, or DTYPE_KEEP */
};

/* The base an adapter names itself. Free with mem_free(). */
static char *base_of(const char *folder, struct err *err)
{
    char *path = file_join(folder, "adapter_config.json", err), *base = NULL;
    json_t *config = path ? json_read_file(path, (size_t)16 << 20, err) : NULL;
    const char *name = NULL;
    if (config && json_need_string(config, "base_model_name_or_path", &name, path, err) == 0) {
        if (file_is_dir(name))
            base = mem_copy_string(name, strlen(name), err);
        else
            err_set(err, "%s names the base model '%s', which is no folder here; give its folder with --base", path,
                    name);
    }
    if (config)
        json_decref(config);
    mem_free(path);
    return base;
}

static bool has_file(const char *folder, const char *name)
{
    struct err err;
    char *path = file_join(folder, name, &err);
    bool there = path && file_exists(path);
    mem_free(path);
    return there;
}

static int write_adapter(const struct adapter *adapter, const char *to, const char *base, struct err *err)
{
    if (file_exists(to) && has_file(to, "adapter_config.json"))
        return err_set(err, "'%s' already holds an adapter; give a folder that is not there yet", to);
    return file_make_dirs(to, err) == 0 ? adapter_save(adapter, to, base, err) : -1;
}

static int export_adapter(const struct export *export, struct err *err)
{
    struct backend *backend = NULL;
    struct model *model = NULL;
    struct adapter *adapter = NULL;
    int rc = -1;
    char *base = export->base ? mem_copy_string(export->base, strlen(export->base), err) : base_of(export->source, err);
    if (base && device_open(&backend, &(struct device_options){.dtype = "f32", .device = "cpu"}, err) == 0 &&
        model_open(&model, base, err) == 0 && adapter_open(&adapter, model, export->source, err) == 0 &&
        adapter_load(adapter, backend, false, err) == 0) {
        if (export->merge)
            rc = adapter_merge(adapter, export->to, export->dtype == DTYPE_KEEP,
                               export->dtype == DTYPE_KEEP ? DTYPE_F32 : (enum dtype) export->dtype, err);
        else
            rc = write_adapter(adapter, export->to, base, err);
    }
    adapter_free(adapter);
    model_free(model);
    if (backend)
        backend->free(backend);
    mem_free(base);
    return rc;
}

/* A model folder, as full tuning leaves it: written again, perhaps in another dtype. */
static int export_model(const struct export *export, struct err *err)
{
    struct model *model;
    if (model_open(&model, export->source, err) != 0)
        return -1;
    struct export_options options = {.keep_dtype = export->dtype == DTYPE_KEEP,
                                     .dtype = export->dtype == DTYPE_KEEP ? DTYPE_F32 : (enum dtype) export->dtype};
    int rc = model_export(model, export->to, &options, err);
    model_free(model);
    return rc;
}

static int run(const struct export *export, struct err *err)
{
    int rc;
    if (has_file(export->source, "adapter_config.json"))
        rc = export_adapter(export, err);
    else if (has_file(export->source, "config.json"))
        rc = export_model(export, err);
    else if (has_file(export->source, "recipe.resolved.yaml"))
        return err_set(err,
                       "the run in '%s' is not finished; finish it with the same attune command, or export one of its "
                       "checkpoint-N folders",
                       export->source);
    else
        return err_set(err,
                       "'%s' is neither a run nor an adapter nor a model (no adapter_config.json or config.json in it)",
                       export->source);
    if (rc != 0)
        return -1;
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
    struct export export = {.dtype = DTYPE_KEEP};
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
                   "and vLLM load.",
        .more = "Examples:\n  attune export runs/alpaca --merge --to out/\n  attune export runs/alpaca/checkpoint-200 "
                "--to adapter/",
        .operands = operands,
        .operand_count = 1,
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    int status;
    if (!args_begin(&command, argc, argv, &status))
        return status;
    struct err err;
    if (!export.to) {
        err_set(&err, "--to DIR is needed: the folder to make");
        args_end(&command, -1, &err);
        return ARGS_USAGE;
    }
    return args_end(&command, run(&export, &err), &err);
}
