/* Errors: a status, and a message with the number that was wrong.  Nothing is printed. */
#ifndef QM_BASE_STATUS_H
#define QM_BASE_STATUS_H

#include "quamba/quamba.h"

#if defined(__GNUC__)
#define QM_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define QM_PRINTF(fmt, args)
#endif

/* Fills *err (may be NULL) and returns status, so that a failing function ends in one line:
 *     return qm_fail(err, QUAMBA_E_FORMAT, t->begin, "%s: byte range leaves the file", t->name); */
quamba_status qm_fail(quamba_error *err, quamba_status status, uint64_t position,
                      const char *format, ...) QM_PRINTF(4, 5);

/* Puts "prefix: " in front of the message that *err already holds, typically a file name, and
 * returns status. */
quamba_status qm_fail_in(quamba_error *err, quamba_status status, const char *prefix);

/* "out of memory: SIZE bytes for WHAT" */
quamba_status qm_fail_memory(quamba_error *err, uint64_t size_bytes, const char *what);

#endif
