/* Continues a prompt with nothing but the public API:
 *     cc generate.c $(pkg-config --cflags --libs quamba) -o generate
 *     ./generate models/demo "Once upon a time" 60 */
#include <quamba/quamba.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Prints one token after the other as soon as it is drawn. */
static quamba_status continue_text(const quamba_model *model, const quamba_tokenizer *tokenizer,
                                   const char *prompt, int n_tokens, quamba_error *error)
{
    quamba_session_options options = quamba_session_options_default();
    quamba_sampler_options sampling = quamba_sampler_options_default();
    sampling.temperature = 0.8f;
    sampling.top_p = 0.95f;
    sampling.seed = 1;

    quamba_session *session = NULL;
    quamba_sampler *sampler = NULL;
    int32_t *ids = NULL;
    size_t n_ids = 0;
    const float *logits = NULL; /* borrowed from the session, valid until its next call */
    int32_t n_vocab = quamba_model_get_info(model).n_vocab;

    quamba_status status = quamba_session_new(&session, model, &options, error);
    if (status == QUAMBA_OK) status = quamba_sampler_new(&sampler, n_vocab, &sampling, error);
    if (status == QUAMBA_OK)
        status = quamba_tokenizer_encode(tokenizer, prompt, strlen(prompt), &ids, &n_ids, error);
    if (status == QUAMBA_OK) status = quamba_session_prefill(session, ids, n_ids, &logits, error);
    for (int i = 0; status == QUAMBA_OK && i < n_tokens; i++) {
        int32_t id = quamba_sampler_next(sampler, logits);
        size_t n_bytes = 0;
        const char *piece = quamba_tokenizer_piece(tokenizer, id, &n_bytes);
        if (id == quamba_tokenizer_end_id(tokenizer)) break;
        if (piece != NULL) fwrite(piece, 1, n_bytes, stdout);
        fflush(stdout);
        status = quamba_session_step(session, id, &logits, error);
    }
    quamba_free(ids); /* every free accepts what was never made */
    quamba_sampler_free(&sampler);
    quamba_session_free(&session);
    return status;
}

int main(int argc, char **argv)
{
    if (argc < 3 || argv[2][0] == '\0') {
        fprintf(stderr, "usage: %s MODEL-DIRECTORY PROMPT [TOKENS]\n", argv[0]);
        return 2;
    }
    int n_tokens = argc > 3 ? atoi(argv[3]) : 60;

    quamba_error error;
    quamba_model *model = NULL;
    quamba_tokenizer *tokenizer = NULL;
    quamba_model_options options = quamba_model_options_default();

    quamba_status status = quamba_model_open(&model, argv[1], &options, &error);
    if (status == QUAMBA_OK) status = quamba_tokenizer_open(&tokenizer, argv[1], &error);
    if (status == QUAMBA_OK) {
        printf("%s", argv[2]);
        status = continue_text(model, tokenizer, argv[2], n_tokens, &error);
        printf("\n");
    }
    if (status != QUAMBA_OK) fprintf(stderr, "%s: %s\n", argv[0], error.message);
    quamba_tokenizer_close(&tokenizer);
    quamba_model_close(&model);
    return status == QUAMBA_OK ? 0 : 1;
}
