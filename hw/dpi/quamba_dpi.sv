// The operators of quamba_dpi.h.  A float is its bit pattern (int unsigned).
package quamba_dpi;

  import "DPI-C" pure function int unsigned qm_dpi_add(int unsigned a, int unsigned b);
  import "DPI-C" pure function int unsigned qm_dpi_mul(int unsigned a, int unsigned b);
  import "DPI-C" pure function int unsigned qm_dpi_div(int unsigned a, int unsigned b);
  import "DPI-C" pure function int unsigned qm_dpi_fma(int unsigned a, int unsigned b, int unsigned c);
  import "DPI-C" pure function int unsigned qm_dpi_from_int(int i);
  import "DPI-C" pure function int unsigned qm_dpi_to_half(int unsigned a);
  import "DPI-C" pure function int unsigned qm_dpi_from_half(int unsigned half);

  import "DPI-C" pure function int unsigned qm_dpi_exp(int unsigned x);
  import "DPI-C" pure function int unsigned qm_dpi_exp2(int unsigned x);
  import "DPI-C" pure function int unsigned qm_dpi_silu(int unsigned x);
  import "DPI-C" pure function int unsigned qm_dpi_sigmoid(int unsigned x);
  import "DPI-C" pure function int unsigned qm_dpi_softplus(int unsigned x);
  import "DPI-C" pure function int unsigned qm_dpi_softplus_log(int unsigned x);

  import "DPI-C" function byte qm_dpi_quantize(int unsigned x, int unsigned scale, bit away,
                                               output bit lost);
  import "DPI-C" function byte qm_dpi_requantize(int acc, int unsigned first, int unsigned second,
                                                 output bit lost);
  import "DPI-C" pure function int unsigned qm_dpi_rescale_half(int acc, int unsigned first,
                                                                int unsigned second);
  import "DPI-C" pure function int unsigned qm_dpi_dequantize(int unsigned scale, byte q);
  import "DPI-C" pure function int unsigned qm_dpi_affine(int unsigned scale, int sum,
                                                          int unsigned bias);
  import "DPI-C" pure function int qm_dpi_mac(int acc, byte w, byte x);

  import "DPI-C" pure function int unsigned qm_dpi_rms_factor(int unsigned squares, int unsigned n,
                                                              int unsigned eps);
  import "DPI-C" pure function int unsigned qm_dpi_rms_scale(int unsigned x, int unsigned factor,
                                                             int unsigned weight);
  import "DPI-C" pure function int unsigned qm_dpi_scan_begin(int kind, int unsigned d, int unsigned u);
  import "DPI-C" function int unsigned qm_dpi_scan_step(int kind, int unsigned out,
                                                        inout int unsigned h, input int unsigned u,
                                                        int unsigned delta, int unsigned a,
                                                        int unsigned b, int unsigned c);
  import "DPI-C" pure function int unsigned qm_dpi_scan_end(int kind, int unsigned out, int unsigned d,
                                                            int unsigned u);
  import "DPI-C" pure function int unsigned qm_dpi_gate(int kind, int unsigned y, int unsigned z);
  import "DPI-C" function void qm_dpi_butterfly(inout int unsigned a, inout int unsigned b);
  import "DPI-C" pure function int unsigned qm_dpi_residual(int unsigned residual,
                                                            int unsigned hidden);

endpackage
