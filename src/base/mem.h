/* Memory: checked products, checked allocation, and arenas. */
#ifndef QM_BASE_MEM_H
#define QM_BASE_MEM_H

#include "base/status.h"

#define QM_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* *product = a * b; true when it fits. */
static inline bool qm_mul_u64(uint64_t a, uint64_t b, uint64_t *product)
{
    return !__builtin_mul_overflow(a, b, product);
}

/* *sum = a + b; true when it fits. */
static inline bool qm_add_u64(uint64_t a, uint64_t b, uint64_t *sum)
{
    return !__builtin_add_overflow(a, b, sum);
}

/* n * size bytes of zeros, freed with free(); NULL when there is no memory or the product does not
 * fit.  n == 0 gives a valid pointer. */
void *qm_alloc(size_t n, size_t size);

/* Grows *array (capacity *capacity elements of size bytes) so that it holds at least n; false, and
 * nothing changed, when there is no memory. */
bool qm_grow(void *array, size_t *capacity, size_t n, size_t size);

/* Lets go of the pages that lie wholly in size bytes at data; what they held is lost, or with a
 * file mapped there read again when touched. */
void qm_discard_pages(const void *data, size_t size);

/* A copy of n bytes followed by a 0 byte; NULL when there is no memory. */
char *qm_strndup(const char *text, size_t n);

/* An arena lays out many arrays in one allocation.  A layout function runs twice over the same
 * carving calls: on a zeroed arena it measures, after qm_arena_alloc it carves. */
typedef struct qm_arena {
    unsigned char *base; /* NULL while measuring; owned, qm_arena_free */
    size_t used;
    size_t capacity;
    bool bad; /* a dimension below 1 or a product that does not fit */
} qm_arena;

/* The next zeroed array of the product of dims (ends with 0) elements, 64-byte aligned; NULL while
 * measuring or when the arena is bad. */
void *qm_arena_take(qm_arena *arena, size_t elem_size, const int64_t *dims, size_t n_dims);

/* Allocates what the measuring run found and rewinds.  E_NOMEM or E_LIMIT, naming what. */
quamba_status qm_arena_alloc(qm_arena *arena, const char *what, quamba_error *err);
void qm_arena_free(qm_arena *arena);

/* QM_CARVE(a, float, n_layer, d_inner): the call is the shape. */
#define QM_CARVE(arena, type, ...)                                                                 \
    ((type *)qm_arena_take((arena), sizeof(type), (const int64_t[]){__VA_ARGS__},                  \
                           sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)))

#endif
