/* pytorch_model.bin: the zip directory, the restricted pickle, and our writer of both. */
#include "checkpoint_bytes.h"

#include "base/file.h"
#include "format/zip.h"

#include <unistd.h>

static const float numbers[6] = {1, 2, 3, 4, 5, 6};

/* An archive of this pickle, storage "0" (6 floats) and storage "1" (4 bytes). */
static void make_archive(archive *a, const char *pickle, size_t n_pickle)
{
    *a = (archive){0};
    add_member(a, "m/data.pkl", pickle, n_pickle);
    add_member(a, "m/byteorder", "little", 6);
    add_member(a, "m/data/0", numbers, sizeof numbers);
    add_member(a, "m/data/1", "\1\2\3\4", 4);
    add_member(a, "m/data/2", "", 0);
    add_member(a, "m/version", "3\n", 2);
    finish_archive(a);
}

static void make_good_pickle(qm_text *p)
{
    ADD(p, "\x80\x02"
           "ccollections\nOrderedDict\nq\x00)Rq\x01(");
    add_entry(p, &(stored){
                     "rows", "FloatStorage", "0", 6, 0, {2, 3},
                          {3, 1},
                          2
    });
    add_entry(p, &(stored){
                     "turned", "FloatStorage", "0", 6, 0, {3, 2},
                          {1, 3},
                          2
    });
    add_entry(p, &(stored){"tail", "FloatStorage", "0", 6, 4, {2}, {1}, 1});
    add_entry(p, &(stored){"gaps", "FloatStorage", "0", 6, 1, {3}, {2}, 1});
    add_entry(p, &(stored){
                     "cube", "FloatStorage", "0", 6, 1, {2, 2, 1},
                          {1, 2, 5},
                          3
    });
    add_entry(p, &(stored){"zero-dim", "FloatStorage", "0", 6, 5, {0}, {0}, 0});
    add_entry(p, &(stored){"bytes", "CharStorage", "1", 4, 0, {4}, {1}, 1});
    add_entry(p, &(stored){
                     "halves", "HalfStorage", "1", 2, 1, {1, 1},
                          {7, 9},
                          2
    });
    add_entry(p, &(stored){
                     "none", "LongStorage", "2", 0, 0, {0, 3},
                          {3, 1},
                          2
    });
    add_string(p, "scale");
    ADD(p, "G\x3f\xe0\0\0\0\0\0\0"); /* 0.5 */
    add_string(p, "absent");
    ADD(p, "N");
    add_string(p, "steps");
    ADD(p, "K\5");
    ADD(p, "u}");
    add_string(p, "_metadata");
    ADD(p, "h\1sb."); /* attributes, the dictionary in itself among them */
}

static void expect_floats(const copy *c, const char *name, const float *want)
{
    const qm_tensor *t = qm_source_find(c->source, name);
    float got[6];
    assert_non_null(t);
    assert_int_equal(t->dtype, QM_F32);
    qm_tensor_copy(t, got);
    assert_memory_equal(got, want, qm_tensor_bytes(t));
}

static void reads_what_is_there(void **state)
{
    (void)state;
    qm_text pickle = {0};
    archive a;
    copy c;
    make_good_pickle(&pickle);
    make_archive(&a, pickle.data, pickle.size);
    if (open_copy(&c, a.file.data, a.file.size) != QUAMBA_OK) fail_msg("%s", c.err.message);
    assert_string_equal(qm_source_format(c.source), "pytorch zip");
    assert_int_equal(qm_source_count(c.source), 10);
    assert_int_equal(qm_source_skipped(c.source), 2);
    expect_floats(&c, "rows", numbers);
    expect_floats(&c, "turned", (const float[]){1, 4, 2, 5, 3, 6});
    expect_floats(&c, "tail", (const float[]){5, 6});
    expect_floats(&c, "gaps", (const float[]){2, 4, 6});
    expect_floats(&c, "cube", (const float[]){2, 4, 3, 5});
    expect_floats(&c, "zero-dim", (const float[]){6});
    expect_floats(&c, "scale", (const float[]){0.5f});
    assert_true(qm_source_find(c.source, "scale")->python_float);
    assert_false(qm_source_find(c.source, "zero-dim")->python_float);
    assert_false(qm_tensor_is_contiguous(qm_source_find(c.source, "turned")));
    assert_true(qm_tensor_is_contiguous(qm_source_find(c.source, "halves")));
    assert_ptr_equal(qm_source_find(c.source, "rows")->data,
                     qm_source_find(c.source, "turned")->data);
    assert_memory_equal(qm_source_find(c.source, "halves")->data, "\3\4", 2);
    assert_null(qm_source_find(c.source, "none")->data);
    close_copy(&c);
    expect_truncations_refused(&a.file);
    survive_flips(&a.file);
    free_archive(&a);
    qm_text_free(&pickle);
}

