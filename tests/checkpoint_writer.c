/* SPDX-License-Identifier: MIT
 *
 * Writes a checkpoint, and each of its tensors as NAME.npy, for other programs to compare. In these names '_'
 * stands for every byte that some system's files may not have in theirs.
 *
 * usage: checkpoint_writer FOLDER
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "tensor_file.h"

static char path[1024];

static const char *in(const char *folder, const char *group, const char *name)
{
    snprintf(path, sizeof path, "%s/%s%s", folder, group, name);
    return path;
}

static void write_array(opt_ctx *ctx, const char *folder, const char *group, const char *name,
                        const opt_tensor *t)
{
    char file[128];

    snprintf(file, sizeof file, "%s.npy", name);
    for (char *p = file; *p != '\0'; p++)
        if (!isalnum((unsigned char)*p) && *p != '.')
            *p = '_';
    assert_ok(ctx, opt_write_npy(ctx, in(folder, group, file), t));
}

static void write_all(void **state)
{
    const char *folder = *state;
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_table table = {{0}, {0}};
    opt_batches *batches = NULL;
    opt_optim *optim = NULL;
    opt_source source;
    mixed m;

    mixed_new(&m, ctx, 1);
    m.at[1].name = "r\xc3\xb6w \"1\"";
    assert_ok(ctx, opt_moons(ctx, 30, 0.1, 1, &table));
    source = opt_source_table(&table);
    assert_ok(ctx, opt_batches_new(ctx, &source, NULL, &batches));
    assert_ok(ctx, opt_batches_begin(batches, 3));
    assert_ok(ctx, opt_optim_new(ctx, &opt_adam, NULL, &(opt_optim_opts){.lr = 0.1}, m.params, &optim));
    for (uint32_t t = 1; t < 4; t++) {
        mixed_draw_gradients(&m, t);
        assert_ok(ctx, opt_optim_step(optim));
    }
    assert_ok(ctx, opt_save(ctx, in(folder, "", "checkpoint.safetensors"), m.params, optim, batches));
    for (int p = 0; p < MIXED; p++) {
        write_array(ctx, folder, "", m.at[p].name, &m.at[p].value);
        write_array(ctx, folder, "slot.m.", m.at[p].name, opt_optim_slot(optim, p, "m"));
        write_array(ctx, folder, "slot.v.", m.at[p].name, opt_optim_slot(optim, p, "v"));
    }
    opt_optim_free(optim);
    opt_batches_free(batches);
    opt_tensor_free(ctx, &table.x);
    opt_tensor_free(ctx, &table.y);
    mixed_free(&m);
    opt_ctx_free(ctx);
}

int main(int argc, char **argv)
{
    static char here[] = ".";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(write_all, argc > 1 ? argv[1] : here),
    };

    return cmocka_run_group_tests_name("checkpoint writer", tests, NULL, NULL);
}
