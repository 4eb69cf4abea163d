/* SPDX-License-Identifier: MIT
 *
 * Checkpoints whose bytes and sum are right, but whose metadata makes no sense: lacks something, or says that
 * a run stands where none can.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "problem.h"
#include "tensor_file.h"

#define FILE_NAME "test_checkpoint_facts.tmp"

static bytes whole; /* the file of a job in the second batch of its second epoch */

static void clean(void)
{
    remove(FILE_NAME);
    remove(FILE_NAME ".bak");
}

static int make_whole(void **state)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    trace t = {.step = 5, .answer = OPT_STOP};
    job j;

    (void)state;
    clean();
    job_new(&j, ctx, &opt_adam, NULL, NULL);
    assert_ok(ctx, job_train(&j, 4, &t));
    assert_ok(ctx, opt_save(ctx, FILE_NAME, j.model.params, j.optim, j.batches));
    whole = slurp(FILE_NAME);
    job_free(&j);
    opt_ctx_free(ctx);
    clean();
    return 0;
}

static int free_whole(void **state)
{
    (void)state;
    free(whole.at);
    return 0;
}

/* With one part of its header changed it is refused by a new job, which is as new as before. */
static void check_edit(opt_ctx *ctx, const char *part, const char *by, opt_status status, const char *message)
{
    snapshot before, after;
    opt_batch batch;
    job j;

    edit_tensor_file(FILE_NAME, &whole, part, by);
    job_new(&j, ctx, &opt_adam, NULL, NULL);
    before = job_snapshot(&j);
    assert_fails(ctx, opt_load(ctx, FILE_NAME, j.model.params, j.optim, j.batches), status, message);
    assert_memory_equal(opt_errmsg(ctx), FILE_NAME ": ", sizeof FILE_NAME + 1);
    after = job_snapshot(&j);
    assert_memory_equal(&before, &after, sizeof before);
    assert_fails(ctx, opt_batches_next(j.batches, &batch), OPT_EINVAL, "begin comes first");
    job_free(&j);
    clean();
}

/* Each key of what is said, and where the message has it. */
static const char *const keys[] = {
    "version",           "method",           "hyper.beta1",  "hyper.beta2",       "hyper.eps",
    "clip_value",        "clip_norm",        "l2",           "weight_decay",      "lr",
    "last_lr",           "grad_norm",        "steps",        "best_kept",         "best_epoch",
    "best_loss",         "batches.rows",     "batches.size", "batches.seed",      "batches.in_order",
    "batches.drop_last", "batches.epoch",    "batches.next", "batches.completed", "batches.loss_sum",
    "batches.loss_rows", "batches.last_loss"};

static void every_fact_has_to_be_there(void **state)
{
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char part[64], by[64], message[128];

        snprintf(part, sizeof part, "\"%s\":", keys[i]);
        snprintf(by, sizeof by, "\"_%s\":", keys[i]);
        snprintf(message, sizeof message, "the metadata does not have %s", keys[i]);
        check_edit(*state, part, by, OPT_EFORMAT,
                   strcmp(keys[i], "method") == 0          ? "the file has no optimizer's state"
                   : strcmp(keys[i], "batches.epoch") == 0 ? "the file has no batches' state"
                                                           : message);
    }
}

/* Files from before there was something to be said of them do not have these. */
static void what_came_later_may_be_missing(void **state)
{
    static const char *const later[] = {"average", "best_from", "reduced_epoch", "batches.chunk"};

    for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
        char part[64], by[64];
        job j;

        snprintf(part, sizeof part, "\"%s\":", later[i]);
        snprintf(by, sizeof by, "\"_%s\":", later[i]);
        edit_tensor_file(FILE_NAME, &whole, part, by);
        job_new(&j, *state, &opt_adam, NULL, NULL);
        assert_ok(*state, opt_load(*state, FILE_NAME, j.model.params, j.optim, j.batches));
        assert_int_equal(opt_optim_steps(j.optim), 5);
        job_free(&j);
        clean();
    }
}

