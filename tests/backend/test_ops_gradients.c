/*
 * tests/backend/test_ops_gradients.c - the backward operations against finite differences of the forward ones.
 *
 * For a forward operation y = f(x) and random r the loss is sum r y. Its gradient by every element of x is taken
 * numerically, (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12h, whose error is of order h^4, and compared with what the
 * backward operation gives for dy = r. Both run on the reference backend in f32 with f64 sums, so h is large enough to
 * drown the rounding of y. The measure is ggml's: the mean of |a - b| / |a + b|, elements near zero left to an absolute
 * bound.
 */
#include "helper_backends.h"
#include "helper_cases.h"
#include "support/cmocka.h"
#include <math.h>
#include <string.h>

#define STEP          0.03
#define ASYMMETRY_MAX 1e-4
/* Elements smaller than this part of the largest are compared by difference alone. */
#define SMALL 1e-2

/* sum r y over the outputs named in `outputs` (the last is NULL). */
static double loss(struct backend *reference, const struct op_case *forward, const char *const *outputs,
                   const float *const *r)
{
    struct op_result result;
    double sum = 0;
    op_run(&result, reference, forward, 0);
    for (int i = 0; outputs[i] != NULL; i++) {
        const float *y = op_output(&result, forward, outputs[i]);
        for (int64_t j = 0; j < op_count(forward, outputs[i]); j++) {
            sum += (double)r[i][j] * y[j];
        }
    }
    op_result_free(&result);
    return sum;
}

static double derivative(struct backend *reference, const struct op_case *forward, const char *const *outputs,
                         const float *const *r, float *x)
{
    const float kept = *x;
    const double steps[] = {STEP, -STEP, 2 * STEP, -2 * STEP}, factors[] = {8, -8, -1, 1};
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        *x = (float)(kept + steps[i]);
        sum += factors[i] * loss(reference, forward, outputs, r);
    }
    *x = kept;
    return sum / (12 * STEP);
}

/* Compares `gradient` with finite differences by every element of the forward case's input. */
static void check_gradient(const struct op_case *forward, const char *input, const char *const *outputs,
                           const float *const *r, const float *gradient)
{
    struct backend *reference = backends_reference(DTYPE_F32);
    float *x = op_values(forward, input);
    int64_t count = op_count(forward, input), compared = 0;
    double largest = 0, sum = 0;
    for (int64_t i = 0; i < count; i++) {
        largest = fmax(largest, fabs((double)gradient[i]));
    }
    assert_true(largest > 0);
    for (int64_t i = 0; i < count; i++) {
        double expected = derivative(reference, forward, outputs, r, &x[i]);
        if (fabs(expected) > SMALL * largest) {
            sum += fabs(expected - gradient[i]) / fabs(expected + gradient[i]);
            compared++;
        } else if (fabs(expected - gradient[i]) > SMALL * largest * 0.1) {
            fail_msg("%s: the gradient by %s[%lld] is %g, not %g", forward->name, input, (long long)i,
                     (double)gradient[i], expected);
        }
    }
    if (!(sum <= ASYMMETRY_MAX * (double)compared)) {
        fail_msg("%s: the gradient by %s has an asymmetry of %g", forward->name, input, sum / (double)compared);
    }
    reference->free(reference);
}

/* The outputs of one case on the reference. */
static void run_reference(struct op_result *result, const struct op_case *c)
{
    struct backend *reference = backends_reference(DTYPE_F32);
    op_run(result, reference, c, 0);
    reference->free(reference);
}

/* What an "added to" output got on top of what it held. */
static void subtract_held(float *output, const struct op_case *c, const char *field)
{
    const float *held = op_values(c, field);
    for (int64_t i = 0; i < op_count(c, field); i++) {
        output[i] -= held[i];
    }
}

static void copy_values(struct op_case *to, const char *to_field, const float *from)
{
    memcpy(op_values(to, to_field), from, (size_t)op_count(to, to_field) * sizeof *from);
}

/* ---- the operations ---- */

