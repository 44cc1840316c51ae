#include "dpi/quamba_dpi.h"

#include "base/half.h"
#include "op/affine.h"
#include "op/dequantize.h"
#include "op/gate.h"
#include "op/hadamard.h"
#include "op/mac.h"
#include "op/quantize.h"
#include "op/requantize.h"
#include "op/rescale.h"
#include "op/residual.h"
#include "op/rms_norm.h"
#include "op/scan.h"
#include "op/sigmoid.h"
#include "op/silu.h"
#include "op/softplus.h"

qm_dpi_f32 qm_dpi_add(qm_dpi_f32 a, qm_dpi_f32 b)
{
    return qm_bits_f32(qm_f32_bits(a) + qm_f32_bits(b));
}
qm_dpi_f32 qm_dpi_mul(qm_dpi_f32 a, qm_dpi_f32 b)
{
    return qm_bits_f32(qm_f32_bits(a) * qm_f32_bits(b));
}
qm_dpi_f32 qm_dpi_div(qm_dpi_f32 a, qm_dpi_f32 b)
{
    return qm_bits_f32(qm_f32_bits(a) / qm_f32_bits(b));
}
qm_dpi_f32 qm_dpi_fma(qm_dpi_f32 a, qm_dpi_f32 b, qm_dpi_f32 c)
{
    return qm_bits_f32(fmaf(qm_f32_bits(a), qm_f32_bits(b), qm_f32_bits(c)));
}
qm_dpi_f32 qm_dpi_from_int(int i) { return qm_bits_f32((float)i); }
unsigned int qm_dpi_to_half(qm_dpi_f32 a) { return qm_f16_f32(qm_f32_bits(a)); }
qm_dpi_f32 qm_dpi_from_half(unsigned int half) { return qm_bits_f32(qm_f32_f16((uint16_t)half)); }

qm_dpi_f32 qm_dpi_exp(qm_dpi_f32 x) { return qm_bits_f32(qm_expf(qm_f32_bits(x))); }
qm_dpi_f32 qm_dpi_exp2(qm_dpi_f32 x) { return qm_bits_f32(qm_exp2f(qm_f32_bits(x))); }
qm_dpi_f32 qm_dpi_silu(qm_dpi_f32 x) { return qm_bits_f32(qm_op_silu(qm_f32_bits(x))); }
qm_dpi_f32 qm_dpi_sigmoid(qm_dpi_f32 x) { return qm_bits_f32(qm_op_sigmoid(qm_f32_bits(x))); }
qm_dpi_f32 qm_dpi_softplus(qm_dpi_f32 x) { return qm_bits_f32(qm_op_softplus(qm_f32_bits(x))); }
qm_dpi_f32 qm_dpi_softplus_log(qm_dpi_f32 x)
{
    return qm_bits_f32(qm_op_softplus_log(qm_f32_bits(x)));
}

signed char qm_dpi_quantize(qm_dpi_f32 x, qm_dpi_f32 scale, unsigned char away, unsigned char *lost)
{
    size_t n = 0;
    const int8_t q = away ? qm_op_quantize_away(qm_f32_bits(x), qm_f32_bits(scale), &n)
                          : qm_op_quantize_even(qm_f32_bits(x), qm_f32_bits(scale), &n);
    *lost = n > 0;
    return q;
}

signed char qm_dpi_requantize(int acc, qm_dpi_f32 first, qm_dpi_f32 second, unsigned char *lost)
{
    size_t n = 0;
    const int8_t q = qm_op_requantize(acc, qm_f32_bits(first), qm_f32_bits(second), &n);
    *lost = n > 0;
    return q;
}

qm_dpi_f32 qm_dpi_rescale_half(int acc, qm_dpi_f32 first, qm_dpi_f32 second)
{
    return qm_bits_f32(qm_op_rescale_f16(acc, qm_f32_bits(first), qm_f32_bits(second)));
}

qm_dpi_f32 qm_dpi_dequantize(qm_dpi_f32 scale, signed char q)
{
    return qm_bits_f32(qm_op_dequantize(qm_f32_bits(scale), q));
}

qm_dpi_f32 qm_dpi_affine(qm_dpi_f32 scale, int sum, qm_dpi_f32 bias)
{
    return qm_bits_f32(qm_op_affine(qm_f32_bits(scale), sum, qm_f32_bits(bias)));
}

int qm_dpi_mac(int acc, signed char w, signed char x) { return qm_op_mac_i8(acc, w, x); }

qm_dpi_f32 qm_dpi_rms_factor(qm_dpi_f32 squares, qm_dpi_f32 n, qm_dpi_f32 eps)
{
    return qm_bits_f32(qm_op_rms_factor(qm_f32_bits(squares), qm_f32_bits(n), qm_f32_bits(eps)));
}

qm_dpi_f32 qm_dpi_rms_scale(qm_dpi_f32 x, qm_dpi_f32 factor, qm_dpi_f32 weight)
{
    return qm_bits_f32(qm_op_rms_scale(qm_f32_bits(x), qm_f32_bits(factor), qm_f32_bits(weight)));
}

qm_dpi_f32 qm_dpi_scan_begin(int kind, qm_dpi_f32 d, qm_dpi_f32 u)
{
    return qm_bits_f32(qm_op_scan_begin((qm_op_scan)kind, qm_f32_bits(d), qm_f32_bits(u)));
}

qm_dpi_f32 qm_dpi_scan_step(int kind, qm_dpi_f32 out, qm_dpi_f32 *h, qm_dpi_f32 u, qm_dpi_f32 delta,
                            qm_dpi_f32 a, qm_dpi_f32 b, qm_dpi_f32 c)
{
    float state = qm_f32_bits(*h);
    const float sum =
        qm_op_scan_step((qm_op_scan)kind, qm_f32_bits(out), &state, qm_f32_bits(u),
                        qm_f32_bits(delta), qm_f32_bits(a), qm_f32_bits(b), qm_f32_bits(c));
    *h = qm_bits_f32(state);
    return qm_bits_f32(sum);
}

qm_dpi_f32 qm_dpi_scan_end(int kind, qm_dpi_f32 out, qm_dpi_f32 d, qm_dpi_f32 u)
{
    return qm_bits_f32(
        qm_op_scan_end((qm_op_scan)kind, qm_f32_bits(out), qm_f32_bits(d), qm_f32_bits(u)));
}

qm_dpi_f32 qm_dpi_gate(int kind, qm_dpi_f32 y, qm_dpi_f32 z)
{
    if (kind == 0) return qm_bits_f32(qm_op_gate(qm_f32_bits(y), qm_f32_bits(z)));
    return qm_bits_f32(kind == 1 ? qm_op_gate_ref(qm_f32_bits(y), qm_f32_bits(z))
                                 : qm_op_gate_sigmoid(qm_f32_bits(y), qm_f32_bits(z)));
}

void qm_dpi_butterfly(qm_dpi_f32 *a, qm_dpi_f32 *b)
{
    float x = qm_f32_bits(*a), y = qm_f32_bits(*b);
    qm_op_butterfly(&x, &y);
    *a = qm_bits_f32(x);
    *b = qm_bits_f32(y);
}

qm_dpi_f32 qm_dpi_residual(qm_dpi_f32 residual, qm_dpi_f32 hidden)
{
    return qm_bits_f32(qm_op_residual(qm_f32_bits(residual), qm_f32_bits(hidden)));
}
