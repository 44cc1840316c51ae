/* Record files: written line by line, resumed, torn, foreign. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "eval/records.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[] = "/tmp/quamba_records_XXXXXX";

static quamba_status count(void *user, const json_t *record, quamba_error *err)
{
    int64_t id = -1;
    quamba_status status = qm_json_int(record, "doc_id", 0, 100, &id, err);
    if (status == QUAMBA_OK && id != *(int64_t *)user)
        return qm_fail(err, QUAMBA_E_FORMAT, 0, "out of order");
    ++*(int64_t *)user;
    return status;
}

static quamba_status open_run(qm_records **r, int fewshot, bool resume, bool overwrite,
                              int64_t *n_kept, quamba_error *err)
{
    json_t *header = json_pack("{si ss si sI}", "quamba_eval", 1, "file", resume ? "b" : "a",
                               "fewshot", fewshot, "n_items", (json_int_t)3);
    *n_kept = 0;
    qm_records_options o = {.path = path,
                            .header = header,
                            .n_items = 3,
                            .resume = resume,
                            .overwrite = overwrite,
                            .each = count,
                            .user = n_kept};
    quamba_status status = qm_records_open(r, &o, err);
    json_decref(header);
    return status;
}

static void append(qm_records *r, int64_t id)
{
    json_t *record =
        json_pack("{sI sf}", "doc_id", (json_int_t)id, "loglik", -0.1 - (double)id / 3.0);
    assert_int_equal(qm_records_append(r, record, NULL), QUAMBA_OK);
    json_decref(record);
}

/* The whole file, 0-terminated. */
static const char *contents(void)
{
    static char text[2048];
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

static void put(const char *text)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static const char header[] = "{\"quamba_eval\":1,\"file\":\"a\",\"fewshot\":0,\"n_items\":3}\n";

static void test_resume(void **state)
{
    (void)state;
    qm_records *r = NULL, *second = NULL;
    quamba_error err = {0};
    int64_t kept;
    char whole[2048];
    unlink(path);
    assert_int_equal(open_run(&r, 0, true, false, &kept, &err), QUAMBA_OK); /* nothing there yet */
    qm_records_close(&r);
    assert_int_equal(open_run(&r, 0, false, false, &kept, &err), QUAMBA_OK); /* no item yet */
    assert_string_equal(contents(), header);
    for (int64_t i = 0; i < 3; i++)
        append(r, i);
    assert_int_equal(open_run(&second, 0, true, false, &kept, &err), QUAMBA_E_IO);
    assert_non_null(strstr(err.message, "another run"));
    qm_records_close(&r);
    strcpy(whole, contents());
    assert_non_null(strstr(whole, "{\"doc_id\":2,\"loglik\":-0.76666666666666661}\n"));

    /* Cut anywhere after the header, a resume leads to the same bytes. */
    for (size_t cut = sizeof header - 1; cut <= strlen(whole); cut++) {
        char part[2048];
        snprintf(part, sizeof part, "%.*s", (int)cut, whole);
        put(part);
        assert_int_equal(open_run(&r, 0, true, false, &kept, &err), QUAMBA_OK);
        for (int64_t i = kept; i < 3; i++)
            append(r, i);
        qm_records_close(&r);
        assert_string_equal(contents(), whole);
    }
    for (size_t cut = 0; cut < sizeof header - 1; cut++) { /* a torn header is a fresh start */
        char part[2048];
        snprintf(part, sizeof part, "%.*s", (int)cut, whole);
        put(part);
        assert_int_equal(open_run(&r, 0, true, false, &kept, &err), QUAMBA_OK);
        assert_int_equal(kept, 0);
        qm_records_close(&r);
    }
    /* A finished run is replaced. */
    put(whole);
    assert_int_equal(open_run(&r, 5, false, false, &kept, &err), QUAMBA_OK);
    qm_records_close(&r);
    assert_null(strstr(contents(), "doc_id"));
}

/* Everything that must be refused, and then leaves the file as it was. */
static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int fewshot;
        bool resume, overwrite;
        quamba_status status;
        const char *why;
    } cases[] = {
        {"H{\"doc_id\":0}\n",                                                 0, false, false, QUAMBA_E_ARGUMENT, "1 of 3 items"       },
        {"H{\"doc_id\":0}\n",                                                 5, true,  false, QUAMBA_E_ARGUMENT, "made with fewshot 0"},
        {"H{\"doc_id\":1}\n",                                                 0, true,  false, QUAMBA_E_FORMAT,   ":2: out of order"   },
        {"H{\"doc_id\":0}\n{\"doc\n{\"doc_id\":1}\n",                         0, true,  false, QUAMBA_E_FORMAT,   ":3: not"            },
        {"H{\"doc_id\":0}\n{\"doc_id\":1}\n{\"doc_id\":2}\n{\"doc_id\":3}\n", 0, true,  false,
         QUAMBA_E_FORMAT,                                                                                         "holds 4 records"    },
        {"my diary\n",                                                        0, false, false, QUAMBA_E_ARGUMENT, "not a record file"  },
        {"my diary\n",                                                        0, true,  true,  QUAMBA_E_ARGUMENT, "not a record file"  },
        {"x",                                                                 0, false, true,  QUAMBA_E_ARGUMENT, "not a record file"  },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        qm_records *r = NULL;
        quamba_error err = {0};
        int64_t kept;
        char text[2048];
        bool own = cases[i].text[0] == 'H';
        snprintf(text, sizeof text, "%s%s", own ? header : "", cases[i].text + own);
        put(text);
        quamba_status status =
            open_run(&r, cases[i].fewshot, cases[i].resume, cases[i].overwrite, &kept, &err);
        if (status != cases[i].status || !strstr(err.message, cases[i].why))
            fail_msg("case %zu: status %d, \"%s\"", i, status, err.message);
        assert_null(r);
        assert_string_equal(contents(), text);
    }
    qm_records *r = NULL;
    int64_t kept;
    char text[2048];
    snprintf(text, sizeof text, "%s{\"doc_id\":0}\nbroken\n{}\n", header);
    put(text);
    assert_int_equal(open_run(&r, 5, false, true, &kept, NULL), QUAMBA_OK); /* overwrite */
    qm_records_close(&r);
    assert_null(strstr(contents(), "doc_id"));
}

static int make_path(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_path(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_resume),
                                       cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, make_path, remove_path);
}
