/* Binding quantized checkpoints: both containers, hostile ones, old ones. */
#include "quantized_files.h"

#include "base/fmath.h"
#include "model/binder.h"

/* In place of the system's: hundreds of small files need not reach the disk. */
int fsync(int fd)
{
    (void)fd;
    return 0;
}

#define LAYER1 "backbone.layers.1."

static quamba_status open_it(q_files *f, bool dequant, quamba_model **model, quamba_error *err)
{
    quamba_model_options opt = quamba_model_options_default();
    opt.norm_f_dequant = dequant;
    opt.n_threads = 2;
    return quamba_model_open(model, f->dir, &opt, err);
}

static quamba_model *must_open(q_files *f, bool dequant)
{
    quamba_model *model = NULL;
    quamba_error err;
    if (open_it(f, dequant, &model, &err) != QUAMBA_OK) fail_msg("%s", err.message);
    return model;
}

/* Opening fails so, with both words in the message. */
static void refuse(q_files *f, quamba_status status, const char *what, const char *why)
{
    quamba_model *model = NULL;
    quamba_error err;
    quamba_status got = open_it(f, false, &model, &err);
    if (got == QUAMBA_OK) fail_msg("%s: was accepted, expected: %s", what, why);
    if (got != status || !strstr(err.message, what) || !strstr(err.message, why))
        fail_msg("%s, %s: %d %s", what, why, got, err.message);
    assert_null(model);
}

static void write_and_refuse(q_files *f, quamba_status status, const char *what, const char *why)
{
    q_write(f, q_config);
    refuse(f, status, what, why);
}

/* ---- what is bound --------------------------------------------------------------------------- */

static void same_linear(const qm_linear *l, int32_t n_out, int32_t n_in)
{
    assert_int_equal(l->dtype, QM_I8);
    assert_int_equal(l->n_out, n_out);
    assert_int_equal(l->n_in, n_in);
    for (int32_t o = 0; o < n_out; o++)
        for (int32_t i = 0; i < n_in; i++)
            assert_int_equal(qm_linear_code(l, o, i), q_code(o, i));
    assert_float_equal((double)l->b, 0.01, 1e-8);
}

static void same_codes(const float *values, float scale, int64_t rows, int64_t columns)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++) {
            float wanted =
                scale * (float)q_code(r * columns + c, rows + (columns > 1 ? columns : 0));
            assert_true(values[c * rows + r] == wanted);
        }
}

static bool is_packed(const quamba_model *m, const void *data)
{
    uintptr_t base = (uintptr_t)m->packed.base, at = (uintptr_t)data;
    return at >= base && at < base + m->packed.capacity;
}

static void check_layer(q_files *f, const quamba_model *m, int layer)
{
    const qm_layer *l = &m->layers[layer];
    const float s = 1 + 0.25f * (float)layer;
    char prefix[64], name[96];
    snprintf(prefix, sizeof prefix, "backbone.layers.%d.mixer", layer);
    same_linear(&l->in_proj, 2 * Q_INNER, Q_MODEL);
    same_linear(&l->x_proj, Q_RANK + 2 * Q_STATE, Q_INNER);
    same_linear(&l->dt_proj, Q_INNER, Q_RANK);
    same_linear(&l->out_proj, Q_MODEL, Q_INNER);
    assert_true(is_packed(m, l->in_proj.weight));
#define SCALE(rest) (snprintf(name, sizeof name, "%s.%s", prefix, rest), q_get(f, name))
    same_codes(l->conv_bias, SCALE("conv1d.bias_scale"), Q_INNER, 1);
    same_codes(l->dt_bias, SCALE("selective_scan.dt_bias_scale"), Q_INNER, 1);
    same_codes(l->d, SCALE("selective_scan.D_scale"), Q_INNER, 1);
    for (int r = 0; r < Q_INNER; r++)
        for (int c = 0; c < Q_STATE; c++) {
            float code = (float)q_code(r * Q_STATE + c, Q_INNER + Q_STATE);
            float a = -qm_expf(SCALE("selective_scan.A_scale") * code);
            assert_true(l->a[c * Q_INNER + r] == a);
            assert_int_equal(l->conv_codes[c * Q_INNER + r],
                             q_code(r * Q_CONV + c, Q_INNER + Q_CONV));
        }
    float factor = SCALE("conv1d.weight_scale");
    factor *= SCALE("conv1d.input_scale");
    assert_true(l->conv_factor == factor);
#undef SCALE
    assert_null(l->conv);
    assert_true(l->norm[1] == 0.25f * (29 - 32));
    const float got[] = {l->scales.in, l->scales.x,  l->scales.z, l->scales.u, l->scales.b,
                         l->scales.c,  l->scales.dt, l->scales.h, l->scales.o};
    const float wanted[] = {0.05f, 0.04f, 0.04f, 0.03f, 0.02f, 0.02f, 0.06f, 0.01f, 0.07f};
    for (size_t i = 0; i < QM_COUNT(got); i++)
        assert_float_equal((double)got[i], (double)(wanted[i] * s), 1e-8);
}

