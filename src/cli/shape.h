/* Models of the published shapes, for commands that take --shape instead of a MODEL. */
#ifndef QC_SHAPE_H
#define QC_SHAPE_H

#include "cli/cli.h"
#include "datapath/datapath.h"
#include "model/model.h"

typedef struct qc_shape {
    qm_config config;
    const quamba_datapath *datapath;
    quamba_datapath *own; /* that, where it is no row: quamba_datapath_free */
    qm_random_options random;
} qc_shape;

/* The shape of --shape under --mode (mode 0 when none is given) with --datapath.  QC_USAGE after a
 * message that begins with the command's name. */
int qc_find_shape(qc_shape *shape, const qc_options *opt, const char *command);

/* Refuses, where a MODEL is given, the options that say how a random one is made. */
int qc_refuse_shape_options(const qc_options *opt, const char *command);

#endif
