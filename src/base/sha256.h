/* SHA-256 (FIPS 180-4): checksums that users can check with sha256sum. */
#ifndef QM_BASE_SHA256_H
#define QM_BASE_SHA256_H

#include <stddef.h>

enum { QM_SHA256_TEXT = 65 /* digits and the final 0 */ };

/* The digest of n bytes in hexadecimal. */
void qm_sha256(const void *data, size_t n, char out[QM_SHA256_TEXT]);

#endif
