/* What a run shows of one layer on stderr: the convolution's output, the scan's scales, hashes of
 * both; and the check of the convolution's output scale.  All of it is seen through a tap. */
#ifndef QC_DEBUG_H
#define QC_DEBUG_H

#include "cli/cli.h"

typedef struct qc_debug qc_debug;

/* What --debug-layer, --scale-check and --quick-verify ask for; always: as if --debug-layer and
 * --scale-check were given at their defaults.  *debug is NULL when that is nothing.  The model must
 * outlive it.  Returns an exit status. */
int qc_debug_new(qc_debug **debug, const qc_options *opt, const quamba_model *model, bool always);

/* Sessions with these options are watched; nothing happens for NULL. */
void qc_debug_watch(qc_debug *debug, quamba_session_options *options);

/* True when the run is to end: --quick-verify has seen all, or --scale-check=error found one. */
bool qc_debug_stops(const qc_debug *debug);

/* Prints totals, frees, and returns the run's exit status: status, or where the run was stopped
 * what that means. */
int qc_debug_finish(qc_debug **debug, int status);

/* The frame of a block: its title between two lines of 80 equals signs, and the line that ends it.
 */
void qc_debug_title(const char *format, ...) __attribute__((format(printf, 1, 2)));
void qc_debug_rule(void);

#endif
