#include "kernels/kernels.h"
#include "op/affine.h"
#include "op/dequantize.h"
#include "op/hadamard.h"
#include "op/mac.h"
#include "op/quantize.h"
#include "op/requantize.h"
#include "op/rescale.h"

#include <string.h>

void qm_pack_i8_scalar(int8_t *restrict packed, size_t panel, const int8_t *restrict in, size_t n,
                       size_t k, size_t output_stride, size_t term_stride)
{
    for (size_t j = 0; j < n; j += QM_PACK_OUTPUTS, packed += panel) {
        int8_t *to = packed;
        for (size_t i = 0; i < k; i += QM_PACK_TERMS)
            for (size_t o = 0; o < QM_PACK_OUTPUTS; o++)
                for (size_t t = 0; t < QM_PACK_TERMS; t++)
                    *to++ = j + o < n && i + t < k
                                ? in[(j + o) * output_stride + (i + t) * term_stride]
                                : 0;
    }
}

void qm_matvec_i8_scalar(int32_t *restrict acc, const int8_t *restrict w, const int8_t *restrict x,
                         size_t n, size_t k)
{
    for (size_t j = 0; j < n; j += QM_PACK_OUTPUTS) {
        const int8_t *group = w + qm_packed_at(j, 0, k);
        int32_t sum[QM_PACK_OUTPUTS] = {0};
        size_t i = 0;
        for (; k - i >= QM_PACK_TERMS; i += QM_PACK_TERMS, group += QM_PACK_GROUP)
            for (size_t o = 0; o < QM_PACK_OUTPUTS; o++)
                for (size_t t = 0; t < QM_PACK_TERMS; t++)
                    sum[o] = qm_op_mac_i8(sum[o], group[o * QM_PACK_TERMS + t], x[i + t]);
        for (size_t o = 0; o < QM_PACK_OUTPUTS; o++)
            for (size_t t = 0; i + t < k; t++)
                sum[o] = qm_op_mac_i8(sum[o], group[o * QM_PACK_TERMS + t], x[i + t]);
        for (size_t o = 0; o < QM_PACK_OUTPUTS && j + o < n; o++)
            acc[j + o] = sum[o];
    }
}

void qm_matmul_i8_scalar(int32_t *restrict acc, size_t ldacc, const int8_t *restrict w,
                         const int8_t *restrict x, size_t ldx, size_t m, size_t n, size_t k,
                         void *scratch)
{
    (void)scratch;
    for (size_t i = 0; i < m; i++)
        qm_matvec_i8_scalar(acc + i * ldacc, w, x + i * ldx, n, k);
}

size_t qm_requantize_i8_scalar(int8_t *restrict q, const int32_t *restrict acc, float first,
                               float second, size_t n)
{
    size_t lost = 0;
    for (size_t i = 0; i < n; i++)
        q[i] = qm_op_requantize(acc[i], first, second, &lost);
    return lost;
}

void qm_rescale_f16_scalar(float *restrict y, const int32_t *restrict acc, float first,
                           float second, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = qm_op_rescale_f16(acc[i], first, second);
}

size_t qm_quantize_even_i8_scalar(int8_t *restrict q, const float *restrict x, float scale,
                                  size_t n)
{
    size_t lost = 0;
    for (size_t i = 0; i < n; i++)
        q[i] = qm_op_quantize_even(x[i], scale, &lost);
    return lost;
}

size_t qm_quantize_away_i8_scalar(int8_t *restrict q, const float *restrict x, float scale,
                                  size_t n)
{
    size_t lost = 0;
    for (size_t i = 0; i < n; i++)
        q[i] = qm_op_quantize_away(x[i], scale, &lost);
    return lost;
}

void qm_dequantize_i8_scalar(float *restrict y, const int8_t *restrict q, float scale, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = qm_op_dequantize(scale, q[i]);
}

void qm_affine_i8_scalar(float *restrict y, const int8_t *restrict q, float scale,
                         const float *restrict bias, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = qm_op_affine(scale, q[i], bias[i]);
}

void qm_conv_i8_scalar(float *restrict y, const int8_t *const *taps, const int8_t *restrict w,
                       size_t ldw, float scale, const float *restrict bias, size_t n, size_t width)
{
    for (size_t c = 0; c < n; c++) {
        int32_t acc = 0;
        for (size_t k = 0; k < width; k++)
            acc = qm_op_mac_i8(acc, w[k * ldw + c], taps[k][c]);
        y[c] = qm_op_affine(scale, acc, bias[c]);
    }
}

void qm_hadamard_f32_scalar(float *restrict x, float *restrict scratch,
                            const int8_t *restrict signs, size_t m, size_t width, float scale)
{
    const size_t n = m * width;
    for (size_t stride = 1; stride < width; stride *= 2)
        for (size_t i = 0; i < n; i += 2 * stride)
            for (size_t j = i; j < i + stride; j++)
                qm_op_butterfly(&x[j], &x[j + stride]);
    if (m > 1) {
        memcpy(scratch, x, n * sizeof *x);
        for (size_t row = 0; row < m; row++)
            for (size_t r = 0; r < width; r++) {
                float sum = 0.0f;
                for (size_t c = 0; c < m; c++)
                    sum = qm_op_add_signed(sum, scratch[c * width + r], signs[row * m + c]);
                x[row * width + r] = sum;
            }
    }
    for (size_t i = 0; i < n; i++)
        x[i] *= scale;
}
