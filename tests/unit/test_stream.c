/* Streaming: whatever the pieces, what is shown never holds a stop text or half a character. */
#include "base/mem.h"
#include "cli/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* Feeds text in pieces of n bytes and checks at each step that only wanted text was shown; returns
 * the number of bytes shown before the end. */
static size_t feed(const char *text, size_t n, const char *const *stops, size_t n_stops,
                   const char *wanted, bool stopped)
{
    qc_stream stream = {.stops = stops, .n_stops = n_stops};
    for (size_t at = 0; at < strlen(text) && !stream.stopped; at += n) {
        size_t rest = strlen(text) - at;
        qc_stream_add(&stream, text + at, rest < n ? rest : n);
        stream.shown += qc_stream_ready(&stream, false);
        assert_true(stream.shown <= strlen(wanted));
        assert_memory_equal(stream.text.data, wanted, stream.shown);
    }
    size_t shown = stream.shown;
    stream.shown += qc_stream_ready(&stream, true);
    assert_int_equal(stream.shown, strlen(wanted));
    if (stream.shown > 0) assert_memory_equal(stream.text.data, wanted, stream.shown);
    assert_int_equal(stream.stopped, stopped);
    qc_stream_free(&stream);
    return shown;
}

#define FEED(text, wanted, stopped, ...)                                                           \
    for (size_t n = 1; n < 40; n++)                                                                \
    feed((text), n, (const char *const[]){__VA_ARGS__},                                            \
         QM_COUNT(((const char *const[]){__VA_ARGS__})), (wanted), (stopped))

static void stop_texts(void **state)
{
    (void)state;
    FEED("one two three", "one ", true, "two");
    FEED("one two three", "one two three", false, "four");
    FEED("one two thr", "one two thr", false, "three"); /* held back, then shown at the end */
    FEED("aaab", "", true, "aaab");
    FEED("aaaab", "a", true, "aaab"); /* the false start does not hide the true one */
    FEED("ababac", "ab", true, "abac");
    FEED("x\n\ny", "x", true, "three", "\n\n");
    FEED("one two", "", true, "two", "one");  /* the first in the text, not in the list */
    FEED("a two two two", "a ", true, "two"); /* several in one piece */
    FEED("abcd", "a", true, "bcd", "bc");
    FEED("", "", false, "x");
    FEED("xyz", "", true, "x");
}

static void complete_characters(void **state)
{
    (void)state;
    const char *text = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z";
    for (size_t n = 1; n < 12; n++)
        feed(text, n, NULL, 0, text, false);
    qc_stream stream = {0};
    static const size_t ready[] = {1, 0, 2, 0, 0, 3, 0, 0, 0, 4, 1};
    for (size_t i = 0; i < QM_COUNT(ready); i++) {
        qc_stream_add(&stream, text + i, 1);
        assert_int_equal(qc_stream_ready(&stream, false), ready[i]);
        stream.shown += ready[i];
    }
    qc_stream_free(&stream);
    /* An end inside a character is shown in the end; bytes that begin none are not held. */
    assert_int_equal(feed("ab\xe2\x82", 1, NULL, 0, "ab\xe2\x82", false), 2);
    assert_int_equal(feed("ab\xff", 1, NULL, 0, "ab\xff", false), 3);
    assert_int_equal(feed("a\x80\x80\x80\x80", 1, NULL, 0, "a\x80\x80\x80\x80", false), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stop_texts),
        cmocka_unit_test(complete_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
