/* A session's state as a blob: little endian, the same on every machine.
 *     "quambaS1"  mode[16]  n_layer d_inner d_state d_conv (i32)  position (u64)
 *     conv_state f32 (quantized: i8) [n_layer][d_conv][d_inner]
 *     in modes that find the scales of these codes at run time: their scales f32 [n_layer][d_conv]
 *     ssm_state f32 [n_layer][d_state][d_inner]
 *     hash (u64) of all bytes before it */
#include "base/hash.h"
#include "runtime/session.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MODE_BYTES = 16, HEADER_BYTES = 8 + MODE_BYTES + 4 * 4 + 8, HASH_BYTES = 8 };

static const char magic[8] = {'q', 'u', 'a', 'm', 'b', 'a', 'S', '1'};

static void put(unsigned char *at, uint64_t value, size_t n)
{
    for (size_t i = 0; i < n; i++)
        at[i] = (unsigned char)(value >> (8 * i));
}

static uint64_t get(const unsigned char *at, size_t n)
{
    uint64_t value = 0;
    for (size_t i = 0; i < n; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

static void put_floats(unsigned char *at, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        put(at + 4 * i, bits, 4);
    }
}

static void get_floats(float *x, const unsigned char *at, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)get(at + 4 * i, 4);
        memcpy(&x[i], &bits, sizeof bits);
    }
}

/* The mode's id; one that is longer, as its beginning and a hash. */
static void put_mode(unsigned char at[MODE_BYTES], const char *id)
{
    const size_t n = strlen(id);
    if (n < MODE_BYTES)
        memcpy(at, id, n);
    else
        snprintf((char *)at, MODE_BYTES, "%.6s~%08" PRIx32, id, (uint32_t)qm_hash64(id, n, 0));
}

/* Everything that must agree between the session that saved and the one that loads. */
static void put_header(unsigned char header[HEADER_BYTES], const quamba_session *s)
{
    const qm_config *c = &s->model->config;
    const int32_t dims[4] = {c->n_layer, c->d_inner, c->d_state, c->d_conv};
    memset(header, 0, HEADER_BYTES);
    memcpy(header, magic, sizeof magic);
    put_mode(header + sizeof magic, s->model->datapath->id);
    for (size_t i = 0; i < 4; i++)
        put(header + sizeof magic + MODE_BYTES + 4 * i, (uint32_t)dims[i], 4);
    put(header + HEADER_BYTES - 8, s->position, 8);
}

/* Sizes of the parts of a session's blob, in bytes. */
typedef struct qm_blob {
    size_t conv, scales, ssm, whole;
} qm_blob;

static qm_blob blob_of(const quamba_session *s)
{
    const qm_config *c = &s->model->config;
    qm_blob b = {.conv = qm_conv_count(c) * (s->conv_codes ? 1 : sizeof(float)),
                 .scales = s->conv_scales ? qm_conv_scale_count(c) * sizeof(float) : 0,
                 .ssm = qm_ssm_count(c) * sizeof(float)};
    b.whole = HEADER_BYTES + b.conv + b.scales + b.ssm + HASH_BYTES;
    return b;
}

quamba_status quamba_session_save(const quamba_session *s, void *blob, size_t capacity,
                                  size_t *n_bytes, quamba_error *error)
{
    const qm_blob b = blob_of(s);
    const size_t size = b.whole;
    *n_bytes = size;
    if (!blob) return QUAMBA_OK;
    if (capacity < size)
        return qm_fail(error, QUAMBA_E_ARGUMENT, size,
                       "the state needs %zu bytes, the buffer has %zu", size, capacity);
    unsigned char *at = blob;
    put_header(at, s);
    if (s->conv_codes)
        memcpy(at + HEADER_BYTES, s->conv_codes, b.conv);
    else
        put_floats(at + HEADER_BYTES, s->conv_state, b.conv / sizeof(float));
    put_floats(at + HEADER_BYTES + b.conv, s->conv_scales, b.scales / sizeof(float));
    put_floats(at + HEADER_BYTES + b.conv + b.scales, s->ssm_state, b.ssm / sizeof(float));
    put(at + size - HASH_BYTES, qm_hash64(at, size - HASH_BYTES, 0), HASH_BYTES);
    return QUAMBA_OK;
}

quamba_status quamba_session_load(quamba_session *s, const void *blob, size_t n_bytes,
                                  quamba_error *error)
{
    const qm_blob b = blob_of(s);
    const size_t size = b.whole;
    const unsigned char *at = blob;
    unsigned char wanted[HEADER_BYTES];
    if (n_bytes < HEADER_BYTES || memcmp(at, magic, sizeof magic) != 0)
        return qm_fail(error, QUAMBA_E_FORMAT, 0, "not a saved session");
    put_header(wanted, s);
    if (memcmp(at + sizeof magic, wanted + sizeof magic, MODE_BYTES) != 0)
        return qm_fail(error, QUAMBA_E_FORMAT, sizeof magic,
                       "saved in mode \"%.*s\", this session is in \"%s\"", MODE_BYTES - 1,
                       (const char *)at + sizeof magic, s->model->datapath->id);
    const size_t dims = sizeof magic + MODE_BYTES;
    if (memcmp(at + dims, wanted + dims, 16) != 0)
        return qm_fail(error, QUAMBA_E_FORMAT, dims,
                       "saved from a model of %" PRIu64 " layers, d_inner %" PRIu64
                       ", d_state %" PRIu64 ", d_conv %" PRIu64,
                       get(at + dims, 4), get(at + dims + 4, 4), get(at + dims + 8, 4),
                       get(at + dims + 12, 4));
    if (n_bytes != size)
        return qm_fail(error, QUAMBA_E_FORMAT, n_bytes, "has %zu bytes, must have %zu", n_bytes,
                       size);
    if (get(at + size - HASH_BYTES, HASH_BYTES) != qm_hash64(at, size - HASH_BYTES, 0))
        return qm_fail(error, QUAMBA_E_FORMAT, size - HASH_BYTES,
                       "damaged: the hash at the end does not fit");
    if (s->conv_codes)
        memcpy(s->conv_codes, at + HEADER_BYTES, b.conv);
    else
        get_floats(s->conv_state, at + HEADER_BYTES, b.conv / sizeof(float));
    get_floats(s->conv_scales, at + HEADER_BYTES + b.conv, b.scales / sizeof(float));
    get_floats(s->ssm_state, at + HEADER_BYTES + b.conv + b.scales, b.ssm / sizeof(float));
    s->on_grid = false; /* rounding what is on the grid changes nothing */
    s->position = get(at + HEADER_BYTES - 8, 8);
    return QUAMBA_OK;
}
