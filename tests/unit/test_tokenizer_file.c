/* Files that are not what they should be: which status, and what the message names. */
#include "tokenizer_small.h"

#include "tokenizer/tokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void refused(const char *json, size_t n, quamba_status want, const char *named)
{
    quamba_tokenizer *t = NULL;
    quamba_error err = {0};
    quamba_status got = qm_tokenizer_parse(&t, json, n, &err);
    if (got != want || !strstr(err.message, named))
        fail_msg("%.300s\n  got %d \"%s\"\n  want %d naming \"%s\"", json, got, err.message, want,
                 named);
    assert_null(t);
    assert_int_equal(qm_tokenizer_parse(&t, json, n, NULL), want);
}

/* Written with ' for ". */
static void refused_text(const char *quoted, quamba_status want, const char *named)
{
    qm_text json = {0};
    small_put(&json, quoted);
    qm_text_add(&json, "", 0);
    refused(json.data, json.size, want, named);
    qm_text_free(&json);
}

static void refused_parts(const small_parts *parts, quamba_status want, const char *named)
{
    qm_text json = {0};
    small_json(&json, parts);
    refused(json.data, json.size, want, named);
    qm_text_free(&json);
}

#define MODEL(vocab, merges)                                                                       \
    "{'pre_tokenizer':{'type':'ByteLevel'},'model':{'vocab':" vocab ",'merges':" merges "}}"

static void not_a_tokenizer(void **state)
{
    (void)state;
    refused("", 0, QUAMBA_E_FORMAT, "byte 0");
    refused("\0", 1, QUAMBA_E_FORMAT, "byte 0");
    static const struct {
        const char *json, *named;
    } cases[] = {
        {"{}",                         "not a tokenizer.json"                     },
        {"[]",                         "'{'"                                      },
        {"{'model'",                   "':'"                                      },
        {"{'model':{}} x",             "more text"                                },
        {"{'model':{},}",              "string"                                   },
        {"{'model':{},'model':{}}",    "\"model\" stands"                         },
        {"{'model':3}",                "model"                                    },
        {"{'model':{'vocab':{}",       "unfinished"                               },
        {MODEL("3",                    "[]"),                                       "model.vocab"},
        {MODEL("{'a':'b'}",                            "[]"),                                                       "whole number"},
        {MODEL("{'a':1.5}",              "[]"),   "whole number"},
        {MODEL("{'a':true}",          "[]"),                                     "whole number"},
        {MODEL("{'a':01}",           "[]"),                                        "whole number"},
        {MODEL("{'a':-1}",                            "[]"),                                                        "\"a\" has id -1"},
        {MODEL("{'a':4194304}",              "[]"),                  "4194304"},
        {MODEL("{'a':99999999999999999999}","[]"),"too large"},
        {MODEL("{'a':0,'b':0}",        "[]"),                                 "id 0 is given twice"},
        {MODEL("{'a':0,'a':1}",                            "[]"),                                      "ids 0 and 1"},
        {MODEL("{'a':0,'\\u0061':1}",                 "[]"),                                                                                              "ids 0 and 1"},
        {MODEL("{'a\\u0000':0}",                "[]"),      "NUL"},
        {MODEL("{'\\ud800':0}",        "[]"),                   "surrogate"},
        {MODEL("{'\\q':0}",                            "[]"),                                             "escape"},
        {MODEL("{'a\n':0}",               "[]"),"control"},
        {MODEL("{'\xFF':0}",        "[]"),                                         "UTF-8"},
        {MODEL("{'a':0,}",        "[]"),                                       "string"},
        {MODEL("{'a':0 'b':1}",                            "[]"),                                                       "','"},
        {MODEL("{'a':0,'b':1}",                    "{}"),                   "model.merges"},
        {MODEL("{'a':0,'b':1}",         "[3]"),                                                                               "merges[0]"},
        {MODEL("{'a':0,'b':1}",           "['ab']"),                                          "\"ab\" is not two"},
        {MODEL("{'a':0,'b':1,'ab':2}",                            "['a b','b c']"),                                                        "merges[1]: the right"},
        {MODEL("{'a':0,'b':1}",                    "['c b']"),                         "left token \"c\""},
        {MODEL("{'a':0,'b':1}","['a b']"),"result \"ab\""},
        {MODEL("{'a':0,'b':1,'ab':2}",        "['a  b']"),                           "merges[0]"},
        {MODEL("{'a':0,'b':1,'ab':2}",                            "[['a']]"),                                                   "','"},
        {MODEL("{'a':0,'b':1,'ab':2}",                 "[['a','b','a']]"),"']'"},
        {MODEL("{'a':0,'':1}",         "[' a']"),"left token"},
        {"{'pre_tokenizer':{'type':'ByteLevel'},'model':{'merges':[]}}", "\"vocab\""},
        {"{'pre_tokenizer':{'type':'ByteLevel'},'model':{'vocab':{}}}",                            "\"merges\""                                                  },
    };
    for (size_t i = 0; i < QM_COUNT(cases); i++)
        refused_text(cases[i].json, QUAMBA_E_FORMAT, cases[i].named);
}

