/* usage: fp32_vectors N FILE: N lines for $readmemh, each a word of 11 * 32 bits in hexadecimal:
 * a, b, c, then a * b + c, a * b, a + b, a / b, float(int a), codes(a), exp(-a), silu(a).  codes:
 * bits 17:9 ties away from zero, 8:0 to even, each {lost, code}. */
#include "dpi/quamba_dpi.h"
#include "sim/operands.h"

#include <stdio.h>
#include <stdlib.h>

static unsigned int code(unsigned int a, unsigned char away)
{
    unsigned char lost;
    const unsigned int q = (unsigned char)qm_dpi_quantize(a, 0x3f800000u, away, &lost);
    return (unsigned int)lost << 8 | q;
}

int main(int argc, char **argv)
{
    FILE *out = argc == 3 ? fopen(argv[2], "w") : NULL;
    if (!out) {
        fprintf(stderr, "usage: fp32_vectors N FILE\n");
        return 2;
    }
    const unsigned int n = (unsigned int)strtoul(argv[1], NULL, 10);
    for (unsigned int i = 0; i < n; i++) {
        unsigned int a, b, c;
        sim_operands(i, &a, &b, &c);
        fprintf(out, "%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x\n", a, b, c, qm_dpi_fma(a, b, c),
                qm_dpi_mul(a, b), qm_dpi_add(a, b), qm_dpi_div(a, b), qm_dpi_from_int((int)a),
                code(a, 1) << 9 | code(a, 0), qm_dpi_exp(a ^ 0x80000000u), qm_dpi_silu(a));
    }
    return fclose(out) == 0 ? 0 : 1;
}
