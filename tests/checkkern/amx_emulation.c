#include "amx_emulation.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_TILES = 8, MAX_ROWS = 16, MAX_BYTES = 64 };

/* What a thread's tile registers hold. */
static _Thread_local struct {
    bool in_use; /* palette 1 */
    uint8_t rows[N_TILES];
    uint16_t row_bytes[N_TILES];
    uint8_t data[N_TILES][MAX_ROWS][MAX_BYTES];
} state;

static void fault(bool is, const char *what)
{
    if (!is) return;
    printf("amx emulation: %s\n", what);
    fflush(stdout);
    abort();
}

static void need(int tile)
{
    fault(tile < 0 || tile >= N_TILES, "no such tile");
    fault(!state.in_use, "#UD: tiles are not configured");
    fault(state.rows[tile] == 0 || state.row_bytes[tile] == 0, "#UD: this tile is not configured");
}

void emulated_loadconfig(const void *config)
{
    uint8_t bytes[64];
    memcpy(bytes, config, sizeof bytes);
    memset(&state, 0, sizeof state);
    fault(bytes[0] > 1, "#GP: no such palette");
    if (bytes[0] == 0) return;
    fault(bytes[1] != 0, "start_row is for interrupted instructions");
    for (int i = 2; i < 16; i++)
        fault(bytes[i] != 0, "#GP: a reserved byte is not 0");
    for (int t = 0; t < 16; t++) {
        const unsigned row_bytes = bytes[16 + 2 * t] + 256u * bytes[17 + 2 * t];
        const unsigned rows = bytes[48 + t];
        fault(t >= N_TILES && (row_bytes != 0 || rows != 0), "#GP: there are eight tiles");
        fault(row_bytes > MAX_BYTES || rows > MAX_ROWS, "#GP: a tile is 16 rows of 64 bytes");
        fault((row_bytes == 0) != (rows == 0), "#GP: a tile without rows or without columns");
        if (t >= N_TILES) continue;
        state.rows[t] = (uint8_t)rows;
        state.row_bytes[t] = (uint16_t)row_bytes;
    }
    state.in_use = true;
}

void emulated_release(void) { memset(&state, 0, sizeof state); }

bool emulated_tiles_in_use(void) { return state.in_use; }

void emulated_zero(int tile)
{
    need(tile);
    memset(state.data[tile], 0, sizeof state.data[tile]);
}

void emulated_loadd(int tile, const void *base, size_t stride_bytes)
{
    need(tile);
    memset(state.data[tile], 0, sizeof state.data[tile]);
    for (size_t row = 0; row < state.rows[tile]; row++)
        memcpy(state.data[tile][row], (const char *)base + row * stride_bytes,
               state.row_bytes[tile]);
}

void emulated_stored(int tile, void *base, size_t stride_bytes)
{
    need(tile);
    for (size_t row = 0; row < state.rows[tile]; row++)
        memcpy((char *)base + row * stride_bytes, state.data[tile][row], state.row_bytes[tile]);
}

/* sums[m][n] += the four products of the codes a[m][4 i ..] and b[i][4 n ..], for every i; modulo
 * 2^32, nothing saturates. */
void emulated_dpbssd(int sums, int a, int b)
{
    need(sums);
    need(a);
    need(b);
    fault(sums == a || sums == b || a == b, "#UD: three tiles that differ");
    fault(state.row_bytes[sums] % 4 || state.row_bytes[a] % 4 || state.row_bytes[b] % 4,
          "#UD: rows of whole groups of four");
    fault(state.rows[sums] != state.rows[a], "#UD: as many rows of sums as of a");
    fault(state.row_bytes[sums] != state.row_bytes[b], "#UD: as many sums as groups in b");
    fault(state.row_bytes[a] / 4 != state.rows[b], "#UD: as many rows of b as groups in a");
    for (size_t m = 0; m < state.rows[sums]; m++) {
        uint32_t row[MAX_BYTES / 4];
        memcpy(row, state.data[sums][m], sizeof row);
        for (size_t i = 0; i < state.row_bytes[a] / 4u; i++)
            for (size_t n = 0; n < state.row_bytes[sums] / 4u; n++)
                for (size_t q = 0; q < 4; q++) {
                    const int8_t left = (int8_t)state.data[a][m][4 * i + q];
                    const int8_t right = (int8_t)state.data[b][i][4 * n + q];
                    row[n] += (uint32_t)(left * right);
                }
        memcpy(state.data[sums][m], row, sizeof row);
    }
}
