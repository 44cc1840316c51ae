// IEEE 754 binary32 arithmetic as combinational functions, for synthesis: round to nearest even,
// subnormals kept, every NaN result 7fc00000.  Equal bit for bit to the C operators (hw/sim checks).
//
// There is one adder: mul and add are fma with a constant, which synthesis folds into a multiplier
// and an adder.  Internally a magnitude x stands for x * 2^(scale - 150), and scale is a signed
// 12-bit number; 150 = 127 + 23 makes the scale of a normal number its exponent field.
package fp32;

  localparam logic [31:0] NAN = 32'h7fc00000;
  localparam logic [31:0] ONE = 32'h3f800000;

  function automatic logic is_nan(input logic [31:0] a);
    is_nan = a[30:23] == 8'hff && a[22:0] != 0;
  endfunction

  function automatic logic is_inf(input logic [31:0] a);
    is_inf = a[30:0] == 31'h7f800000;
  endfunction

  function automatic logic is_zero(input logic [31:0] a);
    is_zero = a[30:0] == 0;
  endfunction

  function automatic logic [31:0] negate(input logic [31:0] a);
    negate = {~a[31], a[30:0]};
  endfunction

  // a < b, for numbers that are not NaN
  function automatic logic less(input logic [31:0] a, input logic [31:0] b);
    less = a[31] != b[31] ? a[31] && !(is_zero(a) && is_zero(b))
         : a[31] ? a[30:0] > b[30:0] : a[30:0] < b[30:0];
  endfunction

  // The significand with its leading one at bit 23, subnormals too; scale_of is its scale.
  // Neither is for zero.
  function automatic logic [23:0] significand(input logic [31:0] a);
    logic [23:0] m;
    m = {a[30:23] != 0, a[22:0]};
    if (m[23:8] == 0) m = m << 16;
    if (m[23:16] == 0) m = m << 8;
    if (m[23:20] == 0) m = m << 4;
    if (m[23:22] == 0) m = m << 2;
    if (!m[23]) m = m << 1;
    significand = m;
  endfunction

  function automatic logic signed [11:0] scale_of(input logic [31:0] a);
    logic [23:0] m;
    logic [4:0] n;
    m = {a[30:23] != 0, a[22:0]};
    n = 0;
    if (m[23:8] == 0) begin m = m << 16; n = n + 5'd16; end
    if (m[23:16] == 0) begin m = m << 8; n = n + 5'd8; end
    if (m[23:20] == 0) begin m = m << 4; n = n + 5'd4; end
    if (m[23:22] == 0) begin m = m << 2; n = n + 5'd2; end
    if (!m[23]) n = n + 5'd1;
    scale_of = $signed({4'b0, a[30:23] == 0 ? 8'd1 : a[30:23]}) - $signed({7'b0, n});
  endfunction

  // The float nearest to x * 2^(scale - 150), x < 2^103; it may have its leading one anywhere, and
  // bit 0 may stand for all that is below it.
  function automatic logic [31:0] round(input logic sign, input logic signed [11:0] scale,
                                        input logic [127:0] x);
    logic [127:0] n, kept;
    logic signed [11:0] e, drop;
    logic up;
    logic [31:0] bits;
    n = x;
    e = scale + 12'sd104;  // exponent field, were the leading one at bit 127
    if (n[127:64] == 0) begin n = n << 64; e = e - 12'sd64; end
    if (n[127:96] == 0) begin n = n << 32; e = e - 12'sd32; end
    if (n[127:112] == 0) begin n = n << 16; e = e - 12'sd16; end
    if (n[127:120] == 0) begin n = n << 8; e = e - 12'sd8; end
    if (n[127:124] == 0) begin n = n << 4; e = e - 12'sd4; end
    if (n[127:126] == 0) begin n = n << 2; e = e - 12'sd2; end
    if (!n[127]) begin n = n << 1; e = e - 12'sd1; end
    drop = e < 1 ? 12'sd1 - e : 12'sd0;  // a subnormal keeps fewer bits
    if (drop > 25) drop = 12'sd25;       // all of it is below half of the smallest
    kept = n >> drop;                    // n ends in 25 zeros
    up = kept[103] && (kept[102:0] != 0 || kept[104]);
    if (e < 1) e = 12'sd1;
    // The leading one adds 1 to the exponent field, and so does a carry out of the fraction.
    bits = {1'b0, e[7:0] - 8'd1, 23'd0} + {8'd0, kept[127:104]} + {31'd0, up};
    if (x == 0) bits = 0;
    else if (e > 254) bits = 32'h7f800000;
    round = {sign, bits[30:0]};
  endfunction

  // a * b + c with one rounding
  function automatic logic [31:0] fma(input logic [31:0] a, input logic [31:0] b,
                                      input logic [31:0] c);
    logic sign, minus, sum_sign;  // of the product; the signs differ; of the sum
    logic [47:0] product;
    logic [127:0] p, q, sum;
    logic signed [11:0] scale, gap;
    sign = a[31] ^ b[31];
    minus = sign ^ c[31];
    product = significand(a) * significand(b);
    scale = scale_of(a) + scale_of(b) - 12'sd150;
    gap = is_zero(c) ? 12'sd0 : scale_of(c) - scale;
    // The product stands 26 bits up, and c so that both have one scale.  Where one is below the last
    // bit of the other it is only a trace, and how large a trace does not matter.
    p = {54'd0, product, 26'd0};
    if (gap > 51) begin
      scale = scale + gap - 12'sd51;
      gap = 12'sd51;
    end
    q = is_zero(c) ? 128'd0 : gap < -26 ? 128'd1 : {104'd0, significand(c)} << (gap + 12'sd26);
    sum = !minus ? p + q : p >= q ? p - q : q - p;
    sum_sign = minus && p < q ? c[31] : sign;
    if (is_nan(a) || is_nan(b) || is_nan(c)) fma = NAN;
    else if (is_inf(a) || is_inf(b))
      fma = is_zero(a) || is_zero(b) || (is_inf(c) && minus) ? NAN : {sign, 31'h7f800000};
    else if (is_inf(c)) fma = c;
    else if (is_zero(a) || is_zero(b)) fma = is_zero(c) ? {sign && c[31], 31'd0} : c;
    else if (sum == 0) fma = 0;
    else fma = round(sum_sign, scale - 12'sd26, sum);
  endfunction

  function automatic logic [31:0] mul(input logic [31:0] a, input logic [31:0] b);
    mul = fma(a, b, {a[31] ^ b[31], 31'd0});
  endfunction

  function automatic logic [31:0] add(input logic [31:0] a, input logic [31:0] b);
    add = fma(a, ONE, b);
  endfunction

  function automatic logic [31:0] div(input logic [31:0] a, input logic [31:0] b);
    logic sign;
    logic [49:0] dividend, quotient;
    sign = a[31] ^ b[31];
    dividend = {significand(a), 26'd0};
    quotient = dividend / {26'd0, significand(b)};
    if (is_nan(a) || is_nan(b)) div = NAN;
    else if (is_inf(a)) div = is_inf(b) ? NAN : {sign, 31'h7f800000};
    else if (is_inf(b)) div = {sign, 31'd0};
    else if (is_zero(b)) div = is_zero(a) ? NAN : {sign, 31'h7f800000};
    else if (is_zero(a)) div = {sign, 31'd0};
    else
      div = round(sign, scale_of(a) - scale_of(b) + 12'sd123,
                  {77'd0, quotient, quotient * {26'd0, significand(b)} != dividend});
  endfunction

  function automatic logic [31:0] from_int(input logic signed [31:0] i);
    from_int = round(i < 0, 12'sd150, {96'd0, i < 0 ? -i : i});
  endfunction

  // {saturated or NaN, code}: rounds, ties away from zero or to even, then saturates
  function automatic logic [8:0] to_code(input logic [31:0] a, input logic away);
    logic [8:0] whole;
    logic [23:0] rest;
    logic up;
    whole = 0;
    rest = 0;
    if (a[30:23] >= 126 && a[30:23] < 135)  // 0.5 <= |a| < 256
      {whole, rest} = {9'd0, 1'b1, a[22:0]} << (a[30:23] - 8'd126);
    up = rest[23] && (away || rest[22:0] != 0 || whole[0]);
    whole = whole + {8'd0, up};
    if (is_nan(a)) to_code = {1'b1, 8'd0};
    else if (a[30:23] >= 135 || whole > (a[31] ? 9'd128 : 9'd127))
      to_code = {1'b1, a[31] ? 8'h80 : 8'h7f};
    else to_code = {1'b0, a[31] ? -whole[7:0] : whole[7:0]};
  endfunction

endpackage