static void test_embed(void **state)
{
    (void)state;
    const struct embed_spec spec = {.rows = 9, .columns = 5, .vocabulary = 4, .scale = 2};
    struct op_case forward, backward;
    struct op_result result;
    case_embed(&forward, &spec);
    case_embed_backward(&backward, &spec);
    run_reference(&result, &backward);
    float *dtable = op_output(&result, &backward, "dtable");
    subtract_held(dtable, &backward, "dtable");
    check_gradient(&forward, "table", (const char *const[]){"out", NULL},
                   (const float *const[]){op_values(&backward, "dout")}, dtable);
    op_result_free(&result);
    op_free(&forward);
    op_free(&backward);
}

static void test_norm(void **state)
{
    (void)state;
    const struct norm_spec spec = {.rows = 4, .columns = 11, .rstd = true, .dweight = true, .place = NORM_SUM};
    struct op_case forward, backward;
    struct op_result result;
    case_norm(&forward, &spec);
    case_norm_backward(&backward, &spec);
    copy_values(&forward, "x", op_values(&backward, "s"));
    run_reference(&result, &backward);
    float *dx = op_output(&result, &backward, "dx"), *dweight = op_output(&result, &backward, "dweight");
    subtract_held(dx, &backward, "dx");
    subtract_held(dweight, &backward, "dweight");
    const char *const outputs[] = {"y", NULL};
    const float *const r[] = {op_values(&backward, "dy")};
    check_gradient(&forward, "x", outputs, r, dx);
    check_gradient(&forward, "weight", outputs, r, dweight);
    op_result_free(&result);
    op_free(&forward);
    op_free(&backward);
}

static void test_score(void **state)
{
    (void)state;
    const struct score_spec spec = {.rows = 5, .columns = 11, .dw = true};
    struct op_case forward, backward;
    struct op_result result;
    case_score(&forward, &spec);
    case_score_backward(&backward, &spec);
    run_reference(&result, &backward);
    float *dw = op_output(&result, &backward, "dw");
    subtract_held(dw, &backward, "dw");
    const char *const outputs[] = {"y", NULL};
    const float *const r[] = {op_values(&backward, "dy")};
    check_gradient(&forward, "x", outputs, r, op_output(&result, &backward, "dx"));
    check_gradient(&forward, "w", outputs, r, dw);
    op_result_free(&result);
    op_free(&forward);
    op_free(&backward);
}

/* Weights of the backward case become those of the forward one. */
static void same_weights(struct op_case *backward, const struct op_case *forward)
{
    for (int i = 0; i < backward->weight_count; i++) {
        copy_values(backward, backward->weights[i].field, op_values(forward, backward->weights[i].field));
    }
}

static void test_linear(void **state)
{
    (void)state;
    const struct linear_spec spec = {.rows = 5, .inputs = 7, .outputs = 6, .bias = true};
    struct op_case forward, backward, weights;
    struct op_result result, by_weights;
    case_linear(&forward, &spec);
    case_linear_backward(&backward, &spec);
    case_linear_weight_backward(&weights, &spec);
    copy_values(&weights, "x", op_values(&forward, "x"));
    copy_values(&weights, "dy", op_values(&backward, "dy"));
    run_reference(&result, &backward);
    run_reference(&by_weights, &weights);
    const char *const outputs[] = {"y", NULL};
    const float *const r[] = {op_values(&backward, "dy")};
    check_gradient(&forward, "x", outputs, r, op_output(&result, &backward, "dx"));
    float *dw = op_output(&by_weights, &weights, "dw");
    subtract_held(dw, &weights, "dw");
    check_gradient(&forward, "w", outputs, r, dw);
    float *dbias = op_output(&by_weights, &weights, "dbias");
    subtract_held(dbias, &weights, "dbias");
    check_gradient(&forward, "bias", outputs, r, dbias);
    op_result_free(&result);
    op_result_free(&by_weights);
    op_free(&forward);
    op_free(&backward);
    op_free(&weights);
}

/* The gradient dy^T x by a weight `field` of a layer, as linear_weight_backward gives it. */
static void check_weight_gradient(const struct op_case *forward, const char *field, const char *const *outputs,
                                  const float *const *r, const float *dy, const float *x)
{
    const struct weight_shape *shape = NULL;
    for (int i = 0; i < forward->weight_count; i++) {
        shape = strcmp(forward->weights[i].field, field) == 0 ? &forward->weights[i].shape : shape;
    }
    assert_non_null(shape);
    struct op_case backward;
    struct op_result result;
    case_linear_weight_backward(
        &backward,
        &(struct linear_spec){.rows = (int32_t)forward->rows, .inputs = shape->columns, .outputs = shape->rows});
    copy_values(&backward, "dy", dy);
    copy_values(&backward, "x", x);
    run_reference(&result, &backward);
    float *dw = op_output(&result, &backward, "dw");
    subtract_held(dw, &backward, "dw");
    check_gradient(forward, field, outputs, r, dw);
    op_result_free(&result);
    op_free(&backward);
}

