/* Streaming with stop texts. */
#include "cli/stream.h"

#include <string.h>

/* Where the first stop text begins that ends behind byte old_size; SIZE_MAX when there is none. */
static size_t find_stop(const qc_stream *stream, size_t old_size)
{
    size_t first = SIZE_MAX;
    for (size_t k = 0; k < stream->n_stops; k++) {
        size_t n = strlen(stream->stops[k]);
        size_t begin = old_size >= n ? old_size - n + 1 : 0;
        for (size_t at = begin; at + n <= stream->text.size && at < first; at++)
            if (memcmp(stream->text.data + at, stream->stops[k], n) == 0) first = at;
    }
    return first;
}

void qc_stream_add(qc_stream *stream, const char *bytes, size_t n_bytes)
{
    size_t old_size = stream->text.size;
    if (stream->stopped || n_bytes == 0) return;
    qm_text_add(&stream->text, bytes, n_bytes);
    if (stream->text.failed) return;
    size_t first = find_stop(stream, old_size);
    if (first == SIZE_MAX) return;
    stream->stopped = true;
    stream->text.size = first;
    stream->text.data[first] = '\0';
}

/* Longest end of the text that begins some stop text. */
static size_t held_for_stop(const qc_stream *stream)
{
    size_t held = 0;
    for (size_t k = 0; k < stream->n_stops; k++) {
        size_t n = strlen(stream->stops[k]) - 1;
        if (n > stream->text.size) n = stream->text.size;
        while (n > held && memcmp(stream->text.data + stream->text.size - n, stream->stops[k], n))
            n--;
        if (n > held) held = n;
    }
    return held;
}

/* Bytes at the end of text[n] that begin a UTF-8 character and do not end it. */
static size_t incomplete(const char *text, size_t n)
{
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        unsigned char byte = (unsigned char)text[n - back];
        if ((byte & 0xc0u) == 0x80u) continue;
        size_t length = byte >= 0xf0u ? 4 : byte >= 0xe0u ? 3 : byte >= 0xc0u ? 2 : 1;
        return length > back && byte <= 0xf4u ? back : 0;
    }
    return 0;
}

size_t qc_stream_ready(const qc_stream *stream, bool at_end)
{
    size_t end = stream->text.size;
    if (end == stream->shown) return 0;
    if (!at_end && !stream->stopped) {
        end -= held_for_stop(stream);
        end -= incomplete(stream->text.data, end);
    }
    return end > stream->shown ? end - stream->shown : 0;
}

void qc_stream_free(qc_stream *stream)
{
    qm_text_free(&stream->text);
    *stream = (qc_stream){0};
}
