/* What a grid makes of the convolution's output: values beyond its codes, layer by layer. */
#ifndef QC_DEBUG_GRID_H
#define QC_DEBUG_GRID_H

#include "model/model.h"

typedef struct qc_grid_debug qc_grid_debug;

/* For a row whose convolution hands on numbers on a grid; NULL without memory. */
qc_grid_debug *qc_grid_debug_new(const quamba_model *model);
void qc_grid_debug_free(qc_grid_debug **debug);

/* To be called with every view.  Prints a block for layers 0, 1, 2 and 23 (or the last), each at
 * its first forward from the start of a text: the numbers before the grid are computed once more,
 * from the codes that the convolution read. */
void qc_grid_debug_view(qc_grid_debug *debug, const quamba_view *view);

#endif
