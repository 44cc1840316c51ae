// The testbenches in one program; plusargs choose.
`timescale 1ns / 1ns
module sim;
  tb_fp32 units ();
  tb_conv_silu conv ();
`ifdef VERILATOR
  tb_dpi dpi ();
`endif
endmodule
