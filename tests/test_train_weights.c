/* SPDX-License-Identifier: MIT
 *
 * Weights of examples and classes: what they do to the loss, the gradient and a run.
 */
#include "problem.h"

#include <math.h>

/* More than one chunk of 64 rows, and a rest. */
enum { ROWS = 150 };

static const opt_mlp_opts nets[] = {{.size = {3, 5, 1}, .act = OPT_TANH, .loss = OPT_BCE, .seed = 3},
                                    {.size = {3, 5, 3}, .act = OPT_TANH, .loss = OPT_SOFTMAX_CE, .seed = 4},
                                    {.size = {3, 5, 2}, .act = OPT_TANH, .loss = OPT_MSE, .seed = 5}};
enum { NETS = 3, WITH_CLASSES = 2 };

/* A network, its data, and a weight for each row. */
typedef struct weighed {
    problem p;
    opt_model model;
    opt_tensor weight;
} weighed;

static void weighed_new(weighed *w, opt_ctx *ctx, int net, opt_dtype dtype)
{
    opt_mlp_opts opts = nets[net];

    opts.dtype = dtype;
    problem_new(&w->p, ctx, &opts, ROWS);
    w->model = opt_mlp_model(w->p.net);
    w->weight = (opt_tensor){0};
    assert_ok(ctx, opt_tensor_new(ctx, OPT_F64, 1, (int64_t[]){ROWS}, &w->weight));
    opt_tensor_fill(&w->weight, 1);
}

static void weighed_free(weighed *w)
{
    opt_tensor_free(w->p.ctx, &w->weight);
    problem_free(&w->p);
}

static double weighed_loss(void *ud)
{
    const weighed *w = ud;
    const opt_batch part = {.x = w->p.data.x, .y = w->p.data.y, .global_rows = ROWS, .weight = w->weight};
    double loss = 0;

    assert_ok(w->p.ctx, w->model.grad(w->model.self, &part, &loss));
    return loss;
}

static opt_tensor grads(const weighed *w)
{
    const opt_params params = w->model.params;
    opt_tensor all = {0};
    int64_t n = 0;

    for (int i = 0; i < params.n; i++)
        n += opt_tensor_len(&params.at[i].grad);
    assert_ok(w->p.ctx, opt_tensor_new(w->p.ctx, OPT_F64, 1, &n, &all));
    n = 0;
    for (int i = 0; i < params.n; i++)
        for (int64_t k = 0; k < opt_tensor_len(&params.at[i].grad); k++)
            opt_set(&all, n++, opt_get(&params.at[i].grad, k));
    return all;
}

static double largest(const opt_tensor *t)
{
    double most = 0;

    for (int64_t i = 0; i < opt_tensor_len(t); i++)
        most = fmax(most, fabs(opt_get(t, i)));
    return most;
}

/* ---- The network --------------------------------------------------------------------------------------- */

static void the_weighed_gradient_is_right(void **state)
{
    for (int net = 0; net < NETS; net++) {
        weighed w, single;
        double err = 1, sum = 0;
        opt_rng rng;

        weighed_new(&w, *state, net, OPT_F64);
        weighed_new(&single, *state, net, OPT_F32);
        opt_rng_seed(&rng, 8);
        for (int64_t i = 0; i < ROWS; i++) {
            const opt_tensor x = opt_tensor_rows(&w.p.data.x, i, 1), y = opt_tensor_rows(&w.p.data.y, i, 1);
            double loss = 0;

            opt_set(&w.weight, i, 3 * opt_rng_uniform(&rng));
            opt_set(&single.weight, i, opt_get(&w.weight, i));
            assert_ok(*state, opt_mlp_loss(w.p.net, &x, &y, &loss));
            sum += loss * opt_get(&w.weight, i) / ROWS;
        }
        assert_close(weighed_loss(&w), sum, 1e-14 * sum);
        assert_ok(*state, opt_grad_check(*state, weighed_loss, &w, w.model.params, &err));
        assert_close(err, 0, 1e-7);

        /* f32's gradient is f64's, but for rounding */
        assert_close(weighed_loss(&single), weighed_loss(&w), 1e-5 * sum);
        opt_tensor a = grads(&w), b = grads(&single);

        assert_close(largest_difference(&a, &b), 0, 1e-5 * largest(&a));
        opt_tensor_free(*state, &a);
        opt_tensor_free(*state, &b);
        weighed_free(&w);
        weighed_free(&single);
    }
}

