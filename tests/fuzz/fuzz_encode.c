/* Hostile text through small tokenizers; the first byte picks one.  Without a normalizer the text
 * comes back byte for byte. */
#include "../unit/tokenizer_small.h"

#include "tokenizer/tokenizer.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ADDED                                                                                      \
    "[{'id':300,'content':'<|endoftext|>','special':true},{'id':301,'content':'  '},"              \
    "{'id':302,'content':'ab','single_word':true},{'id':303,'content':'abab','normalized':true}]"
#define LAST "{'type':'ByteLevel','add_prefix_space':false"

static const struct {
    small_parts parts;
    bool exact;
} cases[] = {
    {{.added = ADDED},                                 true },
    {{.model = "'ignore_merges':true,",
      .pre_tokenizer = "{'type':'Sequence','pretokenizers':[{'type':'Split','behavior':'Isolated',"
                       "'pattern':{'Regex':'\\\\s?\\\\p{L}+|\\\\p{N}{1,3}|\\\\s+(?!\\\\S)'}},"
                       "{'type':'Split','behavior':'MergedWithPrevious','pattern':{'String':'a'}},"
                       "{'type':'Split','behavior':'MergedWithNext','pattern':{'Regex':'b*'}},"
                       "{'type':'Split','behavior':'Contiguous','pattern':{'Regex':'.'}}," LAST
                       ",'use_regex':false}]}"},
     true                                                   },
    {{.added = ADDED, .normalizer = "{'type':'NFC'}"}, false},
    {{.added = "[{'id':120,'content':'x','lstrip':true,'rstrip':true,'normalized':true},"
               "{'id':301,'content':' ','lstrip':true},{'id':302,'content':' y','rstrip':true}]",
      .normalizer = "{'type':'Sequence','normalizers':[{'type':'NFKD'},{'type':'NFKC'},"
                    "{'type':'NFD'}]}",
      .pre_tokenizer = "{'type':'ByteLevel'}"},
     false                                                  },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static quamba_tokenizer *tokenizers[QM_COUNT(cases)];
    if (size == 0) return 0;
    size_t which = data[0] % QM_COUNT(cases);
    quamba_error err;
    if (!tokenizers[which]) {
        qm_text json = {0};
        small_json(&json, &cases[which].parts);
        if (qm_tokenizer_parse(&tokenizers[which], json.data, json.size, &err) != QUAMBA_OK)
            abort();
        qm_text_free(&json);
    }
    const quamba_tokenizer *t = tokenizers[which];
    const char *text = (const char *)data + 1;
    int32_t *ids;
    size_t n_ids, n;
    char *back;
    if (quamba_tokenizer_encode(t, text, size - 1, &ids, &n_ids, &err) != QUAMBA_OK) abort();
    if (quamba_tokenizer_decode(t, ids, n_ids, false, &back, &n, &err) != QUAMBA_OK) abort();
    if (cases[which].exact && (n != size - 1 || (n > 0 && memcmp(back, text, n) != 0))) abort();
    quamba_free(ids);
    quamba_free(back);
    return 0;
}
