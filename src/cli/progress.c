/* Progress on stderr: one line that is redrawn on a terminal, plain lines elsewhere.  No escape
 * sequences: a line is taken away by writing blanks over it, which every terminal understands. */
#include "cli/frame.h"

#include "base/text.h"

#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* Columns of the bar that stands on the terminal's last line.  The terminal has one such line, and
 * messages, which know no qc_progress, must not be printed behind it. */
static size_t shown_columns;

double qc_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

const char *qc_duration(double seconds, char out[32])
{
    if (!(seconds > 0)) seconds = 0;
    if (seconds < 9.95) {
        snprintf(out, 32, "%.1fs", seconds);
    } else if (seconds < 59.5) {
        snprintf(out, 32, "%.0fs", seconds);
    } else if (seconds < 3599.5) {
        int whole = (int)(seconds + 0.5);
        snprintf(out, 32, "%dm%02ds", whole / 60, whole % 60);
    } else if (seconds < 1e9) {
        int64_t minutes = (int64_t)(seconds / 60 + 0.5);
        snprintf(out, 32, "%" PRId64 "h%02dm", minutes / 60, (int)(minutes % 60));
    } else {
        snprintf(out, 32, "for ever");
    }
    return out;
}

void qc_progress_hide(void)
{
    if (shown_columns == 0) return;
    fprintf(stderr, "\r%*s\r", (int)shown_columns, "");
    shown_columns = 0;
}

static size_t terminal_columns(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
    return 80;
}

/* Cuts text after n characters of UTF-8 and returns how many are left. */
static size_t cut(qm_text *text, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < text->size; i++) {
        if (((unsigned char)text->data[i] & 0xc0u) == 0x80u) continue;
        if (count == n) {
            text->data[text->size = i] = '\0';
            break;
        }
        count++;
    }
    return count;
}

static void add_rate(qm_text *line, const qc_progress *p, double now)
{
    char left[32];
    double seconds = now - p->started;
    if (p->done <= p->first || seconds < 0.2) return; /* nothing to judge by yet */
    double rate = (double)(p->done - p->first) / seconds;
    if (rate >= 0.95)
        qm_text_printf(line, rate < 100 ? "  %.1f/s" : "  %.0f/s", rate);
    else
        qm_text_printf(line, "  %.1fs each", 1 / rate);
    if (p->total > p->done)
        qm_text_printf(line, "  %s left", qc_duration((double)(p->total - p->done) / rate, left));
    else if (p->total > 0)
        qm_text_printf(line, "  %s", qc_duration(seconds, left));
}

/* Everything of the line but the bar itself, which stands behind the first *at bytes. */
static void describe(qm_text *line, size_t *at, const qc_progress *p, const char *note, double now)
{
    qm_text_puts(line, p->label);
    if (p->total > 0) {
        double share = (double)p->done / (double)p->total;
        qm_text_printf(line, "  %3d%%", (int)(share * 100));
    }
    *at = line->size;
    qm_text_printf(line, " %" PRIu64, p->done);
    if (p->total > 0) qm_text_printf(line, "/%" PRIu64, p->total);
    add_rate(line, p, now);
    if (note != NULL && note[0] != '\0') qm_text_printf(line, "  %s", note);
}

/* A bar of width columns, brackets included. */
static void add_bar(qm_text *out, const qc_progress *p, size_t width)
{
    size_t inner = width - 2;
    size_t full = (size_t)((double)p->done / (double)p->total * (double)inner);
    if (full > inner) full = inner;
    qm_text_puts(out, " [");
    for (size_t i = 0; i < inner; i++)
        qm_text_puts(out, i < full ? "=" : i == full ? ">" : " ");
    qm_text_puts(out, "]");
}

static void draw(qc_progress *p, const char *note, double now)
{
    qm_text line = {0}, whole = {0};
    size_t at = 0;
    describe(&line, &at, p, note, now);
    size_t columns = terminal_columns() - 1; /* the last column would make some terminals wrap */
    size_t used = line.failed ? 0 : cut(&line, p->lines ? SIZE_MAX : columns);
    if (line.failed) {
        qm_text_free(&line);
        return; /* progress is not worth a failure */
    }
    size_t room = columns > used ? columns - used : 0;
    size_t width = room > 32 ? 30 : room > 22 ? 20 : 10; /* in steps, so that it rarely jumps */
    if (!p->lines && p->total > 0 && room > 12) {
        qm_text_add(&whole, line.data, at);
        add_bar(&whole, p, width);
        qm_text_puts(&whole, line.data + at);
    } else {
        qm_text_add(&whole, line.data, line.size);
    }
    if (!whole.failed && p->lines) {
        fprintf(stderr, "%s\n", whole.data);
    } else if (!whole.failed) {
        size_t drawn = cut(&whole, columns);
        int blanks = shown_columns > drawn ? (int)(shown_columns - drawn) : 0;
        fprintf(stderr, "\r%s%*s", whole.data, blanks, "");
        shown_columns = drawn;
    }
    fflush(stderr);
    qm_text_free(&line);
    qm_text_free(&whole);
}

void qc_progress_start(qc_progress *p, const qc_options *opt, const char *label, uint64_t total,
                       uint64_t done_before)
{
    bool terminal = isatty(STDERR_FILENO) != 0, always = strcmp(opt->progress, "always") == 0;
    *p = (qc_progress){.shown = always ||
                                (strcmp(opt->progress, "auto") == 0 && terminal && !opt->quiet),
                       .lines = !terminal,
                       .label = label,
                       .total = total,
                       .started = qc_now(),
                       .first = done_before,
                       .done = done_before};
}

void qc_progress_update(qc_progress *p, uint64_t done, const char *note)
{
    p->done = done;
    if (!p->shown) return;
    double now = qc_now();
    if (done != p->total && now - p->last < (p->lines ? 1.0 : 0.1)) return;
    p->last = now;
    draw(p, note, now);
}

void qc_progress_finish(qc_progress *p)
{
    if (p->shown) qc_progress_hide();
    p->shown = false;
}
