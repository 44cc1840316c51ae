#include "base/status.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *quamba_status_text(quamba_status status)
{
    switch (status) {
#define QM_TEXT(name, value, text)                                                                 \
    case QUAMBA_##name:                                                                            \
        return text;
        QUAMBA_STATUS_LIST(QM_TEXT)
#undef QM_TEXT
    }
    return "unknown status";
}

const char *quamba_version(void) { return QUAMBA_VERSION; }

/* Names from files go into messages: a line stays a line and a terminal is left alone. */
static void mask_control_characters(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 32 || *text == 127) *text = '?';
}

quamba_status qm_fail(quamba_error *err, quamba_status status, uint64_t position,
                      const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
        mask_control_characters(err->message);
        err->status = status;
        err->position = position;
    }
    return status;
}

quamba_status qm_fail_in(quamba_error *err, quamba_status status, const char *prefix)
{
    if (err) {
        char inner[sizeof err->message];
        memcpy(inner, err->message, sizeof inner);
        inner[sizeof inner - 1] = '\0';
        /* A very long path must not push the reason out of the message. */
        snprintf(err->message, sizeof err->message, "%.300s: %.690s", prefix, inner);
        mask_control_characters(err->message);
        err->status = status;
    }
    return status;
}

quamba_status qm_fail_memory(quamba_error *err, uint64_t size_bytes, const char *what)
{
    return qm_fail(err, QUAMBA_E_NOMEM, 0, "out of memory: %" PRIu64 " bytes for %s", size_bytes,
                   what);
}
