#include "format/zip.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    END_SIZE = 22,        /* end of central directory */
    LOCATOR_SIZE = 20,    /* where its zip64 form is */
    END64_SIZE = 56,      /* the zip64 form */
    ENTRY_SIZE = 46,      /* one entry of the central directory, without names */
    LOCAL_SIZE = 30,      /* header in front of a member's data, without names */
    MAX_COMMENT = 0xffff, /* behind END */
    MAX_MEMBERS = 1 << 21
};

static uint16_t get16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)get16(p) | (uint32_t)get16(p + 2) << 16;
}

static uint64_t get64(const uint8_t *p)
{
    return (uint64_t)get32(p) | (uint64_t)get32(p + 4) << 32;
}

static bool is_mark(const uint8_t *p, const char *mark) { return memcmp(p, mark, 4) == 0; }

/* Where the central directory is: n entries in size bytes from begin on, nothing read behind
 * limit. */
typedef struct directory {
    uint64_t n, size, begin, limit;
} directory;

/* Replaces what END says by the zip64 record's numbers when there is one. */
static quamba_status read_end64(directory *dir, const uint8_t *data, uint64_t end,
                                quamba_error *err)
{
    if (end < LOCATOR_SIZE || !is_mark(data + end - LOCATOR_SIZE, "PK\6\7")) return QUAMBA_OK;
    uint64_t locator = end - LOCATOR_SIZE, at = get64(data + locator + 8);
    if (locator < END64_SIZE || at > locator - END64_SIZE || !is_mark(data + at, "PK\6\6"))
        return qm_fail(err, QUAMBA_E_FORMAT, locator,
                       "zip: no zip64 end record at byte %" PRIu64 " where its locator points", at);
    const uint8_t *end64 = data + at;
    if (get32(end64 + 16) != 0 || get32(end64 + 20) != 0 || get64(end64 + 24) != get64(end64 + 32))
        return qm_fail(err, QUAMBA_E_UNSUPPORTED, at, "zip: the archive has several parts");
    directory full = {get64(end64 + 32), get64(end64 + 40), get64(end64 + 48), at};
    if ((dir->n != 0xffff && dir->n != full.n) ||
        (dir->size != 0xffffffff && dir->size != full.size) ||
        (dir->begin != 0xffffffff && dir->begin != full.begin))
        return qm_fail(err, QUAMBA_E_FORMAT, at, "zip: the two end records contradict each other");
    *dir = full;
    return QUAMBA_OK;
}

static quamba_status find_directory(directory *dir, const uint8_t *data, size_t size,
                                    quamba_error *err)
{
    uint64_t end = size < END_SIZE ? 0 : size - END_SIZE;
    uint64_t last = end > MAX_COMMENT ? end - MAX_COMMENT : 0;
    while (end > last && !is_mark(data + end, "PK\5\6"))
        end--;
    if (size < END_SIZE || !is_mark(data + end, "PK\5\6") ||
        get16(data + end + 20) != size - end - END_SIZE)
        return qm_fail(err, QUAMBA_E_FORMAT, 0,
                       "zip: no end record in the last bytes of %zu: truncated?", size);
    const uint8_t *p = data + end;
    if (get16(p + 4) != 0 || get16(p + 6) != 0 || get16(p + 8) != get16(p + 10))
        return qm_fail(err, QUAMBA_E_UNSUPPORTED, end, "zip: the archive has several parts");
    *dir = (directory){get16(p + 10), get32(p + 12), get32(p + 16), end};
    quamba_status status = read_end64(dir, data, end, err);
    if (status != QUAMBA_OK) return status;
    if (dir->begin > dir->limit || dir->size > dir->limit - dir->begin)
        return qm_fail(err, QUAMBA_E_FORMAT, end,
                       "zip: the directory (%" PRIu64 " bytes at %" PRIu64 ") leaves the file",
                       dir->size, dir->begin);
    if (dir->n > dir->size / ENTRY_SIZE || dir->n > MAX_MEMBERS)
        return qm_fail(err, QUAMBA_E_FORMAT, end,
                       "zip: %" PRIu64 " members do not fit a directory of %" PRIu64 " bytes",
                       dir->n, dir->size);
    return QUAMBA_OK;
}

/* Sizes and offset that do not fit 32 bits are in extra field 1, those that need it, in order. */
static bool read_zip64(const uint8_t *extra, size_t n_extra, uint64_t *values[3])
{
    const uint8_t *field = NULL;
    size_t n_field = 0;
    while (n_extra >= 4) {
        size_t n = get16(extra + 2);
        if (n > n_extra - 4) return false;
        if (get16(extra) == 1 && !field) {
            field = extra + 4;
            n_field = n;
        }
        extra += 4 + n;
        n_extra -= 4 + n;
    }
    for (int i = 0; i < 3; i++) {
        if (*values[i] != 0xffffffff) continue;
        if (n_field < 8) return false;
        *values[i] = get64(field);
        field += 8;
        n_field -= 8;
    }
    return true;
}

static quamba_status fail_member(quamba_error *err, quamba_status status,
                                 const qm_zip_member *member, const char *what)
{
    int n = member->n_name > 200 ? 200 : (int)member->n_name;
    return qm_fail(err, status, member->begin, "zip: member \"%.*s\" %s", n, member->name, what);
}

