// Every operator of quamba_dpi called once, on numbers whose results are known: that the imports fit
// the C functions.  Runs with +dpi, where there is DPI.
module tb_dpi;
  import quamba_dpi::*;

  localparam int unsigned ZERO = 32'h00000000, HALF = 32'h3f000000, ONE = 32'h3f800000;
  localparam int unsigned TWO = 32'h40000000, THREE = 32'h40400000, SIX = 32'h40c00000;
  localparam int unsigned THIRTY = 32'h41f00000, MINUS = 32'h80000000, TINY = 32'h00000001;
  int errors = 0, n = 0;

  task automatic check(input int unsigned got, input int unsigned want);
    n = n + 1;
    if (got != want) begin
      errors = errors + 1;
      $display("call %0d gives %h, must give %h", n, got, want);
    end
  endtask

  task automatic run;
    int unsigned a, b;
    bit lost;
    check(qm_dpi_add(ONE, TWO), THREE);
    check(qm_dpi_mul(TWO, THREE), SIX);
    check(qm_dpi_div(SIX, THREE), TWO);
    check(qm_dpi_fma(TWO, TWO, TWO), SIX);
    check(qm_dpi_from_int(-6), SIX | MINUS);
    check(qm_dpi_to_half(ONE), 32'h3c00);
    check(qm_dpi_from_half(32'h3c00), ONE);
    check(qm_dpi_exp(ZERO), ONE);
    check(qm_dpi_exp2(ONE), TWO);
    check(qm_dpi_silu(ZERO), ZERO);
    check(qm_dpi_sigmoid(ZERO), HALF);
    check(qm_dpi_softplus(THIRTY), THIRTY);
    check(qm_dpi_softplus_log(THIRTY | MINUS), ZERO);
    check(32'(qm_dpi_quantize(ONE, TWO, 1, lost)), 1);
    check(32'(lost), 0);
    check(32'(qm_dpi_quantize(ONE, TWO, 0, lost)), 0);
    check(32'(qm_dpi_quantize(THIRTY | MINUS, TINY, 0, lost)), -128);
    check(32'(lost), 1);
    check(32'(qm_dpi_requantize(-3, TWO, HALF, lost)), -3);
    check(32'(lost), 0);
    check(qm_dpi_rescale_half(3, TWO, ONE), SIX);
    check(qm_dpi_dequantize(TWO, -3), SIX | MINUS);
    check(qm_dpi_affine(TWO, 2, TWO), SIX);
    check(qm_dpi_mac(7, -128, -1), 135);
    check(qm_dpi_rms_factor(SIX, TWO, ONE), HALF);
    check(qm_dpi_rms_scale(TWO, HALF, THREE), THREE);
    check(qm_dpi_scan_begin(0, TWO, THREE), SIX);
    check(qm_dpi_scan_begin(1, TWO, THREE), ZERO);
    a = TWO;  // state: e^0 * 2 + 1 * (1 * 1); out: 0 + 3 * 2
    check(qm_dpi_scan_step(1, ZERO, a, ONE, ONE, ZERO, ONE, TWO), SIX);
    check(a, THREE);
    check(qm_dpi_scan_end(0, ONE, TWO, THREE), ONE);
    check(qm_dpi_scan_end(2, ZERO, TWO, THREE), SIX);
    for (int kind = 0; kind < 3; kind++) check(qm_dpi_gate(kind, ONE, THIRTY), THIRTY);
    a = TWO;
    b = ONE;
    qm_dpi_butterfly(a, b);
    check(a, THREE);
    check(b, ONE);
    check(qm_dpi_residual(ONE, TWO), THREE);
    if (errors != 0) $display("FAILED: %0d of %0d results", errors, n);
    else $display("PASSED: %0d results", n);
  endtask

  initial
    if ($test$plusargs("dpi")) begin
      run;
      $finish;
    end
endmodule