/* Protocol 4 writes names, strings and memo numbers in other ways. */
static void reads_protocol_4(void **state)
{
    (void)state;
    qm_text p = {0};
    archive a;
    copy c;
    ADD(&p, "\x80\x04\x95\xff\0\0\0\0\0\0\0}\x94(\x8c\1w\x94"
            "\x8c\x0ctorch._utils\x94\x8c\x12_rebuild_tensor_v2\x94\x93\x94("
            "(\x8c\7storage\x94\x8c\5torch\x94\x8c\x0b"
            "CharStorage\x94\x93\x94\x8d\1\0\0\0\0\0\0\0001\x94\x8c\3cpu\x94K\4t\x94Q"
            "K\1K\1K\2\x86\x94K\2K\1\x86\x94\x89}\x94t\x94R\x94"
            "\x8c\1v\x94h\4u."); /* memo 4 is the function */
    make_archive(&a, p.data, p.size);
    /* "v" is set to a function: refused */
    expect_refusal(a.file.data, a.file.size, QUAMBA_E_UNSUPPORTED, "\"v\" is neither");
    free_archive(&a);
    p.size -= sizeof("\x8c\1v\x94h\4u.") - 1;
    ADD(&p, "u.");
    make_archive(&a, p.data, p.size);
    if (open_copy(&c, a.file.data, a.file.size) != QUAMBA_OK) fail_msg("%s", c.err.message);
    assert_int_equal(qm_source_count(c.source), 1);
    assert_memory_equal(qm_source_find(c.source, "w")->data, "\2\3", 2);
    close_copy(&c);
    free_archive(&a);
    qm_text_free(&p);
}

