/* The page of a comparison holds its document unchanged, whatever text is in it. */
#include "base/file.h"
#include "base/json.h"
#include "cli/compare_page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/quamba-compare-page-XXXXXX";

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) != NULL ? 0 : -1;
}
static int remove_dir(void **state)
{
    (void)state;
    return rmdir(dir);
}

/* The page of a document whose one run has that name; its bytes, malloced, 0-terminated. */
static char *page_of(const json_t *document)
{
    char *path = qm_path_join(dir, "page.html"), *copy;
    quamba_error err;
    qm_map map;
    assert_non_null(path);
    assert_int_equal(qc_compare_page_write(path, document, &err), QUAMBA_OK);
    assert_int_equal(qm_map_open(&map, path, &err), QUAMBA_OK);
    copy = calloc(1, map.size + 1);
    assert_non_null(copy);
    memcpy(copy, map.data, map.size);
    assert_int_equal(strlen(copy), map.size);
    qm_map_close(&map);
    assert_int_equal(remove(path), 0);
    free(path);
    return copy;
}

static void test_document_is_kept(void **state)
{
    static const char *const names[] = {
        "plain",
        "</script><script>document.title='taken'</script>",
        "<!--<script>",
        "]]> \" ' & \\ \\u003c / \b\n\t",
        "\xc3\xa9\xe2\x80\xa8\xf0\x9f\x8c\x8a @DOCUMENT@",
        "",
    };
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        json_t *document =
            json_pack("{s:[{s:s}], s:f, s:n}", "runs", "name", names[i], "value", 0.1, "nothing");
        char *page = page_of(document);
        static const char open[] = "<script type=\"application/json\" id=\"document\">";
        char *begin = strstr(page, open);
        assert_non_null(begin);
        begin += strlen(open);
        const char *end = strchr(begin, '<'); /* the first "<" after it ends the element */
        assert_non_null(end);
        assert_memory_equal(end, "</script>", 9);

        json_t *read = NULL;
        quamba_error err;
        assert_int_equal(qm_json_parse(&read, begin, (size_t)(end - begin), &err), QUAMBA_OK);
        assert_true(json_equal(read, document));
        json_decref(read);
        json_decref(document);
        free(page);
    }
}

/* Everything that the template names was put in, and nothing of it asks for another file. */
static void test_page_is_whole(void **state)
{
    (void)state;
    json_t *document = json_pack("{s:[]}", "runs");
    char *page = page_of(document);
    assert_ptr_equal(strstr(page, "<!DOCTYPE html>"), page);
    assert_non_null(strstr(page, "</html>"));
    assert_non_null(strstr(page, "function drawHeat("));
    assert_non_null(strstr(page, ".heat .name"));
    static const char *const refused[] = {"@include", "@DOCUMENT@", "http:",     "https:", "src=",
                                          "url(",     "@import",    "innerHTML", "eval("};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        assert_null(strstr(page, refused[i]));
    json_decref(document);
    free(page);
}

static void test_no_such_folder(void **state)
{
    (void)state;
    json_t *document = json_object();
    quamba_error err;
    char *path = qm_path_join(dir, "none/page.html");
    assert_non_null(path);
    assert_int_equal(qc_compare_page_write(path, document, &err), QUAMBA_E_IO);
    assert_non_null(strstr(err.message, path));
    free(path);
    json_decref(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_document_is_kept),
        cmocka_unit_test(test_page_is_whole),
        cmocka_unit_test(test_no_such_folder),
    };
    return cmocka_run_group_tests_name("compare_page", tests, make_dir, remove_dir);
}
