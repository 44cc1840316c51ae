/* What a checkpoint holds, as one number. */
#ifndef QM_EVAL_IDENTITY_H
#define QM_EVAL_IDENTITY_H

#include "base/status.h"

/* Hash over the name, type, shape and elements of every tensor of the checkpoint at path.  The
 * order of the tensors, their layout and the container do not matter: a checkpoint and what
 * `quamba convert` makes of it have the same hash. */
quamba_status qm_checkpoint_hash(const char *path, uint64_t *hash, quamba_error *err);

#endif
