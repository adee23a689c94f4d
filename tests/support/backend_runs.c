/* tests/support/backend_runs.c - see backend_runs.h. */
#include "support/cmocka.h"

#include "support/backend_runs.h"
#include "support/fixture.h"
#include "support/guarded_backend.h"
#include "support/reference_backend.h"
#include "support/run_files.h"
#include "support/temporary.h"
#include <math.h>

static struct backend *guarded(struct backend *inner)
{
    struct err err;
    struct backend *backend;
    must(guarded_backend_create(&backend, inner, &err));
    return backend;
}

static void assert_same_file(const struct stage_method *method, const char *file, const char *one, const char *other)
{
    if (!same_bytes(temporary("%s/%s", one, file), temporary("%s/%s", other, file))) {
        fail_msg("%s: %s of the %s and the %s run differ", method->name, file, one, other);
    }
}

void assert_same_runs(const struct backend_runs *runs, const struct stage_method *method, const char *one,
                      const char *other)
{
    assert_same_file(method, method->result, one, other);
    for (size_t i = 0; runs->compared[i]; i++) {
        assert_same_file(method, runs->compared[i], one, other);
    }
    struct strbuf a = run_metrics(one), b = run_metrics(other);
    assert_string_equal(a.data, b.data);
    strbuf_free(&a);
    strbuf_free(&b);
}

void guarded_equals_plain(void **state)
{
    const struct backend_runs *runs = *state;
    for (const struct stage_method *method = runs->methods; method < runs->methods + runs->count; method++) {
        stage_finish(runs->stage, "plain", method->lines, cpu_backend(DTYPE_F32, 1));
        stage_finish(runs->stage, "guarded", method->lines, guarded(cpu_backend(DTYPE_F32, 2)));
        assert_same_runs(runs, method, "plain", "guarded");
        remove_tree(temporary("plain"));
        remove_tree(temporary("guarded"));
    }
}

void threads_change_nothing(void **state)
{
    const struct backend_runs *runs = *state;
    for (const struct stage_method *method = runs->methods; method < runs->methods + runs->count; method++) {
        stage_finish(runs->stage, "one", method->lines, cpu_backend(DTYPE_F32, 1));
        for (int threads = 2; threads <= 3; threads++) {
            stage_finish(runs->stage, "more", method->lines, cpu_backend(DTYPE_F32, threads));
            assert_same_runs(runs, method, "one", "more");
            remove_tree(temporary("more"));
        }
        remove_tree(temporary("one"));
    }
}

void steps_equal_the_reference(void **state)
{
    const struct backend_runs *runs = *state;
    struct err err;
    struct backend *reference;
    must(reference_backend_create(&reference, DTYPE_F32, &err));
    stage_finish(runs->stage, "reference", runs->reference_lines, guarded(reference));
    stage_finish(runs->stage, "plain", runs->reference_lines, NULL);
    for (int step = 1; step <= 3; step++) {
        double difference = fabs(run_metric("reference", step, "loss") - run_metric("plain", step, "loss"));
        if (!(difference < 1e-5)) {
            fail_msg("step %d: the loss differs by %g from the reference's", step, difference);
        }
        double norm = run_metric("reference", step, "grad_norm");
        assert_true(fabs(norm - run_metric("plain", step, "grad_norm")) < 1e-4 * norm);
    }
    remove_tree(temporary("reference"));
    remove_tree(temporary("plain"));
}

/* What a run of so many steps asks of its device. */
static void count_work(const struct backend_runs *runs, const struct stage_method *method, int64_t steps,
                       int64_t *allocations, int64_t *operations)
{
    struct err err;
    struct recipe *recipe = stage_recipe(runs->stage, "run", method->lines);
    struct backend *backend = guarded(cpu_backend(DTYPE_F32, 1));
    recipe->max_steps = steps;
    recipe->load_best_model_at_end = false;
    must(runs->stage->run(recipe, backend, &(struct stage_options){0}, &err));
    *allocations = guarded_backend_allocations(backend);
    *operations = guarded_backend_operations(backend);
    backend->free(backend);
    recipe_free(recipe);
    remove_tree(temporary("run"));
}

void nothing_is_allocated_inside_steps(void **state)
{
    const struct backend_runs *runs = *state;
    for (const struct stage_method *method = runs->methods; method < runs->methods + runs->count; method++) {
        int64_t allocations, operations, allocations_of_longer, operations_of_longer;
        count_work(runs, method, 1, &allocations, &operations);
        count_work(runs, method, 14, &allocations_of_longer, &operations_of_longer);
        assert_true(operations_of_longer > 3 * operations);
        assert_int_equal(allocations_of_longer, allocations);
    }
}

void a_broken_device_ends_the_run(void **state)
{
    const struct backend_runs *runs = *state;
    const struct stage_method *method = &runs->methods[0];
    stage_finish(runs->stage, "plain", method->lines, cpu_backend(DTYPE_F32, 1));
    for (const int64_t *at = runs->breaks; *at; at++) {
        struct err err;
        struct backend *backend = guarded(cpu_backend(DTYPE_F32, 1));
        guarded_backend_break_at(backend, *at);
        stage_fail(runs->stage, "broken", method->lines, backend, &err);
        stage_finish(runs->stage, "broken", method->lines, cpu_backend(DTYPE_F32, 1));
        assert_same_runs(runs, method, "plain", "broken");
        remove_tree(temporary("broken"));
    }
    remove_tree(temporary("plain"));
}
