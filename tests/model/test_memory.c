/*
 * tests/model/test_memory.c - planned memory is the memory that is taken: model, adapter, pass and generator against
 * what the backend was really asked for.
 */
#include "support/cmocka.h"

#include "model/generate/generate.h"
#include "model/internal.h"
#include "support/fixture.h"
#include <stdlib.h>
#include <string.h>

/* What alloc() was asked for: the slot of a backend's table is replaced by one that counts. */
static size_t taken;
static int (*inner_alloc)(struct backend *, void **, size_t, struct err *);

static int counting_alloc(struct backend *backend, void **out, size_t size, struct err *err)
{
    taken += size;
    return inner_alloc(backend, out, size, err);
}

static struct backend *counting_backend(void)
{
    struct backend *backend = fixture_backend();
    inner_alloc = backend->alloc;
    backend->alloc = counting_alloc;
    return backend;
}

/* Memory of a plan that alloc() gives: all but scratch, which reserve() takes, and what stands on the host. */
static size_t allocated(const struct memory_plan *plan)
{
    return memory_plan_total(plan) - plan->bytes[MEMORY_SCRATCH] - plan->bytes[MEMORY_HOST];
}

/* Carved to the last byte of what was planned. */
static void assert_used_up(const struct regions *regions)
{
    for (int i = 0; i < MEMORY_KIND_COUNT; i++) {
        if (i != MEMORY_SCRATCH) {
            assert_int_equal(regions->used[i], regions->plan.bytes[i]);
        }
    }
}

static void models(void **state)
{
    (void)state;
    static const char *const names[] = {"tiny-llama", "tiny-llama3", "tiny-sharded"};
    for (size_t n = 0; n < 3; n++) {
        for (int way = 0; way < 3; way++) {
            struct err err;
            struct model *model;
            struct memory_plan plan = {0};
            struct backend *backend = counting_backend();
            struct model_options options = {.trainable = way == 2, .backward = way > 0};
            must(model_open(&model, fixture_path(names[n], NULL), &err));
            must(model_plan(model, backend, &options, &plan, &err));
            taken = 0;
            must(model_load(model, backend, &options, &err));
            assert_int_equal(taken, allocated(&plan));
            assert_used_up(&model->regions);
            assert_true(plan.bytes[MEMORY_PREPARED] > 0);
            assert_int_equal(plan.bytes[MEMORY_GRADIENTS] > 0, way == 2);
            model_free(model);
            backend->free(backend);
        }
    }
}

static void adapters(void **state)
{
    (void)state;
    for (int trainable = 0; trainable < 2; trainable++) {
        struct err err;
        struct adapter *adapter;
        struct memory_plan plan = {0};
        struct backend *backend = counting_backend();
        struct model *model = fixture_model("tiny-llama", backend, false);
        must(adapter_open(&adapter, model, fixture_path("tiny-lora-embed-head", NULL), &err));
        must(adapter_plan(adapter, backend, trainable, &plan, &err));
        taken = 0;
        must(adapter_load(adapter, backend, trainable, &err));
        assert_int_equal(taken, allocated(&plan));
        assert_used_up(&adapter->regions);
        adapter_free(adapter);
        model_free(model);
        backend->free(backend);
    }
}

static void passes(void **state)
{
    (void)state;
    struct backend *backend = counting_backend();
    struct model *model = fixture_model("tiny-llama3", backend, false);
    size_t least = SIZE_MAX;
    for (unsigned bits = 0; bits < 16; bits++) {
        struct err err;
        struct pass *pass;
        struct memory_plan plan = {0};
        struct pass_limits limits = {.tokens = 50,
                                     .segments = 3,
                                     .predictions = bits & 1 ? 40 : 0,
                                     .max_rank = bits & 2 ? 8 : 0,
                                     .training = bits & 4,
                                     .checkpointing = bits & 8,
                                     .cache_rows = bits & 4 ? 0 : 20};
        must(pass_plan(model, &limits, backend, &plan, &err));
        assert_true(plan.bytes[MEMORY_SCRATCH] > 0);
        taken = 0;
        must(pass_create(&pass, model, &limits, &err));
        assert_int_equal(taken, allocated(&plan));
        assert_used_up(&pass->regions);
        least = taken < least ? taken : least;
        if (bits == 15) {
            assert_true(taken > least);
        }
        pass_free(pass);
    }
    model_free(model);
    backend->free(backend);
}

static void generators(void **state)
{
    (void)state;
    struct backend *backend = counting_backend();
    struct model *model = fixture_model("tiny-llama", backend, false);
    static const int32_t shapes[][2] = {{1, 1}, {7, 3}, {2, 5}, {300, 1}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct err err;
        struct generator *generator;
        struct memory_plan plan = {0};
        struct generator_limits limits = {
            .sequences = shapes[i][0], .samples = shapes[i][1], .max_prompt = 31, .max_new = 9, .max_rank = 4};
        must(generator_plan(model, &limits, backend, &plan, &err));
        taken = 0;
        must(generator_create(&generator, model, &limits, &err));
        assert_int_equal(taken, allocated(&plan));
        assert_true(plan.bytes[MEMORY_CACHE] > 0);
        generator_free(generator);
    }
    model_free(model);
    backend->free(backend);
}

/* What this machine has, within reason. */
static void the_machine(void **state)
{
    (void)state;
    size_t before = memory_peak(), size = (size_t)64 << 20;
    struct backend *backend = cpu_backend(DTYPE_F32, 1);
    assert_in_range(backend->memory_free(backend), (size_t)16 << 20, (size_t)1 << 50);
    backend->free(backend);
    char *memory = malloc(size);
    assert_non_null(memory);
    memset(memory, 1, size);
    assert_true(memory[size / 2] == 1 && memory_peak() >= size);
    assert_true(memory_peak() >= before);
    free(memory);
    struct memory_plan sum = {.bytes = {1, 2}}, part = {.bytes = {10, 20, 30}};
    memory_plan_add(&sum, &part);
    assert_int_equal(memory_plan_total(&sum), 63);
    for (int i = 0; i < MEMORY_KIND_COUNT; i++) {
        assert_true(strlen(memory_kind_name((enum memory_kind)i)) > 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models),     cmocka_unit_test(adapters),    cmocka_unit_test(passes),
        cmocka_unit_test(generators), cmocka_unit_test(the_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
