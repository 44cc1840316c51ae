/* Ctrl-C: a flag first, the end second. */
#include "cli/cli.h"

#include <signal.h>

/* A signal handler can reach nothing but a static object. */
static volatile sig_atomic_t interrupted;

static void on_signal(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

void qc_catch_interrupts(void)
{
    /* SA_RESETHAND makes the second signal end the process the system's way, so that a parent sees
     * what happened; SA_RESTART keeps a write to the terminal from failing half way. */
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND | SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool qc_interrupted(void) { return interrupted != 0; }
