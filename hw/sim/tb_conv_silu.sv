// Traced vectors through conv_silu_i8, every edge of it compared bit for bit.  Runs with
//     +conv=PREFIX   of the files that quamba trace --format mem wrote, as in vectors/layer00
//     +tokens=N      how many of them
module tb_conv_silu #(
    parameter int CHANNELS = 512,
    parameter int TAPS = 4,
    parameter int MOST = 1024  // tokens
);
  localparam int VALUES = CHANNELS * MOST;

  logic [7:0] conv_in[0:VALUES-1], conv_out[0:VALUES-1];
  logic [31:0] conv_acc[0:VALUES-1], conv_pre[0:VALUES-1], conv_silu[0:VALUES-1];
  logic [7:0] conv_weight[0:TAPS*CHANNELS-1];
  logic [31:0] conv_bias[0:CHANNELS-1], conv_factor[0:0], u_scale[0:0];

  logic clk = 0, reset = 0, load = 0, x_valid = 0, u_valid, u_lost;
  logic [$clog2(CHANNELS)-1:0] channel;
  logic [8*TAPS-1:0] taps;
  logic signed [7:0] x, u;
  logic [31:0] bias;

  reg [8*512-1:0] prefix;
  int tokens, n, errors, n_acc, n_pre, n_silu, n_u, n_lost;

  conv_silu_i8 #(
      .CHANNELS(CHANNELS),
      .TAPS(TAPS)
  ) dut (
      .clk,
      .reset,
      .load,
      .load_channel(channel),
      .load_weight(taps),
      .load_bias(bias),
      .factor(conv_factor[0]),
      .u_scale(u_scale[0]),
      .x_valid,
      .x,
      .u_valid,
      .u,
      .u_lost
  );

  task automatic check(input [8*8-1:0] edge_name, input int i, input logic [31:0] got,
                       input logic [31:0] want);
    if (got !== want) begin
      errors = errors + 1;
      if (errors <= 10)
        $display("%0s: token %0d, channel %0d: %h, must be %h", edge_name, i / CHANNELS,
                 i % CHANNELS, got, want);
    end
  endtask

  // A clock, and then what the stages hold.
  task automatic tick;
    #1 clk = 1;
    #1 clk = 0;
    if (dut.valid[1]) begin
      check("acc", n_acc, 32'(dut.acc), conv_acc[n_acc]);
      n_acc = n_acc + 1;
    end
    if (dut.valid[3]) begin
      check("pre", n_pre, dut.pre, conv_pre[n_pre]);
      n_pre = n_pre + 1;
    end
    if (dut.valid[3+14]) begin
      check("silu", n_silu, dut.silu, conv_silu[n_silu]);
      n_silu = n_silu + 1;
    end
    if (u_valid) begin
      check("out", n_u, 32'(u), 32'($signed(conv_out[n_u])));
      n_u = n_u + 1;
      n_lost = n_lost + 32'(u_lost);
    end
  endtask

  task automatic read_files;
    $readmemh({prefix, ".conv_in.mem"}, conv_in, 0, n - 1);
    $readmemh({prefix, ".conv_acc.mem"}, conv_acc, 0, n - 1);
    $readmemh({prefix, ".conv_pre.mem"}, conv_pre, 0, n - 1);
    $readmemh({prefix, ".conv_silu.mem"}, conv_silu, 0, n - 1);
    $readmemh({prefix, ".conv_out.mem"}, conv_out, 0, n - 1);
    $readmemh({prefix, ".conv_weight.mem"}, conv_weight);
    $readmemh({prefix, ".conv_bias.mem"}, conv_bias);
    $readmemh({prefix, ".conv_factor.mem"}, conv_factor);
    $readmemh({prefix, ".u_scale.mem"}, u_scale);
  endtask

  task automatic run;
    {errors, n_acc, n_pre, n_silu, n_u, n_lost} = 0;
    if (!$value$plusargs("tokens=%d", tokens)) tokens = 1;
    n = tokens * CHANNELS;
    if (tokens < 1 || tokens > MOST) $display("FAILED: +tokens is 1 .. %0d", MOST);
    else begin
      read_files;
      for (int c = 0; c < CHANNELS; c++) begin
        for (int k = 0; k < TAPS; k++) taps[8*k+:8] = conv_weight[k*CHANNELS+c];
        channel = c[$clog2(CHANNELS)-1:0];
        bias = conv_bias[c];
        load = 1;
        tick;
      end
      load = 0;
      reset = 1;
      tick;
      reset = 0;
      x_valid = 1;
      for (int i = 0; i < n; i++) begin
        x = conv_in[i];
        tick;
      end
      x_valid = 0;
      for (int i = 0; i < 64; i++) tick;
      if (errors != 0 || n_acc != n || n_pre != n || n_silu != n || n_u != n)
        $display("FAILED: %0d errors; of %0d values %0d came out", errors, n, n_u);
      else $display("PASSED: %0d values at 4 edges, %0d saturated", n, n_lost);
    end
  endtask

  initial
    if ($value$plusargs("conv=%s", prefix)) begin
      run;
      $finish;
    end
endmodule
