/* SPDX-License-Identifier: MIT
 *
 * A run that is killed again and again, wherever it may be, and taken up again from its checkpoint each time,
 * comes to the bits of one never stopped.
 *
 * usage: kill KILLS
 *
 * Every child trains without end, with a checkpoint after every epoch, or whenever a few milliseconds have
 * passed. After KILLS of them the last one ends an epoch further on, and a run without checkpoints does as
 * many epochs.
 */
#define _POSIX_C_SOURCE 200809L /* NOLINT: reserved, and meant to be defined */

#include <opt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FILE_NAME "kill.tmp"

static void check(const opt_ctx *ctx, opt_status s, const char *what)
{
    if (s) {
        fprintf(stderr, "%s: %s: %s\n", what, opt_strerror(s), opt_errmsg(ctx));
        _exit(1);
    }
}

static void require(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "%s\n", what);
        exit(1);
    }
}

/* ---- A run --------------------------------------------------------------------------------------------- */

typedef struct run {
    opt_ctx *ctx;
    opt_table data, other;
    opt_source validation;
    opt_mlp *net;
    opt_model model;
    opt_optim *optim;
    opt_batches *batches;
} run;

static const opt_cosine_arg cosine = {.warmup = 100, .total = 1000000, .final_fraction = 0.1};

static void run_new(run *r)
{
    const opt_optim_opts opts = {.lr = 0.001,
                                 .schedule = opt_lr_cosine,
                                 .schedule_arg = &cosine,
                                 .clip_norm = 1,
                                 .weight_decay = 0.01};
    opt_source source;

    *r = (run){.ctx = opt_ctx_new(NULL)};
    check(r->ctx, opt_moons(r->ctx, 300, 0.2, 3, &r->data), "moons");
    check(r->ctx, opt_moons(r->ctx, 50, 0.2, 4, &r->other), "moons");
    check(r->ctx,
          opt_mlp_new(r->ctx, &(opt_mlp_opts){.size = {2, 5, 2, 1}, .act = OPT_TANH, .seed = 3}, &r->net),
          "mlp");
    source = opt_source_table(&r->data);
    r->validation = opt_source_table(&r->other);
    check(r->ctx, opt_batches_new(r->ctx, &source, &(opt_batches_opts){.size = 64, .seed = 10}, &r->batches),
          "batches");
    r->model = opt_mlp_model(r->net);
    check(r->ctx, opt_optim_new(r->ctx, &opt_adam, NULL, &opts, r->model.params, &r->optim), "optim");
}

static void run_free(run *r)
{
    opt_batches_free(r->batches);
    opt_optim_free(r->optim);
    opt_mlp_free(r->net);
    opt_tensor_free(r->ctx, &r->data.x);
    opt_tensor_free(r->ctx, &r->data.y);
    opt_tensor_free(r->ctx, &r->other.x);
    opt_tensor_free(r->ctx, &r->other.y);
    opt_ctx_free(r->ctx);
}

static opt_status load(run *r, const char *path)
{
    return opt_load(r->ctx, path, r->model.params, r->optim, r->batches);
}

/* From the file, or the one before it; false when there is neither, as at first. */
static bool take_up(run *r, bool expected)
{
    if (load(r, FILE_NAME) == OPT_OK || load(r, FILE_NAME ".bak") == OPT_OK)
        return true;
    if (expected)
        check(r->ctx, load(r, FILE_NAME), "neither file can be loaded");
    return false;
}

static void train(run *r, int64_t epochs, const char *checkpoint, double seconds)
{
    const opt_train_opts opts = {.epochs = epochs,
                                 .checkpoint = checkpoint,
                                 .checkpoint_seconds = seconds,
                                 .validation = &r->validation,
                                 .keep_best = true};

    check(r->ctx, opt_train(r->ctx, &r->model, r->optim, r->batches, &opts), "train");
}

/* ---- Killing it ---------------------------------------------------------------------------------------- */

static void wait_for(double seconds)
{
    nanosleep(&(struct timespec){(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)}, NULL);
}

