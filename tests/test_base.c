/* SPDX-License-Identifier: MIT
 *
 * Status codes, messages, and contexts that are not sound.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

#define FILE_NAME "test_base.tmp"

/* ---- Codes and words ----------------------------------------------------------------------------------- */

/* They are in files and in other people's binaries. */
static void numbers_never_change(void **state)
{
    (void)state;
    assert_int_equal(OPT_OK, 0);
    assert_int_equal(OPT_ENOMEM, 1);
    assert_int_equal(OPT_EINVAL, 2);
    assert_int_equal(OPT_ESHAPE, 3);
    assert_int_equal(OPT_EDTYPE, 4);
    assert_int_equal(OPT_EIO, 5);
    assert_int_equal(OPT_EFORMAT, 6);
    assert_int_equal(OPT_ENONFINITE, 7);
    assert_int_equal(OPT_ECOMM, 8);
    assert_int_equal(OPT_END, 9);
    assert_int_equal(OPT_STOP, 10);
    assert_int_equal(OPT_F32, 1);
    assert_int_equal(OPT_F64, 2);
    assert_true(OPT_ZERO < 0);
}

static void every_status_has_words_of_its_own(void **state)
{
    (void)state;
    for (int s = OPT_OK; s <= OPT_STOP + 1; s++) { /* the last is unknown, which has its own words too */
        assert_true(opt_strerror((opt_status)s)[0] != '\0');
        for (int other = OPT_OK; other < s; other++)
            assert_string_not_equal(opt_strerror((opt_status)s), opt_strerror((opt_status)other));
    }
    assert_non_null(opt_strerror((opt_status)-1));
    assert_non_null(opt_strerror((opt_status)1000));
}

static void the_version_is_the_headers(void **state)
{
    (void)state;
    assert_string_equal(opt_version(), OPT_VERSION);
}

/* ---- Messages ------------------------------------------------------------------------------------------ */

static void the_message_is_of_the_last_call_that_failed(void **state)
{
    opt_ctx *ctx = opt_ctx_new(NULL), *other = opt_ctx_new(NULL);
    opt_tensor t = {0};

    (void)state;
    assert_string_equal(opt_errmsg(ctx), "");
    assert_ok(ctx, opt_tensor_new(ctx, OPT_F64, 0, NULL, &t));
    assert_string_equal(opt_errmsg(ctx), "");
    assert_fails(ctx, opt_tensor_new(ctx, OPT_F64, 9, NULL, &t), OPT_ESHAPE, "ndim = 9");
    opt_tensor_fill(&t, 1);
    assert_ok(ctx, opt_tensor_copy(ctx, &t, &t));
    assert_non_null(strstr(opt_errmsg(ctx), "ndim = 9"));
    assert_fails(ctx, opt_tensor_new(ctx, OPT_F64, 8, NULL, &t), OPT_ESHAPE, "ndim = 8");
    assert_null(strstr(opt_errmsg(ctx), "ndim = 9"));
    assert_string_equal(opt_errmsg(other), ""); /* contexts share nothing */
    assert_string_equal(opt_errmsg(NULL), "out of memory");
    opt_tensor_free(ctx, &t);
    opt_ctx_free(ctx);
    opt_ctx_free(other);
}

static void a_message_too_long_is_cut(void **state)
{
    enum { LENGTH = 100000 };
    opt_ctx *ctx = opt_ctx_new(NULL);
    char *path = malloc(LENGTH + 1);
    opt_tensor t = {0};
    double one = 1;
    const opt_tensor number = opt_tensor_view(OPT_F64, &one, 0, NULL);

    (void)state;
    assert_non_null(path);
    memset(path, 'p', LENGTH);
    path[LENGTH] = '\0';
    assert_fails(ctx, opt_read_npy(ctx, path, &t), OPT_EIO, "pppppppp");
    assert_in_range(strlen(opt_errmsg(ctx)), 100, LENGTH - 1);
    assert_fails(ctx, opt_write_npy(ctx, path, &number), OPT_EIO, "pppppppp");
    assert_in_range(strlen(opt_errmsg(ctx)), 100, LENGTH - 1);
    assert_null(t.data);
    free(path);
    opt_ctx_free(ctx);
}

/* ---- Contexts that are not sound ----------------------------------------------------------------------- */

static opt_status no_sum(void *ud, void *buf, size_t n, opt_dtype t)
{
    (void)ud, (void)buf, (void)n, (void)t;
    return OPT_OK;
}

static opt_status no_update(const opt_update *u)
{
    (void)u;
    return OPT_OK;
}

static double no_loss(void *ud)
{
    (void)ud;
    return 0;
}

/* Every function that takes a context, with arguments that are otherwise sound, says OPT_EINVAL and leaves
 * its outputs alone. */