static void refuses_bad_pickles(void **state)
{
    (void)state;
#define P(literal) literal, sizeof(literal) - 1
    static const struct {
        const char *pickle;
        size_t n;
        quamba_status status;
        const char *word;
    } cases[] = {
        {P("\x80\2cos\nsystem\n(X\4\0\0\0echotR."),                             QUAMBA_E_UNSUPPORTED, "os.system"                         },
        {P("\x80\2c__builtin__\neval\n)R."),                                    QUAMBA_E_UNSUPPORTED, "__builtin__.eval"                  },
        {P("\x80\4\x8c\5posix\x8c\6system\x93)R."),                             QUAMBA_E_UNSUPPORTED, "posix.system"                      },
        {P("\x80\2ctorch\nQInt8Storage\n."),                                    QUAMBA_E_UNSUPPORTED, "torch.QInt8Storage"                },
        {P("\x80\2(ios\nsystem\n."),                                            QUAMBA_E_UNSUPPORTED, "0x69 INST"                         },
        {P("\x80\2\x81."),                                                      QUAMBA_E_UNSUPPORTED, "NEWOBJ"                            },
        {P("\x80\2\0."),                                                        QUAMBA_E_UNSUPPORTED, "0x00"                              },
        {P("\x80\1}."),                                                         QUAMBA_E_UNSUPPORTED, "protocol 1"                        },
        {P("\x80\6}."),                                                         QUAMBA_E_UNSUPPORTED, "protocol 6"                        },
        {P("\x80\2"),                                                           QUAMBA_E_FORMAT,      "ends without STOP"                 },
        {P("\x80\2."),                                                          QUAMBA_E_FORMAT,      "no dictionary"                     },
        {P("\x80\2N."),                                                         QUAMBA_E_FORMAT,      "no dictionary"                     },
        {P("\x80\2}}."),                                                        QUAMBA_E_FORMAT,      "no dictionary"                     },
        {P("\x80\2h\0."),                                                       QUAMBA_E_FORMAT,      "memo"                              },
        {P("\x80\2}q\1h\0."),                                                   QUAMBA_E_FORMAT,      "memo has nothing"                  },
        {P("\x80\2}r\xff\xff\xff\xff."),                                        QUAMBA_E_FORMAT,      "memo number larger"                },
        {P("\x80\2j\xff\xff\xff\xff."),                                         QUAMBA_E_FORMAT,      "memo has nothing"                  },
        {P("\x80\2q\0."),                                                       QUAMBA_E_FORMAT,      "stack is empty"                    },
        {P("\x80\2(q\0."),                                                      QUAMBA_E_FORMAT,      "mark is put"                       },
        {P("\x80\2R."),                                                         QUAMBA_E_FORMAT,      "call of what is no function"       },
        {P("\x80\2Q."),                                                         QUAMBA_E_FORMAT,      "no storage"                        },
        {P("\x80\2)Q."),                                                        QUAMBA_E_FORMAT,      "no storage"                        },
        {P("\x80\2b."),                                                         QUAMBA_E_FORMAT,      "attributes"                        },
        {P("\x80\2NNb."),                                                       QUAMBA_E_FORMAT,      "attributes"                        },
        {P("\x80\2s."),                                                         QUAMBA_E_FORMAT,      "stack is empty"                    },
        {P("\x80\2NNNs."),                                                      QUAMBA_E_FORMAT,      "no dictionary"                     },
        {P("\x80\2u."),                                                         QUAMBA_E_FORMAT,      "no mark"                           },
        {P("\x80\2t."),                                                         QUAMBA_E_FORMAT,      "no mark"                           },
        {P("\x80\2(u."),                                                        QUAMBA_E_FORMAT,      "stack is empty"                    },
        {P("\x80\2}(Nu."),                                                      QUAMBA_E_FORMAT,      "key without a value"               },
        {P("\x80\2}(NNu."),                                                     QUAMBA_E_FORMAT,      "key of the state dict is no string"},
        {P("\x80\2\x87."),                                                      QUAMBA_E_FORMAT,      "stack is empty"                    },
        {P("\x80\2Na."),                                                        QUAMBA_E_FORMAT,      "no list"                           },
        {P("\x80\2(e."),                                                        QUAMBA_E_FORMAT,      "no list"                           },
        {P("\x80\2X\xff\xff\xff\xff."),                                         QUAMBA_E_FORMAT,      "string goes on"                    },
        {P("\x80\2\x8d\xff\xff\xff\xff\xff\xff\xff\xff."),                      QUAMBA_E_FORMAT,      "string goes on"                    },
        {P("\x80\2\x8a\xff."),                                                  QUAMBA_E_FORMAT,      "integer goes on"                   },
        {P("\x80\2\x8a\x09\0\0\0\0\0\0\0\0\0."),                                QUAMBA_E_FORMAT,      "64 bits"                           },
        {P("\x80\2G\0."),                                                       QUAMBA_E_FORMAT,      "float goes on"                     },
        {P("\x80\2J\0."),                                                       QUAMBA_E_FORMAT,      "inside an opcode"                  },
        {P("\x80\2ctorch"),                                                     QUAMBA_E_FORMAT,      "name goes on"                      },
        {P("\x80\4NN\x93."),                                                    QUAMBA_E_FORMAT,      "global without a name"             },
        {P("\x80\2}X\1\0\0\0a}s."),                                             QUAMBA_E_UNSUPPORTED, "\"a\" is neither"                  },
        {P("\x80\2}X\1\0\0\0a]s."),                                             QUAMBA_E_UNSUPPORTED, "\"a\" is neither"                  },
        {P("\x80\2}X\1\0\0\0\xffG\0\0\0\0\0\0\0\0s."),                          QUAMBA_E_FORMAT,      "not UTF-8"                         },
        {P("\x80\2}X\1\0\0\0\0G\0\0\0\0\0\0\0\0s."),                            QUAMBA_E_FORMAT,      "not UTF-8"                         },
        {P("\x80\2}(X\1\0\0\0aG\0\0\0\0\0\0\0\0X\1\0\0\0aG\0\0\0\0\0\0\0\0u."), QUAMBA_E_FORMAT,
         "\"a\" is there twice"                                                                                                           },
        {P("\x80\2ccollections\nOrderedDict\nN\x85R."),                         QUAMBA_E_FORMAT,      "with arguments"                    },
        {P("\x80\2ctorch\nFloatStorage\n)R."),                                  QUAMBA_E_FORMAT,      "storage type is called"            },
        {P("\x80\2ctorch._utils\n_rebuild_tensor_v2\n)R."),                     QUAMBA_E_FORMAT,      "without storage"                   },
        {P("\x80\2ctorch._utils\n_rebuild_parameter\n)R."),                     QUAMBA_E_FORMAT,      "without tensor"                    },
    };
#undef P
    for (size_t i = 0; i < QM_COUNT(cases); i++) {
        archive a;
        make_archive(&a, cases[i].pickle, cases[i].n);
        expect_refusal(a.file.data, a.file.size, cases[i].status, cases[i].word);
        free_archive(&a);
    }
}

