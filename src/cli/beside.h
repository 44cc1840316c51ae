/* Rows that are side-by-side runs: the same text through the row and those beside it, each with a
 * residual stream of its own, and how far apart they are. */
#ifndef QC_BESIDE_H
#define QC_BESIDE_H

#include "cli/cli.h"

/* Where the chosen row has rows beside it, runs the first of ids[n_ids] through all of them and
 * prints a block on stderr; else, and with --quiet, does nothing.  name: of the model, as given.
 * Returns an exit status. */
int qc_run_beside(const qc_options *opt, const char *name, const quamba_model *model,
                  const int32_t *ids, size_t n_ids);

#endif
