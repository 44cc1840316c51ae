/* The shape of the model as constants, so that every loop has a fixed bound; another model:
 * -DQM_HW_D_MODEL=768 ..  The defaults are those of models/demo. */
#ifndef QM_HLS_SHAPE_H
#define QM_HLS_SHAPE_H

#ifndef QM_HW_D_MODEL
#define QM_HW_D_MODEL 256
#endif
#ifndef QM_HW_D_INNER
#define QM_HW_D_INNER 512
#endif
#ifndef QM_HW_D_STATE
#define QM_HW_D_STATE 16
#endif
#ifndef QM_HW_DT_RANK
#define QM_HW_DT_RANK 16
#endif
#ifndef QM_HW_D_CONV
#define QM_HW_D_CONV 4
#endif

/* The Hadamard transform's blocks: 12 when 12 divides d_inner, else 40 when 40 does, else 1. */
#ifndef QM_HW_HADAMARD_M
#define QM_HW_HADAMARD_M 1
#endif
#define QM_HW_HADAMARD_WIDTH (QM_HW_D_INNER / QM_HW_HADAMARD_M)

/* x_proj's outputs: dt_low, B, C. */
#define QM_HW_X_DBL (QM_HW_DT_RANK + 2 * QM_HW_D_STATE)

_Static_assert((QM_HW_HADAMARD_WIDTH & (QM_HW_HADAMARD_WIDTH - 1)) == 0 &&
                   QM_HW_HADAMARD_WIDTH * QM_HW_HADAMARD_M == QM_HW_D_INNER,
               "d_inner is HADAMARD_M times a power of two");
_Static_assert(QM_HW_D_MODEL <= 65536 && QM_HW_D_INNER <= 65536,
               "sums of so many products of codes stay exact in 32 bits");

#endif
