/* Runs held against each other: exactness, order, and where they part. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "compare_models.h"
#include "eval/compare_logits.h"

#include <math.h>

static qm_sample sample;

static quamba_model *new_model(const char *mode)
{
    quamba_model *model = NULL;
    quamba_error err;
    if (random_model(&model, mode, N_VOCAB, N_LAYER, &err) != QUAMBA_OK)
        fail_msg("%s: %s", mode, err.message);
    return model;
}

static qm_comparison compare(const quamba_model *a, const quamba_model *b, const char *cpu,
                             int32_t n_threads, size_t memory_bytes, bool parting)
{
    const quamba_model *models[] = {a, b};
    const qm_compare_options o = {.models = models,
                                  .n_runs = 2,
                                  .sample = &sample,
                                  .cpu = cpu,
                                  .n_threads = n_threads,
                                  .memory_bytes = memory_bytes,
                                  .parting = parting};
    qm_comparison c;
    quamba_error err;
    if (qm_compare(&c, &o, &err) != QUAMBA_OK) fail_msg("%s", err.message);
    return c;
}

static void test_sample(void **state)
{
    (void)state;
    qm_sample s = {0};
    int32_t ids[400];
    for (int32_t i = 0; i < 400; i++)
        ids[i] = i;
    assert_true(qm_sample_add(&s, ids, 1, 300)); /* nothing to predict */
    assert_int_equal(s.n_pieces, 0);
    assert_true(qm_sample_add(&s, ids, 400, 300));
    assert_int_equal(s.n_tokens, QM_PIECE_TOKENS);
    assert_true(qm_sample_add(&s, ids + 100, 100, 300)); /* cut to what is left */
    assert_true(qm_sample_add(&s, ids, 100, 300));       /* nothing is */
    assert_int_equal(s.n_pieces, 2);
    assert_int_equal(s.n_tokens, 300);
    assert_int_equal(qm_piece_size(&s, 1), 300 - QM_PIECE_TOKENS);
    assert_int_equal(s.ids[s.starts[1]], 100);
    assert_int_equal(s.ids[s.starts[2] - 1], 100 + 300 - QM_PIECE_TOKENS); /* to be predicted */
    qm_sample_close(&s);
}

/* Every mode against itself, and 2-0 against 0: not one bit differs. */
static void test_equal_runs(void **state)
{
    (void)state;
    const quamba_datapath *dp;
    for (size_t i = 0; (dp = quamba_datapath_at(i)) != NULL; i++) {
        const char *id = quamba_datapath_id(dp);
        quamba_model *a = new_model(id), *b = new_model(strcmp(id, "0") == 0 ? "2-0" : id);
        qm_comparison c = compare(a, b, "native", 1, SIZE_MAX, true);
        size_t n_shown = 0;
        for (int32_t k = 0; k < (N_LAYER + 1) * QM_N_EDGES; k++) {
            const qm_edge_stats *s = &c.runs[1].edges[k], *first = &c.runs[0].edges[k];
            n_shown += s->n > 0;
            assert_int_equal(s->n, s->n_compared);
            assert_true(s->max_error == 0.0 && s->error2 == 0.0 && s->flips == 0);
            assert_true(first->max_error == 0.0 && first->n == s->n);
            assert_true(s->first2 == 0.0 || qm_edge_cosine(s) == 1.0);
            assert_memory_equal(&s->histogram, &first->histogram, sizeof s->histogram);
            assert_int_equal(s->saturated, first->saturated);
        }
        assert_in_range(n_shown, N_LAYER * 9, N_LAYER * QM_N_EDGES + 2);
        assert_int_equal(qm_compared_parting(&c, 1), SIZE_MAX);
        assert_true(qm_compared_divergence(&c, 1).value == 0.0);
        assert_true(qm_compared_divergence(&c, 1).error == 0.0);
        assert_int_equal(c.runs[1].n_same_top, c.n_positions);
        assert_int_equal(c.n_positions, sample.n_tokens);
        qm_comparison_free(&c);
        quamba_model_close(&a);
        quamba_model_close(&b);
    }
}