/* Three layers of one x, the second without a low-rank term: dx is one sum; a and b as the adapter composes them. */
static void test_low_rank_group(void **state)
{
    (void)state;
    const struct linear_spec spec = {
        .rows = 4, .inputs = 7, .outputs = 6, .more_outputs = {3, 5}, .rank = 2, .plain = 2, .scale = 0.5F};
    struct op_case forward, backward;
    struct op_result values, gradients;
    case_linear(&forward, &spec);
    case_linear_backward(&backward, &spec);
    same_weights(&backward, &forward);
    run_reference(&values, &forward);
    run_reference(&gradients, &backward);
    const char *const outputs[] = {"y", "layers[1].y", "layers[2].y", NULL};
    const float *const r[] = {op_values(&backward, "dy"), op_values(&backward, "layers[1].dy"),
                              op_values(&backward, "layers[2].dy")};
    const float *x = op_values(&forward, "x");
    check_gradient(&forward, "x", outputs, r, op_output(&gradients, &backward, "dx"));
    check_weight_gradient(&forward, "layers[1].w", outputs, r, r[1], x);
    check_weight_gradient(&forward, "a", outputs, r, op_output(&gradients, &backward, "du"), x);
    check_weight_gradient(&forward, "b", outputs, r, r[0], op_output(&values, &forward, "u"));
    check_weight_gradient(&forward, "layers[2].a", outputs, r, op_output(&gradients, &backward, "layers[2].du"), x);
    check_weight_gradient(&forward, "layers[2].b", outputs, r, r[2], op_output(&values, &forward, "layers[2].u"));
    op_result_free(&values);
    op_result_free(&gradients);
    op_free(&forward);
    op_free(&backward);
}

/* What low-rank terms read is masked, each by a mask of its own, and so is what comes back through them. */
static void test_low_rank_with_dropout(void **state)
{
    (void)state;
    const struct linear_spec spec = {
        .rows = 4, .inputs = 7, .outputs = 6, .more_outputs = {5}, .rank = 2, .dropout = 0.4F};
    const struct linear_spec of_a = {.rows = 4, .inputs = 7, .outputs = 2, .dropout = 0.4F};
    struct op_case forward, backward, by_a;
    struct op_result gradients, a_gradient;
    case_linear(&forward, &spec);
    case_linear_backward(&backward, &spec);
    case_linear_weight_backward(&by_a, &of_a);
    same_weights(&backward, &forward);
    run_reference(&gradients, &backward);
    const char *const outputs[] = {"y", "layers[1].y", NULL};
    const float *const r[] = {op_values(&backward, "dy"), op_values(&backward, "layers[1].dy")};
    check_gradient(&forward, "x", outputs, r, op_output(&gradients, &backward, "dx"));
    copy_values(&by_a, "x", op_values(&forward, "x"));
    copy_values(&by_a, "dy", op_output(&gradients, &backward, "du"));
    by_a.arguments.linear_weight_backward.stream = forward.arguments.linear.layers[0].stream;
    run_reference(&a_gradient, &by_a);
    float *da = op_output(&a_gradient, &by_a, "dw");
    subtract_held(da, &by_a, "dw");
    check_gradient(&forward, "a", outputs, r, da);
    op_result_free(&gradients);
    op_result_free(&a_gradient);
    op_free(&forward);
    op_free(&backward);
    op_free(&by_a);
}

static void test_rope(void **state)
{
    (void)state;
    const struct rope_spec spec = {.rows = 5, .heads = 2, .head_size = 10, .rotary = 8};
    struct rope_spec back = spec;
    struct op_case forward, backward;
    struct op_result result;
    back.inverse = true;
    case_rope(&forward, &spec);
    case_rope(&backward, &back);
    for (int64_t i = 0; i < op_count(&backward, "x"); i++) {
        op_values(&backward, "x")[i] += 0.5F;
    }
    run_reference(&result, &backward);
    check_gradient(&forward, "x", (const char *const[]){"x", NULL}, (const float *const[]){op_values(&backward, "x")},
                   op_output(&result, &backward, "x"));
    op_result_free(&result);
    op_free(&forward);
    op_free(&backward);
}

