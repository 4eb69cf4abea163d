/* SPDX-License-Identifier: MIT
 *
 * What is saved comes back, bit for bit, all of it or the part that is asked for.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "problem.h"
#include "tensor_file.h"

#define FILE_NAME "test_checkpoint.tmp"
#define AGAIN     "test_checkpoint_again.tmp"

static const opt_method *const methods[] = {&opt_gd, &opt_momentum, &opt_adam, &four_slots};
enum { METHODS = sizeof methods / sizeof *methods };

static void clean(void)
{
    remove(FILE_NAME);
    remove(FILE_NAME ".bak");
    remove(AGAIN);
}

static opt_optim *make_optim(mixed *m, const opt_method *method)
{
    opt_optim *o = NULL;

    assert_ok(m->ctx, opt_optim_new(m->ctx, method, NULL,
                                    &(opt_optim_opts){.lr = 0.01, .clip_norm = 2, .weight_decay = 0.1},
                                    m->params, &o));
    return o;
}

static void step(mixed *m, opt_optim *o, uint32_t seed)
{
    mixed_draw_gradients(m, seed);
    assert_ok(m->ctx, opt_optim_step(o));
}

static void check_same_slots(const opt_method *method, opt_optim *a, opt_optim *b)
{
    for (int s = 0; s < OPT_MAX_SLOTS && method->slot[s] != NULL; s++)
        for (int p = 0; p < MIXED; p++)
            assert_true(
                same_bytes(opt_optim_slot(a, p, method->slot[s]), opt_optim_slot(b, p, method->slot[s])));
}

/* ---- Every bit ----------------------------------------------------------------------------------------- */

/* Numbers that arithmetic, or a detour by another type or by text, would change. */
static void put_odd_numbers(const opt_tensor *t)
{
    static const uint64_t d[] = {0x8000000000000000, 0x7ff8dead0000beef, 0xfff0000000000001,
                                 0x7ff0000000000000, 0xfff0000000000000, 1,
                                 0x800fffffffffffff, 0x7fefffffffffffff};
    static const uint32_t f[] = {0x80000000, 0x7fc0beef, 0xff800001, 0x7f800000,
                                 0xff800000, 1,          0x807fffff, 0x7f7fffff};
    const size_t size = t->dtype == OPT_F32 ? sizeof *f : sizeof *d;

    for (int64_t i = 0; i < opt_tensor_len(t) && i < 8; i++)
        memcpy((char *)t->data + size * (size_t)i, t->dtype == OPT_F32 ? (const void *)&f[i] : &d[i], size);
}

static void every_bit_comes_back(void **state)
{
    for (int k = 0; k < METHODS; k++) {
        mixed from, to;
        opt_optim *a, *b;

        mixed_new(&from, *state, 1);
        mixed_new(&to, *state, 2);
        a = make_optim(&from, methods[k]);
        b = make_optim(&to, methods[k]);
        for (uint32_t t = 1; t <= 3; t++)
            step(&from, a, t);
        step(&to, b, 9);
        opt_optim_set_lr(a, 0.1 / 3);
        for (int p = 0; p < MIXED; p++) {
            put_odd_numbers(&from.at[p].value);
            for (int s = 0; s < OPT_MAX_SLOTS && methods[k]->slot[s] != NULL; s++)
                put_odd_numbers(opt_optim_slot(a, p, methods[k]->slot[s]));
        }
        assert_ok(*state, opt_save(*state, FILE_NAME, from.params, a, NULL));
        assert_ok(*state, opt_load(*state, FILE_NAME, to.params, b, NULL));
        assert_true(same_bits(from.params, to.params));
        check_same_slots(methods[k], a, b);
        assert_int_equal(opt_optim_steps(b), 3);
        assert_close(opt_optim_lr(b), 0.1 / 3, 0);
        write_state(*state, AGAIN, to.params, b, NULL);
        assert_true(same_file(FILE_NAME, AGAIN));
        opt_optim_free(a);
        opt_optim_free(b);
        mixed_free(&from);
        mixed_free(&to);
    }
    clean();
}

/* The optimizers then take the same steps. */
static void optimizers_go_on_alike(void **state)
{
    for (int k = 0; k < METHODS; k++) {
        mixed from, to;
        opt_optim *a, *b;

        mixed_new(&from, *state, 1);
        mixed_new(&to, *state, 2);
        a = make_optim(&from, methods[k]);
        b = make_optim(&to, methods[k]);
        for (uint32_t t = 1; t <= 5; t++)
            step(&from, a, t);
        assert_ok(*state, opt_save(*state, FILE_NAME, from.params, a, NULL));
        assert_ok(*state, opt_load(*state, FILE_NAME, to.params, b, NULL));
        for (uint32_t t = 6; t <= 9; t++) {
            step(&from, a, t);
            step(&to, b, t);
        }
        assert_true(same_bits(from.params, to.params));
        check_same_slots(methods[k], a, b);
        assert_int_equal(opt_optim_steps(b), 9);
        opt_optim_free(a);
        opt_optim_free(b);
        mixed_free(&from);
        mixed_free(&to);
    }
    clean();
}