/* The same numbers from either container; only one of the two needs copies. */
static void test_both_containers(void **state)
{
    (void)state;
    for (int k = 0; k < 4; k++) {
        q_files f;
        bool int8_head = k >= 2;
        q_files_new(&f, k % 2 ? Q_UPSTREAM : Q_SAFETENSORS, int8_head);
        q_write(&f, q_config);
        quamba_model *m = must_open(&f, false);
        for (int i = 0; i < Q_LAYER; i++)
            check_layer(&f, m, i);
        quamba_model_info info = quamba_model_get_info(m);
        assert_string_equal(info.weight_format, "i8");
        assert_int_equal(info.dt_rank, Q_RANK);
        assert_int_equal(info.n_vocab, Q_VOCAB);
        uint64_t matrices =
            (uint64_t)Q_LAYER * (3 * Q_INNER * Q_MODEL + 10 * Q_INNER + Q_INNER * Q_RANK);
        uint64_t vectors =
            (uint64_t)Q_LAYER * (4 * Q_MODEL + (Q_CONV + 4 * (3 + Q_STATE)) * Q_INNER);
        vectors += 4 * (uint64_t)(Q_MODEL + (int8_head ? Q_VOCAB : 0));
        uint64_t rows = (uint64_t)2 * Q_VOCAB * Q_MODEL * (int8_head ? 1u : 2u);
        assert_int_equal(info.weights_bytes, matrices + vectors + rows);
        if (int8_head) {
            same_linear(&m->head, Q_VOCAB, Q_MODEL);
            assert_int_equal(m->norm_f_kind, QM_NORM_F_CODES);
            assert_true(m->norm_f_scale == 0.045f && m->head.a == 0.045f);
            assert_int_equal(m->embedding.dtype, QM_I8);
            assert_true(m->embedding_scales[2] == 0.25f * (58 - 32));
        } else {
            assert_int_equal(m->head.dtype, QM_F16);
            assert_int_equal(m->norm_f_kind, QM_NORM_F_FLOAT);
            assert_null(m->embedding_scales);
        }
        assert_null(m->head_bias);
        quamba_model_close(&m);
        q_files_free(&f);
    }
}

/* Matrices of more outputs than a thread takes at a time, whole, in parts and padded with columns
 * of zeros that nobody wants, by several threads, from either order of the bytes. */
