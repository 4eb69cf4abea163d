/* SPDX-License-Identifier: MIT
 *
 * What opt_train refuses before it begins.
 */
#include "train/options.h"

#include <math.h>

#include "batch/batches.h"
#include "optim/optim.h"
#include "optim/params.h"
#include "train/evaluate.h"

static opt_status check_reduction(opt_ctx *ctx, const opt_train_opts *o)
{
    if (!(o->reduce_factor >= 0 && o->reduce_factor < 1))
        return opt__fail(ctx, OPT_EINVAL, "train: reduce_factor = %g is outside [0, 1)", o->reduce_factor);
    if (o->reduce_patience < 0)
        return opt__fail(ctx, OPT_EINVAL, "train: reduce_patience = %lld is below 0",
                         (long long)o->reduce_patience);
    if (!(o->reduce_floor >= 0 && isfinite(o->reduce_floor)))
        return opt__fail(ctx, OPT_EINVAL, "train: reduce_floor = %g is outside [0, inf)", o->reduce_floor);
    return OPT_OK;
}

static opt_status check_ranges(opt_ctx *ctx, const opt_train_opts *o)
{
    if (o->epochs < 1)
        return opt__fail(ctx, OPT_EINVAL, "train: epochs = %lld is below 1", (long long)o->epochs);
    if (o->checkpoint_every < 0)
        return opt__fail(ctx, OPT_EINVAL, "train: checkpoint_every = %lld is below 0",
                         (long long)o->checkpoint_every);
    if (!(o->checkpoint_seconds >= 0 && isfinite(o->checkpoint_seconds)))
        return opt__fail(ctx, OPT_EINVAL, "train: checkpoint_seconds = %g is outside [0, inf)",
                         o->checkpoint_seconds);
    if (o->accumulate < 0)
        return opt__fail(ctx, OPT_EINVAL, "train: accumulate = %lld is below 0", (long long)o->accumulate);
    if (o->patience < 0)
        return opt__fail(ctx, OPT_EINVAL, "train: patience = %lld is below 0", (long long)o->patience);
    if (!(o->min_gain >= 0 && isfinite(o->min_gain)))
        return opt__fail(ctx, OPT_EINVAL, "train: min_gain = %g is outside [0, inf)", o->min_gain);
    return check_reduction(ctx, o);
}

static opt_status check_weights(opt_ctx *ctx, const opt_model *model, const opt_batches *batches,
                                const double *weight)
{
    opt_status s;

    if (model->classes == 0 || !model->weighs)
        return opt__fail(ctx, OPT_EINVAL, "train: class_weight is given, but the model %s",
                         model->classes == 0 ? "has no classes" : "does not heed weights");
    s = opt__check_classes(ctx, model, batches->source.y_cols);
    if (s)
        return opt__fail(ctx, s, "train: class_weight: %s", ctx->message);
    for (int64_t c = 0; c < model->classes; c++)
        if (!(weight[c] >= 0 && isfinite(weight[c])))
            return opt__fail(ctx, OPT_EINVAL, "train: class_weight[%lld] = %g is outside [0, inf)",
                             (long long)c, weight[c]);
    return OPT_OK;
}

static opt_status check_objects(opt_ctx *ctx, const opt_model *model, const opt_optim *optim,
                                const opt_batches *batches)
{
    opt_status s;

    if (model->grad == NULL)
        return opt__fail(ctx, OPT_EINVAL, "train: the model has no grad");
    s = opt__check_params(ctx, "train", model->params);
    if (s)
        return s;
    if (!opt__optim_updates(optim, ctx, model->params))
        return opt__fail(
            ctx, OPT_EINVAL,
            "train: the optimizer was made for other parameters than the model's, or by another context");
    if (optim->predicting)
        return opt__fail(ctx, OPT_EINVAL, "train: the weights are those that predict");
    if (batches->ctx != ctx)
        return opt__fail(ctx, OPT_EINVAL, "train: the batches were made by another context");
    return OPT_OK;
}

opt_status opt__check_training(opt_ctx *ctx, const opt_model *model, const opt_optim *optim,
                               const opt_batches *batches, const opt_train_opts *opts)
{
    opt_status s;

    if (model == NULL || optim == NULL || batches == NULL || opts == NULL)
        return opt__fail(ctx, OPT_EINVAL, "train: %s is NULL",
                         !model     ? "model"
                         : !optim   ? "optim"
                         : !batches ? "batches"
                                    : "opts");
    s = check_ranges(ctx, opts);
    if (!s)
        s = check_objects(ctx, model, optim, batches);
    if (!s && opts->accumulate > 1 && optim->method.search != NULL)
        s = opt__fail(ctx, OPT_EINVAL, "train: accumulate = %lld, but %s evaluates a batch more than once",
                      (long long)opts->accumulate, optim->method.name);
    if (!s && opts->validation != NULL && model->predict == NULL)
        s = opt__fail(ctx, OPT_EINVAL, "train: validation is given, but the model has no predict");
    if (!s && opts->class_weight != NULL)
        s = check_weights(ctx, model, batches, opts->class_weight);
    return s;
}
