// x / (1 + e^-x); the result comes 14 clocks after x.
module fp32_silu
  import fp32::*;
(
    input  logic        clk,
    input  logic [31:0] x,
    output logic [31:0] y
);
  logic [31:0] e, below;
  logic [31:0] past[1:13];  // x, so many clocks ago

  fp32_exp exp_of_minus_x (.clk, .x(negate(x)), .y(e));

  always_ff @(posedge clk) begin
    past[1] <= x;
    for (int i = 1; i < 13; i++) past[i+1] <= past[i];
    below <= add(ONE, e);
    y <= div(past[13], below);
  end
endmodule
