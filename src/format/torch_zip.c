/* pytorch_model.bin since PyTorch 1.6: a zip archive <root>/data.pkl, <root>/data/<key>. */
#include "base/mem.h"
#include "format/crc32.h"
#include "format/pickle.h"
#include "format/source.h"
#include "format/zip.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool qm_torch_zip_probe(const uint8_t *data, size_t size)
{
    return size >= 4 && (memcmp(data, "PK\3\4", 4) == 0 || memcmp(data, "PK\5\6", 4) == 0);
}

/* Checksums of all members.  A CRC of 0 was not computed (torch.serialization.set_crc32_options
 * allows that). */
static quamba_status check_sums(const qm_zip *zip, const qm_crc32 *crc, quamba_error *err)
{
    for (size_t i = 0; i < zip->n_members; i++) {
        const qm_zip_member *m = &zip->members[i];
        uint32_t found = m->crc != 0 ? qm_crc32_update(crc, 0, m->data, m->size) : 0;
        if (found != m->crc)
            return qm_fail(err, QUAMBA_E_FORMAT, m->begin,
                           "zip: member \"%.*s\" is damaged: its CRC is %08" PRIx32
                           ", the directory says %08" PRIx32,
                           m->n_name > 200 ? 200 : (int)m->n_name, m->name, found, m->crc);
    }
    return QUAMBA_OK;
}

/* The one member "<root>/data.pkl". */
static quamba_status find_pickle(const qm_zip *zip, const qm_zip_member **pickle, quamba_error *err)
{
    static const char tail[] = "/data.pkl";
    const size_t n_tail = sizeof tail - 1;
    *pickle = NULL;
    for (size_t i = 0; i < zip->n_members; i++) {
        const qm_zip_member *m = &zip->members[i];
        if (m->n_name <= n_tail || memcmp(m->name + m->n_name - n_tail, tail, n_tail) != 0 ||
            memchr(m->name, '/', m->n_name - n_tail))
            continue;
        if (*pickle) return qm_fail(err, QUAMBA_E_FORMAT, m->begin, "zip: two members data.pkl");
        *pickle = m;
    }
    if (*pickle) return QUAMBA_OK;
    return qm_fail(err, QUAMBA_E_FORMAT, 0,
                   "a zip archive without a member data.pkl: not written by torch.save");
}

typedef struct storages {
    const qm_zip *zip;
    char *name; /* "<root>/data/" and room for a key */
    size_t n_prefix;
} storages;

enum { MAX_KEY = 64 }; /* keys are decimal numbers */

static quamba_status find_storage(void *user, const char *key, size_t n_key, const uint8_t **data,
                                  size_t *size, quamba_error *err)
{
    storages *s = user;
    const qm_zip_member *member = NULL;
    if (n_key <= MAX_KEY) {
        memcpy(s->name + s->n_prefix, key, n_key);
        member = qm_zip_find(s->zip, s->name, s->n_prefix + n_key);
    }
    if (!member)
        return qm_fail(err, QUAMBA_E_FORMAT, 0, "the archive has no storage \"%.*s\"",
                       n_key > MAX_KEY ? MAX_KEY : (int)n_key, key);
    *data = member->data;
    *size = member->size;
    return QUAMBA_OK;
}

static quamba_status read_archive(qm_source *source, const qm_zip *zip, const qm_crc32 *crc,
                                  quamba_error *err)
{
    const qm_zip_member *pickle;
    quamba_status status = find_pickle(zip, &pickle, err);
    if (status == QUAMBA_OK) status = check_sums(zip, crc, err);
    if (status != QUAMBA_OK) return status;
    size_t n_root = pickle->n_name - strlen("data.pkl");
    storages s = {.zip = zip, .name = malloc(n_root + 5 + MAX_KEY)};
    if (!s.name) return qm_fail_memory(err, n_root + 5 + MAX_KEY, "a member's name");
    memcpy(s.name, pickle->name, n_root);
    memcpy(s.name + n_root, "byteorder", 9);
    const qm_zip_member *order = qm_zip_find(zip, s.name, n_root + 9);
    if (order && (order->size != 6 || memcmp(order->data, "little", 6) != 0))
        status = qm_fail(err, QUAMBA_E_UNSUPPORTED, order->begin,
                         "the byte order is \"%.*s\", only little is supported",
                         order->size > 20 ? 20 : (int)order->size, (const char *)order->data);
    memcpy(s.name + n_root, "data/", 5);
    s.n_prefix = n_root + 5;
    if (status == QUAMBA_OK)
        status = qm_pickle_read(source, pickle->data, pickle->size, find_storage, &s, err);
    if (status != QUAMBA_OK) qm_fail_in(err, status, "data.pkl");
    free(s.name);
    return status;
}

quamba_status qm_torch_zip_read(qm_source *source, const uint8_t *data, size_t size,
                                quamba_error *err)
{
    qm_zip zip;
    quamba_status status = qm_zip_open(&zip, data, size, err);
    if (status != QUAMBA_OK) return status;
    qm_crc32 *crc = malloc(sizeof *crc);
    if (crc) {
        qm_crc32_init(crc);
        status = read_archive(source, &zip, crc, err);
    } else {
        status = qm_fail_memory(err, sizeof *crc, "a checksum table");
    }
    free(crc);
    qm_zip_close(&zip);
    return status;
}