static void refuses_bad_tensors(void **state)
{
    (void)state;
    const int64_t huge = INT64_MAX;
    const struct {
        stored t;
        const char *word;
    } cases[] = {
        {{"t", "FloatStorage", "9", 6, 0, {6}, {1}, 1},               "no storage \"9\""                  },
        {{"t", "FloatStorage", "../0", 6, 0, {6}, {1}, 1},            "no storage"                        },
        {{"t", "FloatStorage", "0", 5, 0, {5}, {1}, 1},               "24 bytes, not 5 elements of f32"   },
        {{"t", "HalfStorage", "0", 6, 0, {6}, {1}, 1},                "24 bytes, not 6"                   },
        {{"t", "FloatStorage", "0", -6, 0, {6}, {1}, 1},              "no storage"                        },
        {{"t", "FloatStorage", "0", (1LL << 62) + 6, 0, {6}, {1}, 1}, "24 bytes"                          }, /* wraps */
        {{"t", "FloatStorage", "0", 6, 0, {7}, {1}, 1},               "tensor: t: shape and strides reach"},
        {{"t", "FloatStorage", "0", 6, 1, {6}, {1}, 1},               "reach outside its storage of 6"    },
        {{"t", "FloatStorage", "0", 6, 6, {0}, {0}, 0},               "reach outside"                     },
        {{"t", "FloatStorage", "0", 6, 7, {0}, {1}, 1},               "reach outside"                     },
        {{"t", "FloatStorage", "0", 6, 0, {2, 3}, {4, 1}, 2},         "reach outside"                     },
        {{"t", "FloatStorage", "0", 6, 0, {7}, {0}, 1},               "reach outside"                     }, /* expanded */
        {{"t", "FloatStorage", "0", 6, 0, {2}, {huge}, 1},            "reach outside"                     },
        {{"t", "FloatStorage", "0", 6, 0, {3, 3}, {huge, huge}, 2},   "reach outside"                     },
        {{"t", "FloatStorage", "0", 6, huge, {2}, {huge}, 1},         "reach outside"                     },
        {{"t", "FloatStorage", "0", 6, 0, {huge, huge}, {0, 0}, 2},   "63 bits"                           },
        {{"t", "FloatStorage", "0", 6, -1, {1}, {1}, 1},              "storage and offset"                },
        {{"t", "FloatStorage", "0", 6, 0, {-1}, {1}, 1},              "numbers >= 0"                      },
        {{"t", "FloatStorage", "0", 6, 5, {2}, {-1}, 1},              "numbers >= 0"                      },
        {{"t", "FloatStorage", "0", 6, 0, {1}, {1}, 9},               "at most 8"                         },
    };
    for (size_t i = 0; i < QM_COUNT(cases); i++) {
        qm_text p = {0};
        archive a;
        ADD(&p, "\x80\2}(");
        add_entry(&p, &cases[i].t);
        ADD(&p, "u.");
        make_archive(&a, p.data, p.size);
        expect_refusal(a.file.data, a.file.size, QUAMBA_E_FORMAT, cases[i].word);
        free_archive(&a);
        qm_text_free(&p);
    }
}

