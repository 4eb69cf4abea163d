/* SPDX-License-Identifier: MIT
 *
 * Training that is stopped, in the middle of an epoch, and taken up again by new objects from a file, as by
 * another process: it ends at the same weights, bit for bit, as training that is never stopped. Ctrl-C stops
 * it as well, sooner. Exits with 1 if the weights differ.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "interrupt.h"
#include "opt.h"
#include "output.h"

/* All that a run's future depends on, and that a checkpoint holds. */
typedef struct run {
    opt_mlp *net;
    opt_batches *batches;
    opt_optim *adam;
} run;

static run new_run(opt_ctx *ctx, const opt_table *moons)
{
    const opt_source source = opt_source_table(moons);
    run r;
    cli_check(ctx, opt_mlp_new(ctx, &(opt_mlp_opts){.size = {2, 5, 2, 1}, .seed = 3}, &r.net));
    cli_check(ctx, opt_batches_new(ctx, &source, &(opt_batches_opts){.size = 64, .seed = 10}, &r.batches));
    cli_check(ctx, opt_optim_new(ctx, &opt_adam, NULL, &(opt_optim_opts){.lr = 0.0007}, opt_mlp_params(r.net),
                                 &r.adam));
    return r;
}

static void free_run(const run *r)
{
    opt_optim_free(r->adam);
    opt_batches_free(r->batches);
    opt_mlp_free(r->net);
}

static opt_status stop_after(const opt_progress *p, void *ud)
{
    const int64_t *steps = ud;
    return p->step == *steps ? OPT_STOP : interrupt_stop(p, NULL);
}

/* Until all epochs are done, so many steps are or a signal comes. With a file, a checkpoint is written there
 * after every second and at the end. */
static void train(opt_ctx *ctx, const run *r, const char *which, int64_t epochs, int64_t steps,
                  const char *file)
{
    const opt_model model = opt_mlp_model(r->net);
    const opt_train_opts opts = {
        .epochs = epochs, .on_step = stop_after, .ud = &steps, .checkpoint = file, .checkpoint_seconds = 1};
    cli_check(ctx, opt_train(ctx, &model, r->adam, r->batches, &opts));
    printf("%-14s %" PRId64 " steps\n", which, opt_optim_steps(r->adam));
}

static bool same_weights(const run *a, const run *b)
{
    const opt_params p = opt_mlp_params(a->net), q = opt_mlp_params(b->net);
    for (int i = 0; i < p.n; i++) {
        const size_t bytes = (size_t)opt_tensor_len(&p.at[i].value) * sizeof(double);
        if (memcmp(p.at[i].value.data, q.at[i].value.data, bytes) != 0)
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    const char *file = "resume.safetensors";
    int64_t epochs = 10, steps = 17;
    const cli_option options[] = {{"epochs", "N", "visits to every example", CLI_INT, &epochs},
                                  {"stop-after", "N", "steps, of which an epoch has 5", CLI_INT, &steps},
                                  {"file", "FILE", "where the checkpoint goes", CLI_TEXT, &file},
                                  {0}};
    cli_parse(argc, argv, "Stops training, goes on from a file, and compares with a run never stopped.",
              options);
    if (epochs < 1)
        cli_fail(2, "--epochs: %" PRId64 " is below 1", epochs);
    opt_ctx *ctx = cli_context();
    opt_table moons;
    cli_check(ctx, opt_moons(ctx, 300, 0.2, 3, &moons));

    interrupt_catch();
    run stopped = new_run(ctx, &moons);
    train(ctx, &stopped, "stopped:", epochs, steps, file);
    free_run(&stopped);
    interrupt_release();

    run resumed = new_run(ctx, &moons);
    cli_check(ctx, opt_load(ctx, file, opt_mlp_params(resumed.net), resumed.adam, resumed.batches));
    train(ctx, &resumed, "gone on:", epochs, 0, NULL);
    run never = new_run(ctx, &moons);
    train(ctx, &never, "never stopped:", epochs, 0, NULL);
    bool same = same_weights(&resumed, &never);
    printf("the weights of the last two: %s\n", same ? "the same bits" : "NOT the same bits");

    free_run(&never);
    free_run(&resumed);
    opt_tensor_free(ctx, &moons.y);
    opt_tensor_free(ctx, &moons.x);
    opt_ctx_free(ctx);
    output_close(stdout, "standard output");
    return same ? EXIT_SUCCESS : EXIT_FAILURE;
}