static void parts(void **state)
{
    (void)state;
    static const struct {
        small_parts parts;
        quamba_status status;
        const char *named;
    } cases[] = {
        {{.normalizer = "{'type':'Lowercase'}"},                                                  QUAMBA_E_UNSUPPORTED, "\"Lowercase\""              },
        {{.normalizer = "{'type':'Sequence','normalizers':[{'type':'NFC'},{'type':'Prepend'}]}"},
         QUAMBA_E_UNSUPPORTED,                                                                                          "\"Prepend\""                },
        {{.normalizer = "{'type':'Sequence'}"},                                                   QUAMBA_E_FORMAT,      "\"normalizers\""            },
        {{.normalizer = "{'type':3}"},                                                            QUAMBA_E_FORMAT,      "\"type\""                   },
        {{.normalizer = "{}"},                                                                    QUAMBA_E_FORMAT,      "normalizer has no \"type\"" },
        {{.normalizer = "'NFC'"},                                                                 QUAMBA_E_FORMAT,      "normalizer must be"         },
        {{.pre_tokenizer = "null"},                                                               QUAMBA_E_UNSUPPORTED, "without ByteLevel"          },
        {{.pre_tokenizer = "{'type':'Metaspace'}"},                                               QUAMBA_E_UNSUPPORTED, "\"Metaspace\""              },
        {{.pre_tokenizer = "{'type':'ByteLevel','use_regex':1}"},                                 QUAMBA_E_FORMAT,      "use_regex"                  },
        {{.pre_tokenizer = "{'type':'Sequence','pretokenizers':[{'type':'ByteLevel'},"
                           "{'type':'ByteLevel'}]}"},
         QUAMBA_E_UNSUPPORTED,                                                                                          "after ByteLevel"            },
        {{.pre_tokenizer = "{'type':'Split','behavior':'Isolated','pattern':{'Regex':'(a'}}"},
         QUAMBA_E_FORMAT,                                                                                               "Split: pattern"             },
        {{.pre_tokenizer = "{'type':'Split','behavior':'Sideways','pattern':{'String':'a'}}"},
         QUAMBA_E_FORMAT,                                                                                               "\"Sideways\""               },
        {{.pre_tokenizer = "{'type':'Split','behavior':'Isolated','pattern':'a'}"},
         QUAMBA_E_FORMAT,                                                                                               "\"pattern\""                },
        {{.decoder = "{'type':'WordPiece'}"},                                                     QUAMBA_E_UNSUPPORTED, "\"WordPiece\""              },
        {{.model = "'type':'Unigram',"},                                                          QUAMBA_E_FORMAT,      "\"type\" stands there twice"},
        {{.model = "'dropout':0.1,"},                                                             QUAMBA_E_UNSUPPORTED, "dropout is 0.1"             },
        {{.model = "'dropout':'x',"},                                                             QUAMBA_E_FORMAT,      "dropout"                    },
        {{.model = "'byte_fallback':true,"},                                                      QUAMBA_E_UNSUPPORTED, "byte_fallback"              },
        {{.model = "'ignore_merges':0,"},                                                         QUAMBA_E_FORMAT,      "ignore_merges"              },
        {{.model = "'end_of_word_suffix':'</w>',"},                                               QUAMBA_E_UNSUPPORTED, "</w>"                       },
        {{.model = "'continuing_subword_prefix':'##',"},                                          QUAMBA_E_UNSUPPORTED, "##"                         },
        {{.added = "{}"},                                                                         QUAMBA_E_FORMAT,      "added_tokens must be"       },
        {{.added = "[3]"},                                                                        QUAMBA_E_FORMAT,      "added_tokens[0]"            },
        {{.added = "[{'id':300,'content':'x1'},{'id':301}]"},                                     QUAMBA_E_FORMAT,      "added_tokens[1]"            },
        {{.added = "[{'content':'x1'}]"},                                                         QUAMBA_E_FORMAT,      "\"id\""                     },
        {{.added = "[{'id':300,'content':''}]"},                                                  QUAMBA_E_FORMAT,      "\"content\""                },
        {{.added = "[{'id':-1,'content':'x1'}]"},                                                 QUAMBA_E_FORMAT,      "\"id\" is -1"               },
        {{.added = "[{'id':2000000000,'content':'x1'}]"},                                         QUAMBA_E_FORMAT,      "2000000000"                 },
        {{.added = "[{'id':'7','content':'x1'}]"},                                                QUAMBA_E_FORMAT,      "\"id\" must be"             },
        {{.added = "[{'id':300,'content':'x1','special':'yes'}]"},                                QUAMBA_E_FORMAT,      "special"                    },
        {{.added = "[{'id':300,'content':'hello'}]"},                                             QUAMBA_E_FORMAT,      "\"hello\" has id 300 but"   },
        {{.added = "[{'id':259,'content':'other'}]"},                                             QUAMBA_E_FORMAT,      "id 259 is given twice"      },
        {{.added = "[{'id':300,'content':'x1'},{'id':300,'content':'x2'}]"},
         QUAMBA_E_FORMAT,                                                                                               "id 300 is given twice"      },
        {{.added = "[{'id':300,'content':'x1'},{'id':301,'content':'x1'}]"},
         QUAMBA_E_FORMAT,                                                                                               "300 and 301"                },
        {{.added = "[{'id':259,'content':'hello'},{'id':259,'content':'hello'}]"},
         QUAMBA_E_FORMAT,                                                                                               "id 259 is given twice"      },
    };
    for (size_t i = 0; i < QM_COUNT(cases); i++)
        refused_parts(&cases[i].parts, cases[i].status, cases[i].named);
    refused_text("{'model':{'type':'Unigram'}}", QUAMBA_E_UNSUPPORTED, "\"Unigram\"");
}

