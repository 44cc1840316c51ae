/* The functions for high-level synthesis against the runtime, bit for bit: row 0 of models/demo,
 * every layer from the second on, a prefill and decode steps.  A layer starts from the residual
 * stream that the runtime had; from there on each function reads what the one before it made. */
#include "hls/hls.h"
#include "model/model.h"
#include "runtime/edges.h"
#include "runtime/session.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "quantized_demo.h"

enum { N_PROMPT = 11, N_STEPS = 3, N_TOKENS = N_PROMPT + N_STEPS, MAX_COLS = 2 * QM_HW_D_INNER };

/* Every edge of the runtime inside the layers, as numbers or codes. */
typedef union seen {
    float number[MAX_COLS];
    int8_t code[MAX_COLS];
} seen;
typedef struct record {
    seen (*rows)[QM_N_EDGES][N_TOKENS]; /* [n_layer] */
    float (*states)[1 + N_STEPS][QM_HW_D_STATE][QM_HW_D_INNER];
    uint64_t n_states;
    int32_t n_layer;
} record;

static int32_t edge_of(const char *name)
{
    int32_t edge = 0;
    while (strcmp(quamba_edge_name(edge), name) != 0)
        edge++;
    return edge;
}

static void on_edge(void *user, const quamba_view *view)
{
    record *r = user;
    const int32_t edge = edge_of(view->edge);
    if (view->layer >= r->n_layer) return;
    const size_t n = (size_t)view->n_cols;
    if (edge == QM_EDGE_SSM_STATE) {
        const size_t when = view->position < N_PROMPT ? 0 : (size_t)view->position - N_PROMPT + 1;
        for (size_t s = 0; s < QM_HW_D_STATE; s++)
            memcpy(r->states[view->layer][when][s], view->data + s * view->row_stride,
                   n * sizeof(float));
        return;
    }
    for (size_t t = 0; t < (size_t)view->n_rows; t++) {
        seen *to = &r->rows[view->layer][edge][(size_t)view->position + t];
        if (view->codes)
            memcpy(to->code, view->codes + t * view->row_stride, n);
        else
            memcpy(to->number, view->data + t * view->row_stride, n * sizeof(float));
    }
}

static void same_codes(const record *r, int32_t layer, qm_edge edge, size_t t, const int8_t *got,
                       size_t n)
{
    if (memcmp(got, r->rows[layer][edge][t].code, n) != 0)
        fail_msg("layer %" PRId32 ", %s, token %zu differs", layer, quamba_edge_name((int32_t)edge),
                 t);
}

static void same_numbers(const record *r, int32_t layer, qm_edge edge, size_t t, const float *got,
                         size_t n)
{
    if (memcmp(got, r->rows[layer][edge][t].number, n * sizeof *got) != 0)
        fail_msg("layer %" PRId32 ", %s, token %zu differs", layer, quamba_edge_name((int32_t)edge),
                 t);
}

/* What a layer keeps from token to token. */
typedef struct kept {
    int8_t past[QM_HW_D_CONV - 1][QM_HW_D_INNER];
    float state[QM_HW_D_STATE][QM_HW_D_INNER];
    int8_t codes[QM_HW_D_STATE][QM_HW_D_INNER]; /* the state in decode steps */
} kept;

typedef const int8_t matrix_d_model[QM_HW_D_MODEL];
typedef const int8_t matrix_d_inner[QM_HW_D_INNER];
typedef const int8_t matrix_dt_rank[QM_HW_DT_RANK];

/* The matrix as the hardware has it, row by row; until the next call. */
static const int8_t *rows_of(const qm_linear *w)
{
    static int8_t rows[2 * QM_HW_D_INNER * QM_HW_D_MODEL];
    assert_true((size_t)w->n_out * (size_t)w->n_in <= sizeof rows);
    for (int32_t j = 0; j < w->n_out; j++)
        qm_linear_row(w, j, rows + (size_t)j * (size_t)w->n_in);
    return rows;
}

static void compare_state(const record *r, int32_t layer, size_t t, const kept *k, float scale)
{
    if (t + 1 < N_PROMPT) return; /* the runtime shows it after the prompt and after every step */
    for (size_t s = 0; s < QM_HW_D_STATE; s++)
        for (size_t c = 0; c < QM_HW_D_INNER; c++) {
            const float got = t < N_PROMPT ? k->state[s][c] : scale * (float)k->codes[s][c];
            const float want = r->states[layer][t + 1 - N_PROMPT][s][c];
            if (memcmp(&got, &want, sizeof got) != 0)
                fail_msg("layer %" PRId32 ", state %zu of channel %zu after token %zu: %a, not %a",
                         layer, s, c, t, (double)got, (double)want);
        }
}