/* Starts a run and kills it after so long. */
static void kill_one(int number, double seconds)
{
    const pid_t child = fork();
    int status;

    require(child >= 0, "fork failed");
    if (child == 0) {
        run r;

        run_new(&r);
        take_up(&r, false);
        train(&r, INT64_MAX, FILE_NAME, number % 2 ? 0.005 : 0);
        _exit(1); /* it has no end */
    }
    wait_for(seconds);
    kill(child, SIGKILL);
    require(waitpid(child, &status, 0) == child, "waitpid failed");
    require(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the run ended before it was killed");
}

/* The steps done in the file, which must be there if it was before. Neither file may be anything but whole.
 */
static int64_t steps_saved(bool expected, int64_t *epoch_steps)
{
    int64_t steps = 0;
    run r;

    run_new(&r);
    if (take_up(&r, expected))
        steps = opt_optim_steps(r.optim);
    if (access(FILE_NAME ".bak", F_OK) == 0)
        check(r.ctx, load(&r, FILE_NAME ".bak"), FILE_NAME ".bak");
    *epoch_steps = opt_batches_count(r.batches);
    run_free(&r);
    return steps;
}

static bool same_weights(opt_params a, opt_params b)
{
    for (int p = 0; p < a.n; p++)
        if (memcmp(a.at[p].value.data, b.at[p].value.data,
                   (size_t)opt_tensor_len(&a.at[p].value) * sizeof(double)) != 0)
            return false;
    return true;
}

/* The last run goes on to the end of `epochs`, as does one that was never stopped. */
static bool ends_alike(int64_t epochs)
{
    bool alike;
    run a, b;

    run_new(&a);
    run_new(&b);
    take_up(&a, true);
    train(&a, epochs, FILE_NAME, 0);
    train(&b, epochs, NULL, 0);
    alike =
        same_weights(a.model.params, b.model.params) && opt_optim_steps(a.optim) == opt_optim_steps(b.optim);
    for (const char *slot = "m"; slot != NULL; slot = *slot == 'm' ? "v" : NULL)
        for (int p = 0; p < a.model.params.n; p++) {
            const opt_tensor *x = opt_optim_slot(a.optim, p, slot), *y = opt_optim_slot(b.optim, p, slot);

            alike = alike && memcmp(x->data, y->data, (size_t)opt_tensor_len(x) * sizeof(double)) == 0;
        }
    run_free(&a);
    run_free(&b);
    return alike;
}

static void clean(void)
{
    remove(FILE_NAME);
    remove(FILE_NAME ".bak");
    remove(FILE_NAME ".opt-tmp0");
    remove(FILE_NAME ".opt-bak0");
}

int main(int argc, char **argv)
{
    const int kills = argc > 1 ? atoi(argv[1]) : 200;
    int64_t steps = 0, epoch_steps = 1, progressed = 0, inside = 0;
    double longest = 0.06; /* seconds until a run is killed */
    opt_rng rng;

    clean();
    opt_rng_seed(&rng, 5);
    for (int i = 0; i < kills; i++) {
        int64_t now;

        kill_one(i, longest * opt_rng_uniform(&rng));
        now = steps_saved(steps > 0, &epoch_steps);
        require(now >= steps, "a checkpoint went back behind one before it");
        require(access(FILE_NAME ".opt-tmp1", F_OK) != 0, "temporary files pile up");
        progressed += now > steps;
        inside += now % epoch_steps != 0;
        if (2 * progressed < i && longest < 1)
            longest *= 1.1; /* a slow disk, or a slow machine */
        steps = now;
    }
    printf(
        "killed %d times; %lld times a checkpoint was newer, %lld times from within an epoch; %lld steps\n",
        kills, (long long)progressed, (long long)inside, (long long)steps);
    require(progressed >= kills / 4, "hardly any run came to a checkpoint");
    require(inside > 0 || kills < 20, "no checkpoint was from within an epoch");
    require(ends_alike(steps / epoch_steps + 2), "the weights are not those of a run never stopped");
    clean();
    return 0;
}