/* Every beginning of a good file is refused, and so is the file with any one byte damaged, or else
 * it still is a tokenizer. */
static void truncated_and_damaged(void **state)
{
    (void)state;
    qm_text json = {0};
    small_json(&json, &(small_parts){.added = "[{'id':300,'content':'<|endoftext|>'}]"});
    quamba_tokenizer *t = NULL;
    quamba_error err;
    for (size_t n = 0; n < json.size; n++) {
        char *copy = qm_alloc(n, 1); /* so that a sanitizer sees a read past the end */
        if (n > 0) memcpy(copy, json.data, n);
        if (qm_tokenizer_parse(&t, copy, n, &err) != QUAMBA_E_FORMAT) fail_msg("%zu bytes", n);
        free(copy);
    }
    for (size_t i = 0; i < json.size; i += 3) {
        char kept = json.data[i];
        json.data[i] = (char)(kept ^ (1 << i % 8));
        if (qm_tokenizer_parse(&t, json.data, json.size, &err) == QUAMBA_OK) {
            int32_t *ids = NULL;
            size_t n;
            (void)quamba_tokenizer_encode(t, "hello  world", 12, &ids, &n, &err);
            quamba_free(ids);
        }
        quamba_tokenizer_close(&t);
        json.data[i] = kept;
    }
    qm_text_free(&json);
}

static void paths(void **state)
{
    (void)state;
    char dir[] = "/tmp/quamba-test-XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    quamba_tokenizer *t = NULL;
    quamba_error err;
    assert_int_equal(quamba_tokenizer_open(&t, dir, &err), QUAMBA_E_IO);
    assert_non_null(strstr(err.message, "tokenizer.json"));
    snprintf(path, sizeof path, "%s/tokenizer.json", dir);
    qm_text json = {0};
    small_json(&json, &(small_parts){.normalizer = "null"});
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(json.data, 1, json.size - 1, file), json.size - 1);
    fclose(file);
    assert_int_equal(quamba_tokenizer_open(&t, dir, &err), QUAMBA_E_FORMAT);
    assert_non_null(strstr(err.message, path)); /* the file, then what is wrong with it */
    assert_null(t);
    file = fopen(path, "ab");
    assert_non_null(file);
    fputs("}", file);
    fclose(file);
    assert_int_equal(quamba_tokenizer_open(&t, dir, &err), QUAMBA_OK);
    quamba_tokenizer_close(&t);
    assert_int_equal(quamba_tokenizer_open(&t, path, &err), QUAMBA_OK);
    quamba_tokenizer_close(&t);
    unlink(path);
    rmdir(dir);
    qm_text_free(&json);
}

/* An expression that would run for ever ends in an error. */
static void exponential_expression(void **state)
{
    (void)state;
    qm_text json = {0};
    small_json(&json,
               &(small_parts){.pre_tokenizer =
                                  "{'type':'Sequence','pretokenizers':[{'type':'Split','behavior':"
                                  "'Isolated','pattern':{'Regex':'(a|aa)+[0-9]'}},"
                                  "{'type':'ByteLevel'}]}"});
    quamba_tokenizer *t = NULL;
    quamba_error err;
    assert_int_equal(qm_tokenizer_parse(&t, json.data, json.size, &err), QUAMBA_OK);
    char text[61];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '?';
    int32_t *ids = NULL;
    size_t n;
    assert_int_equal(quamba_tokenizer_encode(t, text, sizeof text, &ids, &n, &err), QUAMBA_E_LIMIT);
    assert_non_null(strstr(err.message, "expression"));
    quamba_free(ids);
    quamba_tokenizer_close(&t);
    qm_text_free(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(not_a_tokenizer),        cmocka_unit_test(parts),
        cmocka_unit_test(truncated_and_damaged),  cmocka_unit_test(paths),
        cmocka_unit_test(exponential_expression),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
