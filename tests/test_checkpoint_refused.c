/* SPDX-License-Identifier: MIT
 *
 * A checkpoint of another method, option, seed, shape and so on is refused with a message that names what
 * differs, and nothing has changed then.
 */
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "problem.h"
#include "tensor_file.h"

#define FILE_NAME "test_checkpoint_refused.tmp"
#define BEFORE    "test_checkpoint_refused_before.tmp"
#define AFTER     "test_checkpoint_refused_after.tmp"

static void clean(void)
{
    remove(FILE_NAME);
    remove(FILE_NAME ".bak");
    remove(BEFORE);
    remove(AFTER);
}

/* A network, its optimizer and its batches, all of which can be chosen. */
typedef struct run {
    problem p;
    opt_params params;
    opt_optim *optim;
    opt_batches *batches;
} run;

typedef struct choice {
    const opt_method *method;
    const void *hyper;
    opt_optim_opts optim;
    opt_batches_opts batches;
    int64_t rows, hidden;
    opt_dtype dtype;
} choice;

static const choice usual = {
    .method = &opt_adam,
    .optim = {.lr = 0.1, .clip_value = 3, .clip_norm = 2, .l2 = 0.1, .weight_decay = 0.2},
    .batches = {.size = 4, .seed = 2},
    .rows = 10,
    .hidden = 3,
    .dtype = OPT_F64};

static opt_status stop_at_five(const opt_progress *p, void *ud)
{
    (void)ud;
    return p->step == 5 ? OPT_STOP : OPT_OK;
}

/* In the middle of the second epoch. */
static void run_new(run *r, opt_ctx *ctx, const choice *c)
{
    const opt_mlp_opts net = {.size = {2, c->hidden, 1}, .act = OPT_TANH, .dtype = c->dtype, .seed = 1};
    opt_source source;
    opt_model model;

    problem_new(&r->p, ctx, &net, c->rows);
    source = opt_source_table(&r->p.data);
    model = opt_mlp_model(r->p.net);
    r->params = model.params;
    assert_ok(ctx, opt_optim_new(ctx, c->method, c->hyper, &c->optim, r->params, &r->optim));
    assert_ok(ctx, opt_batches_new(ctx, &source, &c->batches, &r->batches));
    assert_ok(ctx, opt_train(ctx, &model, r->optim, r->batches,
                             &(opt_train_opts){.epochs = 4, .on_step = stop_at_five}));
}

static void run_free(run *r)
{
    opt_batches_free(r->batches);
    opt_optim_free(r->optim);
    problem_free(&r->p);
}

/* The file of the usual run is refused by a run so chosen, which is what it was before. */
static void check_refused(opt_ctx *ctx, const choice *c, opt_status status, const char *part)
{
    run a, b;

    run_new(&a, ctx, &usual);
    run_new(&b, ctx, c);
    assert_ok(ctx, opt_save(ctx, FILE_NAME, a.params, a.optim, a.batches));
    write_state(ctx, BEFORE, b.params, b.optim, b.batches);
    assert_fails(ctx, opt_load(ctx, FILE_NAME, b.params, b.optim, b.batches), status, part);
    assert_fails(ctx, opt_load(ctx, FILE_NAME, b.params, b.optim, b.batches), status, FILE_NAME ": ");
    write_state(ctx, AFTER, b.params, b.optim, b.batches);
    assert_true(same_file(BEFORE, AFTER));
    run_free(&a);
    run_free(&b);
    clean();
}

/* ---- Settings ------------------------------------------------------------------------------------------ */

static void another_method_is_refused(void **state)
{
    choice c = usual;

    c.method = &opt_momentum;
    check_refused(*state, &c, OPT_EINVAL, "method is adam in the file and momentum here");
    c.method = &opt_gd;
    check_refused(*state, &c, OPT_EINVAL, "method is adam in the file and gd here");
}

