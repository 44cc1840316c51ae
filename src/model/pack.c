/* Matrices of codes from where the file has them to where the products want them. */
#include "kernels/kernels.h"
#include "model/binder.h"

enum { CHUNK = 1 << 20 /* bytes, about, that a thread takes at a time */ };

quamba_status qm_bind_packing(qm_binder *b, const qm_tensor *t, const qm_linear *linear,
                              int8_t *out)
{
    quamba_model *m = b->model;
    if (!qm_grow(&m->packings, &b->packings_capacity, m->n_packings + 1, sizeof *m->packings))
        return qm_fail_memory(b->err, (m->n_packings + 1) * sizeof *m->packings, b->name);
    m->packings[m->n_packings++] = (qm_packing){t, out, linear->n_out, linear->n_part};
    return QUAMBA_OK;
}

/* A chunk is some outputs of a part, or terms, whichever lie further apart: one stretch of the
 * file. */
static bool by_outputs(const qm_packing *p) { return p->tensor->stride[0] == 1; }

static int32_t chunk_size(const qm_packing *p)
{
    const int64_t across = by_outputs(p) ? p->tensor->shape[0] : p->tensor->shape[1];
    const int64_t n = CHUNK / across / QM_PACK_OUTPUTS * QM_PACK_OUTPUTS;
    return n < QM_PACK_OUTPUTS ? QM_PACK_OUTPUTS : (int32_t)n;
}

static int32_t chunks_along(const qm_packing *p, int64_t n)
{
    return (int32_t)((n + chunk_size(p) - 1) / chunk_size(p));
}

static int32_t chunk_count(const qm_packing *p)
{
    return by_outputs(p) ? p->n_out / p->n_part * chunks_along(p, p->n_part)
                         : chunks_along(p, p->tensor->shape[0]);
}

/* A rectangle of the matrix: inputs from i on, outputs from j on. */
typedef struct rectangle {
    int64_t i, j, n_in, n_out;
} rectangle;

static void pack(const qm_kernels *kernels, const qm_packing *p, rectangle r)
{
    const qm_tensor *t = p->tensor;
    const size_t k = (size_t)t->shape[0], part = (size_t)(r.j / p->n_part);
    kernels->pack_i8(p->out + part * qm_packed_bytes((size_t)p->n_part, k) +
                         qm_packed_at((size_t)(r.j % p->n_part), (size_t)r.i, k),
                     qm_panel_bytes(k),
                     (const int8_t *)t->data + r.i * t->stride[0] + r.j * t->stride[1],
                     (size_t)r.n_out, (size_t)r.n_in, (size_t)t->stride[1], (size_t)t->stride[0]);
}

/* Nobody reads these codes any more. */
static void discard(const quamba_model *m, const qm_tensor *t, rectangle r)
{
    qm_tensor done = *t;
    done.data = (const int8_t *)t->data + r.i * t->stride[0] + r.j * t->stride[1];
    done.shape[0] = r.n_in;
    done.shape[1] = r.n_out;
    if (m->source)
        qm_source_discard(m->source, &done);
    else if (m->random)
        qm_discard_pages(done.data, qm_tensor_count(&done));
}

static void pack_chunk(const quamba_model *m, const qm_kernels *kernels, const qm_packing *p,
                       int32_t chunk)
{
    const int64_t k = p->tensor->shape[0], size = chunk_size(p);
    rectangle r = {.n_in = k, .n_out = p->n_part};
    if (by_outputs(p)) {
        const int32_t along = chunks_along(p, p->n_part);
        const int64_t in_part = chunk % along * size;
        r.j = chunk / along * p->n_part + in_part;
        r.n_out = p->n_part - in_part < size ? p->n_part - in_part : size;
        pack(kernels, p, r);
    } else {
        r.i = chunk * size;
        r.n_in = k - r.i < size ? k - r.i : size;
        for (; r.j < p->n_out; r.j += p->n_part)
            pack(kernels, p, r);
        r.j = 0;
        r.n_out = p->n_out;
    }
    discard(m, p->tensor, r);
}

void qm_bind_pack_all(const qm_binder *b)
{
    const quamba_model *m = b->model;
    const qm_kernels kernels = qm_kernels_select(qm_cpu_detect());
    int32_t n_chunks = 0;
    for (size_t i = 0; i < m->n_packings; i++)
        n_chunks += chunk_count(&m->packings[i]);
#pragma omp parallel for num_threads(b->n_threads) schedule(dynamic)
    for (int32_t i = 0; i < n_chunks; i++) {
        const qm_packing *p = m->packings;
        int32_t chunk = i;
        for (; chunk >= chunk_count(p); p++)
            chunk -= chunk_count(p);
        pack_chunk(m, &kernels, p, chunk);
    }
}

qm_tensor qm_packed_tensor(const qm_packing *p)
{
    const size_t panels = (size_t)(p->n_out / p->n_part) * qm_packed_panels((size_t)p->n_part);
    const int64_t shape[] = {(int64_t)panels,
                             (int64_t)(qm_panel_bytes((size_t)p->tensor->shape[0]) / QM_PACK_GROUP),
                             QM_PACK_OUTPUTS, QM_PACK_TERMS};
    qm_tensor t = {.name = p->tensor->name, .dtype = QM_I8, .data = p->out};
    uint64_t bytes;
    (void)qm_tensor_set_shape(&t, shape, QM_COUNT(shape), &bytes); /* it is in memory: it fits */
    return t;
}