static void test_packing(void **state)
{
    (void)state;
    enum { K = 70, COLUMNS = 2600, N = 5 };
    static const struct {
        int32_t n_out, n_part;
    } shapes[N] = {
        {2600, 1300},
        {1,    1   },
        {1024, 1024},
        {1025, 1025},
        {34,   17  }
    };
    static int8_t in[K * COLUMNS], out[N][(K + 2) * (COLUMNS + 32)];
    for (int turned = 0; turned < 2; turned++) {
        quamba_model model = {0};
        quamba_error err;
        qm_binder b = {.model = &model, .n_threads = 3, .err = &err};
        qm_tensor tensors[N] = {0};
        qm_linear linears[N];
        for (size_t i = 0; i < sizeof in; i++)
            in[i] = (int8_t)(i * 2654435761u >> 15);
        for (int k = 0; k < N; k++) {
            uint64_t bytes;
            tensors[k] = (qm_tensor){.dtype = QM_I8, .data = in};
            assert_true(qm_tensor_set_shape(&tensors[k], (int64_t[]){K, COLUMNS}, 2, &bytes));
            if (turned) tensors[k].stride[0] = 1, tensors[k].stride[1] = K;
            linears[k] = (qm_linear){.weight = out[k],
                                     .dtype = QM_I8,
                                     .n_out = shapes[k].n_out,
                                     .n_in = K,
                                     .n_part = shapes[k].n_part};
            assert_int_equal(qm_bind_packing(&b, &tensors[k], &linears[k], out[k]), QUAMBA_OK);
        }
        qm_bind_pack_all(&b);
        for (int k = 0; k < N; k++)
            for (int32_t j = 0; j < shapes[k].n_out; j++) {
                int8_t row[K];
                qm_linear_row(&linears[k], j, row);
                for (int32_t i = 0; i < K; i++) {
                    const int8_t code = turned ? in[j * K + i] : in[i * COLUMNS + j];
                    if (qm_linear_code(&linears[k], j, i) != code || row[i] != code)
                        fail_msg("matrix %d, output %d, input %d", k, (int)j, (int)i);
                }
            }
        free(model.packings);
    }
}

/* ---- hostile files --------------------------------------------------------------------------- */

static bool may_be_missing(const char *name)
{
    return strstr(name, "z_scale") || strstr(name, "norm_f.output_scale");
}

static void check_tensor(q_files *f, size_t i)
{
    static q_files kept;
    kept = *f;
    qm_tensor *t = &f->tensors[i];
    char name[Q_NAME];
    snprintf(name, sizeof name, "%s", t->name);

    if (!may_be_missing(name)) {
        q_remove(f, name);
        write_and_refuse(f, QUAMBA_E_FORMAT, strstr(name, "norm.weight") ? "norm.weight" : name,
                         "missing");
        *f = kept;
    }
    bool scalar = qm_tensor_count(t) == 1;
    uint64_t bytes;
    int64_t shape[3] = {t->shape[0] + 1, t->shape[1], 0};
    if (scalar) shape[0] = 2;
    assert_true(qm_tensor_set_shape(t, shape, scalar ? 1 : (size_t)t->ndim, &bytes));
    t->python_float = false;
    q_write(f, "{}");
    quamba_model *model = NULL;
    quamba_error err;
    if (open_it(f, false, &model, &err) != QUAMBA_E_FORMAT) fail_msg("%s: a wrong shape", name);
    *f = kept;

    t->dtype = QM_I16;
    t->python_float = false;
    write_and_refuse(f, QUAMBA_E_FORMAT, strstr(name, "in_proj") ? "in_proj" : name, "");
    *f = kept;

    const float bad[] = {0, -1, NAN, INFINITY};
    for (size_t k = 0; scalar && k < QM_COUNT(bad); k++) {
        q_set(f, name, bad[k]);
        write_and_refuse(f, QUAMBA_E_FORMAT, name, "positive and finite");
        *f = kept;
    }
    uint16_t half_nan = 0x7e00;
    if (t->dtype == QM_F16) {
        memcpy(q_data(f, name) + 6, &half_nan, 2);
        write_and_refuse(f, QUAMBA_E_FORMAT, name, "element 3 is not a finite number");
        *f = kept;
    }
}

/* Each tensor missing, of a wrong shape, of a wrong type, with a number that is no scale. */
static void test_bad_tensors(void **state)
{
    (void)state;
    for (int int8_head = 0; int8_head < 2; int8_head++) {
        static q_files f;
        q_files_new(&f, Q_SAFETENSORS, int8_head);
        for (size_t i = 0; i < f.n; i++) /* one layer each: writing takes time */
            if (!strstr(f.tensors[i].name, int8_head ? "layers.0." : "layers.1."))
                check_tensor(&f, i);
        q_add_scale(&f, LAYER1, "mixer.extra", 0, 1);
        write_and_refuse(&f, QUAMBA_E_FORMAT, LAYER1 "mixer.extra",
                         "not part of a W8A8 Mamba-1 model of 2 layers");
        q_files_free(&f);
    }
}

