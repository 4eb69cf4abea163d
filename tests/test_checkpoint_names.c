/* SPDX-License-Identifier: MIT
 *
 * What is in a checkpoint, by which name.
 */
#include <stdio.h>
#include <string.h>

#include "problem.h"
#include "tensor_file.h"

#define FILE_NAME "test_checkpoint_names.tmp"

static opt_status save_named(opt_ctx *ctx, const char *name)
{
    opt_optim *o = NULL;
    opt_status s;
    mixed m;

    mixed_new(&m, ctx, 1);
    m.at[2].name = name;
    assert_ok(ctx, opt_optim_new(ctx, &opt_adam, NULL, &(opt_optim_opts){.lr = 1}, m.params, &o));
    s = opt_save(ctx, FILE_NAME, m.params, o, NULL);
    if (!s) {
        mixed to;

        mixed_new(&to, ctx, 2);
        to.at[2].name = name;
        assert_ok(ctx, opt_load(ctx, FILE_NAME, to.params, NULL, NULL));
        assert_true(same_bits(m.params, to.params));
        assert_ok(ctx, opt_load(ctx, FILE_NAME, m.params, o, NULL));
        mixed_free(&to);
    }
    opt_optim_free(o);
    mixed_free(&m);
    return s;
}

static void any_name_comes_back(void **state)
{
    static const char *const names[] = {"\"",
                                        "\\",
                                        "\\\"\\",
                                        "\\u0041",
                                        "a\"b\\c/d",
                                        "\b\f\n\r\t\x01\x1f\x7f",
                                        "\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80",
                                        "\xed\x9f\xbf\xee\x80\x80",
                                        "\xf4\x8f\xbf\xbf",
                                        "\xc2\x80",
                                        " ",
                                        "{}[],:",
                                        "dtype",
                                        "__metadata",
                                        "best.W1",
                                        "best.scalar",
                                        "slot",
                                        "slot.",
                                        "slot.m.other",
                                        "crc32"};
    char every[256], longest[5000];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_ok(*state, save_named(*state, names[i]));
    for (int c = 1; c < 128; c++)
        every[c - 1] = (char)c;
    every[127] = '\0';
    assert_ok(*state, save_named(*state, every));
    memset(longest, '"', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_ok(*state, save_named(*state, longest));
    remove(FILE_NAME);
    remove(FILE_NAME ".bak");
}

static void names_that_are_not_utf8_are_refused(void **state)
{
    static const char *const names[] = {"\xff",
                                        "\x80",
                                        "\x80\x80",
                                        "a\xc3",
                                        "\xc3(",
                                        "\xc0\x80",
                                        "\xc1\xbf",
                                        "\xe2\x82",
                                        "\xe0\x9f\xbf",
                                        "\xed\xa0\x80",
                                        "\xed\xbf\xbf",
                                        "\xf0\x8f\xbf\xbf",
                                        "\xf4\x90\x80\x80",
                                        "\xf5\x80\x80\x80",
                                        "\xf0\x9f\x98"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_fails(*state, save_named(*state, names[i]), OPT_EINVAL, "is not UTF-8");
        assert_fails(*state, save_named(*state, names[i]), OPT_EINVAL, FILE_NAME ": the tensor name ");
    }
    assert_false(is_there(FILE_NAME));
}

static void names_that_others_have_are_refused(void **state)
{
    assert_fails(*state, save_named(*state, "slot.m.scalar"), OPT_EINVAL,
                 FILE_NAME ": two tensors would have the name slot.m.scalar");
    assert_fails(*state, save_named(*state, "__metadata__"), OPT_EINVAL,
                 "the tensor name __metadata__ has another meaning in this format");
    assert_false(is_there(FILE_NAME));
}

/* As a tensor's name, so that of a method or hyper-parameter. */
static void other_names_come_back_or_are_refused(void **state)
{
    char longest[1000];
    opt_hyper hyper[] = {{longest, 0.5, 0, 1}};
    opt_method method = four_slots;
    opt_optim *o = NULL;
    mixed m;

    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    method.hyper = hyper;
    method.nhyper = 1;
    method.name = "a\n\"name\"";
    mixed_new(&m, *state, 1);
    assert_ok(*state, opt_optim_new(*state, &method, NULL, &(opt_optim_opts){.lr = 1}, m.params, &o));
    assert_ok(*state, opt_save(*state, FILE_NAME, m.params, o, NULL));
    assert_ok(*state, opt_load(*state, FILE_NAME, m.params, o, NULL));
    remove(FILE_NAME);
    longest[500] = '\xff';
    assert_fails(*state, opt_save(*state, FILE_NAME, m.params, o, NULL), OPT_EINVAL, "is not UTF-8");
    assert_false(is_there(FILE_NAME));
    opt_optim_free(o);
    mixed_free(&m);
    remove(FILE_NAME);
    remove(FILE_NAME ".bak");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(any_name_comes_back),
        TEST(names_that_are_not_utf8_are_refused),
        TEST(names_that_others_have_are_refused),
        TEST(other_names_come_back_or_are_refused),
    };

    return cmocka_run_group_tests_name("checkpoint names", tests, NULL, NULL);
}