static void test_attention(void **state)
{
    (void)state;
    const struct attention_spec specs[] = {
        {.heads = 2, .kv_heads = 1, .head_size = 4, .spans = SPANS_ONE(5)},
        {.heads = 4,
         .kv_heads = 2,
         .head_size = 2,
         .spans = {{0, 3, 0, 3, 0, 0}, {3, 2, 3, 2, 0, 3}, {5, 1, 5, 1, 0, 3}, {6, 2, 6, 2, 0, 0}}},
    };
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        struct op_case forward, backward;
        struct op_result result;
        case_attention(&forward, &specs[i]);
        case_attention_backward(&backward, &specs[i]);
        run_reference(&result, &backward);
        const char *const outputs[] = {"out", NULL};
        const float *const r[] = {op_values(&backward, "dout")};
        check_gradient(&forward, "q", outputs, r, op_output(&result, &backward, "dq"));
        check_gradient(&forward, "k", outputs, r, op_output(&result, &backward, "dk"));
        check_gradient(&forward, "v", outputs, r, op_output(&result, &backward, "dv"));
        op_result_free(&result);
        op_free(&forward);
        op_free(&backward);
    }
}

static void test_gated(void **state)
{
    (void)state;
    const struct gated_spec spec = {.count = 60};
    struct op_case forward, backward;
    struct op_result result;
    case_gated(&forward, &spec);
    case_gated_backward(&backward, &spec);
    for (int i = 50; i < 60; i++) { /* the case ends with extremes, where differences have nothing to say */
        op_values(&forward, "gate")[i] = op_values(&backward, "gate")[i] = (float)(i - 55);
    }
    run_reference(&result, &backward);
    const char *const outputs[] = {"out", NULL};
    const float *const r[] = {op_values(&backward, "dout")};
    check_gradient(&forward, "gate", outputs, r, op_output(&result, &backward, "dgate"));
    check_gradient(&forward, "up", outputs, r, op_output(&result, &backward, "dup"));
    op_result_free(&result);
    op_free(&forward);
    op_free(&backward);
}

/* The gradients by x and w of what `outputs` names, with the gradients of those. */
static void check_vocabulary(const struct vocabulary_spec *spec, const struct op_case *backward,
                             const char *const *outputs, const float *const *r)
{
    struct op_case forward;
    struct op_result result;
    case_vocabulary(&forward, spec);
    run_reference(&result, backward);
    check_gradient(&forward, "x", outputs, r, op_output(&result, backward, "dx"));
    float *dw = op_output(&result, backward, "dw");
    subtract_held(dw, backward, "dw");
    check_gradient(&forward, "w", outputs, r, dw);
    op_result_free(&result);
    op_free(&forward);
}

static void test_vocabulary(void **state)
{
    (void)state;
    const struct vocabulary_spec spec = {
        .rows = 4, .columns = 5, .vocabulary = 9, .inverse_temperature = 0.7F, .entropy = true, .dw = true};
    struct op_case backward;
    case_vocabulary_backward(&backward, &spec);
    check_vocabulary(&spec, &backward, (const char *const[]){"logprob", "entropy", NULL},
                     (const float *const[]){op_values(&backward, "dlogprob"), op_values(&backward, "dentropy")});
    op_free(&backward);
}

static void test_vocabulary_in_one_pass(void **state)
{
    (void)state;
    const struct vocabulary_spec spec = {.rows = 4, .columns = 5, .vocabulary = 9, .dw = true};
    struct op_case backward;
    case_vocabulary_both(&backward, &spec);
    check_vocabulary(&spec, &backward, (const char *const[]){"logprob", NULL},
                     (const float *const[]){op_values(&backward, "dlogprob")});
    op_free(&backward);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_embed),
        cmocka_unit_test(test_norm),
        cmocka_unit_test(test_score),
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_low_rank_group),
        cmocka_unit_test(test_low_rank_with_dropout),
        cmocka_unit_test(test_rope),
        cmocka_unit_test(test_attention),
        cmocka_unit_test(test_gated),
        cmocka_unit_test(test_vocabulary),
        cmocka_unit_test(test_vocabulary_in_one_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