/* Opcode bombs: memory stays within a small multiple of the pickle, and nothing recurses. */
static void survives_bombs(void **state)
{
    (void)state;
    static const struct {
        const char *head, *body, *tail;
    } cases[] = {
        {"\x80\2",                               "(",          "." }, /* marks */
        {"\x80\2)",                              "\x85",       "." }, /* a tuple in a tuple in a tuple ... */
        {"\x80\2}q\1",                           "h\1\x86q\1", "." }, /* doubling, were it unfolded */
        {"\x80\2}q\1(X\1\1\1\1",                 "h\1",        "u."}, /* ends inside a string */
        {"\x80\2ccollections\nOrderedDict\nq\1", "h\1)R",      "." },
    };
    for (size_t i = 0; i < QM_COUNT(cases); i++) {
        qm_text p = {0};
        archive a;
        copy c;
        qm_text_puts(&p, cases[i].head);
        for (int n = 0; n < 100000; n++)
            qm_text_puts(&p, cases[i].body);
        qm_text_puts(&p, cases[i].tail);
        make_archive(&a, p.data, p.size);
        assert_int_equal(open_copy(&c, a.file.data, a.file.size), QUAMBA_E_FORMAT);
        close_copy(&c);
        free_archive(&a);
        qm_text_free(&p);
    }
}

enum in_part { ENTRY, LOCAL, END64, LOCATOR, END };

