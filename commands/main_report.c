/* commands/main_report.c - attune report: draws what happened in a run, or compares several. */
#include "base/args.h"
#include "base/mem.h"
#include "recipe/stage.h"
#include "report/report.h"
#include <stdio.h>

static int run(const struct args_list *folders, const char *out, struct err *err)
{
    if (folders->count == 1) {
        if (out) {
            return err_set(err, "--out is for comparing several runs; the report of one stands in its folder");
        }
        if (report_write(folders->items[0], &all_stages, err) != 0) {
            return -1;
        }
        printf("%s/%s\n", folders->items[0], REPORT_FILE);
        return 0;
    }
    out = out ? out : REPORT_FILE;
    if (report_compare(folders->items, folders->count, out, &all_stages, err) != 0) {
        return -1;
    }
    printf("%s\n", out);
    return 0;
}

int main(int argc, char **argv)
{
    mem_hook_libraries();
    struct args_list folders = {0};
    const char *out = NULL;
    const struct args_operand operands[] = {
        {.name = "RUN", .help = "folder of a run (its output_dir); several are compared", .texts = &folders}};
    const struct args_option options[] = {
        {.name = "out",
         .argument = "FILE",
         .help = "where the comparison goes (default: " REPORT_FILE " in the current folder)",
         .text = &out},
    };
    const struct args_command command = {
        .name = "attune report",
        .summary = "Draws what happened in a run: curves, samples, time and memory, as one page that opens without "
                   "network. The page goes to " REPORT_FILE " in the run's folder, and its path is printed. Of several "
                   "runs: their curves over each other, and the keys in which their recipes differ.",
        .more = "Examples:\n  attune report runs/alpaca\n  attune report runs/rank-8 runs/rank-64 --out ranks.html",
        .operands = operands,
        .operand_count = 1,
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    int status;
    if (!args_begin(&command, argc, argv, &status)) {
        args_list_free(&folders);
        return status;
    }
    struct err err;
    int result = run(&folders, out, &err);
    args_list_free(&folders);
    return args_end(&command, result, &err);
}