/* Two tensors that say different things of one number. */
static void test_contradictions(void **state)
{
    (void)state;
    static const struct {
        const char *name, *what, *why;
    } cases[] = {
        {"mixer.conv1d.output_scale",     "conv1d.output_scale is 0.03753",
         "u_scale of that layer is 0.0375"                                                                          },
        {"mixer.selective_scan.u_scale",  "conv1d.output_scale is 0.0375",
         "u_scale of that layer is 0.03753"                                                                         },
        {"mixer.in_proj.a",               "in_proj.alpha is",               "in_proj.a * mixer.in_proj.b"           },
        {"mixer.x_proj.b",                "x_proj.alpha is",                "x_proj.a * mixer.x_proj.b"             },
        {"mixer.dt_proj.alpha",           "dt_proj.alpha is",               "dt_proj.a * mixer.dt_proj.b"           },
        {"mixer.out_proj.alpha",          "out_proj.alpha is",              "out_proj.a * mixer.out_proj.b"         },
        {"norm.output_scale",             "in_proj.a is 1.25",
         "norm.output_scale / conv1d.input_scale comes to 1.25"                                                     },
        {"mixer.conv1d.input_scale",      "in_proj.a is 1.25",              "norm.output_scale / conv1d.input_scale"},
        {"mixer.selective_scan.B_scale",  "x_proj.a is 1.5",                "u_scale / selective_scan.B_scale"      },
        {"mixer.selective_scan.C_scale",  "x_proj.a is 1.5",                "u_scale / selective_scan.C_scale"      },
        {"mixer.selective_scan.dt_scale", "dt_proj.a is 0.333",
         "B_scale / selective_scan.dt_scale"                                                                        },
        {"mixer.had.x_H_scale",           "out_proj.a is 0.0874",           "had.x_H_scale comes to 0.08758"        },
    };
    static q_files f;
    q_files_new(&f, Q_UPSTREAM, true);
    for (size_t i = 0; i < QM_COUNT(cases); i++) {
        char name[96], word[128];
        snprintf(name, sizeof name, LAYER1 "%s", cases[i].name);
        snprintf(word, sizeof word, LAYER1 "mixer.%s", cases[i].what);
        float good = q_get(&f, name);
        q_set(&f, name, good * 1.001f);
        write_and_refuse(&f, QUAMBA_E_FORMAT, word, cases[i].why);
        q_set(&f, name,
              good * 1.000005f); /* within what rounding may do, unless it must be equal */
        q_write(&f, q_config);
        if (i < 2)
            refuse(&f, QUAMBA_E_FORMAT, "conv1d.output_scale", "u_scale");
        else
            quamba_model_close(&(quamba_model *){must_open(&f, false)});
        q_set(&f, name, good);
    }
    q_set(&f, "backbone.norm_f.output_scale", 0.046f);
    write_and_refuse(&f, QUAMBA_E_FORMAT, "lm_head.a is 0.045",
                     "norm_f.output_scale comes to 0.046");
    q_files_free(&f);
}