static void refuses_bad_archives(void **state)
{
    (void)state;
    static const struct {
        enum in_part part;
        size_t at; /* ENTRY, LOCAL: of member "m/data/0" */
        uint64_t value;
        int n_bytes;
        quamba_status status;
        const char *word;
    } cases[] = {
        {ENTRY,   10, 8,                  2, QUAMBA_E_UNSUPPORTED, "\"m/data/0\" is compressed" },
        {ENTRY,   8,  1,                  2, QUAMBA_E_UNSUPPORTED, "encrypted"                  },
        {ENTRY,   16, 12345,              4, QUAMBA_E_FORMAT,      "\"m/data/0\" is damaged"    },
        {ENTRY,   20, 23,                 4, QUAMBA_E_FORMAT,      "two different sizes"        },
        {ENTRY,   20, 0x0fffffff0fffffff, 8, QUAMBA_E_FORMAT,      "reaches into the directory" },
        {ENTRY,   20, 0xffffffff,         4, QUAMBA_E_FORMAT,      "damaged extra field"        },
        {ENTRY,   42, 0,                  4, QUAMBA_E_FORMAT,      "begins inside another"      },
        {ENTRY,   42, 1,                  4, QUAMBA_E_FORMAT,      "no header"                  },
        {ENTRY,   42, 0xfffffffe,         4, QUAMBA_E_FORMAT,      "no header"                  },
        {ENTRY,   53, '1',                1, QUAMBA_E_FORMAT,      "\"m/data/1\" is there twice"},
        {ENTRY,   28, 0xffff,             2, QUAMBA_E_FORMAT,      "ends inside an entry"       },
        {ENTRY,   0,  0,                  1, QUAMBA_E_FORMAT,      "directory is damaged"       },
        {LOCAL,   28, 0xffff,             2, QUAMBA_E_FORMAT,      "reaches into the directory" },
        {LOCAL,   0,  0,                  1, QUAMBA_E_FORMAT,      "no header"                  },
        {END64,   24, 7,                  8, QUAMBA_E_UNSUPPORTED, "several parts"              },
        {END64,   40, 1,                  8, QUAMBA_E_FORMAT,      "contradict"                 },
        {END64,   48, UINT64_MAX,         8, QUAMBA_E_FORMAT,      "contradict"                 },
        {END64,   0,  0,                  1, QUAMBA_E_FORMAT,      "no zip64 end record"        },
        {LOCATOR, 8,  UINT64_MAX,         8, QUAMBA_E_FORMAT,      "no zip64 end record"        },
        {LOCATOR, 0,  0,                  1, QUAMBA_OK,            ""                           }, /* no locator: the plain end record will do */
        {END,     10, 5,                  2, QUAMBA_E_UNSUPPORTED, "several parts"              },
        {END,     16, 1,                  4, QUAMBA_E_FORMAT,      "contradict"                 },
        {END,     20, 1,                  2, QUAMBA_E_FORMAT,      "no end record"              },
    };
    qm_text pickle = {0};
    make_good_pickle(&pickle);
    for (size_t i = 0; i < QM_COUNT(cases); i++) {
        archive a;
        make_archive(&a, pickle.data, pickle.size);
        const size_t part[] = {a.at_directory + a.entry[2], a.local[2], a.at_end64, a.at_locator,
                               a.at_end};
        set_number(&a.file, part[cases[i].part] + cases[i].at, cases[i].value, cases[i].n_bytes);
        if (cases[i].status != QUAMBA_OK) {
            expect_refusal(a.file.data, a.file.size, cases[i].status, cases[i].word);
        } else {
            copy c;
            if (open_copy(&c, a.file.data, a.file.size) != QUAMBA_OK)
                fail_msg("case %zu: %s", i, c.err.message);
            close_copy(&c);
        }
        free_archive(&a);
    }
    qm_text_free(&pickle);
}

/* Both end records agree on numbers that lie. */
static void refuses_lying_directories(void **state)
{
    (void)state;
    qm_text pickle = {0};
    make_good_pickle(&pickle);
    static const struct {
        uint64_t n, size, begin; /* added to the right ones */
        const char *word;
    } cases[] = {
        {1,            0,            0,            "directory is damaged" },
        {(uint64_t)-1, 0,            0,            "behind the last entry"},
        {0,            1 << 20,      0,            "leaves the file"      },
        {0,            0,            1 << 30,      "leaves the file"      },
        {0,            0,            (uint64_t)-1, "is damaged"           },
        {1 << 30,      0,            0,            "do not fit"           },
        {0,            (uint64_t)-1, 0,            "inside an entry"      },
    };
    for (size_t i = 0; i < QM_COUNT(cases); i++) {
        archive a;
        make_archive(&a, pickle.data, pickle.size);
        uint64_t n = a.n + cases[i].n, size = a.directory.size + cases[i].size;
        set_number(&a.file, a.at_end64 + 24, n, 8);
        set_number(&a.file, a.at_end64 + 32, n, 8);
        set_number(&a.file, a.at_end64 + 40, size, 8);
        set_number(&a.file, a.at_end64 + 48, a.at_directory + cases[i].begin, 8);
        set_number(&a.file, a.at_end + 8, 0xffffffff, 4);
        set_number(&a.file, a.at_end + 12, UINT64_MAX, 8);
        expect_refusal(a.file.data, a.file.size, QUAMBA_E_FORMAT, cases[i].word);
        free_archive(&a);
    }
    qm_text_free(&pickle);
}

