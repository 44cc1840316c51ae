/* The special matrices come from the quadratic residues of a prime (Paley's constructions), not
 * from a table: M_12 from 5, M_40 from 19. */
#include "base/hadamard.h"

/* +1 when a is a non-zero square modulo the prime p, -1 when it is no square, 0 when p divides it.
 */
static int8_t character(int32_t a, int32_t p)
{
    a = (a % p + p) % p;
    if (a == 0) return 0;
    for (int32_t x = 1; x < p; x++)
        if (x * x % p == a) return 1;
    return -1;
}

/* Paley II: every entry of a 6 x 6 matrix becomes a block of 2 x 2. */
static void signs_12(int8_t *signs)
{
    static const int8_t blocks[3][2][2] = {
        {{-1, -1}, {-1, 1} }, /* for -1 */
        {{1, -1},  {-1, -1}}, /* for 0 */
        {{1, 1},   {1, -1} }, /* for +1 */
    };
    for (int32_t i = 0; i < 12; i++)
        for (int32_t j = 0; j < 12; j++) {
            int32_t row = i / 2, col = j / 2;
            int8_t k = character(row - col, 5);
            if (row == 0 || col == 0) k = row != col;
            signs[i * 12 + j] = blocks[k + 1][i % 2][j % 2];
        }
}

/* Paley I of order 20, doubled: [[Q, Q], [Q, -Q]].  Not symmetric. */
static void signs_40(int8_t *signs)
{
    for (int32_t i = 0; i < 40; i++)
        for (int32_t j = 0; j < 40; j++) {
            int32_t row = i % 20, col = j % 20;
            int8_t q = character(row - col, 19);
            if (col == 0 || row == col)
                q = 1;
            else if (row == 0)
                q = -1;
            signs[i * 40 + j] = i >= 20 && j >= 20 ? (int8_t)-q : q;
        }
}

bool qm_hadamard_split(int64_t n, int32_t *m, int32_t *width)
{
    int32_t factor = n % 12 == 0 ? 12 : n % 40 == 0 ? 40 : 1;
    int64_t rest = n / factor;
    if (n < 1 || rest > INT32_MAX || (rest & (rest - 1)) != 0) return false;
    *m = factor;
    *width = (int32_t)rest;
    return true;
}

void qm_hadamard_signs(int32_t m, int8_t *signs)
{
    if (m == 12)
        signs_12(signs);
    else if (m == 40)
        signs_40(signs);
    else
        signs[0] = 1;
}