/* The entry at p, n bytes left in the directory; *used is its size. */
static quamba_status read_entry(qm_zip_member *member, const uint8_t *data, const directory *dir,
                                const uint8_t *p, uint64_t n, uint64_t *used, quamba_error *err)
{
    if (n < ENTRY_SIZE || !is_mark(p, "PK\1\2"))
        return qm_fail(err, QUAMBA_E_FORMAT, (uint64_t)(p - data),
                       "zip: the directory is damaged at byte %" PRIu64, (uint64_t)(p - data));
    size_t n_name = get16(p + 28), n_extra = get16(p + 30), n_comment = get16(p + 32);
    *used = (uint64_t)ENTRY_SIZE + n_name + n_extra + n_comment;
    if (*used > n)
        return qm_fail(err, QUAMBA_E_FORMAT, (uint64_t)(p - data),
                       "zip: the directory ends inside an entry");
    *member = (qm_zip_member){
        .name = (const char *)p + ENTRY_SIZE, .n_name = n_name, .crc = get32(p + 16)};
    uint64_t size = get32(p + 24), stored = get32(p + 20), begin = get32(p + 42);
    if (!read_zip64(p + ENTRY_SIZE + n_name, n_extra, (uint64_t *[]){&size, &stored, &begin}))
        return fail_member(err, QUAMBA_E_FORMAT, member, "has a damaged extra field");
    member->begin = begin;
    if (get16(p + 8) & 1) return fail_member(err, QUAMBA_E_UNSUPPORTED, member, "is encrypted");
    if (get16(p + 10) != 0)
        return fail_member(err, QUAMBA_E_UNSUPPORTED, member,
                           "is compressed; torch.save stores members as they are");
    if (size != stored) return fail_member(err, QUAMBA_E_FORMAT, member, "has two different sizes");
    if (begin > dir->begin || dir->begin - begin < LOCAL_SIZE || !is_mark(data + begin, "PK\3\4"))
        return fail_member(err, QUAMBA_E_FORMAT, member, "has no header where it should begin");
    uint64_t skip = (uint64_t)LOCAL_SIZE + get16(data + begin + 26) + get16(data + begin + 28);
    if (skip > dir->begin - begin || size > dir->begin - begin - skip)
        return fail_member(err, QUAMBA_E_FORMAT, member, "reaches into the directory");
    member->data = data + begin + skip;
    member->size = (size_t)size;
    member->end = begin + skip + size;
    return QUAMBA_OK;
}

static int compare_begin(const void *left, const void *right)
{
    const qm_zip_member *a = left, *b = right;
    return (a->begin > b->begin) - (a->begin < b->begin);
}

static int compare_name(const void *left, const void *right)
{
    const qm_zip_member *a = left, *b = right;
    size_t n = a->n_name < b->n_name ? a->n_name : b->n_name;
    int order = n > 0 ? memcmp(a->name, b->name, n) : 0;
    return order != 0 ? order : (a->n_name > b->n_name) - (a->n_name < b->n_name);
}

static quamba_status check_members(qm_zip *zip, quamba_error *err)
{
    qsort(zip->members, zip->n_members, sizeof *zip->members, compare_begin);
    for (size_t i = 1; i < zip->n_members; i++)
        if (zip->members[i].begin < zip->members[i - 1].end)
            return fail_member(err, QUAMBA_E_FORMAT, &zip->members[i], "begins inside another");
    qsort(zip->members, zip->n_members, sizeof *zip->members, compare_name);
    for (size_t i = 1; i < zip->n_members; i++)
        if (compare_name(&zip->members[i], &zip->members[i - 1]) == 0)
            return fail_member(err, QUAMBA_E_FORMAT, &zip->members[i], "is there twice");
    return QUAMBA_OK;
}

quamba_status qm_zip_open(qm_zip *zip, const uint8_t *data, size_t size, quamba_error *err)
{
    directory dir = {0};
    *zip = (qm_zip){0};
    quamba_status status = find_directory(&dir, data, size, err);
    if (status != QUAMBA_OK) return status;
    zip->members = qm_alloc((size_t)dir.n, sizeof *zip->members);
    if (!zip->members)
        return qm_fail_memory(err, dir.n * sizeof *zip->members, "the zip directory");
    const uint8_t *at = data + dir.begin;
    uint64_t left = dir.size, used = 0;
    for (; status == QUAMBA_OK && zip->n_members < dir.n; at += used, left -= used) {
        status = read_entry(&zip->members[zip->n_members], data, &dir, at, left, &used, err);
        if (status != QUAMBA_OK) break;
        zip->n_members++;
    }
    if (status == QUAMBA_OK && left > 0)
        status = qm_fail(err, QUAMBA_E_FORMAT, dir.begin + dir.size - left,
                         "zip: %" PRIu64 " bytes behind the last entry of the directory", left);
    if (status == QUAMBA_OK) status = check_members(zip, err);
    if (status != QUAMBA_OK) qm_zip_close(zip);
    return status;
}

void qm_zip_close(qm_zip *zip)
{
    free(zip->members);
    *zip = (qm_zip){0};
}

const qm_zip_member *qm_zip_find(const qm_zip *zip, const char *name, size_t n_name)
{
    qm_zip_member wanted = {.name = name, .n_name = n_name};
    return bsearch(&wanted, zip->members, zip->n_members, sizeof wanted, compare_name);
}