static void check_every_call_refuses(opt_ctx *bad)
{
    const opt_method nothing = {.name = "nothing", .update = no_update};
    const opt_mlp_opts sizes = {.size = {2, 1}};
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_mlp *net = NULL, *other_net = NULL;
    opt_optim *optim = NULL, *other_optim = NULL;
    opt_batches *batches = NULL, *other_batches = NULL;
    opt_table table = {{0}, {0}}, other_table = {{0}, {0}};
    opt_tensor t = {0};
    opt_source source;
    opt_model model;
    double error = 42, one[4] = {1, 0, 0, 1}, product[4] = {7, 7, 7, 7};
    opt_tensor unit = opt_tensor_view(OPT_F64, one, 2, (const int64_t[]){2, 2});
    opt_tensor c = opt_tensor_view(OPT_F64, product, 2, (const int64_t[]){2, 2});

    assert_ok(ctx, opt_moons(ctx, 4, 0.1, 0, &table));
    source = opt_source_table(&table);
    assert_ok(ctx, opt_mlp_new(ctx, &sizes, &net));
    model = opt_mlp_model(net);
    assert_ok(ctx, opt_optim_new(ctx, &nothing, NULL, &(opt_optim_opts){.lr = 1}, model.params, &optim));
    assert_ok(ctx, opt_batches_new(ctx, &source, NULL, &batches));

    assert_int_equal(opt_tensor_new(bad, OPT_F64, 0, NULL, &t), OPT_EINVAL);
    assert_int_equal(opt_tensor_copy(bad, &unit, &c), OPT_EINVAL);
    assert_int_equal(opt_matmul(bad, false, &unit, false, &unit, 0, &c), OPT_EINVAL);
    assert_int_equal(opt_batches_new(bad, &source, NULL, &other_batches), OPT_EINVAL);
    assert_int_equal(
        opt_optim_new(bad, &nothing, NULL, &(opt_optim_opts){.lr = 1}, model.params, &other_optim),
        OPT_EINVAL);
    assert_true(isnan(opt_grad_norm(bad, model.params)));
    assert_int_equal(opt_grad_check(bad, no_loss, NULL, model.params, &error), OPT_EINVAL);
    assert_int_equal(opt_mlp_new(bad, &sizes, &other_net), OPT_EINVAL);
    assert_int_equal(opt_train(bad, &model, optim, batches, &(opt_train_opts){.epochs = 1}), OPT_EINVAL);
    assert_int_equal(opt_moons(bad, 4, 0, 0, &other_table), OPT_EINVAL);
    assert_int_equal(opt_read_npy(bad, GOLDEN_DIR "/moons/X.npy", &t), OPT_EINVAL);
    assert_int_equal(opt_write_npy(bad, FILE_NAME, &unit), OPT_EINVAL);

    assert_null(t.data);
    assert_null(other_net);
    assert_null(other_optim);
    assert_null(other_batches);
    assert_null(other_table.x.data);
    assert_close(error, 42, 0);
    assert_close(product[0], 7, 0);
    assert_int_equal(opt_optim_steps(optim), 0);
    assert_null(fopen(FILE_NAME, "rb")); /* main removed what a run that failed may have left */
    opt_batches_free(batches);
    opt_optim_free(optim);
    opt_mlp_free(net);
    opt_tensor_free(ctx, &table.x);
    opt_tensor_free(ctx, &table.y);
    opt_ctx_free(ctx);
}

static void without_a_context_nothing_is_done(void **state)
{
    double x = 1;
    opt_tensor t = opt_tensor_view(OPT_F64, &x, 0, NULL);

    (void)state;
    check_every_call_refuses(NULL);
    opt_tensor_free(NULL, &t);
    assert_close(x, 1, 0);
    opt_ctx_free(NULL);
    opt_batches_free(NULL);
    opt_optim_free(NULL);
    opt_mlp_free(NULL);
}

static void options_out_of_range_make_a_context_that_refuses(void **state)
{
    const struct {
        opt_ctx_opts opts;
        const char *says;
    } cases[] = {
        {{.threads = -1}, "context: threads = -1 is below 0"},
        {{.comm = {.size = -2, .sum = no_sum}}, "context: comm.size = -2 is below 0"},
        {{.comm = {.size = 2}}, "context: comm.sum is NULL with 2 ranks"},
        {{.comm = {.rank = 2, .size = 2, .sum = no_sum}}, "context: comm.rank = 2 is outside [0, 2)"},
        {{.comm = {.rank = -1, .size = 2, .sum = no_sum}}, "context: comm.rank = -1 is outside [0, 2)"},
        {{.comm = {.rank = 1, .size = 1}}, "context: comm.rank = 1 is outside [0, 1)"},
        {{.comm = {.rank = 1}}, "context: comm.rank = 1 is outside [0, 1)"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        opt_ctx *ctx = opt_ctx_new(&cases[i].opts);

        assert_non_null(ctx);
        assert_string_equal(opt_errmsg(ctx), cases[i].says);
        check_every_call_refuses(ctx);
        assert_string_equal(opt_errmsg(ctx), cases[i].says); /* still the reason */
        opt_ctx_free(ctx);
    }
}

/* Options at the ends of their ranges, and a sum that one rank does not need. */
static void options_in_range_make_a_sound_context(void **state)
{
    const opt_ctx_opts sound[] = {
        {.threads = 0},
        {.threads = 7},
        {.comm = {.size = 1}},
        {.comm = {.size = 1, .sum = no_sum}},
        {.comm = {.rank = 2, .size = 3, .sum = no_sum}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof sound / sizeof sound[0]; i++) {
        opt_ctx *ctx = opt_ctx_new(&sound[i]);
        opt_tensor t = {0};

        assert_string_equal(opt_errmsg(ctx), "");
        assert_ok(ctx, opt_tensor_new(ctx, OPT_F32, 0, NULL, &t));
        opt_tensor_free(ctx, &t);
        opt_ctx_free(ctx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_never_change),
        cmocka_unit_test(every_status_has_words_of_its_own),
        cmocka_unit_test(the_version_is_the_headers),
        cmocka_unit_test(the_message_is_of_the_last_call_that_failed),
        cmocka_unit_test(a_message_too_long_is_cut),
        cmocka_unit_test(without_a_context_nothing_is_done),
        cmocka_unit_test(options_out_of_range_make_a_context_that_refuses),
        cmocka_unit_test(options_in_range_make_a_sound_context),
    };

    remove(FILE_NAME);
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
