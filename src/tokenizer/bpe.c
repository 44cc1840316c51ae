#include "tokenizer/tokenizer.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum {
    NONE = -1,      /* end of the list of symbols, as uint32_t the largest number */
    SHORT_WORD = 40 /* up to here searching all pairs is faster than a heap */
};
#define NO_RANK UINT32_MAX

bool qm_ids_add(qm_ids *ids, int32_t id)
{
    if (!qm_grow(&ids->data, &ids->capacity, ids->size + 1, sizeof *ids->data)) return false;
    ids->data[ids->size++] = id;
    return true;
}

quamba_status qm_bpe_init(qm_bpe *bpe, size_t n, quamba_error *err)
{
    size_t n_slots = 64;
    while (n_slots < 2 * n)
        n_slots *= 2;
    bpe->slots = malloc(n_slots * sizeof *bpe->slots);
    bpe->result = qm_alloc(n, sizeof *bpe->result);
    if (!bpe->slots || !bpe->result)
        return qm_fail_memory(err, n_slots * sizeof *bpe->slots, "the merges");
    for (size_t i = 0; i < n_slots; i++)
        bpe->slots[i] = (qm_merge){-1, -1, NO_RANK};
    bpe->n_slots = n_slots;
    bpe->n = n;
    return QUAMBA_OK;
}

void qm_bpe_free(qm_bpe *bpe)
{
    free(bpe->slots);
    free(bpe->result);
    *bpe = (qm_bpe){0};
}

/* The slot that holds the pair, or the free one where it belongs.  Ids are below 2^22, so the key
 * has 44 bits; the product's high half is well mixed. */
static qm_merge *slot_of(const qm_bpe *bpe, int32_t left, int32_t right)
{
    uint64_t key = (uint64_t)(uint32_t)left << 22 | (uint32_t)right;
    size_t mask = bpe->n_slots - 1;
    size_t at = (size_t)(key * 0x9E3779B97F4A7C15U >> 32) & mask;
    for (;; at = (at + 1) & mask) {
        qm_merge *slot = &bpe->slots[at];
        if ((slot->left == left && slot->right == right) || slot->left < 0) return slot;
    }
}

void qm_bpe_add(qm_bpe *bpe, int32_t left, int32_t right, uint32_t rank, int32_t result)
{
    *slot_of(bpe, left, right) = (qm_merge){left, right, rank};
    bpe->result[rank] = result;
}

static uint32_t rank_of(const qm_bpe *bpe, int32_t left, int32_t right)
{
    return slot_of(bpe, left, right)->rank;
}

void qm_bpe_scratch_free(qm_bpe_scratch *s)
{
    free(s->symbols);
    free(s->heap);
    *s = (qm_bpe_scratch){0};
}

static quamba_status fail_ids(quamba_error *err, size_t n)
{
    return qm_fail_memory(err, n * sizeof(int32_t), "token ids");
}

/* All pairs are searched for the lowest rank, the leftmost on a tie. */
static quamba_status short_word(const qm_bpe *bpe, const int32_t byte_id[256], const char *word,
                                size_t n, qm_ids *out, quamba_error *err)
{
    int32_t id[SHORT_WORD];
    uint32_t rank[SHORT_WORD]; /* of the pair that begins here; the last has none */
    for (size_t i = 0; i < n; i++)
        id[i] = byte_id[(unsigned char)word[i]];
    for (size_t i = 0; i + 1 < n; i++)
        rank[i] = rank_of(bpe, id[i], id[i + 1]);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (rank[i] < rank[best]) best = i;
        if (rank[best] == NO_RANK) break;
        id[best] = bpe->result[rank[best]];
        for (size_t i = best + 1; i + 1 < n; i++) {
            id[i] = id[i + 1];
            rank[i] = rank[i + 1];
        }
        n--;
        if (best + 1 < n) rank[best] = rank_of(bpe, id[best], id[best + 1]);
        if (best > 0) rank[best - 1] = rank_of(bpe, id[best - 1], id[best]);
    }
    for (size_t i = 0; i < n; i++)
        if (!qm_ids_add(out, id[i])) return fail_ids(err, out->size + 1);
    return QUAMBA_OK;
}

