/* Every allocation of ours fails once, in turn: a status comes back, nothing leaks or is left
 * behind.  Linked with --wrap for malloc, calloc and realloc. */
#include "checkpoint_bytes.h"

#include "base/file.h"
#include "nomem.h"

#include <sys/stat.h>
#include <unistd.h>

static quamba_status open_and_write(const char *path, const char *target, quamba_error *err)
{
    qm_source *source = NULL;
    quamba_status status = qm_source_open(&source, path, err);
    if (status == QUAMBA_OK)
        status = qm_torch_zip_write(target, qm_source_at(source, 0), qm_source_count(source), err);
    if (status == QUAMBA_OK)
        status = qm_safetensors_write(target, qm_source_at(source, 0), qm_source_count(source),
                                      qm_source_metadata(source), err);
    qm_source_close(&source);
    return status;
}

/* Fails call after call until the work succeeds; at least n must have been refused. */
static void fail_in_turn(const char *path, const char *target, size_t n)
{
    quamba_error err;
    quamba_status status = QUAMBA_E_NOMEM;
    size_t turn = 0;
    while (status != QUAMBA_OK) {
        failing_call = n_calls + ++turn;
        unlink(target);
        status = open_and_write(path, target, &err);
        failing_call = 0;
        if (status == QUAMBA_OK) break;
        if (status != QUAMBA_E_NOMEM || !strstr(err.message, "out of memory"))
            fail_msg("%s, call %zu: %d %s", path, turn, status, err.message);
    }
    assert_in_range(turn, n, 10000);
    unlink(target);
}

static void every_call_may_fail(void **state)
{
    (void)state;
    char dir[] = "/tmp/quamba-test-XXXXXX", bin[64], index[64], shard[64], target[64], config[64];
    assert_non_null(mkdtemp(dir));
    snprintf(bin, sizeof bin, "%s/pytorch_model.bin", dir);
    snprintf(index, sizeof index, "%s/model.safetensors.index.json", dir);
    snprintf(shard, sizeof shard, "%s/shard.safetensors", dir);
    snprintf(config, sizeof config, "%s/config.json", dir);
    snprintf(target, sizeof target, "%s/target", dir);

    qm_text p = {0};
    archive a = {0};
    ADD(&p, "\x80\2ccollections\nOrderedDict\n)Rq\1(");
    add_entry(&p, &(stored){
                      "t", "CharStorage", "0", 4, 0, {2, 2},
                           {1, 2},
                           2
    });
    add_entry(&p, &(stored){"u", "CharStorage", "0", 4, 0, {2}, {2}, 1});
    add_string(&p, "f");
    ADD(&p, "G\0\0\0\0\0\0\0\0u.");
    add_member(&a, "m/data.pkl", p.data, p.size);
    add_member(&a, "m/data/0", "\1\2\3\4", 4);
    finish_archive(&a);
    assert_int_equal(qm_file_write(bin, a.file.data, a.file.size, NULL), QUAMBA_OK);
    assert_int_equal(qm_file_write(config, "{}", 2, NULL), QUAMBA_OK);
    fail_in_turn(dir, target, 40);

    quamba_error err;
    assert_int_equal(open_and_write(bin, shard, &err), QUAMBA_OK);
    const char map[] = "{\"weight_map\":{\"t\":\"shard.safetensors\","
                       "\"u\":\"shard.safetensors\",\"f\":\"shard.safetensors\"}}";
    assert_int_equal(qm_file_write(index, map, sizeof map - 1, NULL), QUAMBA_OK);
    fail_in_turn(index, target, 20);

    free_archive(&a);
    qm_text_free(&p);
    unlink(bin);
    unlink(index);
    unlink(shard);
    unlink(config);
    assert_int_equal(rmdir(dir), 0); /* no temporary file is left */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_call_may_fail)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
