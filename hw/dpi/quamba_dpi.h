/* The operators for SystemVerilog testbenches, by DPI-C; dpi/quamba_dpi.sv imports them.
 *
 * Types: what svdpi.h calls them, without needing it: int is a 32-bit signed number, unsigned int
 * 32 bits, signed char a byte, unsigned char a bit.  A FLOAT TRAVELS AS ITS BIT PATTERN in 32 bits
 * (`int unsigned`), a half in the low 16: a testbench compares bits, and no simulator rounds on the
 * way.  Any NaN may stand for any other.
 *
 * away: ties away from zero, else to even.  *lost: 1 when a code saturated or came from a NaN. */
#ifndef QM_DPI_QUAMBA_DPI_H
#define QM_DPI_QUAMBA_DPI_H

#ifdef __cplusplus
extern "C" {
#endif

typedef unsigned int qm_dpi_f32; /* bit pattern */

/* IEEE 754 arithmetic of this machine, one rounding each. */
qm_dpi_f32 qm_dpi_add(qm_dpi_f32 a, qm_dpi_f32 b);
qm_dpi_f32 qm_dpi_mul(qm_dpi_f32 a, qm_dpi_f32 b);
qm_dpi_f32 qm_dpi_div(qm_dpi_f32 a, qm_dpi_f32 b);
qm_dpi_f32 qm_dpi_fma(qm_dpi_f32 a, qm_dpi_f32 b, qm_dpi_f32 c); /* a * b + c */
qm_dpi_f32 qm_dpi_from_int(int i);
unsigned int qm_dpi_to_half(qm_dpi_f32 a);
qm_dpi_f32 qm_dpi_from_half(unsigned int half);

/* Elementary functions. */
qm_dpi_f32 qm_dpi_exp(qm_dpi_f32 x);
qm_dpi_f32 qm_dpi_exp2(qm_dpi_f32 x);
qm_dpi_f32 qm_dpi_silu(qm_dpi_f32 x);
qm_dpi_f32 qm_dpi_sigmoid(qm_dpi_f32 x);
qm_dpi_f32 qm_dpi_softplus(qm_dpi_f32 x);
qm_dpi_f32 qm_dpi_softplus_log(qm_dpi_f32 x);

/* Codes. */
signed char qm_dpi_quantize(qm_dpi_f32 x, qm_dpi_f32 scale, unsigned char away,
                            unsigned char *lost);
signed char qm_dpi_requantize(int acc, qm_dpi_f32 first, qm_dpi_f32 second, unsigned char *lost);
qm_dpi_f32 qm_dpi_rescale_half(int acc, qm_dpi_f32 first, qm_dpi_f32 second);
qm_dpi_f32 qm_dpi_dequantize(qm_dpi_f32 scale, signed char q);
qm_dpi_f32 qm_dpi_affine(qm_dpi_f32 scale, int sum, qm_dpi_f32 bias);
int qm_dpi_mac(int acc, signed char w, signed char x);

/* Norm, scan, gate, rotation, residual; kind of the scan: 0 fused, 1 ref, 2 se, 3 mamba, of the
 * gate: 0 fused, 1 ref, 2 sigmoid (hw/op/scan.h, hw/op/gate.h). */
qm_dpi_f32 qm_dpi_rms_factor(qm_dpi_f32 squares, qm_dpi_f32 n, qm_dpi_f32 eps);
qm_dpi_f32 qm_dpi_rms_scale(qm_dpi_f32 x, qm_dpi_f32 factor, qm_dpi_f32 weight);
qm_dpi_f32 qm_dpi_scan_begin(int kind, qm_dpi_f32 d, qm_dpi_f32 u);
qm_dpi_f32 qm_dpi_scan_step(int kind, qm_dpi_f32 out, qm_dpi_f32 *h, qm_dpi_f32 u, qm_dpi_f32 delta,
                            qm_dpi_f32 a, qm_dpi_f32 b, qm_dpi_f32 c);
qm_dpi_f32 qm_dpi_scan_end(int kind, qm_dpi_f32 out, qm_dpi_f32 d, qm_dpi_f32 u);
qm_dpi_f32 qm_dpi_gate(int kind, qm_dpi_f32 y, qm_dpi_f32 z);
void qm_dpi_butterfly(qm_dpi_f32 *a, qm_dpi_f32 *b);
qm_dpi_f32 qm_dpi_residual(qm_dpi_f32 residual, qm_dpi_f32 hidden);

#ifdef __cplusplus
}
#endif
#endif