static void assert_same(const qm_comparison *x, const qm_comparison *y)
{
    for (size_t r = 0; r < 2; r++) {
        assert_memory_equal(x->runs[r].edges, y->runs[r].edges,
                            (N_LAYER + 1) * QM_N_EDGES * sizeof *x->runs[r].edges);
        assert_memory_equal(x->runs[r].divergence, y->runs[r].divergence,
                            x->n_positions * sizeof(double));
        assert_int_equal(x->runs[r].n_same_top, y->runs[r].n_same_top);
    }
}

/* Threads, instruction sets and memory change nothing. */
static void test_independence(void **state)
{
    (void)state;
    const char *const modes[][2] = {
        {"0",   "2-4"},
        {"3",   "0"  },
        {"5-3", "6-1"}
    };
    for (size_t i = 0; i < 3; i++) {
        quamba_model *a = new_model(modes[i][0]), *b = new_model(modes[i][1]);
        qm_comparison c = compare(a, b, "native", 1, SIZE_MAX, false);
        const struct {
            const char *cpu;
            int32_t n_threads;
            size_t memory;
        } others[] = {
            {"native", 3, SIZE_MAX                                                       },
            {"scalar", 1, SIZE_MAX                                                       },
            {"native", 1, 0                                                              }, /* layer by layer */
            {"native", 2,
             64 * 2 * sizeof(float) * (4 * 24 + 12 * D_INNER + 2 * DT_RANK + 4 * D_STATE)}
        };
        for (size_t k = 0; k < sizeof others / sizeof others[0]; k++) {
            qm_comparison d =
                compare(a, b, others[k].cpu, others[k].n_threads, others[k].memory, false);
            assert_same(&c, &d);
            qm_comparison_free(&d);
        }
        qm_comparison_free(&c);
        quamba_model_close(&a);
        quamba_model_close(&b);
    }
}

/* ---- against a plain second computation -------------------------------------------------------
 */

enum { MOST = 1 << 20 };

typedef struct kept {
    double *values;
    size_t n;
    const char *edge;
    int32_t layer;
} kept;

static void keep(void *user, const quamba_view *view)
{
    kept *k = user;
    if (strcmp(view->edge, k->edge) != 0 || view->layer != k->layer) return;
    for (size_t i = 0; i < (size_t)view->n_rows; i++)
        for (size_t j = 0; j < (size_t)view->n_cols; j++) {
            const size_t at = i * view->row_stride + j;
            k->values[k->n++] =
                (double)(view->codes ? view->scale * (float)view->codes[at] : view->data[at]);
        }
}

/* All values of an edge over the sample; *saturated: of it. */
static kept collect(const quamba_model *model, const char *edge, int32_t index, int32_t layer,
                    uint64_t *saturated)
{
    kept k = {.values = malloc(MOST * sizeof(double)), .edge = edge, .layer = layer};
    quamba_logprob scores[QM_PIECE_TOKENS];
    quamba_session *session = NULL;
    assert_int_equal(quamba_session_new(&session, model, NULL, NULL), QUAMBA_OK);
    quamba_session_set_tap(session, keep, &k);
    for (size_t p = 0; p < sample.n_pieces; p++) {
        const int32_t *ids = sample.ids + sample.starts[p];
        quamba_job job = {.session = session,
                          .tokens = ids,
                          .n_tokens = qm_piece_size(&sample, p),
                          .targets = ids + 1,
                          .logprobs = scores};
        quamba_session_reset(session);
        assert_int_equal(quamba_session_run(&job, 1, NULL), QUAMBA_OK);
    }
    *saturated = quamba_session_saturated(session, layer, index);
    quamba_session_free(&session);
    return k;
}

static void near_to(double got, double want)
{
    if (!(fabs(got - want) <= 1e-12 * fabs(want))) fail_msg("got %.17g, want %.17g", got, want);
}

