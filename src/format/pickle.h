/* The state dict inside a pytorch_model.bin: a pickle read by a list of allowed opcodes and
 * globals.  Nothing is ever executed; what is not on the lists is refused by name. */
#ifndef QM_FORMAT_PICKLE_H
#define QM_FORMAT_PICKLE_H

#include "format/format.h"

/* The bytes of storage key[n_key]; E_FORMAT when there are none. */
typedef quamba_status qm_pickle_storage(void *user, const char *key, size_t n_key,
                                        const uint8_t **data, size_t *size, quamba_error *err);

/* Adds the tensors of the dictionary that data[size] holds to source; Python floats become 0-dim
 * f32 tensors, rounded to nearest where they do not fit; None, int, bool and str are counted as
 * skipped.  data and the storages must live as long as the source. */
quamba_status qm_pickle_read(qm_source *source, const uint8_t *data, size_t size,
                             qm_pickle_storage *find_storage, void *user, quamba_error *err);

/* PyTorch's name of the storage type, "HalfStorage"; every type has one. */
const char *qm_torch_storage_name(qm_dtype dtype);

#endif
