/* Lists of knobs: whatever is read describes itself, and what is refused can be repaired. */
#include "datapath/knobs.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 1000) return 0;
    char list[1001], text[400];
    quamba_datapath *dp, *again;
    quamba_error err;
    size_t n_rows = 0;
    while (quamba_datapath_at(n_rows))
        n_rows++;
    memcpy(list, data + 1, size - 1);
    list[size - 1] = '\0';
    const quamba_datapath *row = quamba_datapath_at(data[0] % n_rows);
    if (quamba_datapath_parse(&dp, row, list, &err) != QUAMBA_OK) {
        if (dp || err.message[0] == '\0') abort();
        return 0;
    }
    if (quamba_datapath_describe(dp, text, sizeof text) >= sizeof text) abort();
    if (quamba_datapath_parse(&again, quamba_datapath_find("0"), text, &err) != QUAMBA_OK ||
        memcmp(&again->knobs, &dp->knobs, sizeof dp->knobs) != 0 ||
        !quamba_datapath_same(again, dp))
        abort();
    if (quamba_datapath_validate(dp, &err) != QUAMBA_OK) {
        qm_knobs_repair(&dp->knobs, &row->knobs);
        if (!qm_knobs_valid(&dp->knobs)) abort();
    }
    quamba_datapath_free(&dp);
    quamba_datapath_free(&again);
    return 0;
}
