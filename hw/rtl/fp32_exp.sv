// e^x as src/base/fmath.h computes it, operation by operation: x = n ln 2 + r, a polynomial in r,
// times 2^n in two exact factors.  A new x every clock; the result comes LATENCY clocks later.
module fp32_exp
  import fp32::*;
(
    input  logic        clk,
    input  logic [31:0] x,
    output logic [31:0] y
);
  localparam int LATENCY = 12;

  localparam logic [31:0] LOW = 32'hc2d00000, HIGH = 32'h42b20000;  // -104, 89
  localparam logic [31:0] LOG2E = 32'h3fb8aa3b;
  localparam logic [31:0] MAGIC = 32'h4b400000;  // 1.5 * 2^23: adding it rounds to an integer
  localparam logic [31:0] MINUS_MAGIC = 32'hcb400000;
  localparam logic [31:0] MINUS_LN2_HI = 32'hbf317200, MINUS_LN2_LO = 32'hb5bfbe8e;
  localparam logic [31:0] C2 = 32'h3efffffe, C3 = 32'h3e2aaa48, C4 = 32'h3d2aac7a;
  localparam logic [31:0] C5 = 32'h3c091d36, C6 = 32'h3ab511a9;

  // What stage i hands to stage i + 1 has index i.
  logic [31:0] c[1:2], whole[2:3], r[4:8], p[5:8], square[5:8], e[9:11];
  logic signed [8:0] n[2:11];  // -150 .. 128
  logic [LATENCY-1:1] was_nan;
  logic [31:0] clamped, shifted, rest;

  // 2^n for n in -75 .. 64
  function automatic logic [31:0] power(input logic signed [8:0] exponent);
    power = {1'b0, exponent[7:0] + 8'd127, 23'd0};
  endfunction

  assign clamped = is_nan(x) ? ONE : less(x, LOW) ? LOW : less(HIGH, x) ? HIGH : x;

  always_ff @(posedge clk) begin
    was_nan <= {was_nan[LATENCY-2:1], is_nan(x)};

    c[1] <= clamped;
    shifted <= fma(clamped, LOG2E, MAGIC);

    c[2] <= c[1];
    n[2] <= shifted[8:0] - MAGIC[8:0];
    whole[2] <= add(shifted, MINUS_MAGIC);

    whole[3] <= whole[2];
    rest <= fma(whole[2], MINUS_LN2_HI, c[2]);

    r[4] <= fma(whole[3], MINUS_LN2_LO, rest);

    p[5] <= fma(C6, r[4], C5);
    p[6] <= fma(p[5], r[5], C4);
    p[7] <= fma(p[6], r[6], C3);
    p[8] <= fma(p[7], r[7], C2);
    square[5] <= mul(r[4], r[4]);
    for (int i = 5; i < 8; i++) square[i+1] <= square[i];
    for (int i = 4; i < 8; i++) r[i+1] <= r[i];

    e[9] <= fma(square[8], p[8], r[8]);
    e[10] <= add(e[9], ONE);
    for (int i = 2; i < 11; i++) n[i+1] <= n[i];
    e[11] <= mul(e[10], power(n[10] >>> 1));
    y <= was_nan[11] ? NAN : mul(e[11], power(n[11] - (n[11] >>> 1)));
  end
endmodule
