#include "judge.h"

#include "base/half.h"
#include "base/random.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { CANARY = 0xa5, CANARY_BYTES = 64 };

/* A fault names the version before it ends the program. */
static const judge *judging;

static void name_fault(int number)
{
    static const char what[] = " went outside its arrays\n";
    (void)!write(STDOUT_FILENO, judging->name, strlen(judging->name));
    (void)!write(STDOUT_FILENO, what, sizeof what - 1);
    signal(number, SIG_DFL);
    raise(number);
}

void judge_open(judge *j)
{
    judging = j;
    signal(SIGSEGV, name_fault);
    signal(SIGBUS, name_fault);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < N_SLOTS; i++) {
        unsigned char *map =
            mmap(NULL, SLOT_BYTES + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (map == MAP_FAILED || mprotect(map + page, SLOT_BYTES, PROT_READ | PROT_WRITE) != 0) {
            perror("mmap");
            exit(2);
        }
        j->slots[i] = map + page;
    }
}

uint64_t judge_random(judge *j) { return qm_splitmix64(&j->state); }

void *judge_buffer(judge *j, int slot, size_t bytes)
{
    if (bytes + CANARY_BYTES > SLOT_BYTES) {
        fprintf(stderr, "checkkern: a buffer of %zu bytes is too large\n", bytes);
        exit(2);
    }
    unsigned char *at = j->slots[slot] + (j->at_front ? 0 : SLOT_BYTES - bytes);
    memset(j->at_front ? at + bytes : at - CANARY_BYTES, CANARY, CANARY_BYTES);
    return at;
}

bool judge_canaries(const judge *j, int slot, size_t bytes)
{
    const unsigned char *at = j->slots[slot];
    at += j->at_front ? bytes : SLOT_BYTES - bytes - CANARY_BYTES;
    for (int i = 0; i < CANARY_BYTES; i++)
        if (at[i] != CANARY) {
            printf("%s: wrote %s its output\n", j->name, j->at_front ? "behind" : "before");
            return false;
        }
    return true;
}

static float value(judge *j, pattern p, size_t i)
{
    uint64_t r = judge_random(j);
    float unit = (float)(r >> 40) * 0x1p-23f - 1.0f;
    switch (p) {
    case WIDE: {
        uint32_t bits = (uint32_t)r;
        if ((bits & 0x7f800000u) == 0x7f800000u) bits ^= 0x40000000u;
        return qm_f32_bits(bits);
    }
    case ZEROS:
        return r & 1 ? 0.0f : -0.0f;
    case TINY:
        return unit * 0x1p-80f;
    case ALTERNATE:
        return i & 1 ? -1e30f : 1e30f;
    case SPECIAL:
        return r % 37 == 0   ? qm_f32_bits(0x7fc00000u)
               : r % 41 == 0 ? qm_f32_bits(0xff800000u)
                             : unit;
    default:
        return unit;
    }
}

float *judge_floats(judge *j, int slot, size_t n, pattern p)
{
    float *x = judge_buffer(j, slot, n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = value(j, p, i);
    return x;
}

uint16_t *judge_halves(judge *j, int slot, size_t n, pattern p)
{
    uint16_t *x = judge_buffer(j, slot, n * sizeof *x);
    for (size_t i = 0; i < n; i++) {
        uint16_t bits = (uint16_t)judge_random(j);
        if (p == WIDE)
            x[i] = (bits & 0x7c00u) == 0x7c00u ? (uint16_t)(bits ^ 0x4000u) : bits;
        else
            x[i] = qm_f16_f32(value(j, p, i));
    }
    return x;
}

int8_t *judge_codes(judge *j, int slot, size_t n, code_pattern p)
{
    int8_t *q = judge_buffer(j, slot, n);
    const size_t hot = n > 0 ? judge_random(j) % n : 0;
    for (size_t i = 0; i < n; i++)
        switch (p) {
        case LOWEST:
            q[i] = INT8_MIN;
            break;
        case HIGHEST:
            q[i] = INT8_MAX;
            break;
        case ALTERNATING:
            q[i] = i & 1 ? INT8_MIN : INT8_MAX;
            break;
        case NOUGHT:
        case ONE_HOT:
            q[i] = p == ONE_HOT && i == hot ? INT8_MIN : 0;
            break;
        default:
            q[i] = (int8_t)(judge_random(j) & 0xffu);
        }
    return q;
}

bool judge_equal(const judge *j, const float *want, const float *got, size_t n, const char *format,
                 ...)
{
    for (size_t i = 0; i < n; i++) {
        if (qm_bits_f32(want[i]) == qm_bits_f32(got[i])) continue;
        if (want[i] != want[i] && got[i] != got[i]) continue;
        printf("%s: element %zu: want %a, got %a (", j->name, i, (double)want[i], (double)got[i]);
        va_list args;
        va_start(args, format);
        vprintf(format, args);
        va_end(args);
        printf("); replay with --seed %llu\n", (unsigned long long)j->seed);
        return false;
    }
    return true;
}

bool judge_same(const judge *j, const void *want, const void *got, size_t size_bytes, size_t n,
                const char *format, ...)
{
    if (n == 0 || memcmp(want, got, n * size_bytes) == 0) return true;
    size_t i = 0;
    while (memcmp((const char *)want + i * size_bytes, (const char *)got + i * size_bytes,
                  size_bytes) == 0)
        i++;
    int32_t values[2];
    for (int side = 0; side < 2; side++) {
        const void *from = side ? got : want;
        values[side] = size_bytes == 1 ? ((const int8_t *)from)[i] : ((const int32_t *)from)[i];
    }
    printf("%s: element %zu: want %d, got %d (", j->name, i, values[0], values[1]);
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("); replay with --seed %llu\n", (unsigned long long)j->seed);
    return false;
}

double judge_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void judge_report(const judge *j, const char *shape, double work, const char *unit,
                  double times[31])
{
    qsort(times, 31, sizeof times[0], compare);
    printf("%-28s %-18s %10.2f us  (%.2f .. %.2f)  %8.2f %s\n", j->name, shape, times[15] * 1e6,
           times[0] * 1e6, times[30] * 1e6, work / times[15] * 1e-9, unit);
}