/* Rates that decimal digits, or a flush of the smallest numbers to 0, would change. */
static void rates_of_every_kind_come_back(void **state)
{
    const double rates[] = {
        0.1, 1.0 / 3,  4.9e-324, 2.2250738585072009e-308, 2.2250738585072014e-308, 1.7976931348623157e308, 0,
        -1,  HUGE_VAL, -HUGE_VAL};
    mixed m;
    opt_optim *o;

    mixed_new(&m, *state, 1);
    o = make_optim(&m, &opt_gd);
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        opt_optim_set_lr(o, rates[i]);
        assert_ok(*state, opt_save(*state, FILE_NAME, m.params, o, NULL));
        opt_optim_set_lr(o, 7);
        assert_ok(*state, opt_load(*state, FILE_NAME, m.params, o, NULL));
        assert_true(opt_optim_lr(o) == rates[i]);
    }
    opt_optim_set_lr(o, (double)NAN);
    assert_ok(*state, opt_save(*state, FILE_NAME, m.params, o, NULL));
    opt_optim_set_lr(o, 7);
    assert_ok(*state, opt_load(*state, FILE_NAME, m.params, o, NULL));
    assert_true(isnan(opt_optim_lr(o)));
    opt_optim_free(o);
    mixed_free(&m);
    clean();
}

/* ---- The place in the batches -------------------------------------------------------------------------- */

static opt_batches *make_batches(opt_ctx *ctx, const opt_table *table, const opt_batches_opts *opts)
{
    const opt_source source = opt_source_table(table);
    opt_batches *b = NULL;

    assert_ok(ctx, opt_batches_new(ctx, &source, opts, &b));
    return b;
}

/* Both hand out the same until the end of the epoch and in the one after it. */
static void check_same_batches(opt_ctx *ctx, opt_batches *a, opt_batches *b, int64_t epoch)
{
    for (int round = 0; round < 2; round++) {
        opt_status s, t;
        opt_batch x, y;

        while ((s = opt_batches_next(a, &x)) == OPT_OK) {
            assert_ok(ctx, opt_batches_next(b, &y));
            assert_int_equal(x.index, y.index);
            assert_int_equal(x.global_rows, y.global_rows);
            assert_true(same_bytes(&x.x, &y.x));
            assert_true(same_bytes(&x.y, &y.y));
        }
        t = opt_batches_next(b, &y);
        assert_int_equal(s, epoch + round > 0 ? OPT_END : OPT_EINVAL);
        assert_int_equal(t, s);
        assert_ok(ctx, opt_batches_begin(a, epoch + 1));
        assert_ok(ctx, opt_batches_begin(b, epoch + 1));
    }
}

static void the_place_comes_back(void **state)
{
    static const opt_batches_opts opts[] = {{.size = 4, .seed = 5},
                                            {.size = 4, .seed = UINT32_MAX, .drop_last = true},
                                            {.size = 1, .in_order = true},
                                            {0}};
    mixed m;
    job j;

    mixed_new(&m, *state, 1);
    job_new(&j, *state, &opt_gd, NULL, NULL);
    for (size_t i = 0; i < sizeof opts / sizeof *opts; i++)
        for (int64_t epoch = 0; epoch <= 3; epoch++)
            for (int64_t done = 0; done <= 3; done++) {
                opt_batches *a = make_batches(*state, &j.p.data, &opts[i]);
                opt_batches *b = make_batches(*state, &j.p.data, &opts[i]);
                opt_batch part;

                assert_ok(*state, opt_batches_begin(b, 7));
                assert_ok(*state, opt_batches_next(b, &part));
                if (epoch > 0)
                    assert_ok(*state, opt_batches_begin(a, epoch));
                for (int64_t k = 0; k < done; k++)
                    (void)opt_batches_next(a, &part);
                assert_ok(*state, opt_save(*state, FILE_NAME, m.params, NULL, a));
                assert_ok(*state, opt_load(*state, FILE_NAME, m.params, NULL, b));
                check_same_batches(*state, a, b, epoch);
                opt_batches_free(a);
                opt_batches_free(b);
            }
    job_free(&j);
    mixed_free(&m);
    clean();
}

/* Nothing is left of the epoch that was broken off, not even its losses. */
static void an_epoch_begun_is_saved_as_any_first_one(void **state)
{
    trace t = {.step = 5, .answer = OPT_STOP};
    job trained, fresh;
    mixed m;

    mixed_new(&m, *state, 1);
    job_new(&trained, *state, &opt_gd, NULL, NULL);
    job_new(&fresh, *state, &opt_gd, NULL, NULL);
    assert_ok(*state, job_train(&trained, 4, &t));
    assert_ok(*state, opt_batches_begin(trained.batches, 3));
    assert_ok(*state, opt_batches_begin(fresh.batches, 3));
    assert_ok(*state, opt_save(*state, FILE_NAME, m.params, NULL, trained.batches));
    assert_ok(*state, opt_save(*state, AGAIN, m.params, NULL, fresh.batches));
    assert_true(same_file(FILE_NAME, AGAIN));
    job_free(&trained);
    job_free(&fresh);
    mixed_free(&m);
    clean();
}