static void test_numbers(void **state)
{
    (void)state;
    quamba_model *a = new_model("0"), *b = new_model("2-4");
    qm_comparison c = compare(a, b, "native", 2, 0, false);
    bool any_saturated = false;
    for (int32_t layer = 0; layer <= N_LAYER; layer++)
        for (int32_t e = 0; e < QM_N_EDGES; e++) {
            const qm_edge_stats *s = qm_compared_edge(&c, 1, layer, e);
            const char *edge = quamba_edge_name(e);
            uint64_t lost_a = 0, lost_b = 0;
            if (s->n == 0 || e == QM_EDGE_CONV_IN) continue; /* shown as part of in_proj_out */
            kept x = collect(a, edge, e, layer, &lost_a), y = collect(b, edge, e, layer, &lost_b);
            double worst = 0, error = 0, first = 0, product = 0, other = 0, largest = 0;
            assert_int_equal(x.n, y.n);
            assert_int_equal(s->n_compared, x.n);
            for (size_t i = 0; i < x.n; i++) {
                worst = fmax(worst, fabs(y.values[i] - x.values[i]));
                error += (y.values[i] - x.values[i]) * (y.values[i] - x.values[i]);
                first += x.values[i] * x.values[i];
                other += y.values[i] * y.values[i];
                product += x.values[i] * y.values[i];
                largest = fmax(largest, fabs(y.values[i]));
            }
            assert_true(s->max_error == worst && s->largest == largest);
            near_to(s->error2, error);
            near_to(s->first2, first);
            near_to(s->other2, other);
            near_to(s->product, product);
            assert_int_equal(s->saturated, lost_b);
            assert_int_equal(qm_compared_edge(&c, 0, layer, e)->saturated, lost_a);
            any_saturated |= lost_a > 0;
            if (e == QM_EDGE_LOGITS) { /* and the predictions */
                double sum = 0.0;
                float p[N_VOCAB], q[N_VOCAB];
                for (size_t i = 0; i < c.n_positions; i++) {
                    for (size_t k = 0; k < N_VOCAB; k++) {
                        p[k] = (float)x.values[i * N_VOCAB + k];
                        q[k] = (float)y.values[i * N_VOCAB + k];
                    }
                    sum += qm_kl_divergence(p, qm_log_sum_exp(p, N_VOCAB), q,
                                            qm_log_sum_exp(q, N_VOCAB), N_VOCAB);
                }
                assert_int_equal(x.n, c.n_positions * N_VOCAB);
                near_to(qm_compared_divergence(&c, 1).value, sum / (double)c.n_positions);
                assert_true(sum > 0.0);
            }
            free(x.values);
            free(y.values);
        }
    assert_true(any_saturated);
    qm_comparison_free(&c);
    quamba_model_close(&a);
    quamba_model_close(&b);
}

/* ---- where runs part --------------------------------------------------------------------------
 */

/* One code of a weight, changed in a model whose weights lie in memory of its own. */
static void change(const qm_linear *w, int32_t row, int32_t column)
{
    int8_t *codes = (int8_t *)(uintptr_t)w->weight;
    assert_int_equal(w->dtype, QM_I8);
    int8_t *at = &codes[qm_linear_at(w, row, column)];
    *at = (int8_t)(*at ^ 0x40);
}

static void test_planted_fault(void **state)
{
    (void)state;
    const char *const modes[] = {"0", "2-4", "3"};
    for (size_t m = 0; m < 3; m++)
        for (int which = 0; which < 4; which++)
            for (int32_t layer = 0; layer < N_LAYER; layer++) {
                quamba_model *a = new_model(modes[m]), *b = new_model(modes[m]);
                const qm_layer *l = &b->layers[layer];
                const qm_linear *const weights[] = {&l->in_proj, &l->x_proj, &l->dt_proj,
                                                    &l->out_proj};
                static const qm_edge edges[] = {QM_EDGE_IN_PROJ_OUT, QM_EDGE_X_PROJ_OUT,
                                                QM_EDGE_DT_PROJ_OUT, QM_EDGE_OUT_PROJ_OUT};
                const int32_t row = 1 + layer, column = 2;
                change(weights[which], row, column);
                qm_comparison c = compare(a, b, "native", 2, SIZE_MAX, true);
                const size_t at = qm_compared_parting(&c, 1);
                assert_int_equal(at, (size_t)layer * QM_N_EDGES + (size_t)edges[which]);
                const qm_parting *p = &c.runs[1].partings[at];
                assert_int_equal(p->channel, row);
                const qm_edge_stats *s = &c.runs[1].edges[at];
                assert_in_range(p->n_differ, 1, c.n_positions);
                assert_true(p->in_codes == (s->codes && c.runs[0].edges[at].codes));
                qm_comparison_free(&c);
                quamba_model_close(&a);
                quamba_model_close(&b);
            }
}

