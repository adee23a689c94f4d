/*
 * tests/support/stage_runs.h - runs of a stage with the model of the temporary folder (support/temporary.h), made from
 * a few lines of YAML. What they leave there: support/run_files.h.
 *
 * Everything here fails the running test with a sentence where it cannot do what it is for.
 */
#ifndef ATTUNE_TESTS_SUPPORT_STAGE_RUNS_H
#define ATTUNE_TESTS_SUPPORT_STAGE_RUNS_H

#include "base/strbuf.h"
#include "train/stage.h"

struct tested_stage {
    const struct recipe_stage *stage;
    enum loop_outcome (*run)(const struct recipe *recipe, struct backend *backend, const struct stage_options *options,
                             struct err *err);
    /* Appends the keys that the stage cannot do without and `lines` does not have; NULL: there are none. */
    void (*put_defaults)(struct strbuf *yaml, const char *lines);
};

/* One way to train, and the file that its result lies in. */
struct stage_method {
    const char *name, *lines, *result;
};

/*
 * A recipe with `name` in the temporary folder as output_dir, `model` there as the model where `lines` name no other,
 * in f32 on one thread. `lines` are the other keys, in YAML, with @/ for that folder where they name files in it. Free
 * with recipe_free().
 */
struct recipe *stage_recipe(const struct tested_stage *stage, const char *name, const char *lines);

/* Runs it to its end; frees the backend where it is not NULL, and takes the CPU's with two threads where it is. */
void stage_finish(const struct tested_stage *stage, const char *name, const char *lines, struct backend *backend);

/* Runs it on a backend that it frees: it must fail, and say why. */
void stage_fail(const struct tested_stage *stage, const char *name, const char *lines, struct backend *backend,
                struct err *err);

#endif