static void another_hyper_parameter_is_refused(void **state)
{
    choice c = usual;

    c.hyper = &(opt_adam_opts){.beta1 = 0.5};
    check_refused(*state, &c, OPT_EINVAL, "hyper.beta1 is 0.9");
    check_refused(*state, &c, OPT_EINVAL, " in the file and 0.5 here");
    c.hyper = &(opt_adam_opts){.beta2 = 0.5};
    check_refused(*state, &c, OPT_EINVAL, "hyper.beta2 is 0.999");
    c.hyper = &(opt_adam_opts){.eps = 0.0009765625};
    check_refused(*state, &c, OPT_EINVAL, "hyper.eps is 1");
    c.hyper = &(opt_adam_opts){.beta1 = 0.9 + 0x1p-53}; /* by the last bit */
    check_refused(*state, &c, OPT_EINVAL, "hyper.beta1 is 0.9");
}

static void another_option_is_refused(void **state)
{
    choice c = usual;

    c.optim.clip_value = 0;
    check_refused(*state, &c, OPT_EINVAL, "clip_value is 3 in the file and 0 here");
    c = usual;
    c.optim.clip_norm = 1.5;
    check_refused(*state, &c, OPT_EINVAL, "clip_norm is 2 in the file and 1.5 here");
    c = usual;
    c.optim.l2 = 0.5;
    check_refused(*state, &c, OPT_EINVAL, " in the file and 0.5 here");
    check_refused(*state, &c, OPT_EINVAL, ": l2 is 0.1");
    c = usual;
    c.optim.weight_decay = 0;
    check_refused(*state, &c, OPT_EINVAL, ": weight_decay is 0.2");
    check_refused(*state, &c, OPT_EINVAL, " in the file and 0 here");
}

static void other_batches_are_refused(void **state)
{
    choice c = usual;

    c.batches.seed = 3;
    check_refused(*state, &c, OPT_EINVAL, "batches.seed is 2 in the file and 3 here");
    c = usual;
    c.batches.size = 5;
    check_refused(*state, &c, OPT_EINVAL, "batches.size is 4 in the file and 5 here");
    c = usual;
    c.rows = 11;
    check_refused(*state, &c, OPT_EINVAL, "batches.rows is 10 in the file and 11 here");
    c = usual;
    c.batches.in_order = true;
    check_refused(*state, &c, OPT_EINVAL, "batches.in_order is 0 in the file and 1 here");
    c = usual;
    c.batches.drop_last = true;
    check_refused(*state, &c, OPT_EINVAL, "batches.drop_last is 0 in the file and 1 here");
}

/* The schedule is code, and the rate is the file's. */
static void another_rate_or_schedule_is_accepted(void **state)
{
    static const opt_step_arg arg = {.factor = 0.5, .every = 1};
    choice c = usual;
    run a, b;

    c.optim.lr = 7;
    c.optim.schedule = opt_lr_step;
    c.optim.schedule_arg = &arg;
    c.optim.unchecked = true;
    run_new(&a, *state, &usual);
    run_new(&b, *state, &c);
    assert_ok(*state, opt_save(*state, FILE_NAME, a.params, a.optim, a.batches));
    assert_ok(*state, opt_load(*state, FILE_NAME, b.params, b.optim, b.batches));
    assert_close(opt_optim_lr(b.optim), 0.1 / 32, 1e-17);
    run_free(&a);
    run_free(&b);
    clean();
}

/* ---- Tensors ------------------------------------------------------------------------------------------- */

static void other_tensors_are_refused(void **state)
{
    choice c = usual;

    c.hidden = 4;
    check_refused(*state, &c, OPT_ESHAPE, "W1 is [3, 2] in the file and [4, 2] here");
    c = usual;
    c.dtype = OPT_F32;
    check_refused(*state, &c, OPT_EDTYPE, "W1 is F64 in the file and F32 here");
}

static void check_names(opt_ctx *ctx, opt_params saved, opt_params wanted, const char *part)
{
    assert_ok(ctx, opt_save(ctx, FILE_NAME, saved, NULL, NULL));
    write_state(ctx, BEFORE, wanted, NULL, NULL);
    assert_fails(ctx, opt_load(ctx, FILE_NAME, wanted, NULL, NULL), OPT_EFORMAT, part);
    write_state(ctx, AFTER, wanted, NULL, NULL);
    assert_true(same_file(BEFORE, AFTER));
    clean();
}