/* ---- what cannot be compared ------------------------------------------------------------------
 */

static void test_other_shape(void **state)
{
    (void)state;
    quamba_error err;
    quamba_model *a = new_model("0"), *b = NULL, *c = NULL;
    assert_int_equal(random_model(&b, "0", N_VOCAB, N_LAYER + 1, &err), QUAMBA_OK);
    assert_int_equal(random_model(&c, "0", N_VOCAB + 16, N_LAYER, &err), QUAMBA_OK);
    for (int swapped = 0; swapped < 2; swapped++) {
        qm_comparison x =
            swapped ? compare(b, a, "native", 1, 0, true) : compare(a, b, "native", 1, 0, true);
        assert_false(x.runs[1].same_shape);
        assert_true(x.runs[0].same_shape);
        for (int32_t layer = 0; layer <= x.n_layer; layer++)
            for (int32_t e = 0; e < QM_N_EDGES; e++)
                assert_int_equal(qm_compared_edge(&x, 1, layer, e)->n > 0,
                                 layer == x.n_layer && e == QM_EDGE_LOGITS);
        assert_true(qm_compared_divergence(&x, 1).value > 0.0);
        qm_comparison_free(&x);
    }
    const quamba_model *models[] = {a, c};
    const qm_compare_options o = {
        .models = models, .n_runs = 2, .sample = &sample, .cpu = "native", .n_threads = 1};
    qm_comparison x;
    assert_int_equal(qm_compare(&x, &o, &err), QUAMBA_E_ARGUMENT);
    assert_non_null(strstr(err.message, "vocabulary of 99, the first 83"));
    qm_comparison_free(&x);
    quamba_model_close(&a);
    quamba_model_close(&b);
    quamba_model_close(&c);
}

/* A floating-point model beside a quantized one shows the edges that this has. */
static void test_beside_float(void **state)
{
    (void)state;
    quamba_model *a = new_model("fp32"), *b = new_model("0"), *half = new_model("fp16");
    qm_comparison c = compare(a, b, "native", 1, SIZE_MAX, false);
    assert_true(c.rotated);
    for (int32_t layer = 0; layer <= N_LAYER; layer++)
        for (int32_t e = 0; e < QM_N_EDGES; e++)
            assert_int_equal(qm_compared_edge(&c, 0, layer, e)->n,
                             qm_compared_edge(&c, 1, layer, e)->n_compared);
    qm_comparison_free(&c);
    c = compare(a, half, "native", 1, SIZE_MAX, false);
    assert_false(c.rotated);
    assert_int_equal(qm_compared_edge(&c, 0, 0, QM_EDGE_HADAMARD_OUT)->n, 0);
    assert_true(qm_compared_edge(&c, 1, 0, QM_EDGE_RESIDUAL)->n > 0);
    qm_comparison_free(&c);
    quamba_model_close(&a);
    quamba_model_close(&b);
    quamba_model_close(&half);
}

static bool at_once(void *user)
{
    int *calls = user;
    return ++*calls == 2;
}

static void test_cancelled(void **state)
{
    (void)state;
    int calls = 0;
    quamba_model *a = new_model("0");
    const quamba_model *models[] = {a, a};
    const qm_compare_options o = {.models = models,
                                  .n_runs = 2,
                                  .sample = &sample,
                                  .cpu = "native",
                                  .n_threads = 1,
                                  .cancelled = at_once,
                                  .user = &calls};
    qm_comparison c;
    quamba_error err;
    assert_int_equal(qm_compare(&c, &o, &err), QUAMBA_E_CANCELLED);
    assert_int_equal(calls, 2);
    qm_comparison_free(&c);
    quamba_model_close(&a);
}

static int setup(void **state)
{
    (void)state;
    return random_sample(&sample, 3) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    qm_sample_close(&sample);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sample),        cmocka_unit_test(test_equal_runs),
        cmocka_unit_test(test_independence),  cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_planted_fault), cmocka_unit_test(test_other_shape),
        cmocka_unit_test(test_beside_float),  cmocka_unit_test(test_cancelled)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
