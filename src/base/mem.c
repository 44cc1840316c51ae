#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    ARENA_ALIGN = 64,    /* a cache line, and the widest vector register */
    HUGE_PAGE = 2 << 20, /* arenas of several are laid on them, where the system has them */
    LARGE = 4 * HUGE_PAGE
};

void quamba_free(void *memory) { free(memory); }

void *qm_alloc(size_t n, size_t size) { return calloc(n > 0 ? n : 1, size > 0 ? size : 1); }

bool qm_grow(void *array, size_t *capacity, size_t n, size_t size)
{
    void **slot = array; /* the address of a pointer to the elements */
    if (n <= *capacity) return true;
    size_t wanted = *capacity < 16 ? 16 : *capacity;
    while (wanted < n) {
        if (wanted > SIZE_MAX / 2) return false;
        wanted *= 2;
    }
    uint64_t bytes;
    if (!qm_mul_u64(wanted, size, &bytes) || bytes > SIZE_MAX / 2) return false;
    void *grown;
    memcpy(&grown, slot, sizeof grown);
    grown = realloc(grown, (size_t)bytes);
    if (!grown) return false;
    memcpy(slot, &grown, sizeof grown);
    *capacity = wanted;
    return true;
}

char *qm_strndup(const char *text, size_t n)
{
    char *copy = n < SIZE_MAX ? malloc(n + 1) : NULL;
    if (!copy) return NULL;
    if (n > 0) memcpy(copy, text, n);
    copy[n] = '\0';
    return copy;
}

void qm_discard_pages(const void *data, size_t size)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t begin = ((uintptr_t)data + page - 1) / page * page,
                    end = ((uintptr_t)data + size) / page * page;
    if (begin < end) (void)madvise((void *)begin, end - begin, MADV_DONTNEED);
}

void *qm_arena_take(qm_arena *arena, size_t elem_size, const int64_t *dims, size_t n_dims)
{
    uint64_t bytes = elem_size;
    for (size_t i = 0; i < n_dims; i++)
        if (dims[i] < 1 || !qm_mul_u64(bytes, (uint64_t)dims[i], &bytes)) arena->bad = true;
    if (arena->bad || bytes > SIZE_MAX / 2 - ARENA_ALIGN ||
        arena->used > SIZE_MAX / 2 - ARENA_ALIGN - (size_t)bytes) {
        arena->bad = true;
        return NULL;
    }
    size_t begin = arena->used;
    arena->used += ((size_t)bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    if (!arena->base || arena->used > arena->capacity) return NULL;
    return arena->base + begin;
}

/* A large arena has pages of its own. */
static bool is_large(const qm_arena *arena) { return arena->capacity >= LARGE; }

static size_t mapped_bytes(const qm_arena *arena)
{
    return (arena->capacity + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
}

quamba_status qm_arena_alloc(qm_arena *arena, const char *what, quamba_error *err)
{
    if (arena->bad) return qm_fail(err, QUAMBA_E_LIMIT, 0, "%s: sizes do not fit in memory", what);
    arena->capacity = arena->used;
    arena->used = 0;
    if (is_large(arena)) { /* zeros, cleared when first touched, by the thread that needs them */
        const size_t size = mapped_bytes(arena);
        void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (base == MAP_FAILED) return qm_fail_memory(err, size, what);
        (void)madvise(base, size, MADV_HUGEPAGE);
        arena->base = base;
        return QUAMBA_OK;
    }
    if (posix_memalign((void **)&arena->base, ARENA_ALIGN, arena->capacity ? arena->capacity : 1)) {
        arena->base = NULL;
        return qm_fail_memory(err, arena->capacity, what);
    }
    memset(arena->base, 0, arena->capacity);
    return QUAMBA_OK;
}

void qm_arena_free(qm_arena *arena)
{
    if (arena->base && is_large(arena))
        munmap(arena->base, mapped_bytes(arena));
    else
        free(arena->base);
    *arena = (qm_arena){0};
}