static void refuses_other_archives(void **state)
{
    (void)state;
    qm_text pickle = {0};
    make_good_pickle(&pickle);
    archive a = {0};
    add_member(&a, "m/data.pkl", pickle.data, pickle.size);
    add_member(&a, "m/byteorder", "big", 3);
    finish_archive(&a);
    expect_refusal(a.file.data, a.file.size, QUAMBA_E_UNSUPPORTED, "byte order is \"big\"");
    free_archive(&a);
    a = (archive){0};
    add_member(&a, "m/data.pkl", pickle.data, pickle.size);
    add_member(&a, "n/data.pkl", pickle.data, pickle.size);
    finish_archive(&a);
    expect_refusal(a.file.data, a.file.size, QUAMBA_E_FORMAT, "two members data.pkl");
    free_archive(&a);
    a = (archive){0};
    add_member(&a, "word/document.xml", "x", 1);
    finish_archive(&a);
    expect_refusal(a.file.data, a.file.size, QUAMBA_E_FORMAT, "not written by torch.save");
    free_archive(&a);
    a = (archive){0};
    finish_archive(&a);
    expect_refusal(a.file.data, a.file.size, QUAMBA_E_FORMAT, "neither a safetensors file");
    free_archive(&a);
    qm_text_free(&pickle);

    static const char old[] = "\x80\2\x8a\nl\xfc\x9c\x46\xf9 j\xa8P\x19.";
    expect_refusal(old, sizeof old - 1, QUAMBA_E_UNSUPPORTED, "torch.save it again");
    expect_refusal("\x80\4}.", 4, QUAMBA_E_UNSUPPORTED, "bare pickle");
    expect_refusal("GGUF\3\0\0\0\1\0", 10, QUAMBA_E_UNSUPPORTED, "GGUF");
    expect_refusal("version https://git-lfs.github.com/spec/v1\n", 43, QUAMBA_E_UNSUPPORTED,
                   "git lfs pull");
    expect_refusal("", 0, QUAMBA_E_FORMAT, "the file is empty");
    expect_refusal("hello, this is a text", 21, QUAMBA_E_FORMAT, "neither");
}

/* A CRC of 0 was not computed. */
static void zero_checksums_are_absent(void **state)
{
    (void)state;
    qm_text pickle = {0};
    archive a;
    copy c;
    make_good_pickle(&pickle);
    make_archive(&a, pickle.data, pickle.size);
    for (size_t i = 0; i < a.n; i++)
        set_number(&a.file, a.at_directory + a.entry[i] + 16, 0, 4);
    assert_int_equal(open_copy(&c, a.file.data, a.file.size), QUAMBA_OK);
    close_copy(&c);
    free_archive(&a);
    qm_text_free(&pickle);
}

static void crc_is_the_known_one(void **state)
{
    (void)state;
    qm_crc32 *crc = malloc(sizeof *crc);
    assert_non_null(crc);
    qm_crc32_init(crc);
    assert_int_equal(qm_crc32_update(crc, 0, "123456789", 9), 0xcbf43926);
    assert_int_equal(qm_crc32_update(crc, 0, "", 0), 0);
    const char text[] = "The quick brown fox jumps over the lazy dog";
    for (size_t cut = 0; cut < sizeof text; cut++)
        assert_int_equal(qm_crc32_update(crc, qm_crc32_update(crc, 0, text, cut), text + cut,
                                         sizeof text - 1 - cut),
                         0x414fa339);
    free(crc);
}