/* The weights alone can be had even so, but for the version: what another one means by them is not known. */
static void another_version_is_refused(void **state)
{
    job j;

    check_edit(*state, "\"version\":\"1\"", "\"version\":\"2\"", OPT_EFORMAT,
               "a checkpoint of version 2, where this library knows 1");
    check_edit(*state, "\"version\":\"1\"", "\"version\":\"\"", OPT_EFORMAT, "a checkpoint of version ");
    job_new(&j, *state, &opt_adam, NULL, NULL);
    edit_tensor_file(FILE_NAME, &whole, "\"version\":\"1\"", "\"version\":\"2\"");
    assert_fails(*state, opt_load(*state, FILE_NAME, j.model.params, NULL, NULL), OPT_EFORMAT, "version 2");
    edit_tensor_file(FILE_NAME, &whole, "\"lr\":", "\"x\":");
    assert_ok(*state, opt_load(*state, FILE_NAME, j.model.params, NULL, NULL));
    job_free(&j);
    clean();
}

/* ---- Counts -------------------------------------------------------------------------------------------- */

static void counts_are_read_strictly(void **state)
{
    static const char *const counts[] = {"",
                                         "-1",
                                         "+5",
                                         "5 ",
                                         " 5",
                                         "5.0",
                                         "5e0",
                                         "0x5",
                                         "five",
                                         "9223372036854775808",
                                         "18446744073709551621",
                                         "9007199254740993",
                                         "99999999999999999999999999999999999999"};
    char by[128], message[128];

    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        snprintf(by, sizeof by, "\"steps\":\"%s\"", counts[i]);
        snprintf(message, sizeof message, "steps = %s cannot be read", counts[i]);
        check_edit(*state, "\"steps\":\"5\"", by, OPT_EFORMAT, message);
        snprintf(by, sizeof by, "\"batches.epoch\":\"%s\"", counts[i]);
        snprintf(message, sizeof message, "batches.epoch = %s cannot be read", counts[i]);
        check_edit(*state, "\"batches.epoch\":\"2\"", by, OPT_EFORMAT, message);
        snprintf(by, sizeof by, "\"batches.seed\":\"%s\"", counts[i]);
        snprintf(message, sizeof message, "batches.seed = %s cannot be read", counts[i]);
        check_edit(*state, "\"batches.seed\":\"2\"", by, OPT_EFORMAT, message);
    }
}