/* Checkpoints that are something else. */
static void test_other_kinds(void **state)
{
    (void)state;
    static q_files f, kept;
    q_files_new(&f, Q_SAFETENSORS, false);
    kept = f;
    q_write(&f, "{\"ssm_cfg\": {\"d_state\": 8}}");
    refuse(&f, QUAMBA_E_FORMAT, "d_state", "the tensors say 4");
    q_write(&f, "{\"ssm_cfg\": {\"dt_rank\": 3}}");
    refuse(&f, QUAMBA_E_FORMAT, "dt_rank", "the tensors say 2");
    q_write(&f, "{\"ssm_cfg\": {\"layer\": \"W4A8QMamba\"}}"); /* the tensors know better */
    quamba_model_close(&(quamba_model *){must_open(&f, false)});
    q_write(&f, "{\"vocab_size\": 25}");
    refuse(&f, QUAMBA_E_FORMAT, "vocab_size", "the tensors say 24");

    q_find(&f, "backbone.layers.0.mixer.in_proj.weight")->dtype = QM_I32;
    qm_tensor *t = q_find(&f, "backbone.layers.0.mixer.in_proj.weight");
    t->shape[1] = t->stride[0] = 16;
    write_and_refuse(&f, QUAMBA_E_UNSUPPORTED, "mamba1 w4a16", "only mamba1 and mamba1 w8a8");
    q_add_floats(&f, "backbone.layers.0.mixer.in_proj.s_group", QM_F16, 1, Q_INNER);
    write_and_refuse(&f, QUAMBA_E_UNSUPPORTED, "mamba1 w4a8", "only mamba1 and mamba1 w8a8");
    q_add_floats(&f, "backbone.layers.0.mixer.dt_bias", QM_F16, Q_INNER, 0);
    q_write(&f, NULL);
    unlink(f.config);
    quamba_model *model = NULL;
    quamba_error err;
    assert_int_equal(quamba_model_open(&model, f.weights, NULL, &err), QUAMBA_E_UNSUPPORTED);
    assert_non_null(strstr(err.message, "mamba2 w4a8"));
    f = kept;

    t = q_find(&f, LAYER1 "mixer.out_proj.weight"); /* a hybrid model */
    t->dtype = QM_I32;
    t->shape[0] = 8;
    write_and_refuse(&f, QUAMBA_E_UNSUPPORTED, LAYER1 "mixer.out_proj.weight", "packed 4-bit");
    f = kept;
    t = q_find(&f, "lm_head.weight");
    t->dtype = QM_I32;
    t->shape[0] = 8;
    write_and_refuse(&f, QUAMBA_E_UNSUPPORTED, "lm_head.weight", "packed 4-bit");
    f = kept;

    quamba_model_options opt = {.mode = "fp32", .n_threads = 1};
    q_write(&f, q_config);
    assert_int_equal(quamba_model_open(&model, f.dir, &opt, &err), QUAMBA_E_ARGUMENT);
    q_files_free(&f);
}

/* ---- old files ------------------------------------------------------------------------------- */

/* The model's warnings are these, by a word of each. */
static void warned(const quamba_model *m, size_t n, const char *const *words)
{
    for (size_t i = 0; i < n; i++) {
        const char *warning = quamba_model_warning(m, i);
        if (!warning || !strstr(warning, words[i]))
            fail_msg("warning %d is \"%s\", must say \"%s\"", (int)i, warning ? warning : "none",
                     words[i]);
    }
    if (quamba_model_warning(m, n)) fail_msg("one too many: %s", quamba_model_warning(m, n));
}
#define WARNED(m, ...)                                                                             \
    warned(m, QM_COUNT(((const char *[]){__VA_ARGS__})), (const char *[]){__VA_ARGS__})

static const char complete[] = "{\"quantization_config\": {}}";

