/* Reading and writing safetensors. */
#include "checkpoint_bytes.h"

#include "base/file.h"

#include <unistd.h>

#define GOOD_HEADER                                                                                \
    "{\"__metadata__\":{\"format\":\"pt\"},"                                                       \
    "\"half\":{\"dtype\":\"F16\",\"shape\":[3],\"data_offsets\":[24,30]},"                         \
    "\"matrix\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"                      \
    "\"nothing\":{\"dtype\":\"I32\",\"shape\":[0,5],\"data_offsets\":[30,30]},"                    \
    "\"scalar\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[30,38]}} "

static void reads_what_is_there(void **state)
{
    (void)state;
    qm_text file = {0};
    float matrix[6] = {1, 2, 3, 4, 5, 6};
    char data[38];
    memcpy(data, matrix, sizeof matrix);
    memcpy(data + 24, "\x00\x3c\x00\x40\x00\x44\x07\0\0\0\0\0\0\0", 14);
    add_safetensors(&file, GOOD_HEADER, data, sizeof data);
    copy c;
    assert_int_equal(open_copy(&c, file.data, file.size), QUAMBA_OK);
    assert_string_equal(qm_source_format(c.source), "safetensors");
    assert_string_equal(qm_source_path(c.source), "mem");
    assert_null(qm_source_config(c.source));
    assert_string_equal(json_string_value(json_object_get(qm_source_metadata(c.source), "format")),
                        "pt");
    assert_int_equal(qm_source_count(c.source), 4);
    assert_string_equal(qm_source_at(c.source, 0)->name, "half");
    assert_null(qm_source_find(c.source, "absent"));
    assert_null(qm_source_find(c.source, "__metadata__"));

    const qm_tensor *t = qm_source_find(c.source, "matrix");
    char text[192];
    assert_string_equal(qm_tensor_describe(t, text), "f32 [2, 3]");
    assert_int_equal(t->stride[0], 3);
    assert_int_equal(t->stride[1], 1);
    assert_true(qm_tensor_is_contiguous(t));
    assert_memory_equal(t->data, matrix, sizeof matrix);

    t = qm_source_find(c.source, "nothing");
    assert_int_equal(qm_tensor_count(t), 0);
    assert_null(t->data);
    t = qm_source_find(c.source, "scalar");
    assert_int_equal(t->ndim, 0);
    assert_int_equal(qm_tensor_count(t), 1);
    assert_string_equal(qm_tensor_describe(t, text), "i64 []");
    int64_t seven;
    qm_tensor_copy(t, &seven);
    assert_int_equal(seven, 7);
    close_copy(&c);

    expect_truncations_refused(&file);
    survive_flips(&file);
    qm_text_add(&file, "x", 1);
    expect_refusal(file.data, file.size, QUAMBA_E_FORMAT, "1 bytes behind the last tensor");
    qm_text_free(&file);
}

