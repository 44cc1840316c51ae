/* Energy: prices that the caller gives, times counts. */
#include "count/count.h"

#include "base/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static quamba_status unknown_price(const char *name, size_t n, quamba_error *err)
{
    qm_text names = {0};
    for (int i = 0; i < QM_N_COUNTS; i++)
        qm_text_printf(&names, "%s%s", i > 0 ? ", " : "", qm_count_prices[i]);
    quamba_status status =
        names.failed ? qm_fail_memory(err, 0, "a message")
                     : qm_fail(err, QUAMBA_E_ARGUMENT, 0, "there is no price \"%.*s\"; prices: %s",
                               (int)(n < 40 ? n : 40), name, names.data);
    qm_text_free(&names);
    return status;
}

static int find_price(const char *name, size_t n)
{
    int i = 0;
    while (i < QM_N_COUNTS &&
           (strlen(qm_count_prices[i]) != n || strncmp(qm_count_prices[i], name, n) != 0))
        i++;
    return i;
}

quamba_status qm_prices_parse(qm_prices *prices, const char *list, quamba_error *err)
{
    *prices = (qm_prices){0};
    for (const char *at = list; *at != '\0';) {
        const size_t item = strcspn(at, ","), n = strcspn(at, "=,");
        if (n == item)
            return qm_fail(err, QUAMBA_E_ARGUMENT, 0,
                           "\"%.*s\" has no price: write NAME=PICOJOULE, separated by commas",
                           (int)(item < 40 ? item : 40), at);
        const int kind = find_price(at, n);
        if (kind == QM_N_COUNTS) return unknown_price(at, n, err);
        if (prices->given[kind])
            return qm_fail(err, QUAMBA_E_ARGUMENT, 0, "%s is priced twice", qm_count_prices[kind]);
        const char *number = at + n + 1;
        char *end;
        const double pj = strtod(number, &end);
        if (end == number || end != at + item || !(pj >= 0.0) || !isfinite(pj))
            return qm_fail(err, QUAMBA_E_ARGUMENT, 0, "%s=%.*s: a price is a number >= 0",
                           qm_count_prices[kind], (int)(item - n - 1 < 40 ? item - n - 1 : 40),
                           number);
        prices->pj[kind] = pj;
        prices->given[kind] = true;
        at += item;
        if (*at == ',') at++;
    }
    return QUAMBA_OK;
}

double qm_energy_pj(const qm_prices *prices, const uint64_t of[QM_N_COUNTS])
{
    double sum = 0;
    for (int i = 0; i < QM_N_COUNTS; i++)
        sum += prices->pj[i] * (double)of[i];
    return sum;
}
