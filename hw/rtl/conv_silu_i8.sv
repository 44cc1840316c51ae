// Causal convolution of INT8 codes, SiLU, INT8 codes again, as mode 0 computes them:
//
//     acc  = sum over k of weight[k][c] * x[t - (TAPS - 1) + k][c]        exact
//     pre  = fma(factor, acc, bias[c])                                    binary32
//     u    = code(silu(pre) / u_scale)                                    ties away from zero
//
// Codes come one a clock, channel after channel, token after token; results leave in the same order
// LATENCY clocks later.  Weights and biases are loaded first, a channel a clock.
module conv_silu_i8
  import fp32::*;
#(
    parameter int CHANNELS = 512,
    parameter int TAPS = 4
) (
    input logic clk,
    input logic reset,  // forgets the tokens before; keeps weights and biases

    input logic load,
    input logic [$clog2(CHANNELS)-1:0] load_channel,
    input logic [8*TAPS-1:0] load_weight,  // the oldest tap in the lowest byte
    input logic [31:0] load_bias,

    input logic [31:0] factor,   // weight scale times input scale
    input logic [31:0] u_scale,

    input logic x_valid,
    input logic signed [7:0] x,

    output logic u_valid,
    output logic signed [7:0] u,
    output logic u_lost  // saturated
);
  localparam int SILU = 14;           // clocks
  localparam int LATENCY = SILU + 5;
  localparam int CW = $clog2(CHANNELS);

  logic [8*TAPS-1:0] weight[0:CHANNELS-1];
  logic [31:0] bias[0:CHANNELS-1];
  logic [8*(TAPS-1)-1:0] past[0:CHANNELS-1];  // inputs of the tokens before, the oldest lowest

  logic [CW-1:0] channel;
  logic is_last;
  logic first;  // the first token: nothing came before
  logic [8*TAPS-1:0] taps;
  logic signed [17:0] sum, acc;
  logic [31:0] bias_1, bias_2, real_sum, pre, silu, quotient;
  logic [LATENCY-1:1] valid;

  assign is_last = channel == CW'(CHANNELS - 1);
  assign taps = {x, first ? {8*(TAPS-1){1'b0}} : past[channel]};

  always_comb begin
    sum = 0;
    for (int k = 0; k < TAPS; k++)
      sum = sum + $signed(weight[channel][8*k+:8]) * $signed(taps[8*k+:8]);
  end

  always_ff @(posedge clk) begin
    if (load) begin
      weight[load_channel] <= load_weight;
      bias[load_channel] <= load_bias;
    end
    if (reset) begin
      channel <= 0;
      first <= 1;
    end else if (x_valid) begin
      past[channel] <= taps[8*TAPS-1:8];
      channel <= is_last ? 0 : channel + 1;
      if (is_last) first <= 0;
    end
  end

  fp32_silu silu_of_pre (.clk, .x(pre), .y(silu));

  always_ff @(posedge clk) begin
    acc <= sum;
    bias_1 <= bias[channel];

    real_sum <= from_int(32'(acc));
    bias_2 <= bias_1;

    pre <= fma(factor, real_sum, bias_2);

    quotient <= div(silu, u_scale);

    {u_lost, u} <= to_code(quotient, 1'b1);

    valid <= reset ? 0 : {valid[LATENCY-2:1], x_valid};
    u_valid <= reset ? 0 : valid[LATENCY-1];
  end
endmodule
