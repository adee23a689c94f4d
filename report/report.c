/* report/report.c - see report.h. */
#include "report/report.h"
#include "base/file.h"
#include "base/mem.h"
#include "report/internal.h"
#include <math.h>
#include <string.h>

/* "Supervised fine-tuning of SmolLM2-135M", as plain text. */
static int make_title(struct strbuf *out, const struct report_data *data, struct err *err)
{
    const struct recipe_stage *stage = data->recipe.stage;
    const char *model = report_recipe_value(&data->recipe, "model_name_or_path");
    strbuf_puts(out, stage ? stage->title : "Run");
    if (model) {
        char *name = report_base_name(model, err);
        if (!name) {
            return -1;
        }
        strbuf_printf(out, " %s %s", stage ? stage->title_joint : "of", name);
        mem_free(name);
    }
    return strbuf_check(out, err);
}

/* The line below the title: on what, how, how far. */
static void put_summary(struct strbuf *out, const struct report_data *data)
{
    const char *method = report_recipe_value(&data->recipe, "finetuning_type");
    const char *rank = report_recipe_value(&data->recipe, "lora_r");
    const char *folder = report_recipe_value(&data->recipe, "output_dir");
    double tokens = report_data_last(data, "num_tokens");
    strbuf_puts(out, "<p class=\"quiet\">");
    if (data->recipe.datasets && *data->recipe.datasets) {
        strbuf_puts(out, "on ");
        html_puts(out, data->recipe.datasets);
        strbuf_puts(out, " · ");
    }
    if (method && strcmp(method, "lora") == 0) {
        strbuf_puts(out, "LoRA");
        strbuf_puts(out, rank ? " of rank " : "");
        html_puts(out, rank ? rank : "");
        strbuf_puts(out, " · ");
    } else if (method) {
        strbuf_puts(out, "all weights · ");
    }
    strbuf_puts(out, "step ");
    html_number(out, (double)data->last_step);
    if (!isnan(data->last_epoch)) {
        strbuf_puts(out, " · epoch ");
        html_number(out, data->last_epoch);
    }
    if (!isnan(tokens)) {
        strbuf_puts(out, " · ");
        html_number(out, tokens);
        strbuf_puts(out, " tokens");
    }
    strbuf_printf(out, " · %s</p>\n<p class=\"quiet\">", data->finished ? "finished" : "not finished yet");
    html_puts(out, folder ? folder : "");
    strbuf_puts(out, "</p>\n");
}

static int add_all(struct html_page *page, const struct report_data *data, struct err *err)
{
    put_summary(&page->head, data);
    if (report_add_tiles(page, data, err) != 0 || report_add_panels(page, data, err) != 0 ||
        report_add_figures(page, data, err) != 0 || report_add_samples(page, data, err) != 0 ||
        report_add_time(page, data, err) != 0 || report_add_memory(page, data, err) != 0) {
        return -1;
    }
    report_add_recipe(page, data);
    strbuf_puts(&page->body, "<footer>Made by attune " ATTUNE_VERSION " from the files of this folder; attune report "
                             "makes it again.</footer>\n");
    return 0;
}

int report_write(const char *folder, const struct recipe_stages *stages, struct err *err)
{
    struct report_data data;
    if (report_data_read(&data, folder, stages, err) != 0) {
        return err_prefix(err, "cannot make the report");
    }
    struct html_page page = {0};
    struct strbuf title = {0};
    char *path = file_join(folder, REPORT_FILE, err);
    int result = path ? make_title(&title, &data, err) : -1;
    if (result == 0) {
        strbuf_puts(&page.head, "<h1>");
        html_puts(&page.head, title.data);
        strbuf_puts(&page.head, "</h1>\n");
        result = add_all(&page, &data, err);
    }
    if (result == 0) {
        result = html_write_page(path, title.data, &page, err);
    }
    if (result != 0) {
        err_prefix(err, "cannot make the report");
    }
    html_free_page(&page);
    strbuf_free(&title);
    mem_free(path);
    report_data_free(&data);
    return result;
}
