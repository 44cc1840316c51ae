// The binary32 units alone.  Under Verilator the reference is C by DPI; elsewhere (Icarus has no DPI)
// the words that fp32_vectors wrote.  Runs with
//     +fp32=N        how many operands
//     +vectors=FILE  the words, without DPI
module tb_fp32;
  import fp32::*;
`ifdef VERILATOR
  import quamba_dpi::*;
  import "DPI-C" function void sim_operands(int unsigned i, output int unsigned a,
                                            output int unsigned b, output int unsigned c);
`endif
  localparam int MOST = 1 << 17, EXP = 12, SILU = 14;

  logic clk = 0;
  logic [31:0] a, b, c, silu;
  logic [31:0] w_fma, w_mul, w_add, w_div, w_int, w_codes, w_exp, w_silu;
  // a and what is wanted of it, so many clocks ago
  logic [31:0] a_past[0:SILU], exp_past[0:SILU], silu_past[0:SILU];
`ifndef VERILATOR
  logic [351:0] vectors[0:MOST-1];
  reg [8*1024-1:0] path;
`endif
  int n, errors;

  fp32_silu dut (.clk, .x(a), .y(silu));

  task automatic check(input [8*8-1:0] name, input logic [31:0] x, input logic [31:0] got,
                       input logic [31:0] want);
    if (got !== want && !(is_nan(got) && is_nan(want))) begin
      errors = errors + 1;
      if (errors <= 10)
        $display("%0s: %h, %h, %h gives %h, must give %h", name, x, b, c, got, want);
    end
  endtask

  task automatic take(input int i);
`ifdef VERILATOR
    bit lost;
    byte code;
    sim_operands(i, a, b, c);
    w_fma = qm_dpi_fma(a, b, c);
    w_mul = qm_dpi_mul(a, b);
    w_add = qm_dpi_add(a, b);
    w_div = qm_dpi_div(a, b);
    w_int = qm_dpi_from_int(a);
    w_codes = 0;
    code = qm_dpi_quantize(a, ONE, 1, lost);
    w_codes[17:9] = {lost, code};
    code = qm_dpi_quantize(a, ONE, 0, lost);
    w_codes[8:0] = {lost, code};
    w_exp = qm_dpi_exp(negate(a));
    w_silu = qm_dpi_silu(a);
`else
    {a, b, c, w_fma, w_mul, w_add, w_div, w_int, w_codes, w_exp, w_silu} = vectors[i];
`endif
  endtask

  task automatic run;
    errors = 0;
`ifndef VERILATOR
    if (!$value$plusargs("vectors=%s", path)) path = "fp32.mem";
    if (n > MOST) n = MOST;
    $readmemh(path, vectors, 0, n - 1);
`endif
    for (int i = 0; i < n; i++) begin
      take(i);
      check("fma", a, fma(a, b, c), w_fma);
      check("mul", a, mul(a, b), w_mul);
      check("add", a, add(a, b), w_add);
      check("div", a, div(a, b), w_div);
      check("int", a, from_int(a), w_int);
      check("codes", a, {14'd0, to_code(a, 1'b1), to_code(a, 1'b0)}, w_codes);
      a_past[0] = a;
      exp_past[0] = w_exp;
      silu_past[0] = w_silu;
      #1 clk = 1;
      #1 clk = 0;
      for (int k = SILU; k > 0; k--) begin
        a_past[k] = a_past[k-1];
        exp_past[k] = exp_past[k-1];
        silu_past[k] = silu_past[k-1];
      end
      if (i >= EXP - 1) check("exp", negate(a_past[EXP]), dut.e, exp_past[EXP]);
      if (i >= SILU - 1) check("silu", a_past[SILU], silu, silu_past[SILU]);
    end
    if (errors != 0 || n < 1) $display("FAILED: %0d errors", errors);
    else $display("PASSED: %0d operands, 8 units", n);
  endtask

  initial
    if ($value$plusargs("fp32=%d", n)) begin
      run;
      $finish;
    end
endmodule