static char *temporary(void)
{
    char *path = strdup("/tmp/quamba-test-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    return path;
}

/* Sizes and offsets beyond 4 GB, without writing as much: the limit is lowered. */
static void zip64_fields(void **state)
{
    (void)state;
    char *path = temporary();
    quamba_error err;
    qm_crc32 *crc = malloc(sizeof *crc);
    qm_crc32_init(crc);
    for (uint64_t from = 0; from < 400; from += 7) {
        qm_zip_writer zip = {.zip64_from = from};
        assert_int_equal(qm_writer_open(&zip.file, path, &err), QUAMBA_OK);
        const char *const names[] = {"a", "b/c", "d"};
        const char text[] =
            "some bytes that are stored here, more than one line of 64 of them......";
        const size_t sizes[] = {10, 0, 70};
        for (int i = 0; i < 3; i++) {
            uint32_t sum = qm_crc32_update(crc, 0, text, sizes[i]);
            assert_int_equal(qm_zip_begin(&zip, names[i], sizes[i], sum, &err), QUAMBA_OK);
            assert_int_equal(zip.at % 64, 0);
            assert_int_equal(qm_zip_put(&zip, text, sizes[i], &err), QUAMBA_OK);
        }
        assert_int_equal(qm_zip_finish(&zip, &err), QUAMBA_OK);
        assert_int_equal(qm_writer_commit(zip.file, &err), QUAMBA_OK);
        qm_writer_close(&zip.file);
        qm_zip_writer_free(&zip);
        qm_map map;
        qm_zip read;
        assert_int_equal(qm_map_open(&map, path, &err), QUAMBA_OK);
        if (qm_zip_open(&read, map.data, map.size, &err) != QUAMBA_OK)
            fail_msg("from %d: %s", (int)from, err.message);
        for (int i = 0; i < 3; i++) {
            const qm_zip_member *m = qm_zip_find(&read, names[i], strlen(names[i]));
            assert_non_null(m);
            assert_int_equal(m->size, sizes[i]);
            assert_memory_equal(m->data, text, sizes[i]);
        }
        assert_null(qm_zip_find(&read, "b", 1));
        qm_zip_close(&read);
        qm_map_close(&map);
    }
    free(crc);
    unlink(path);
    free(path);
}

/* Strides survive where the elements fill their range; floats stay floats. */
static void writes_what_was_read(void **state)
{
    (void)state;
    qm_text pickle = {0};
    archive a;
    copy c;
    char *path = temporary();
    make_good_pickle(&pickle);
    make_archive(&a, pickle.data, pickle.size);
    assert_int_equal(open_copy(&c, a.file.data, a.file.size), QUAMBA_OK);
    size_t n = qm_source_count(c.source);
    quamba_error err;
    assert_int_equal(qm_torch_zip_write(path, qm_source_at(c.source, 0), n, &err), QUAMBA_OK);
    qm_source *back;
    if (qm_source_open(&back, path, &err) != QUAMBA_OK) fail_msg("%s", err.message);
    assert_int_equal(qm_source_count(back), n);
    for (size_t i = 0; i < n; i++) {
        const qm_tensor *want = qm_source_at(c.source, i), *got = qm_source_at(back, i);
        char wanted[64], bytes[64];
        assert_string_equal(got->name, want->name);
        assert_int_equal(got->dtype, want->dtype);
        assert_int_equal(got->ndim, want->ndim);
        assert_int_equal(got->python_float, want->python_float);
        assert_memory_equal(got->shape, want->shape, sizeof got->shape);
        if (strcmp(got->name, "gaps") != 0)
            assert_memory_equal(got->stride, want->stride, sizeof got->stride);
        qm_tensor_copy(want, wanted);
        qm_tensor_copy(got, bytes);
        assert_memory_equal(bytes, wanted, qm_tensor_bytes(want));
        if (got->data && !got->python_float && qm_tensor_bytes(got) > 0)
            assert_int_equal((uintptr_t)got->data % 64, 0);
    }
    qm_source_close(&back);
    close_copy(&c);
    free_archive(&a);
    qm_text_free(&pickle);
    unlink(path);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_is_there),
        cmocka_unit_test(reads_protocol_4),
        cmocka_unit_test(refuses_bad_pickles),
        cmocka_unit_test(refuses_bad_tensors),
        cmocka_unit_test(survives_bombs),
        cmocka_unit_test(refuses_bad_archives),
        cmocka_unit_test(refuses_lying_directories),
        cmocka_unit_test(refuses_other_archives),
        cmocka_unit_test(zero_checksums_are_absent),
        cmocka_unit_test(crc_is_the_known_one),
        cmocka_unit_test(zip64_fields),
        cmocka_unit_test(writes_what_was_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