/* A weight of 2 is the row twice, and one of 0 none. */
static void weights_count_rows(void **state)
{
    for (int net = 0; net < NETS; net++)
        for (opt_dtype dtype = OPT_F32; dtype <= OPT_F64; dtype++) {
            const double tol = dtype == OPT_F32 ? 1e-6 : 2e-15;
            int64_t copies[2 * ROWS], n = 0;
            opt_tensor x = {0}, y = {0};
            double loss = 0;
            weighed w;

            weighed_new(&w, *state, net, dtype);
            for (int64_t i = 0; i < ROWS; i++) {
                opt_set(&w.weight, i, (double)(i % 3));
                for (int64_t k = 0; k < i % 3; k++)
                    copies[n++] = i;
            }
            opt_table table = w.p.data;
            const opt_source source = opt_source_table(&table);

            assert_ok(*state, opt_tensor_new(*state, dtype, 2, (int64_t[]){n, source.x_cols}, &x));
            assert_ok(*state, opt_tensor_new(*state, dtype, 2, (int64_t[]){n, source.y_cols}, &y));
            assert_ok(*state, source.read(source.ud, copies, n, &x, &y));
            const double weighed_sum = weighed_loss(&w) * ROWS;
            opt_tensor a = grads(&w);

            assert_ok(*state, opt_mlp_grad(w.p.net, &x, &y, &loss));
            opt_tensor b = grads(&w);

            assert_close(weighed_sum, loss * (double)n, tol * weighed_sum);
            for (int64_t i = 0; i < opt_tensor_len(&a); i++)
                assert_close(opt_get(&a, i) * ROWS, opt_get(&b, i) * (double)n, tol * ROWS * largest(&a));
            opt_tensor_free(*state, &a);
            opt_tensor_free(*state, &b);
            opt_tensor_free(*state, &x);
            opt_tensor_free(*state, &y);
            weighed_free(&w);
        }
}

/* Weights of one power of 2 scale loss and gradient exactly, whatever shares the work; 1 changes no bit. */
static void a_power_of_two_scales_exactly(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 3; threads += 2)
        for (int net = 0; net < NETS; net++)
            for (opt_dtype dtype = OPT_F32; dtype <= OPT_F64; dtype++)
                for (double factor = 0.5; factor <= 2; factor *= 2) {
                    opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.threads = threads});
                    double plain = 0;
                    weighed w;

                    weighed_new(&w, ctx, net, dtype);
                    opt_tensor_fill(&w.weight, factor);
                    const double loss = weighed_loss(&w);
                    opt_tensor a = grads(&w);

                    assert_ok(ctx, opt_mlp_grad(w.p.net, &w.p.data.x, &w.p.data.y, &plain));
                    opt_tensor b = grads(&w);

                    assert_close(loss, factor * plain, 0);
                    for (int64_t i = 0; i < opt_tensor_len(&a); i++)
                        assert_close(opt_get(&a, i), factor * opt_get(&b, i), 0);
                    opt_tensor_free(ctx, &a);
                    opt_tensor_free(ctx, &b);
                    weighed_free(&w);
                    opt_ctx_free(ctx);
                }
}

static void weights_that_do_not_fit_are_refused(void **state)
{
    opt_ctx *ctx = *state;
    opt_tensor single = matrix(ctx, OPT_F32, 1, ROWS, (double[ROWS]){0});
    double loss = -7;
    weighed w;

    weighed_new(&w, ctx, 0, OPT_F64);
    opt_batch part = {.x = w.p.data.x, .y = w.p.data.y, .global_rows = ROWS, .weight = w.weight};

    part.weight.dim[0]--;
    assert_fails(ctx, w.model.grad(w.model.self, &part, &loss), OPT_ESHAPE,
                 "mlp: weight is [149] where x has 150 rows");
    part.weight = opt_tensor_view(OPT_F64, w.weight.data, 2, (int64_t[]){ROWS, 1});
    assert_fails(ctx, w.model.grad(w.model.self, &part, &loss), OPT_ESHAPE, "mlp: weight is [150, 1] where");
    part.weight = opt_tensor_view(OPT_F32, single.data, 1, (int64_t[]){ROWS});
    assert_fails(ctx, w.model.grad(w.model.self, &part, &loss), OPT_EDTYPE, "mlp: weight is f32");
    assert_close(loss, -7, 0);
    opt_tensor_free(ctx, &single);
    weighed_free(&w);
}

/* ---- Training ------------------------------------------------------------------------------------------ */

