/* Hostile tokenizer.json files; what one of them accepts must encode and decode. */
#include "tokenizer/tokenizer.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char text[] =
        "Hello  world, it's <|endoftext|> 12 \xC3\xA9 e\xCC\x81 \xFF\n\n aaab ";
    quamba_error err;
    quamba_tokenizer *t = NULL;
    if (qm_tokenizer_parse(&t, (const char *)data, size, &err) != QUAMBA_OK) return 0;
    int32_t *ids = NULL;
    size_t n = 0, n_bytes = 0;
    char *back = NULL;
    if (quamba_tokenizer_encode(t, text, sizeof text - 1, &ids, &n, &err) == QUAMBA_OK &&
        quamba_tokenizer_decode(t, ids, n, false, &back, &n_bytes, &err) != QUAMBA_OK)
        abort();
    quamba_free(ids);
    quamba_free(back);
    int32_t end = quamba_tokenizer_end_id(t);
    if (end >= quamba_tokenizer_n_vocab(t) ||
        (end >= 0 && !quamba_tokenizer_piece(t, end, &n_bytes)))
        abort();
    quamba_tokenizer_close(&t);
    return 0;
}
