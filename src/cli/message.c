/* Messages on stderr, and the state of stdout. */
#include "cli/frame.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

__attribute__((format(printf, 2, 0))) static void print(const char *kind, const char *format,
                                                        va_list args)
{
    qc_progress_hide();
    fprintf(stderr, "quamba: %s", kind);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

int qc_fail(int exit_status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print("", format, args);
    va_end(args);
    return exit_status;
}

int qc_fail_error(const quamba_error *err)
{
    if (err->status == QUAMBA_E_CANCELLED) return QC_INTERRUPTED;
    const char *text = err->message[0] != '\0' ? err->message : quamba_status_text(err->status);
    return qc_fail(err->status == QUAMBA_E_ARGUMENT ? QC_USAGE : QC_FAILED, "%s", text);
}

int qc_fail_memory(void) { return qc_fail(QC_FAILED, "out of memory"); }

void qc_warn(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print("warning: ", format, args);
    va_end(args);
}

void qc_note(const qc_options *opt, const char *format, ...)
{
    if (opt->quiet) return;
    va_list args;
    va_start(args, format);
    print("", format, args);
    va_end(args);
}

int qc_finish_output(void)
{
    errno = 0;
    bool flushed = fflush(stdout) == 0;
    if (flushed && !ferror(stdout)) return QC_OK;
    /* The write that failed may have been an earlier one, whose reason is gone. */
    return qc_fail(QC_FAILED, "standard output: %s",
                   errno != 0 ? strerror(errno) : "the result could not be written");
}