/* ---- long words: a heap of (rank, position), so that n bytes cost n log n ---------------------
 */

static void heap_down(uint64_t *heap, size_t size, size_t at)
{
    uint64_t value = heap[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= size) break;
        if (child + 1 < size && heap[child + 1] < heap[child]) child++;
        if (heap[child] >= value) break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = value;
}

static bool heap_push(qm_bpe_scratch *s, uint64_t value)
{
    if (!qm_grow(&s->heap, &s->heap_capacity, s->heap_size + 1, sizeof *s->heap)) return false;
    size_t at = s->heap_size++;
    for (; at > 0 && s->heap[(at - 1) / 2] > value; at = (at - 1) / 2)
        s->heap[at] = s->heap[(at - 1) / 2];
    s->heap[at] = value;
    return true;
}

static uint64_t heap_pop(qm_bpe_scratch *s)
{
    uint64_t top = s->heap[0];
    s->heap[0] = s->heap[--s->heap_size];
    if (s->heap_size > 0) heap_down(s->heap, s->heap_size, 0);
    return top;
}

/* Looks up the pair that begins at this symbol and queues it.  What the heap held for the symbol
 * before is thereby stale: its rank no longer is the symbol's, since a new pair is a longer text
 * and thus another merge. */
static bool queue_pair(const qm_bpe *bpe, qm_bpe_scratch *s, uint32_t at)
{
    qm_bpe_symbol *left = &s->symbols[at];
    left->rank =
        left->next == (uint32_t)NONE ? NO_RANK : rank_of(bpe, left->id, s->symbols[left->next].id);
    return left->rank == NO_RANK || heap_push(s, (uint64_t)left->rank << 32 | at);
}

static quamba_status long_word(const qm_bpe *bpe, const int32_t byte_id[256], qm_bpe_scratch *s,
                               const char *word, size_t n, qm_ids *out, quamba_error *err)
{
    if (!qm_grow(&s->symbols, &s->symbols_capacity, n, sizeof *s->symbols))
        return qm_fail_memory(err, n * sizeof *s->symbols, "a word");
    for (size_t i = 0; i < n; i++)
        s->symbols[i] = (qm_bpe_symbol){
            .id = byte_id[(unsigned char)word[i]],
            .previous = (uint32_t)i - 1,
            .next = i + 1 < n ? (uint32_t)i + 1 : (uint32_t)NONE,
        };
    s->heap_size = 0;
    bool room = true;
    for (size_t i = 0; i < n && room; i++)
        room = queue_pair(bpe, s, (uint32_t)i);
    while (s->heap_size > 0 && room) {
        uint64_t top = heap_pop(s);
        uint32_t at = (uint32_t)top, rank = (uint32_t)(top >> 32);
        qm_bpe_symbol *left = &s->symbols[at];
        if (left->rank != rank) continue;
        qm_bpe_symbol *right = &s->symbols[left->next];
        left->id = bpe->result[rank];
        left->next = right->next;
        right->rank = NO_RANK; /* gone */
        if (left->next != (uint32_t)NONE) s->symbols[left->next].previous = at;
        room = queue_pair(bpe, s, at) &&
               (left->previous == (uint32_t)NONE || queue_pair(bpe, s, left->previous));
    }
    for (uint32_t at = 0; at != (uint32_t)NONE && room; at = s->symbols[at].next)
        room = qm_ids_add(out, s->symbols[at].id);
    return room ? QUAMBA_OK : fail_ids(err, n);
}

quamba_status qm_bpe_word(const qm_bpe *bpe, const int32_t byte_id[256], qm_bpe_scratch *scratch,
                          const char *word, size_t n, qm_ids *out, quamba_error *err)
{
    if (n <= SHORT_WORD) return short_word(bpe, byte_id, word, n, out, err);
    return long_word(bpe, byte_id, scratch, word, n, out, err);
}
