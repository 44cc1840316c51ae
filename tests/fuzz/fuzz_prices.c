/* Price lists: what is read is finite and not negative, what is refused says why. */
#include "count/count.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1000) return 0;
    char list[1001];
    qm_prices prices;
    quamba_error err = {0};
    memcpy(list, data, size);
    list[size] = '\0';
    if (qm_prices_parse(&prices, list, &err) != QUAMBA_OK) {
        if (err.message[0] == '\0') abort();
        return 0;
    }
    for (int i = 0; i < QM_N_COUNTS; i++)
        if (!(prices.pj[i] >= 0) || !isfinite(prices.pj[i]) ||
            (!prices.given[i] && prices.pj[i] != 0))
            abort();
    return 0;
}
