/* The scan alone, in cycles, beside the floor that its exponentials set. */
#include "judge.h"

#include <stdio.h>
#include <stdlib.h>

enum { CHANNELS = 384, STATES = 16, TOKENS = 128, N_EXP = 4096, N_RUNS = 31, N_FIGURES = 5 };

/* Cycles per second right now: a chain of additions, each waiting for the last, takes one cycle
 * each on every processor that has these kernels.  Counters that tick at a rate of their own
 * (rdtsc) know nothing of the clock that the core runs at. */
static double cycles_per_second(void)
{
    enum { LOOPS = 4000, CHAIN = 16 };
    uint64_t sum = 0;
    double best = 0.0;
    for (int run = 0; run < 3; run++) {
        const double start = judge_now();
        for (int i = 0; i < LOOPS; i++) {
#if QM_ARCH_X86_64
#define ADD "add %1, %0\n\t"
            __asm__ volatile(ADD ADD ADD ADD ADD ADD ADD ADD ADD ADD ADD ADD ADD ADD ADD ADD
                             : "+r"(sum)
                             : "r"((uint64_t)i));
#elif QM_ARCH_AARCH64
#define ADD "add %0, %0, %1\n\t"
            __asm__ volatile(ADD ADD ADD ADD ADD ADD ADD ADD ADD ADD ADD ADD ADD ADD ADD ADD
                             : "+r"(sum)
                             : "r"((uint64_t)i));
#endif
        }
        const double rate = LOOPS * CHAIN / (judge_now() - start);
        if (rate > best) best = rate; /* an interruption only makes it slower */
    }
    return best;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Inputs as a trained model has them: decays below 1, so that nothing grows or dies out. */
static qm_scan_f32_args arguments(judge *j)
{
    enum { N = TOKENS * CHANNELS };
    float *delta = judge_floats(j, 1, N, RANDOM),
          *a = judge_floats(j, 2, STATES * CHANNELS, RANDOM);
    for (size_t i = 0; i < N; i++)
        delta[i] = 0.05f + 0.04f * delta[i];
    for (size_t i = 0; i < STATES * CHANNELS; i++)
        a[i] = -8.0f + 7.0f * a[i];
    qm_scan_f32_args args = {.u = judge_floats(j, 0, N, RANDOM),
                             .delta = delta,
                             .a = a,
                             .b = judge_floats(j, 3, TOKENS * STATES * 2, RANDOM),
                             .d = judge_floats(j, 4, CHANNELS, RANDOM),
                             .h = judge_floats(j, 5, STATES * CHANNELS, RANDOM),
                             .y = judge_buffer(j, 6, N * sizeof(float)),
                             .ld_y = CHANNELS,
                             .ld_u = CHANNELS,
                             .ld_delta = CHANNELS,
                             .ld_bc = 2 * STATES,
                             .ld_state = CHANNELS,
                             .n_rows = TOKENS,
                             .n = CHANNELS,
                             .d_state = STATES};
    args.c = args.b + STATES;
    return args;
}

static void report(judge *j, const char *name)
{
    const qm_kernels k = qm_kernels_select((uint32_t)qm_cpu_select(name));
    qm_scan_f32_fn *const scans[] = {k.scan_f32, k.scan_ref_f32, k.scan_se_f32, k.scan_mamba_f32};
    const qm_scan_f32_args args = arguments(j);
    const float *x = judge_floats(j, 7, N_EXP, RANDOM);
    double cycles[N_FIGURES][N_RUNS], ghz[N_RUNS];
    volatile float sum = 0.0f;             /* keeps the calls */
    for (int run = 0; run < N_RUNS; run++) /* by turns: what disturbs one disturbs all */
        for (int f = 0; f < N_FIGURES; f++) {
            const double rate = cycles_per_second(), start = judge_now();
            if (f > 0)
                scans[f - 1](&args);
            else
                for (int i = 0; i < 16; i++)
                    sum = sum + k.sum_exp_f32(x, 1.0f, N_EXP);
            const double n = f > 0 ? (double)CHANNELS * STATES * TOKENS : 16.0 * N_EXP;
            cycles[f][run] = (judge_now() - start) * rate / n;
            ghz[run] = rate * 1e-9;
        }
    for (int f = 0; f < N_FIGURES; f++)
        qsort(cycles[f], N_RUNS, sizeof cycles[f][0], compare);
    qsort(ghz, N_RUNS, sizeof ghz[0], compare);
    printf("%-12s", name);
    for (int f = 0; f < N_FIGURES; f++)
        printf("  %6.2f (%5.2f)", cycles[f][N_RUNS / 2], cycles[f][0]);
    printf("  %5.2f GHz\n", ghz[N_RUNS / 2]);
}

void judge_scan_cycles(judge *j)
{
    j->at_front = false;
    j->state = j->seed;
    printf("\ncycles per channel, state and token, median (best) of %d; %d channels, %d states, %d "
           "tokens\nexp: per element of sum_exp_f32, the floor\n%-12s  %-14s  %-14s  %-14s  %-14s  "
           "%s\n",
           N_RUNS, CHANNELS, STATES, TOKENS, "", "exp", "scan_f32", "scan_ref_f32", "scan_se_f32",
           "scan_mamba_f32");
#define QM_ROW(flags, name)                                                                        \
    if (qm_cpu_select(name) >= 0) report(j, name);
    QM_ISA_LIST(QM_ROW)
#undef QM_ROW
    printf("\n");
}