static void refuses_bad_headers(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t n_data;
        quamba_status status;
        const char *word;
    } cases[] = {
#define T(fields) "{\"t\":{" fields "}}"
        {"[]",                                                                             0, QUAMBA_E_FORMAT,      "not a JSON object"                                 },
        {"{\"t\":3}",                                                                      0, QUAMBA_E_FORMAT,      "tensor: t: no string \"dtype\""                    },
        {"{\"t\":{}}",                                                                     0, QUAMBA_E_FORMAT,      "no string \"dtype\""                               },
        {"{",                                                                              0, QUAMBA_E_FORMAT,      "not valid JSON"                                    },
        {"{} {}",                                                                          0, QUAMBA_E_FORMAT,      "not valid JSON"                                    },
        {T("\"dtype\":\"F8_E5M2\",\"shape\":[1],\"data_offsets\":[0,1]"),                  1, QUAMBA_E_UNSUPPORTED,
                                                "t: type \"F8_E5M2\""                                                                                                                                          },
        {T("\"dtype\":\"F32\",\"data_offsets\":[0,4]"),                                    4, QUAMBA_E_FORMAT,      "no array \"shape\""                                },
        {T("\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]"),                     4, QUAMBA_E_FORMAT,
                                                "dimension 0"                                                                                                                                                  },
        {T("\"dtype\":\"F32\",\"shape\":[1,1.5],\"data_offsets\":[0,4]"),                  4, QUAMBA_E_FORMAT,
                                                "dimension 1"                                                                                                                                                  },
        {T("\"dtype\":\"F32\",\"shape\":[4611686018427387905],\"data_offsets\":[0,4]"),    4,
                                                QUAMBA_E_FORMAT,                                                                                           "does not fit"                                      }, /* times 4 wraps to 4 */
        {T("\"dtype\":\"I8\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]"),   0,
                                                QUAMBA_E_FORMAT,                                                                                           "does not fit"                                      },
        {T("\"dtype\":\"I8\",\"shape\":[0,4294967296,4294967296],\"data_offsets\":[0,0]"), 0,
                                                QUAMBA_E_FORMAT,                                                                                           "does not fit"                                      },
        {T("\"dtype\":\"I8\",\"shape\":[99999999999999999999],\"data_offsets\":[0,0]"),    0,
                                                QUAMBA_E_FORMAT,                                                                                           "JSON"                                              },
        {T("\"dtype\":\"I8\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]"),       1,
                                                QUAMBA_E_UNSUPPORTED,                                                                                      "9 dimensions"                                      },
        {T("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]"),                        4, QUAMBA_E_FORMAT,
                                                "data_offsets"                                                                                                                                                 },
        {T("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]"),                    4, QUAMBA_E_FORMAT,
                                                "data_offsets"                                                                                                                                                 },
        {T("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]"),                     4, QUAMBA_E_FORMAT,
                                                "data_offsets"                                                                                                                                                 },
        {T("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]"),                      4, QUAMBA_E_FORMAT,
                                                "data_offsets"                                                                                                                                                 },
        {T("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,8]"),                      4, QUAMBA_E_FORMAT,
                                                "end at 8 but the file has 4"                                                                                                                                  },
        {T("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]"),                      4, QUAMBA_E_FORMAT,
                                                "needs 8 bytes, the file gives it 4"                                                                                                                           },
        {T("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]"),                      8, QUAMBA_E_FORMAT,
                                                "leaving a gap"                                                                                                                                                },
        {"{\"a\":{\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[0,4]},"
         "\"b\":{\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[2,6]}}",        6, QUAMBA_E_FORMAT,      "\"b\" begins at byte 2 of the data, inside another"},
        {"{\"a\":{\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[0,4]},"
         "\"a\":{\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[4,8]}}",        8, QUAMBA_E_FORMAT,      "duplicate"                                         },
        {"{\"__metadata__\":[]}",                                                          0, QUAMBA_E_FORMAT,      "__metadata__"                                      },
        {"{\"__metadata__\":{\"a\":1}}",                                                   0, QUAMBA_E_FORMAT,      "\"a\" is not a string"                             },
#undef T
    };
    for (size_t i = 0; i < QM_COUNT(cases); i++) {
        qm_text file = {0};
        add_safetensors(&file, cases[i].header, "0123456789", cases[i].n_data);
        expect_refusal(file.data, file.size, cases[i].status, cases[i].word);
        qm_text_free(&file);
    }
}

static void refuses_bad_lengths(void **state)
{
    (void)state;
    static const uint64_t lengths[] = {3, 1000, 100000001, (uint64_t)1 << 62, UINT64_MAX};
    for (size_t i = 0; i < QM_COUNT(lengths); i++) {
        qm_text file = {0};
        add_safetensors(&file, "{}", "", 0);
        set_number(&file, 0, lengths[i], 8);
        expect_refusal(file.data, file.size, QUAMBA_E_FORMAT, "the header is said to have");
        qm_text_free(&file);
    }
    qm_text deep = {0};
    add_number(&deep, 200000, 8);
    ADD(&deep, "{\"t\":");
    while (deep.size < 200008)
        ADD(&deep, "[");
    expect_refusal(deep.data, deep.size, QUAMBA_E_FORMAT, "JSON");
    qm_text_free(&deep);
}

/* Names from the file are quoted in messages; they must not break the line. */
static void messages_are_one_line(void **state)
{
    (void)state;
    qm_text file = {0};
    copy c;
    add_safetensors(&file, "{\"a\\n\\u001b[31mb\":{\"dtype\":\"X\"}}", "", 0);
    assert_int_equal(open_copy(&c, file.data, file.size), QUAMBA_E_UNSUPPORTED);
    assert_non_null(strstr(c.err.message, "a??[31mb"));
    close_copy(&c);
    qm_text_free(&file);
}