static void test_old_float_head(void **state)
{
    (void)state;
    static q_files f;
    q_files_new(&f, Q_UPSTREAM, false);
    q_write(&f, q_config);
    quamba_model *m = must_open(&f, false);
    WARNED(m, "lm_head.bias is missing: the head runs without bias",
           "backbone.norm_f.output_scale is missing: the head gets the norm's floating-point");
    assert_int_equal(m->norm_f_kind, QM_NORM_F_FLOAT);
    quamba_model_close(&m);
    m = must_open(&f, true);
    WARNED(m, "lm_head.bias", "output_scale is missing: the norm's result is rounded to 127 steps");
    assert_int_equal(m->norm_f_kind, QM_NORM_F_DEQUANT);
    quamba_model_close(&m);

    q_write(&f, complete); /* what quantize wrote lacks nothing */
    m = must_open(&f, false);
    warned(m, 0, NULL);
    quamba_model_close(&m);

    q_add_scale(&f, "backbone.norm_f.", "output_scale", 2, 0.045);
    q_add_floats(&f, "lm_head.bias", QM_F16, Q_VOCAB, 0);
    q_write(&f, q_config);
    m = must_open(&f, false);
    WARNED(m, "backbone.norm_f.output_scale is there, but the head is f16: it is ignored");
    assert_int_equal(m->norm_f_kind, QM_NORM_F_FLOAT);
    assert_non_null(m->head_bias);
    assert_true(m->head_bias[1] == 0.25f * (29 - 32));
    quamba_model_close(&m);
    q_remove(&f, "lm_head.bias");
    q_remove(&f, "backbone.norm_f.output_scale");

    q_remove(&f, "lm_head.weight");
    q_add_floats(&f, "lm_head.weight", QM_F32, Q_VOCAB, Q_MODEL);
    q_data(&f, "lm_head.weight")[2] ^= 1; /* not a half */
    q_write(&f, complete);
    m = must_open(&f, false);
    WARNED(m, "lm_head.weight is f32: cast to half");
    assert_int_equal(m->head.dtype, QM_F16);
    assert_int_equal(((const uint16_t *)m->head.weight)[1], qm_f16_f32(0.25f * (29 - 32)));
    quamba_model_close(&m);
    q_set(&f, "lm_head.weight", 1e6f); /* finite, but not as a half */
    write_and_refuse(&f, QUAMBA_E_FORMAT, "lm_head.weight", "element 0 is not a finite number");

    q_remove(&f, "lm_head.weight"); /* tied */
    write_and_refuse(&f, QUAMBA_E_FORMAT, "tie_embeddings", "lm_head.weight is missing");
    q_write(&f, complete);
    m = must_open(&f, false);
    assert_true(m->head.weight == m->embedding.weight);
    warned(m, 0, NULL);
    quamba_model_close(&m);
    q_files_free(&f);
}

/* The logits of a prompt's end and of a step after it. */
static void run(q_files *f, float logits[2][Q_VOCAB])
{
    quamba_model *m = must_open(f, false);
    quamba_session *session = NULL;
    quamba_error err;
    const int32_t prompt[] = {3, 1, 4, 1, 5, 9, 2, 6};
    for (size_t i = 0; i < 2; i++) {
        const float *row = NULL;
        quamba_status status = i == 0 ? quamba_session_new(&session, m, NULL, &err) : QUAMBA_OK;
        if (status == QUAMBA_OK && i == 0)
            status = quamba_session_prefill(session, prompt, QM_COUNT(prompt), &row, &err);
        else if (status == QUAMBA_OK)
            status = quamba_session_step(session, 7, &row, &err);
        if (status != QUAMBA_OK) fail_msg("%s", err.message);
        memcpy(logits[i], row, sizeof logits[i]);
    }
    quamba_session_free(&session);
    quamba_model_close(&m);
}

/* Without the numbers that are written twice, and from either container, a model computes the same;
 * with another bias it does not. */
static void test_same_logits(void **state)
{
    (void)state;
    static q_files f;
    float whole[2][Q_VOCAB], got[2][Q_VOCAB];
    for (int form = 0; form < 2; form++) {
        q_files_new(&f, form ? Q_UPSTREAM : Q_SAFETENSORS, true);
        q_write(&f, q_config);
        run(&f, form ? got : whole);
        if (form) assert_memory_equal(whole, got, sizeof got);
        q_remove(&f, "backbone.norm_f.output_scale");
        q_remove(&f, LAYER1 "mixer.selective_scan.z_scale");
        q_write(&f, q_config);
        run(&f, got);
        assert_memory_equal(whole, got, sizeof got);
        q_add_floats(&f, "lm_head.bias", QM_F16, Q_VOCAB, 0);
        q_write(&f, q_config);
        run(&f, got);
        assert_memory_not_equal(whole[1], got[1], sizeof got[1]);
        q_files_free(&f);
    }
}

