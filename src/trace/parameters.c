/* Weights, biases and scales by the names that the formulas use. */
#include "datapath/datapath.h"
#include "trace/edges.h"

#include <math.h>
#include <string.h>

float qm_trace_hadamard_factor(const quamba_model *m, int32_t layer)
{
    const double root = 1.0 / sqrt((double)m->config.d_inner);
    return (float)(root / (double)m->layers[layer].scales.o);
}

static bool number(qm_trace_parameter *p, const char *meaning, float value)
{
    *p = (qm_trace_parameter){.meaning = meaning, .dtype = QM_F32, .value = value};
    return value > 0.0f;
}

static bool vector(qm_trace_parameter *p, const char *meaning, const float *data, int32_t n,
                   const char *axis)
{
    *p = (qm_trace_parameter){.meaning = meaning,
                              .dtype = QM_F32,
                              .ndim = 1,
                              .shape = {(uint64_t)n},
                              .axes = {axis},
                              .data = data};
    return data != NULL;
}

static bool matrix(qm_trace_parameter *p, const char *meaning, const void *data, qm_dtype dtype,
                   int32_t rows, int32_t cols, const char *row_axis, const char *col_axis)
{
    *p = (qm_trace_parameter){
        .meaning = meaning,
        .dtype = dtype,
        .ndim = 2,
        .shape = {(uint64_t)rows, (uint64_t)cols},
        .axes = {row_axis,       col_axis      },
        .data = data
    };
    return data != NULL;
}

static bool weights(qm_trace_parameter *p, const qm_linear *w)
{
    const bool packed = w->dtype == QM_I8;
    const bool there = matrix(p, packed ? "weight codes" : "weights", w->weight, w->dtype, w->n_out,
                              w->n_in, "output", "input");
    if (packed) p->packed = w;
    return there;
}

/* NAME_weight, NAME_a, NAME_b of a matrix. */
static bool linear(qm_trace_parameter *p, const qm_linear *w, const char *part)
{
    if (strcmp(part, "weight") == 0) return weights(p, w);
    if (strcmp(part, "a") == 0)
        return number(
            p, "scale of the input codes, over that of the output codes where it has codes", w->a);
    return strcmp(part, "b") == 0 && number(p, "scale of the weight codes", w->b);
}

static bool head_parameter(qm_trace_parameter *p, const quamba_model *m, const char *name)
{
    const qm_config *c = &m->config;
    if (strncmp(name, "head_", 5) == 0 && linear(p, &m->head, name + 5)) return true;
    if (strcmp(name, "head_bias") == 0)
        return vector(p, "bias of the head", m->head_bias, c->n_vocab, "token id");
    if (strcmp(name, "norm_eps") == 0)
        return number(p, "added to the mean square", (float)c->norm_eps);
    if (strcmp(name, "norm_f_weight") == 0)
        return vector(p, "weight of the final norm", m->norm_f, c->d_model, "d_model");
    return strcmp(name, "norm_f_scale") == 0 &&
           number(p, "scale of norm_f_out", qm_trace_norm_f_scale(m));
}

static bool layer_scale(qm_trace_parameter *p, const qm_scales *s, const char *name)
{
    const struct {
        const char *name, *meaning;
        float value;
    } scales[] = {
        {"norm_scale",        "scale of norm_out",                               s->in         },
        {"x_scale",           "scale of in_proj_x and conv_in",                  s->x          },
        {"z_scale",           "scale of in_proj_z as the gate reads it",         s->z          },
        {"conv_weight_scale", "scale of conv_weight",                            s->w          },
        {"u_scale",           "scale of the convolution's output codes",         s->u          },
        {"u_scale_unclipped", "the same from a calibration without clipping",    s->u_unclipped},
        {"b_scale",           "scale of dt_low and B",                           s->b          },
        {"c_scale",           "scale of C",                                      s->c          },
        {"dt_scale",          "scale of dt_proj_out",                            s->dt         },
        {"state_scale",       "scale of the state's codes between decode steps", s->h          },
        {"out_scale",         "scale of hadamard_out",                           s->o          },
    };
    for (size_t i = 0; i < QM_COUNT(scales); i++)
        if (strcmp(name, scales[i].name) == 0) return number(p, scales[i].meaning, scales[i].value);
    return false;
}

static bool layer_linear(qm_trace_parameter *p, const qm_layer *l, const char *name)
{
    const struct {
        const char *prefix;
        const qm_linear *linear;
    } linears[] = {
        {"in_proj_",  &l->in_proj },
        {"x_proj_",   &l->x_proj  },
        {"dt_proj_",  &l->dt_proj },
        {"out_proj_", &l->out_proj},
    };
    for (size_t i = 0; i < QM_COUNT(linears); i++) {
        const size_t n = strlen(linears[i].prefix);
        if (strncmp(name, linears[i].prefix, n) == 0 && linear(p, linears[i].linear, name + n))
            return true;
    }
    return false;
}

bool qm_trace_parameter_find(qm_trace_parameter *p, const quamba_model *m, int32_t layer,
                             const char *name)
{
    const qm_config *c = &m->config;
    if (layer == c->n_layer) return head_parameter(p, m, name);
    const qm_layer *l = &m->layers[layer];
    const int32_t e = c->d_inner;
    if (strcmp(name, "norm_eps") == 0)
        return number(p, "added to the mean square", (float)c->norm_eps);
    if (strcmp(name, "norm_weight") == 0)
        return vector(p, "weight of the norm", l->norm, c->d_model, "d_model");
    if (strcmp(name, "conv_weight") == 0)
        return c->quantized ? matrix(p, "weight codes of the convolution, oldest tap first",
                                     l->conv_codes, QM_I8, c->d_conv, e, "tap", "d_inner")
                            : matrix(p, "weights of the convolution, oldest tap first", l->conv,
                                     QM_F32, c->d_conv, e, "tap", "d_inner");
    if (strcmp(name, "conv_bias") == 0)
        return vector(p, "bias of the convolution", l->conv_bias, e, "d_inner");
    if (strcmp(name, "conv_factor") == 0)
        return number(p, "conv_weight_scale * x_scale, rounded to FP32", l->conv_factor);
    if (strcmp(name, "dt_bias") == 0)
        return vector(p, "bias of the time step", l->dt_bias, e, "d_inner");
    if (strcmp(name, "a") == 0)
        return matrix(p, "A = -exp(A_log)", l->a, QM_F32, c->d_state, e, "d_state", "d_inner");
    if (strcmp(name, "d") == 0) return vector(p, "D, the skip term", l->d, e, "d_inner");
    if (strcmp(name, "hadamard_factor") == 0)
        return c->quantized &&
               number(p, "1 / (sqrt(d_inner) * out_scale)", qm_trace_hadamard_factor(m, layer));
    return layer_linear(p, l, name) || (c->quantized && layer_scale(p, &l->scales, name));
}
