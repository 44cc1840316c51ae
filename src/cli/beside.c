#include "cli/beside.h"

#include "base/mem.h"
#include "cli/debug.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ROWS = 4, MAX_TOKENS = 64, N_LAYERS = 4 };

/* What is compared: u before the scan, y behind it, x_proj's codes, and the stream after the block.
 */
static const char *const edges[] = {"x_proj_in", "scan_in", "scan_out", "residual"};
enum { N_EDGES = sizeof edges / sizeof edges[0] };

/* One edge of one layer of one row: numbers, or codes as numbers. */
typedef struct kept {
    float *values; /* [n], owned */
    size_t n;
    bool codes;
} kept;

typedef struct row {
    char id[32];
    quamba_model *model;     /* owned, but that of the chosen row */
    quamba_session *session; /* owned */
    const int32_t *layers;   /* [N_LAYERS], -1 behind the last */
    kept kept[N_LAYERS][N_EDGES];
    bool failed; /* no memory */
} row;

static void keep(void *user, const quamba_view *view)
{
    row *r = user;
    for (int l = 0; l < N_LAYERS; l++)
        for (size_t e = 0; e < N_EDGES; e++) {
            if (view->layer != r->layers[l] || strcmp(view->edge, edges[e]) != 0) continue;
            kept *k = &r->kept[l][e];
            const size_t n_rows = (size_t)view->n_rows, n_cols = (size_t)view->n_cols;
            float *values = realloc(k->values, (k->n + n_rows * n_cols) * sizeof *values);
            if (values == NULL) {
                r->failed = true;
                return;
            }
            k->values = values;
            k->codes = view->codes != NULL;
            for (size_t i = 0; i < n_rows; i++)
                for (size_t j = 0; j < n_cols; j++) {
                    const size_t at = i * view->row_stride + j;
                    values[k->n++] = k->codes ? (float)view->codes[at] : view->data[at];
                }
        }
}

static int run_row(row *r, const qc_options *opt, const int32_t *ids, size_t n_ids)
{
    quamba_error err = {0};
    quamba_session_options options = qc_session_options(opt);
    if (quamba_session_new(&r->session, r->model, &options, &err) != QUAMBA_OK)
        return qc_fail_error(&err);
    quamba_session_set_tap(r->session, keep, r);
    if (quamba_session_prefill(r->session, ids, n_ids, NULL, &err) != QUAMBA_OK)
        return qc_fail_error(&err);
    return r->failed ? qc_fail_memory() : QC_OK;
}

/* ---- the block ------------------------------------------------------------------------------- */

static void print_values(const row *r, const kept *k)
{
    double sum = 0, squares = 0, low = (double)INFINITY, high = -(double)INFINITY;
    for (size_t i = 0; i < k->n; i++) {
        const double x = (double)k->values[i];
        sum += x;
        squares += x * x;
        low = fmin(low, x);
        high = fmax(high, x);
    }
    const double mean = sum / (double)k->n;
    fprintf(stderr, "    %-10s mean %+.6f  std %.6f  min %+.6f  max %+.6f  first %+.6f\n", r->id,
            mean, sqrt(fmax(squares / (double)k->n - mean * mean, 0)), low, high,
            (double)k->values[0]);
}

static void print_difference(const row *a, const row *b, const kept *x, const kept *y)
{
    double sum = 0, largest = 0;
    size_t n_differ = 0;
    for (size_t i = 0; i < x->n; i++) {
        const double d = fabs((double)x->values[i] - (double)y->values[i]);
        sum += d;
        largest = fmax(largest, d);
        n_differ += d > 0;
    }
    fprintf(stderr, "    %s - %s: %zu of %zu differ, mean %.3e, max %.3e%s\n", a->id, b->id,
            n_differ, x->n, sum / (double)x->n, largest,
            x->codes && y->codes && n_differ == 0 ? "; the codes are equal" : "");
}

static void print_block(const row *rows, size_t n_rows, const int32_t layers[N_LAYERS],
                        size_t n_tokens)
{
    qc_debug_title("Side by side: mode %s, first %zu tokens", rows[0].id, n_tokens);
    for (int l = 0; l < N_LAYERS && layers[l] >= 0; l++)
        for (size_t e = 0; e < N_EDGES; e++) {
            fprintf(stderr, "layer %d, %s\n", (int)layers[l], edges[e]);
            for (size_t r = 0; r < n_rows; r++)
                print_values(&rows[r], &rows[r].kept[l][e]);
            for (size_t a = 0; a < n_rows; a++)
                for (size_t b = a + 1; b < n_rows; b++)
                    print_difference(&rows[a], &rows[b], &rows[a].kept[l][e], &rows[b].kept[l][e]);
        }
    fprintf(stderr, "The logits are those of mode %s.\n", rows[0].id);
    qc_debug_rule();
}

/* Layers 0, 1, 2 and the last, as many as there are. */
static void choose_layers(int32_t layers[N_LAYERS], int32_t n_layer)
{
    for (int32_t i = 0; i < N_LAYERS; i++)
        layers[i] = i < n_layer ? i : -1;
    if (n_layer > N_LAYERS) layers[N_LAYERS - 1] = n_layer - 1;
}

/* Opens one of the rows: an id, or id:knobs for one that differs from a row. */
static int open_row(row *r, const qc_options *opt, const char *name, const char *what, size_t size)
{
    char id[sizeof r->id];
    snprintf(r->id, sizeof r->id, "%.*s", (int)size, what);
    snprintf(id, sizeof id, "%s", r->id);
    char *knobs = strchr(id, ':');
    if (knobs != NULL) *knobs++ = '\0';
    qc_options other = *opt;
    other.mode = id;
    other.datapath = knobs;
    return qc_open_model(&r->model, &other, name);
}

static void free_row(row *r, bool owns_model)
{
    for (int l = 0; l < N_LAYERS; l++)
        for (size_t e = 0; e < N_EDGES; e++)
            free(r->kept[l][e].values);
    quamba_session_free(&r->session);
    if (owns_model) quamba_model_close(&r->model);
}

int qc_run_beside(const qc_options *opt, const char *name, const quamba_model *model,
                  const int32_t *ids, size_t n_ids)
{
    const quamba_datapath *datapath = quamba_datapath_find(quamba_model_get_info(model).mode);
    const char *beside = datapath != NULL ? quamba_datapath_get_info(datapath).beside : "";
    if (beside[0] == '\0' || opt->quiet || n_ids == 0) return QC_OK;
    if (n_ids > MAX_TOKENS) n_ids = MAX_TOKENS;
    row rows[MAX_ROWS] = {{.model = (quamba_model *)(uintptr_t)model}};
    int32_t layers[N_LAYERS];
    size_t n_rows = 1;
    int status = QC_OK;
    snprintf(rows[0].id, sizeof rows[0].id, "%s", quamba_datapath_id(datapath));
    choose_layers(layers, quamba_model_get_info(model).n_layer);
    for (const char *at = beside; *at != '\0' && n_rows < MAX_ROWS && status == QC_OK;) {
        const size_t size = strcspn(at, " ");
        status = open_row(&rows[n_rows++], opt, name, at, size);
        at += size;
        at += strspn(at, " ");
    }
    for (size_t r = 0; r < n_rows && status == QC_OK; r++) {
        rows[r].layers = layers;
        status = run_row(&rows[r], opt, ids, n_ids);
    }
    if (status == QC_OK) print_block(rows, n_rows, layers, n_ids);
    for (size_t r = 0; r < n_rows; r++)
        free_row(&rows[r], r > 0);
    return status;
}