/* Epoch 2, of which 2 batches of 3 are done, and epoch 1 completed. */
static void a_place_that_is_none_is_refused(void **state)
{
    static const char *const cases[][2] = {
        {"\"batches.next\":\"2\"", "\"batches.next\":\"4\""},
        {"\"batches.next\":\"2\"", "\"batches.next\":\"9007199254740992\""},
        {"\"batches.completed\":\"1\"", "\"batches.completed\":\"0\""},
        {"\"batches.completed\":\"1\"", "\"batches.completed\":\"2\""},
        {"\"batches.completed\":\"1\"", "\"batches.completed\":\"3\""},
        {"\"batches.epoch\":\"2\"", "\"batches.epoch\":\"0\""},
        {"\"batches.epoch\":\"2\",\"batches.next\":\"2\",\"batches.completed\":\"1\"",
         "\"batches.epoch\":\"0\",\"batches.next\":\"2\",\"batches.completed\":\"0\""},
        {"\"batches.epoch\":\"2\"", "\"batches.epoch\":\"1\""},
        {"\"batches.epoch\":\"2\"", "\"batches.epoch\":\"3\""},
        {"\"batches.epoch\":\"2\"", "\"batches.epoch\":\"9007199254740992\""},
        {"\"batches.loss_rows\":\"8\"", "\"batches.loss_rows\":\"11\""},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_edit(*state, cases[i][0], cases[i][1], OPT_EFORMAT, "is no place to stand");
}

static void a_setting_of_another_range_differs(void **state)
{
    check_edit(*state, "\"batches.seed\":\"2\"", "\"batches.seed\":\"4294967298\"", OPT_EINVAL,
               "batches.seed is 4294967298 in the file and 2 here");
    check_edit(*state, "\"batches.in_order\":\"0\"", "\"batches.in_order\":\"256\"", OPT_EINVAL,
               "batches.in_order is 256 in the file and 0 here");
    check_edit(*state, "\"method\":\"adam\"", "\"method\":\"\"", OPT_EINVAL, "method is  in the file");
    check_edit(*state, "\"method\":\"adam\"", "\"method\":\"a\\u001b[31m\"", OPT_EINVAL,
               "method is a?[31m in");
}

/* The furthest place there can be: nothing overflows on the way to it, or behind it. */
static void the_largest_counts_are_accepted(void **state)
{
    opt_batch part;
    bytes file;
    job j;

    edit_tensor_file(FILE_NAME, &whole, "\"batches.epoch\":\"2\"", "\"batches.epoch\":\"9007199254740992\"");
    file = slurp(FILE_NAME);
    edit_tensor_file(FILE_NAME, &file, "\"batches.completed\":\"1\"",
                     "\"batches.completed\":\"9007199254740991\"");
    free(file.at);
    file = slurp(FILE_NAME);
    edit_tensor_file(FILE_NAME, &file, "\"steps\":\"5\"", "\"steps\":\"9007199254740992\"");
    free(file.at);
    job_new(&j, *state, &opt_adam, NULL, NULL);
    assert_ok(*state, opt_load(*state, FILE_NAME, j.model.params, j.optim, j.batches));
    assert_ok(*state, opt_batches_next(j.batches, &part));
    assert_int_equal(part.index, 2);
    assert_int_equal(opt_batches_next(j.batches, &part), OPT_END);
    assert_ok(*state, opt_optim_step(j.optim));
    job_free(&j);
    clean();
}

/* ---- Real numbers -------------------------------------------------------------------------------------- */

static void real_numbers_are_read_strictly(void **state)
{
    static const char *const reals[] = {"",
                                        "0.1",
                                        "1",
                                        "nan(5)",
                                        "-nan",
                                        "NaN",
                                        "infinity",
                                        "Inf",
                                        "+inf",
                                        "0x1.999999999999ap-4 ",
                                        " 0x1.999999999999ap-4",
                                        "0x1.999999999999p-4",
                                        "0x1.999999999999aap-4",
                                        "0x2.999999999999ap-4",
                                        "0x1,999999999999ap-4",
                                        "0x1.999999999999Ap-4",
                                        "0X1.999999999999ap-4",
                                        "0x1.999999999999a",
                                        "0x1.999999999999ap",
                                        "0x1.999999999999ap4",
                                        "0x1.999999999999ap-",
                                        "0x1.999999999999ap-4x",
                                        "0x1.999999999999ap+1024",
                                        "0x1.999999999999ap-99999",
                                        "--0x1.999999999999ap-4",
                                        "0x",
                                        "0x1",
                                        "0x1.",
                                        "-",
                                        "-0x1.9"};

    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++) {
        char by[128], message[128];

        snprintf(by, sizeof by, "\"lr\":\"%s\"", reals[i]);
        snprintf(message, sizeof message, "lr = %s cannot be read", reals[i]);
        check_edit(*state, "\"lr\":\"0x1.999999999999ap-4\"", by, OPT_EFORMAT, message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_fact_has_to_be_there),      TEST(another_version_is_refused),
        TEST(what_came_later_may_be_missing),  TEST(counts_are_read_strictly),
        TEST(a_place_that_is_none_is_refused), TEST(a_setting_of_another_range_differs),
        TEST(the_largest_counts_are_accepted), TEST(real_numbers_are_read_strictly),
    };

    return cmocka_run_group_tests_name("checkpoint facts", tests, make_whole, free_whole);
}
