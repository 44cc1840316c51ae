#include "quant/recipe.h"

#include "base/utf8.h"

#include <string.h>

/* Puts value, a new reference, under key; NULL, which is a value that could not be made, and no
 * memory are both reported at the end by *ok. */
static void put(json_t *object, const char *key, json_t *value, bool *ok)
{
    *ok = json_object_set_new(object, key, value) == 0 && *ok;
}

static void put_missing(json_t *object, const char *key, json_t *value, bool *ok)
{
    if (json_object_get(object, key))
        json_decref(value);
    else
        put(object, key, value, ok);
}

/* The mixer: its class, and every size that is not the default. */
static json_t *mixer(const qm_config *c, const json_t *source, bool *ok)
{
    const json_t *given = json_object_get(source, "ssm_cfg");
    json_t *ssm = json_is_object(given) ? json_deep_copy(given) : json_object();
    put(ssm, "layer", json_string("W8A8QMamba"), ok);
    if (c->d_state != 16) put(ssm, "d_state", json_integer(c->d_state), ok);
    if (c->d_conv != 4) put(ssm, "d_conv", json_integer(c->d_conv), ok);
    if (c->dt_rank != (c->d_model + 15) / 16) put(ssm, "dt_rank", json_integer(c->dt_rank), ok);
    if (c->d_inner % c->d_model != 0)
        put(ssm, "d_inner", json_integer(c->d_inner), ok);
    else if (c->d_inner != 2 * c->d_model)
        put(ssm, "expand", json_integer(c->d_inner / c->d_model), ok);
    return ssm;
}

/* Any bytes, what is not UTF-8 replaced. */
static json_t *text(const char *bytes)
{
    qm_text out = {0};
    qm_text_add_lossy(&out, bytes, strlen(bytes));
    json_t *string = out.failed ? NULL : json_string(out.data ? out.data : "");
    qm_text_free(&out);
    return string;
}

static json_t *number_or_null(int64_t n) { return n > 0 ? json_integer(n) : json_null(); }

/* What was tried, on how much text. */
static json_t *search_of(const qm_search *search, bool *ok)
{
    json_t *tried = json_array(), *object = json_object();
    for (size_t i = 0; i < search->n_tried; i++) {
        json_t *one = json_object();
        put(one, "alpha", json_real(search->tried[i].alpha), ok);
        put(one, "perplexity", json_real(search->tried[i].perplexity), ok);
        *ok = json_array_append_new(tried, one) == 0 && *ok;
    }
    put(object, "n_texts", json_integer((json_int_t)search->n_texts), ok);
    put(object, "n_tokens", json_integer((json_int_t)search->n_tokens), ok);
    put(object, "scoring", json_string("prefill"), ok);
    put(object, "tried", tried, ok);
    return object;
}

static json_t *quantization(const qm_recipe *r, bool *ok)
{
    json_t *calibration = json_object(), *q = json_object();
    put(calibration, "source", text(r->calibration), ok);
    put(calibration, "n_texts", number_or_null(r->n_texts), ok);
    put(calibration, "seqlen", number_or_null(r->seqlen), ok);
    put(calibration, "ids_hash", r->ids_hash ? json_string(r->ids_hash) : json_null(), ok);
    put(q, "quant_method", json_string("quamba"), ok);
    put(q, "w_bits", json_integer(r->w_bits), ok);
    put(q, "a_bits", json_integer(r->a_bits), ok);
    put(q, "percentile_alpha", json_real(r->percentile_alpha), ok);
    if (r->search) put(q, "percentile_alpha_search", search_of(r->search, ok), ok);
    put(q, "quantize_embedding", json_boolean(r->quantize_embedding), ok);
    put(q, "quantize_lm_head", json_boolean(r->quantize_lm_head), ok);
    put(q, "calibration", calibration, ok);
    put(q, "version", json_string(QUAMBA_VERSION), ok);
    return q;
}

static json_t *class_of(const char *key, const char *name, bool *ok)
{
    json_t *object = json_object();
    put(object, key, json_string(name), ok);
    return object;
}

quamba_status qm_recipe_config(json_t **json, const qm_recipe *recipe, const qm_config *c,
                               const json_t *source, quamba_error *err)
{
    bool ok = true, ours = json_object_get(source, "d_model") != NULL; /* not Hugging Face's */
    json_t *out = ours ? json_deep_copy(source) : json_object();
    put_missing(out, "d_model", json_integer(c->d_model), &ok);
    put_missing(out, "d_intermediate", json_integer(0), &ok);
    put_missing(out, "n_layer", json_integer(c->n_layer), &ok);
    put_missing(out, "vocab_size", json_integer(c->n_vocab), &ok);
    put(out, "ssm_cfg", mixer(c, ours ? source : NULL, &ok), &ok);
    put_missing(out, "attn_layer_idx", json_array(), &ok);
    put_missing(out, "attn_cfg", json_object(), &ok);
    put_missing(out, "rms_norm", json_true(), &ok);
    put_missing(out, "residual_in_fp32", json_true(), &ok);
    put_missing(out, "fused_add_norm", json_true(), &ok);
    put_missing(out, "pad_vocab_size_multiple", json_integer(c->n_vocab % 8 == 0 ? 8 : 1), &ok);
    if (c->norm_eps != 1e-5) put(out, "layer_norm_epsilon", json_real(c->norm_eps), &ok);
    json_object_del(out, "tie_word_embeddings");
    put(out, "tie_embeddings", json_false(), &ok); /* the rotated head is a matrix of its own */
    put(out, "norm_cfg", class_of("norm", "QRMSNorm", &ok), &ok);
    put(out, "embedding_cfg",
        class_of("layer", recipe->quantize_embedding ? "W8O16Embedding" : "Embedding", &ok), &ok);
    put(out, "lm_head_cfg",
        class_of("layer", recipe->quantize_lm_head ? "W8A8B16O16Linear" : "Linear", &ok), &ok);
    put(out, "quantization_config", quantization(recipe, &ok), &ok);
    *json = ok ? out : NULL;
    if (ok) return QUAMBA_OK;
    json_decref(out);
    return qm_fail_memory(err, 4096, "config.json");
}