/* A run of a network with classes: its weights at the end, and what was reported. */
typedef struct run {
    problem p;
    trace t;
} run;

static opt_status add_epoch(const opt_progress *p, void *ud)
{
    trace *t = ud;

    t->at[t->n++] = *p;
    return OPT_OK;
}

/* Rows of class `moved`, unless it is below 0, have other x than they would. */
static void train(run *r, opt_ctx *ctx, int net, opt_dtype dtype, double lr, const double *class_weight,
                  int moved)
{
    opt_mlp_opts opts = nets[net];
    opt_optim *optim = NULL;
    opt_batches *batches = NULL;

    opts.dtype = dtype;
    problem_new(&r->p, ctx, &opts, ROWS);
    r->t = (trace){0};
    const opt_source source = opt_source_table(&r->p.data);
    const opt_model model = opt_mlp_model(r->p.net);
    const opt_train_opts train_opts = {
        .epochs = 3, .on_epoch = add_epoch, .ud = &r->t, .class_weight = class_weight};

    for (int64_t i = 0; i < ROWS && moved >= 0; i++) {
        const double y = opt_get(&r->p.data.y, source.y_cols == 1 ? i : i * source.y_cols + moved);

        for (int64_t k = 0; k < 3; k++)
            if ((y > 0.5) == (source.y_cols > 1 || moved == 1))
                opt_set(&r->p.data.x, 3 * i + k, -2);
    }
    assert_ok(ctx, opt_optim_new(ctx, &opt_gd, NULL, &(opt_optim_opts){.lr = lr}, model.params, &optim));
    assert_ok(ctx, opt_batches_new(ctx, &source, &(opt_batches_opts){.size = 70, .seed = 2}, &batches));
    assert_ok(ctx, opt_train(ctx, &model, optim, batches, &train_opts));
    opt_optim_free(optim);
    opt_batches_free(batches);
}

static bool same_weights(const run *a, const run *b)
{
    return same_bits(opt_mlp_params(a->p.net), opt_mlp_params(b->p.net));
}

static void class_weights_of_1_change_no_bit(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 3; threads += 2)
        for (int net = 0; net < WITH_CLASSES; net++)
            for (opt_dtype dtype = OPT_F32; dtype <= OPT_F64; dtype++) {
                opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.threads = threads});
                run none, ones, other;

                train(&none, ctx, net, dtype, 0.1, NULL, -1);
                train(&ones, ctx, net, dtype, 0.1, (double[]){1, 1, 1}, -1);
                train(&other, ctx, net, dtype, 0.1, (double[]){1, 1.25, 1}, -1);
                assert_true(same_weights(&none, &ones));
                assert_true(same_trace(&none.t, &ones.t));
                assert_false(same_weights(&none, &other));
                problem_free(&none.p);
                problem_free(&ones.p);
                problem_free(&other.p);
                opt_ctx_free(ctx);
            }
}

static void class_weights_of_2_are_twice_the_rate(void **state)
{
    for (int net = 0; net < WITH_CLASSES; net++)
        for (opt_dtype dtype = OPT_F32; dtype <= OPT_F64; dtype++) {
            run twice, plain;

            train(&twice, *state, net, dtype, 0.125, (double[]){2, 2, 2}, -1);
            train(&plain, *state, net, dtype, 0.25, NULL, -1);
            assert_true(same_weights(&twice, &plain));
            for (int i = 0; i < 3; i++) {
                assert_close(twice.t.at[i].loss, 2 * plain.t.at[i].loss, 0);
                assert_close(twice.t.at[i].last_loss, 2 * plain.t.at[i].last_loss, 0);
            }
            problem_free(&twice.p);
            problem_free(&plain.p);
        }
}

/* What a class of weight 0 looks like makes no difference, and that of another one does. */
static void a_class_of_weight_0_is_not_learnt(void **state)
{
    for (int net = 0; net < WITH_CLASSES; net++)
        for (int class = 0; class < 2; class ++) {
            double weight[3] = {1, 2, 3};
            run a, b, c;

            weight[class] = 0;
            train(&a, *state, net, OPT_F64, 0.1, weight, -1);
            train(&b, *state, net, OPT_F64, 0.1, weight, class);
            train(&c, *state, net, OPT_F64, 0.1, weight, 1 - class);
            assert_true(same_weights(&a, &b));
            assert_false(same_weights(&a, &c));
            problem_free(&a.p);
            problem_free(&b.p);
            problem_free(&c.p);
        }
}

