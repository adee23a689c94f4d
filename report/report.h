/*
 * report/report.h - report.html: what a run did, as one page that opens anywhere, without network and libraries.
 *
 * The page is made from what lies in the run's folder, and from nothing else (no clock, no state), so it can be made
 * again at any time, and runs with equal files have equal pages. Whatever is missing is left out.
 *
 *     recipe.resolved.yaml   the title and the line below it; every key at the end of the page
 *     metrics.jsonl          a curve for every number (train/metrics.h); report/metrics.h knows which share a panel,
 *                            and what they mean. Names that begin with "time/" are seconds of a phase, and drawn as
 *                            such
 *     samples.jsonl          {"step", "epoch", "prompt", "answer", "score" (a number, or not there), ...}: the answers
 *                            of the first and of the last step side by side
 *     memory.json            {"plan": {"weights": bytes, ...}, "total": bytes}: beside the peak that was measured
 *     figures.json           what a stage has computed itself, see below
 *     state.json             it is there when the run is finished
 *
 * A torn last line of a .jsonl is passed over, as a killed process leaves one. Anything else that cannot be read is an
 * error that names the file and the line.
 *
 * figures.json: {"figures": [...]}, each figure one of
 *
 *     {"kind": "chart", "title": "...", "text": "a sentence", "x": "label", "y": "label", "series": [
 *         {"name": "...", "mark": "line" | "bars" | "points", "points": [[x, y], ...],
 *          "low": [...], "high": [...]}]}      bounds of the points, where known, as many as there are points
 *     {"kind": "table", "title": "...", "text": "...", "columns": ["..."], "rows": [[text or number, ...], ...]}
 *     {"kind": "texts", "title": "...", "text": "...", "items": [{"heading": "...", "body": "..."}, ...]}
 *
 * "text", "x" and "y" may be left out. y may be null: a gap. x is a number in all points of a figure, or a text in all
 * of them: then the texts stand side by side on the axis, in the order in which they first come.
 */
#ifndef ATTUNE_REPORT_REPORT_H
#define ATTUNE_REPORT_REPORT_H

#include "base/err.h"
#include "recipe/stage.h"
#include <stddef.h>

#define REPORT_FILE     "report.html"
#define REPORT_RUNS_MAX ((size_t)32)

/* Makes folder/report.html of a run of one of the stages, whole or not at all. */
int report_write(const char *folder, const struct recipe_stages *stages, struct err *err);

/*
 * Makes at `path` one page about 2 .. REPORT_RUNS_MAX runs: their curves over each other, the recipe keys in which they
 * differ, and what each ended with.
 */
int report_compare(const char *const *folders, size_t count, const char *path, const struct recipe_stages *stages,
                   struct err *err);

#endif
