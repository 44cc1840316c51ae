"""The published Mamba-1 shapes, as in src/cli/shape.c: d_state 16, d_conv 4, d_inner = 2 d_model,
dt_rank = d_model / 16, vocabulary padded to 50280, the head tied to the embedding."""

SHAPES = {"130m": (768, 24), "370m": (1024, 48), "790m": (1536, 48), "1.4b": (2048, 48), "2.8b": (2560, 64)}
D_STATE, D_CONV, N_VOCAB, NORM_EPS = 16, 4, 50280, 1e-5


def dimensions(name):
    """d_model, n_layer, d_inner, dt_rank"""
    d_model, n_layer = SHAPES[name]
    return d_model, n_layer, 2 * d_model, d_model // 16
