#ifndef CHECKKERN_TWINS_H
#define CHECKKERN_TWINS_H

#include "kernels/kernels.h"

#define QM_TWIN(op, isa, function, label) qm_##op##_fn function;
#include "twins.def"
#undef QM_TWIN

#endif