/* ---- Parts --------------------------------------------------------------------------------------------- */

static void save_with(job *j, const char *path, bool optim, bool batches)
{
    assert_ok(j->p.ctx, opt_save(j->p.ctx, path, j->model.params, optim ? j->optim : NULL,
                                 batches ? j->batches : NULL));
}

/* What is not asked for, or not there, is left alone; what is asked for has to be there. */
static void parts_may_be_saved_and_loaded(void **state)
{
    for (int saved = 0; saved < 4; saved++)
        for (int wanted = 0; wanted < 4; wanted++) {
            const bool there = (saved & wanted) == wanted;
            snapshot before, after;
            trace t = {0};
            job a, b;
            opt_status s;

            job_new(&a, *state, &opt_adam, NULL, NULL);
            job_new(&b, *state, &opt_adam, NULL, NULL);
            t.step = 5;
            t.answer = OPT_STOP;
            assert_ok(*state, job_train(&a, 4, &t));
            save_with(&a, FILE_NAME, saved & 1, saved & 2);
            before = job_snapshot(&b);
            s = opt_load(*state, FILE_NAME, b.model.params, wanted & 1 ? b.optim : NULL,
                         wanted & 2 ? b.batches : NULL);
            after = job_snapshot(&b);
            if (there) {
                assert_ok(*state, s);
                assert_true(same_bits(a.model.params, b.model.params));
                assert_int_equal(after.steps, wanted & 1 ? 5 : 0);
                if (wanted == 3) {
                    save_with(&b, AGAIN, true, true);
                    assert_true(same_file(FILE_NAME, AGAIN));
                }
            } else {
                assert_fails(*state, s, OPT_EFORMAT,
                             wanted & ~saved & 1 ? "the file has no optimizer's state"
                                                 : "the file has no batches' state");
                assert_memory_equal(&before, &after, sizeof before);
            }
            if (!there || !(wanted & 2)) {
                opt_batch part;

                assert_fails(*state, opt_batches_next(b.batches, &part), OPT_EINVAL, "begin comes first");
            }
            job_free(&a);
            job_free(&b);
        }
    clean();
}

/* ---- The file's form ----------------------------------------------------------------------------------- */

/* Data at a multiple of 8, f64 before f32, and the sum that zlib would find; whatever the header's length. */
static void the_file_is_as_described(void **state)
{
    static const char start[] = "{\"__metadata__\":{\"format\":\"libopt\",\"crc32\":\"";
    static const char name[] = "12345678";
    const char *scalar, *row;
    char digits[9];
    mixed m;
    bytes b;

    assert_int_equal(crc32_of("123456789", 9),
                     0xcbf43926); /* the check value of this sum's catalogue entry */
    mixed_new(&m, *state, 1);
    for (int i = 0; i < 8; i++) {
        m.at[4].name = name + i;
        assert_ok(*state, opt_save(*state, FILE_NAME, m.params, NULL, NULL));
        b = slurp(FILE_NAME);
        b.at[b.n] = '\0';
        assert_int_equal(b.at[0] % 8, 0);
        assert_memory_equal(b.at + 2, "\0\0\0\0\0\0", 6);
        assert_memory_equal(b.at + 8, start, sizeof start - 1);
        assert_int_equal(b.n, 8 + b.at[0] + 256 * b.at[1] + 8 * (3 + 7) + 4 * (1 + 45 + 9));
        row = strstr((char *)b.at + 8, "\"row\":{\"dtype\":\"F64\",\"shape\":[3],\"data_offsets\":[0,24]}");
        scalar =
            strstr((char *)b.at + 8, "\"scalar\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[80,84]}");
        assert_true(row != NULL && scalar > row);
        memcpy(digits, b.at + 8 + sizeof start - 1, 8);
        digits[8] = '\0';
        memset(b.at + 8 + sizeof start - 1, '0', 8);
        assert_int_equal(strtoul(digits, NULL, 16), crc32_of(b.at, b.n));
        free(b.at);
    }
    mixed_free(&m);
    clean();
}

/* Before the first step the last rate is that of the next. */
static void a_file_before_the_first_step_has_its_rate(void **state)
{
    bytes b;
    job j;

    job_new(&j, *state, &opt_adam, NULL, NULL); /* whose lr is 0.1 */
    save_with(&j, FILE_NAME, true, false);
    b = slurp(FILE_NAME);
    b.at[b.n - 1] = '\0';
    assert_non_null(strstr((char *)b.at + 8, "\"last_lr\":\"0x1.999999999999ap-4\""));
    free(b.at);
    job_free(&j);
    clean();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_bit_comes_back),
        TEST(optimizers_go_on_alike),
        TEST(rates_of_every_kind_come_back),
        TEST(the_place_comes_back),
        TEST(an_epoch_begun_is_saved_as_any_first_one),
        TEST(parts_may_be_saved_and_loaded),
        TEST(the_file_is_as_described),
        TEST(a_file_before_the_first_step_has_its_rate),
    };

    clean();
    return cmocka_run_group_tests_name("checkpoint", tests, NULL, NULL);
}