/* A model that looks at what it is given: part->weight must be that of each row's label. */
typedef struct watcher {
    opt_param param;
    double w, grad;
    const double *class_weight; /* [2] */
    int64_t rows;
} watcher;

static opt_status watch(void *self, const opt_batch *part, double *loss)
{
    watcher *o = self;

    *loss = 0;
    assert_int_equal(part->weight.ndim, 1);
    assert_int_equal(part->weight.dtype, OPT_F64);
    assert_int_equal(part->weight.dim[0], part->x.dim[0]);
    for (int64_t i = 0; i < part->x.dim[0]; i++, o->rows++)
        assert_close(opt_get(&part->weight, i), o->class_weight[opt_get(&part->y, i) > 0.5], 0);
    return OPT_OK;
}

static void a_model_is_told_each_rows_weight(void **state)
{
    static const double labels[5] = {0, 1, 0.5, 0.5000001, 0.25}, class_weight[2] = {3, 4};

    opt_ctx *ctx = *state;
    opt_table table = {matrix(ctx, OPT_F64, 5, 1, labels), matrix(ctx, OPT_F64, 5, 1, labels)};
    const opt_source source = opt_source_table(&table);
    watcher o = {.class_weight = class_weight};
    const opt_model model = {
        .self = &o, .params = {&o.param, 1}, .grad = watch, .classes = 2, .weighs = true};
    const opt_train_opts opts = {.epochs = 2, .class_weight = class_weight};
    opt_batches *batches = NULL;
    opt_optim *optim = NULL;

    o.param = (opt_param){.name = "w",
                          .value = opt_tensor_view(OPT_F64, &o.w, 0, NULL),
                          .grad = opt_tensor_view(OPT_F64, &o.grad, 0, NULL)};
    assert_ok(ctx, opt_optim_new(ctx, &opt_gd, NULL, &(opt_optim_opts){.lr = 1}, model.params, &optim));
    assert_ok(ctx, opt_batches_new(ctx, &source, &(opt_batches_opts){.size = 2}, &batches));
    assert_ok(ctx, opt_train(ctx, &model, optim, batches, &opts));
    assert_int_equal(o.rows, 10);
    opt_batches_free(batches);
    opt_optim_free(optim);
    opt_tensor_free(ctx, &table.x);
    opt_tensor_free(ctx, &table.y);
}

static void class_weights_that_make_no_sense_are_refused(void **state)
{
    static const double ones[] = {1, 1}, bad[] = {-1, (double)NAN, HUGE_VAL, -HUGE_VAL};
    opt_model model;
    opt_ctx *ctx = *state;
    snapshot before;
    trace t = {0};
    job j;

    job_new(&j, ctx, &opt_gd, NULL, NULL);
    before = job_snapshot(&j);
    model = j.model;
    for (int i = 0; i < 4; i++) {
        const double weight[2] = {1, bad[i]};

        assert_fails(ctx, job_train_with(&j, (opt_train_opts){.epochs = 1, .class_weight = weight}, &t),
                     OPT_EINVAL, "train: class_weight[1] = ");
    }
    j.model.weighs = false;
    assert_fails(ctx, job_train_with(&j, (opt_train_opts){.epochs = 1, .class_weight = ones}, &t), OPT_EINVAL,
                 "train: class_weight is given, but the model does not heed weights");
    j.model = model;
    j.model.classes = 0;
    assert_fails(ctx, job_train_with(&j, (opt_train_opts){.epochs = 1, .class_weight = ones}, &t), OPT_EINVAL,
                 "train: class_weight is given, but the model has no classes");
    j.model.classes = 3;
    assert_fails(ctx, job_train_with(&j, (opt_train_opts){.epochs = 1, .class_weight = ones}, &t), OPT_ESHAPE,
                 "train: class_weight: labels have 1 columns where the model has 3 classes");
    const snapshot after = job_snapshot(&j);

    assert_memory_equal(&before, &after, sizeof before);
    assert_int_equal(t.n, 0);
    job_free(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_weighed_gradient_is_right),
        TEST(weights_count_rows),
        TEST(a_power_of_two_scales_exactly),
        TEST(weights_that_do_not_fit_are_refused),
        TEST(class_weights_of_1_change_no_bit),
        TEST(class_weights_of_2_are_twice_the_rate),
        TEST(a_class_of_weight_0_is_not_learnt),
        TEST(a_model_is_told_each_rows_weight),
        TEST(class_weights_that_make_no_sense_are_refused),
    };

    return cmocka_run_group_tests_name("train, weights", tests, NULL, NULL);
}
