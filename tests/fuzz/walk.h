/* What every fuzz target of a checkpoint form does with a file that opens. */
#ifndef FUZZ_WALK_H
#define FUZZ_WALK_H

#include "format/source.h"

#include <stdlib.h>

/* Opens the input and reads every element of every tensor. */
static inline void walk(const uint8_t *data, size_t size)
{
    qm_source *source = NULL;
    if (qm_source_open_memory(&source, data, size, "input", NULL) != QUAMBA_OK) return;
    for (size_t i = 0; i < qm_source_count(source); i++) {
        const qm_tensor *t = qm_source_at(source, i);
        char text[192];
        void *copy = malloc(qm_tensor_bytes(t) + 1);
        if (copy) qm_tensor_copy(t, copy);
        qm_tensor_describe(t, text);
        free(copy);
        if (qm_source_find(source, t->name) != t) abort();
    }
    qm_source_close(&source);
}

#endif