static void run_token(const record *r, const quamba_model *m, int32_t layer, size_t t, kept *k)
{
    static int8_t norm[QM_HW_D_MODEL], xz[2 * QM_HW_D_INNER], u[QM_HW_D_INNER], x_dbl[QM_HW_X_DBL],
        dt[QM_HW_D_INNER], rotated[QM_HW_D_INNER];
    static float residual[QM_HW_D_MODEL], hidden[QM_HW_D_MODEL], delta[QM_HW_D_INNER],
        y[QM_HW_D_INNER];
    const qm_layer *l = &m->layers[layer];
    const qm_scales *s = &l->scales;
    const qm_hls_scan_scales scales = {.u = s->u, .b = s->b, .c = s->c, .h = s->h};
    const float(*a)[QM_HW_D_INNER] = (const float(*)[QM_HW_D_INNER])l->a;
    const bool decode = t >= N_PROMPT;
    const float factor = (float)(1.0 / sqrt((double)QM_HW_D_INNER) / (double)s->o);

    memcpy(residual, r->rows[layer - 1][QM_EDGE_RESIDUAL][t].number, sizeof residual);
    qm_hls_norm(norm, residual, l->norm, (float)m->config.norm_eps, s->in);
    same_codes(r, layer, QM_EDGE_NORM_OUT, t, norm, QM_HW_D_MODEL);
    qm_hls_in_proj(xz, norm, (matrix_d_model *)rows_of(&l->in_proj), l->in_proj.a, l->in_proj.b);
    same_codes(r, layer, QM_EDGE_IN_PROJ_OUT, t, xz, sizeof xz);
    qm_hls_conv(u, k->past, xz, (matrix_d_inner *)l->conv_codes, l->conv_factor, l->conv_bias,
                s->u);
    same_codes(r, layer, QM_EDGE_CONV_OUT, t, u, sizeof u);
    qm_hls_x_proj(x_dbl, u, (matrix_d_inner *)rows_of(&l->x_proj), l->x_proj.a, l->x_proj.b);
    same_codes(r, layer, QM_EDGE_X_PROJ_OUT, t, x_dbl, sizeof x_dbl);
    qm_hls_dt_proj(dt, x_dbl, (matrix_dt_rank *)rows_of(&l->dt_proj), l->dt_proj.a, l->dt_proj.b);
    same_codes(r, layer, QM_EDGE_DT_PROJ_OUT, t, dt, sizeof dt);
    if (decode) {
        if (t == N_PROMPT)
            qm_hls_hand_over(k->codes, (const float(*)[QM_HW_D_INNER])k->state, s->h);
        qm_hls_time_step_decode(delta, dt, s->dt, l->dt_bias);
        qm_hls_scan_decode(y, k->codes, u, delta, x_dbl, a, l->d, &scales);
        qm_hls_gate_decode(y, xz + QM_HW_D_INNER, s->z);
    } else {
        qm_hls_time_step(delta, dt, s->dt, l->dt_bias);
        qm_hls_scan(y, k->state, u, delta, x_dbl, a, l->d, &scales);
        qm_hls_gate(y, xz + QM_HW_D_INNER, s->z);
    }
    same_numbers(r, layer, QM_EDGE_SCAN_OUT, t, y, QM_HW_D_INNER);
    compare_state(r, layer, t, k, s->h);
    qm_hls_hadamard(rotated, y, NULL, factor);
    same_codes(r, layer, QM_EDGE_HADAMARD_OUT, t, rotated, sizeof rotated);
    qm_hls_out_proj(hidden, rotated, (matrix_d_inner *)rows_of(&l->out_proj), l->out_proj.a,
                    l->out_proj.b);
    same_numbers(r, layer, QM_EDGE_OUT_PROJ_OUT, t, hidden, QM_HW_D_MODEL);
    qm_hls_residual(residual, hidden);
    same_numbers(r, layer, QM_EDGE_RESIDUAL, t, residual, QM_HW_D_MODEL);
}

static void test_every_edge_of_every_layer(void **unused)
{
    (void)unused;
    char path[1024];
    quamba_model *model = NULL;
    quamba_session *session = NULL;
    quamba_error err;
    int32_t ids[N_TOKENS];
    for (int32_t t = 0; t < N_TOKENS; t++)
        ids[t] = 137 + 251 * t % 3500;
    quantize_demo("hls-demo", false, path);
    if (quamba_model_open(&model, path, NULL, &err) != QUAMBA_OK) fail_msg("%s", err.message);
    const qm_config *c = &model->config;
    assert_true(c->d_model == QM_HW_D_MODEL && c->d_inner == QM_HW_D_INNER &&
                c->d_state == QM_HW_D_STATE && c->dt_rank == QM_HW_DT_RANK &&
                c->d_conv == QM_HW_D_CONV);
    record r = {.n_layer = c->n_layer};
    r.rows = calloc((size_t)c->n_layer, sizeof *r.rows);
    r.states = calloc((size_t)c->n_layer, sizeof *r.states);
    kept *k = malloc(sizeof *k);
    assert_true(r.rows && r.states && k);
    const quamba_session_options opt = {.cpu = "native", .n_threads = 2, .max_rows = 128};
    if (quamba_session_new(&session, model, &opt, &err) != QUAMBA_OK) fail_msg("%s", err.message);
    quamba_session_set_tap(session, on_edge, &r);
    const float *logits;
    assert_int_equal(quamba_session_prefill(session, ids, N_PROMPT, &logits, &err), QUAMBA_OK);
    for (size_t t = N_PROMPT; t < N_TOKENS; t++)
        assert_int_equal(quamba_session_step(session, ids[t], &logits, &err), QUAMBA_OK);
    for (int32_t layer = 1; layer < c->n_layer; layer++) {
        memset(k, 0, sizeof *k);
        for (size_t t = 0; t < N_TOKENS; t++)
            run_token(&r, model, layer, t, k);
    }
    free(k);
    free(r.rows);
    free(r.states);
    quamba_session_free(&session);
    quamba_model_close(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_edge_of_every_layer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