static void test_old_int8_head(void **state)
{
    (void)state;
    static q_files f;
    q_files_new(&f, Q_UPSTREAM, true);
    q_remove(&f, "backbone.norm_f.output_scale");
    q_write(&f, complete);
    quamba_model *m = must_open(&f, false);
    WARNED(m, "output_scale is missing: the head quantizes the norm's result at its own scale");
    assert_int_equal(m->norm_f_kind, QM_NORM_F_FLOAT);
    quamba_model_close(&m);
    m = must_open(&f, true);
    WARNED(m, "output_scale is missing: the norm's result is rounded to 127 steps");
    assert_int_equal(m->norm_f_kind, QM_NORM_F_DEQUANT);
    quamba_model_close(&m);

    /* One line for both layers; another value than the convolution's input scale is kept. */
    q_remove(&f, "backbone.layers.0.mixer.selective_scan.z_scale");
    q_set(&f, LAYER1 "mixer.selective_scan.z_scale", 0.5f);
    q_write(&f, complete);
    m = must_open(&f, false);
    WARNED(m, "backbone.layers.0.mixer.selective_scan.z_scale is missing", "norm_f.output_scale");
    assert_true(m->layers[0].scales.z == m->layers[0].scales.x);
    assert_true(m->layers[1].scales.z == 0.5f);
    quamba_model_close(&m);
    q_remove(&f, LAYER1 "mixer.selective_scan.z_scale");
    q_write(&f, q_config);
    m = must_open(&f, false);
    WARNED(m, "backbone.layers.0.mixer.selective_scan.z_scale", "lm_head.bias", "output_scale");
    quamba_model_close(&m);

    q_remove(&f, "lm_head.weight");
    q_write(&f, "{}");
    refuse(&f, QUAMBA_E_FORMAT, "lm_head.weight", "an INT8 embedding cannot be the head");
    q_files_free(&f);
}

/* ---- what a file lacks ----------------------------------------------------------------------- */

typedef struct listing {
    size_t n, n_instead;
    char last[96];
} listing;

static bool report(void *user, const char *name, const char *instead)
{
    listing *l = user;
    l->n += instead == NULL;
    l->n_instead += instead != NULL;
    snprintf(l->last, sizeof l->last, "%s", name);
    return l->n < 100;
}

static const qm_tensor *find_in_files(const void *user, const char *name)
{
    const q_files *f = user;
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->tensors[i].name, name) == 0) return &f->tensors[i];
    return NULL;
}

static void test_missing(void **state)
{
    (void)state;
    static q_files f;
    quamba_error err;
    qm_config config = {.n_layer = Q_LAYER, .scheme = QM_W8A8, .quantized = true};
    q_files_new(&f, Q_SAFETENSORS, true);
    listing l = {0};
    assert_int_equal(qm_model_missing(&config, find_in_files, &f, report, &l, &err), QUAMBA_OK);
    assert_int_equal(l.n, 0);
    assert_int_equal(l.n_instead, 1);
    assert_string_equal(l.last, "lm_head.bias");

    /* Everything a layer has, and the two names outside. */
    size_t n = f.n;
    f.n = 2;
    l = (listing){0};
    assert_int_equal(qm_model_missing(&config, find_in_files, &f, report, &l, &err), QUAMBA_OK);
    assert_int_equal(l.n, n - 2 - 2 - 4); /* z_scale twice, norm_f.output_scale, lm_head.a ... */
    assert_int_equal(l.n_instead, 4);
    assert_string_equal(l.last, "backbone.norm_f.output_scale");

    config.n_layer = 10;
    l = (listing){0};
    assert_int_equal(qm_model_missing(&config, find_in_files, &f, report, &l, &err),
                     QUAMBA_E_NOMEM);
    q_files_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_containers), cmocka_unit_test(test_packing),
        cmocka_unit_test(test_bad_tensors),     cmocka_unit_test(test_contradictions),
        cmocka_unit_test(test_other_kinds),     cmocka_unit_test(test_old_float_head),
        cmocka_unit_test(test_old_int8_head),   cmocka_unit_test(test_missing),
        cmocka_unit_test(test_same_logits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