static void missing_and_left_over_tensors_are_named(void **state)
{
    mixed from, to;

    mixed_new(&from, *state, 1);
    mixed_new(&to, *state, 2);
    to.at[1].name = "other";
    check_names(*state, from.params, to.params, "missing: other; left over: row");
    to.at[3].name = "one more";
    check_names(*state, from.params, to.params, "missing: other, one more; left over: row, column");
    to.at[1].name = from.at[1].name;
    to.at[3].name = from.at[3].name;
    check_names(*state, from.params, (opt_params){to.at, 3}, "left over: column, three");
    check_names(*state, (opt_params){from.at, 3}, to.params, "missing: column, three");
    mixed_free(&from);
    mixed_free(&to);
}

/* A last tensor that does not fit changes none of those before it; nor does one whose type is another. */
static void a_last_tensor_that_does_not_fit_changes_nothing(void **state)
{
    mixed from, to;

    mixed_new(&from, *state, 1);
    mixed_new(&to, *state, 2);
    assert_ok(*state, opt_save(*state, FILE_NAME, from.params, NULL, NULL));
    to.at[4].value.ndim = to.at[4].grad.ndim = 2; /* [1, 1] of what was [1, 1, 9] */
    write_state(*state, BEFORE, to.params, NULL, NULL);
    assert_fails(*state, opt_load(*state, FILE_NAME, to.params, NULL, NULL), OPT_ESHAPE,
                 "three is [1, 1, 9] in the file and [1, 1] here");
    write_state(*state, AFTER, to.params, NULL, NULL);
    assert_true(same_file(BEFORE, AFTER));
    mixed_free(&from);
    mixed_free(&to);
    clean();
}

/* ---- Arguments ----------------------------------------------------------------------------------------- */

/* Saving, loading and loading by name say the same. */
static void check_arguments(opt_ctx *ctx, const char *path, opt_params params, opt_optim *optim,
                            opt_batches *batches, opt_status status, const char *part)
{
    char message[256];

    snprintf(message, sizeof message, "save: %s", part);
    assert_fails(ctx, opt_save(ctx, path, params, optim, batches), status, message);
    snprintf(message, sizeof message, "load: %s", part);
    assert_fails(ctx, opt_load(ctx, path, params, optim, batches), status, message);
    if (optim == NULL && batches == NULL) {
        snprintf(message, sizeof message, "load_named: %s", part);
        assert_fails(ctx, opt_load_named(ctx, path, params, NULL), status, message);
    }
}

