/* Hashes of every quantized row on models/demo: the logits, and every edge of the first and the
 * last layer, in prefill and in decode, committed in tests/golden/modes_demo.txt; equal for every
 * instruction set and number of threads.  After a wanted change of the arithmetic
 * QUAMBA_UPDATE_GOLDEN=1 rewrites the file, and the diff is part of the review. */
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/text.h"
#include "kernels/cpu.h"
#include "runtime/edges.h"
#include "runtime/session.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "quantized_demo.h"

enum { N_PREFILL = 9, N_TOKENS = 12, FIRST = 0, LAST = 1, HEAD = 2 };

static const int32_t tokens[N_TOKENS] = {402,  1051, 17, 2933, 310,  88,
                                         1204, 3555, 9,  640,  2048, 77};

typedef struct watch {
    int32_t n_layer;
    uint64_t hashes[3][QM_N_EDGES][2]; /* first layer, last, head; prefill, steps; 0: not shown */
} watch;

static void on_edge(void *user, const quamba_view *view)
{
    watch *w = user;
    const int where = view->layer == w->n_layer       ? HEAD
                      : view->layer == 0              ? FIRST
                      : view->layer == w->n_layer - 1 ? LAST
                                                      : -1;
    if (where < 0) return;
    int32_t edge = 0;
    while (strcmp(quamba_edge_name(edge), view->edge) != 0)
        edge++;
    uint64_t *hash = &w->hashes[where][edge][view->position >= N_PREFILL];
    *hash = qm_hash64(&view->scale, sizeof view->scale, *hash);
    for (size_t r = 0; r < (size_t)view->n_rows; r++) {
        const size_t at = r * view->row_stride, n = (size_t)view->n_cols;
        *hash = view->codes ? qm_hash64(view->codes + at, n, *hash)
                            : qm_hash64(view->data + at, n * sizeof(float), *hash);
    }
}

/* One line per edge: row, layer, edge, hash of the prefill, hash of the steps. */
static void describe(qm_text *out, const quamba_model *model, const char *cpu, int32_t n_threads)
{
    static const char *const where[3] = {"first", "last", "head"};
    const quamba_session_options opt = {.cpu = cpu, .n_threads = n_threads, .max_rows = 16};
    watch w = {.n_layer = model->config.n_layer};
    quamba_session *s = NULL;
    quamba_error err;
    const float *logits;
    if (quamba_session_new(&s, model, &opt, &err) != QUAMBA_OK) fail_msg("%s", err.message);
    quamba_session_set_tap(s, on_edge, &w);
    assert_int_equal(quamba_session_prefill(s, tokens, N_PREFILL, &logits, &err), QUAMBA_OK);
    for (int i = N_PREFILL; i < N_TOKENS; i++)
        assert_int_equal(quamba_session_step(s, tokens[i], &logits, &err), QUAMBA_OK);
    quamba_session_free(&s);
    for (int k = 0; k < 3; k++)
        for (int32_t edge = 0; edge < QM_N_EDGES; edge++)
            if (w.hashes[k][edge][0] != 0)
                qm_text_printf(out, "%s %s %s %016" PRIx64 " %016" PRIx64 "\n", model->datapath->id,
                               where[k], quamba_edge_name(edge), w.hashes[k][edge][0],
                               w.hashes[k][edge][1]);
}

/* All quantized rows of the table.  A second scale, where one is calibrated, is twice the first. */
static void describe_all(qm_text *out, quamba_model *model, const char *cpu, int32_t n_threads)
{
    for (int32_t i = 0; i < model->config.n_layer; i++)
        model->layers[i].scales.u_unclipped = 2.0f * model->layers[i].scales.u;
    for (size_t i = 0; quamba_datapath_at(i); i++) {
        if (!quamba_datapath_at(i)->quantized) continue;
        model->datapath = quamba_datapath_at(i);
        describe(out, model, cpu, n_threads);
    }
}

/* The first line that differs, instead of two long files. */
static void expect_lines(const char *got, const char *want)
{
    while (*got || *want) {
        const size_t n = strcspn(got, "\n"), m = strcspn(want, "\n");
        if (n != m || memcmp(got, want, n) != 0)
            fail_msg("is  %.*s\ndue %.*s", (int)n, got, (int)m, want);
        got += n + (got[n] == '\n');
        want += m + (want[m] == '\n');
    }
}

static void test_hashes(void **state)
{
    (void)state;
    static const char *const cpus[] = {
#define QM_ROW(flags, name) name,
        QM_ISA_LIST(QM_ROW)
#undef QM_ROW
    };
    char path[1024], golden[1024];
    quamba_error err;
    quamba_model *model = NULL;
    snprintf(golden, sizeof golden, "%s/tests/golden/modes_demo.txt",
             quantized_demo_directory("QUAMBA_SOURCE_DIR"));
    quantize_demo("test-modes-golden", false, path);
    if (quamba_model_open(&model, path, NULL, &err) != QUAMBA_OK) fail_msg("%s", err.message);
    qm_text want = {0};
    if (getenv("QUAMBA_UPDATE_GOLDEN")) {
        describe_all(&want, model, "scalar", 1);
        assert_int_equal(qm_file_write(golden, want.data, want.size, &err), QUAMBA_OK);
    } else {
        qm_map map;
        if (qm_map_open(&map, golden, &err) != QUAMBA_OK) fail_msg("%s", err.message);
        qm_text_add(&want, (const char *)map.data, map.size);
        qm_map_close(&map);
    }
    for (size_t i = 0; i < sizeof cpus / sizeof cpus[0]; i++) {
        if (qm_cpu_select(cpus[i]) < 0) continue;
        qm_text got = {0};
        describe_all(&got, model, cpus[i], 1);
        print_message("--cpu %s: %zu bytes of hashes\n", cpus[i], got.size);
        expect_lines(got.data, want.data);
        qm_text_free(&got);
    }
    qm_text_free(&want);
    model->config.n_layer = 2; /* threads that wait for each other take long on a busy machine */
    describe_all(&want, model, "native", 1);
    static const int32_t counts[] = {2, 3, 8};
    for (size_t i = 0; i < QM_COUNT(counts); i++) {
        const int32_t n_threads = counts[i];
        qm_text got = {0};
        describe_all(&got, model, "native", n_threads);
        print_message("%" PRId32 " threads, two layers: %zu bytes\n", n_threads, got.size);
        expect_lines(got.data, want.data);
        qm_text_free(&got);
    }
    qm_text_free(&want);
    quamba_model_close(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