static void writes_aligned_without_gaps(void **state)
{
    (void)state;
    char path[] = "/tmp/quamba-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    /* stored transposed, as [3][2] */
    static const int16_t transposed[6] = {1, 4, 2, 5, 3, 6};
    static const float big[64] = {1, 2, 3}, odd[5] = {5}, number = 0.5f;
    static const int8_t one = 1;
    const qm_tensor tensors[] = {
        {.name = "one",    .dtype = QM_I8,  .ndim = 1,            .shape = {1},    .stride = {1},    .data = &one},
        {.name = "odd",    .dtype = QM_F32, .ndim = 1,            .shape = {5},    .stride = {1},    .data = odd },
        {.name = "turned",
         .dtype = QM_I16,
         .ndim = 2,
         .shape = {2, 3},
         .stride = {1, 2},
         .data = transposed                                                                                      },
        {.name = "big",    .dtype = QM_F32, .ndim = 2,            .shape = {8, 8}, .stride = {8, 1}, .data = big },
        {.name = "none",   .dtype = QM_F64, .ndim = 1,            .shape = {0},    .stride = {1}   },
        {.name = "scale", .dtype = QM_F32, .data = &number, .python_float = true               },
        {.name = "bigger",
         .dtype = QM_F32,
         .ndim = 2,
         .shape = {8, 8},
         .stride = {8, 1},
         .data = big            },
    };
    quamba_error err;
    assert_int_equal(qm_safetensors_write(path, tensors, QM_COUNT(tensors), NULL, &err), QUAMBA_OK);
    qm_source *source;
    assert_int_equal(qm_source_open(&source, path, &err), QUAMBA_OK);
    assert_int_equal(qm_source_count(source), QM_COUNT(tensors));
    for (size_t i = 0; i < QM_COUNT(tensors); i++) {
        const qm_tensor *want = &tensors[i], *t = qm_source_find(source, want->name);
        assert_non_null(t);
        assert_int_equal(t->dtype, want->dtype);
        assert_int_equal(t->ndim, want->ndim);
        assert_memory_equal(t->shape, want->shape, sizeof t->shape);
        assert_true(qm_tensor_is_contiguous(t));
        assert_int_equal(t->python_float, want->python_float);
        uint64_t align = qm_tensor_bytes(t) % 64 == 0 ? 64 : qm_dtype_size(t->dtype);
        assert_int_equal((uintptr_t)t->data % align, 0);
        char got[256], expected[256];
        qm_tensor_copy(t, got);
        qm_tensor_copy(want, expected);
        assert_memory_equal(got, expected, qm_tensor_bytes(t));
    }
    assert_memory_equal(qm_source_find(source, "turned")->data, "\1\0\2\0\3\0\4\0\5\0\6\0", 12);
    assert_true(qm_source_find(source, "turned")->column_major);
    assert_false(qm_source_find(source, "big")->column_major);
    qm_source_close(&source);

    const qm_tensor twice[] = {tensors[0], tensors[0]};
    assert_int_equal(qm_safetensors_write(path, twice, 2, NULL, &err), QUAMBA_E_ARGUMENT);
    qm_tensor reserved = tensors[0];
    reserved.name = "__metadata__";
    assert_int_equal(qm_safetensors_write(path, &reserved, 1, NULL, &err), QUAMBA_E_ARGUMENT);
    assert_int_equal(qm_source_open(&source, path, &err), QUAMBA_OK); /* the old file stays */
    qm_source_close(&source);
    assert_int_equal(qm_safetensors_write(path, NULL, 0, NULL, &err), QUAMBA_OK);
    assert_int_equal(qm_source_open(&source, path, &err), QUAMBA_OK);
    assert_int_equal(qm_source_count(source), 0);
    qm_source_close(&source);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_is_there),         cmocka_unit_test(refuses_bad_headers),
        cmocka_unit_test(refuses_bad_lengths),         cmocka_unit_test(messages_are_one_line),
        cmocka_unit_test(writes_aligned_without_gaps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