static void arguments_that_make_no_sense_are_refused(void **state)
{
    opt_ctx *other = opt_ctx_new(NULL), *bad = opt_ctx_new(&(opt_ctx_opts){.threads = -1});
    opt_optim *sharded = NULL;
    mixed m;
    run a, b, elsewhere;

    mixed_new(&m, *state, 1);
    run_new(&a, *state, &usual);
    run_new(&b, *state, &usual);
    run_new(&elsewhere, other, &usual);
    check_arguments(*state, NULL, m.params, NULL, NULL, OPT_EINVAL, "path is NULL");
    check_arguments(*state, FILE_NAME, (opt_params){0}, NULL, NULL, OPT_EINVAL, "there are no parameters");
    check_arguments(*state, FILE_NAME, (opt_params){m.at, 0}, NULL, NULL, OPT_EINVAL,
                    "there are no parameters");
    check_arguments(*state, FILE_NAME, a.params, b.optim, NULL, OPT_EINVAL,
                    "the optimizer was made for other parameters");
    check_arguments(*state, FILE_NAME, (opt_params){a.params.at, 2}, a.optim, NULL, OPT_EINVAL,
                    "the optimizer was made for other parameters");
    check_arguments(*state, FILE_NAME, elsewhere.params, elsewhere.optim, NULL, OPT_EINVAL,
                    "the optimizer was made for other parameters, or by another context");
    check_arguments(*state, FILE_NAME, a.params, a.optim, elsewhere.batches, OPT_EINVAL,
                    "the batches were made by another context");
    m.at[2].name = m.at[0].name;
    check_arguments(*state, FILE_NAME, m.params, NULL, NULL, OPT_EINVAL,
                    "parameters 0 and 2 are both named scalar");
    m.at[2].name = NULL;
    check_arguments(*state, FILE_NAME, m.params, NULL, NULL, OPT_EINVAL, "parameter 2 has no name");
    m.at[2].name = "two";
    opt_tensor_free(*state, &m.at[2].value);
    check_arguments(*state, FILE_NAME, m.params, NULL, NULL, OPT_EINVAL, "two has no data");
    assert_ok(*state, opt_optim_new(*state, &opt_gd, NULL, &(opt_optim_opts){.lr = 1, .sharded = true},
                                    a.params, &sharded));
    assert_int_equal(opt_save(NULL, FILE_NAME, a.params, sharded, NULL), OPT_EINVAL);
    opt_optim_free(sharded);
    assert_int_equal(opt_save(NULL, FILE_NAME, a.params, NULL, NULL), OPT_EINVAL);
    assert_int_equal(opt_load(NULL, FILE_NAME, a.params, NULL, NULL), OPT_EINVAL);
    assert_int_equal(opt_load_named(NULL, FILE_NAME, a.params, NULL), OPT_EINVAL);
    assert_fails(bad, opt_save(bad, FILE_NAME, a.params, NULL, NULL), OPT_EINVAL, "threads");
    assert_fails(bad, opt_load(bad, FILE_NAME, a.params, NULL, NULL), OPT_EINVAL, "threads");
    assert_false(is_there(FILE_NAME));
    mixed_free(&m);
    run_free(&a);
    run_free(&b);
    run_free(&elsewhere);
    opt_ctx_free(other);
    opt_ctx_free(bad);
}

/* Neither an optimizer's nor batches' state is in a file of another program. */
static void others_files_have_no_state(void **state)
{
    run r;

    run_new(&r, *state, &usual);
    write_tensor_file(FILE_NAME, "{\"w\":{\"dtype\":\"F64\",\"shape\":[0],\"data_offsets\":[0,0]}}", "", 0);
    assert_fails(*state, opt_load(*state, FILE_NAME, r.params, r.optim, NULL), OPT_EFORMAT,
                 "the file has no optimizer's state");
    assert_fails(*state, opt_load(*state, FILE_NAME, r.params, NULL, r.batches), OPT_EFORMAT,
                 "the file has no batches' state");
    remove(FILE_NAME);
    run_free(&r);
}

/* The format allows a header of 100 MB, in which the name stands thrice. */
static void names_beyond_the_format_are_refused(void **state)
{
    enum { N = 34000000 };
    char *name = malloc(N + 1);
    double w = 0, g = 0;
    opt_optim *o;
    opt_param p;

    assert_non_null(name);
    memset(name, 'w', N);
    name[N] = '\0';
    p = (opt_param){.name = name,
                    .value = opt_tensor_view(OPT_F64, &w, 0, NULL),
                    .grad = opt_tensor_view(OPT_F64, &g, 0, NULL)};
    assert_ok(*state,
              opt_optim_new(*state, &opt_adam, NULL, &(opt_optim_opts){.lr = 1}, (opt_params){&p, 1}, &o));
    assert_fails(*state, opt_save(*state, FILE_NAME, (opt_params){&p, 1}, o, NULL), OPT_EINVAL,
                 "are too much for the format");
    assert_false(is_there(FILE_NAME));
    opt_optim_free(o);
    free(name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(another_method_is_refused),
        TEST(another_hyper_parameter_is_refused),
        TEST(another_option_is_refused),
        TEST(other_batches_are_refused),
        TEST(another_rate_or_schedule_is_accepted),
        TEST(other_tensors_are_refused),
        TEST(missing_and_left_over_tensors_are_named),
        TEST(a_last_tensor_that_does_not_fit_changes_nothing),
        TEST(arguments_that_make_no_sense_are_refused),
        TEST(others_files_have_no_state),
        TEST(names_beyond_the_format_are_refused),
    };

    clean();
    return cmocka_run_group_tests_name("checkpoint refused", tests, NULL, NULL);
}
