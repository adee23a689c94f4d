#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/args.h"
#include "base/mem.h"
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static const char *const colours[] = {"red", "green", NULL};

static struct {
    const char *model, *out;
    struct args_list files, tags, keys;
    bool json, given;
    int64_t count;
    double heat;
    int colour;
} got;

static const struct args_option options[] = {
    {.name = "out", .argument = "DIR", .help = "where to", .text = &got.out},
    {.name = "tag", .argument = "T", .help = "may be given several times", .texts = &got.tags},
    {.name = "json", .help = "as JSON", .flag = &got.json},
    {.name = "max-new-tokens",
     .argument = "N",
     .help = "how many; default 7",
     .whole = &got.count,
     .least = 1,
     .most = 100,
     .given = &got.given},
    {.name = "heat", .argument = "X", .help = "any number", .real = &got.heat},
    {.name = "colour", .argument = "C", .help = "red or green", .choice = &got.colour, .choices = colours},
};
static const struct args_operand operands[] = {
    {.name = "MODEL", .help = "folder of the model", .text = &got.model},
    {.name = "FILE", .help = "files to read", .texts = &got.files, .optional = true},
};
static const struct args_command command = {
    .name = "attune try",
    .summary = "Tries options.",
    .more = "Examples:\n  attune try m",
    .operands = operands,
    .operand_count = 2,
    .options = options,
    .option_count = sizeof options / sizeof *options,
};

static int reset(void **state)
{
    (void)state;
    args_list_free(&got.files);
    args_list_free(&got.tags);
    args_list_free(&got.keys);
    memset(&got, 0, sizeof got);
    got.count = 7;
    return 0;
}

/* Splits `line` at spaces. */
static int parse_with(const struct args_command *with, const char *line, struct err *err)
{
    static char copy[256];
    char *argv[32] = {"attune-try"};
    int argc = 1;
    snprintf(copy, sizeof copy, "%s", line);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " ")) {
        argv[argc++] = word;
    }
    return args_parse(with, argc, argv, err);
}

static void accept(const char *line)
{
    struct err err;
    if (parse_with(&command, line, &err) != ARGS_RUN) {
        fail_msg("%s", err.text);
    }
}

static void refuse(const char *line, const char *sentence)
{
    struct err err = {0};
    reset(NULL);
    assert_int_equal(parse_with(&command, line, &err), -1);
    assert_string_equal(err.text, sentence);
    assert_null(got.files.items);
    assert_null(got.tags.items);
}

static void every_kind_of_option(void **state)
{
    (void)state;
    accept("m --out dir --tag a --json --max-new-tokens 12 --heat -0.5 --tag=b --colour green f g");
    assert_string_equal(got.model, "m");
    assert_string_equal(got.out, "dir");
    assert_int_equal(got.tags.count, 2);
    assert_string_equal(got.tags.items[1], "b");
    assert_true(got.json && got.given);
    assert_int_equal(got.count, 12);
    assert_true(got.heat == -0.5);
    assert_int_equal(got.colour, 1);
    assert_int_equal(got.files.count, 2);
    assert_string_equal(got.files.items[1], "g");
}

static void defaults_stay(void **state)
{
    (void)state;
    accept("m");
    assert_int_equal(got.count, 7);
    assert_null(got.out);
    assert_int_equal(got.files.count, 0);
    assert_false(got.given);
}

static void spellings(void **state)
{
    (void)state;
    accept("--max_new_tokens=3 m --out= --out=a=b -- --json -");
    assert_int_equal(got.count, 3);
    assert_string_equal(got.out, "a=b");
    assert_false(got.json);
    assert_int_equal(got.files.count, 2);
    assert_string_equal(got.files.items[0], "--json");
    assert_string_equal(got.files.items[1], "-");
}

static void mistakes(void **state)
{
    (void)state;
    refuse("", "MODEL is missing: folder of the model");
    refuse("m --ot x", "there is no option --ot; did you mean --out?");
    refuse("m --tag a --nonsense", "there is no option --nonsense; `attune try --help` lists them");
    refuse("m f --x", "there is no option --x; `attune try --help` lists them");
    refuse("m -j", "there is no option -j; options are written with two dashes, `attune try --help` lists them");
    refuse("m --out", "--out needs a value: --out=DIR");
    refuse("m --out --json", "--out needs a value: --out=DIR");
    refuse("m --json=1", "--json is a switch and takes no value");
    refuse("m --max-new-tokens 1.5", "--max-new-tokens takes a whole number, not '1.5'");
    refuse("m --max-new-tokens 0", "--max-new-tokens must be from 1 to 100, but it is 0");
    refuse("m --max-new-tokens 99999999999999999999",
           "--max-new-tokens takes a whole number, not '99999999999999999999'");
    refuse("m --heat nan", "--heat takes a number, not 'nan'");
    refuse("m --heat 1x", "--heat takes a number, not '1x'");
    refuse("m --colour blue", "--colour takes one of red, green, not 'blue'");
}

static void too_many_words(void **state)
{
    (void)state;
    struct err err;
    struct args_command one = command;
    one.operand_count = 1;
    assert_int_equal(parse_with(&one, "m n", &err), -1);
    assert_string_equal(err.text, "'n' is one word too many; `attune try --help` shows what is expected");
}

static void one_file_at_least(void **state)
{
    (void)state;
    struct err err;
    struct args_operand strict[] = {operands[0], operands[1]};
    strict[1].optional = false;
    struct args_command with = command;
    with.operands = strict;
    assert_int_equal(parse_with(&with, "m", &err), -1);
    assert_string_equal(err.text, "FILE is missing: files to read");
    assert_int_equal(parse_with(&with, "m f", &err), ARGS_RUN);
}

static void keys_are_passed_on(void **state)
{
    (void)state;
    struct err err;
    struct args_command with = command;
    with.passed = &got.keys;
    with.passed_help = "a key";
    assert_int_equal(parse_with(&with, "m --lora_r 8 --json --packing --dataset.0.path=x --max_steps -1 --out d", &err),
                     ARGS_RUN);
    static const char *const expected[] = {"--lora_r", "8", "--packing", "--dataset.0.path=x", "--max_steps", "-1"};
    assert_int_equal(got.keys.count, 6);
    for (int i = 0; i < 6; i++) {
        assert_string_equal(got.keys.items[i], expected[i]);
    }
    assert_true(got.json);
    assert_string_equal(got.out, "d");
}

static void help_names_everything(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(parse_with(&command, "--nothing-before m --help", &err), -1);
    assert_int_equal(parse_with(&command, "--json --help --nonsense", &err), ARGS_HELP);
    assert_int_equal(parse_with(&command, "-h", &err), ARGS_HELP);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    args_print_help(out, &command);
    fclose(out);
    assert_string_equal(text, "usage: attune try MODEL [FILE...] [options]\n\n"
                              "Tries options.\n\n"
                              "  MODEL                   folder of the model\n"
                              "  FILE                    files to read\n\n"
                              "  --out DIR               where to\n"
                              "  --tag T                 may be given several times\n"
                              "  --json                  as JSON\n"
                              "  --max-new-tokens N      how many; default 7\n"
                              "  --heat X                any number\n"
                              "  --colour C              red or green\n"
                              "  --help                  this text\n\n"
                              "Examples:\n  attune try m\n");
    free(text);
}

static void long_help_is_wrapped(void **state)
{
    (void)state;
    static const struct args_option wide[] = {
        {.name = "a-name-that-takes-the-whole-column",
         .argument = "N",
         .help = "words words words words words words words words words words words words words words words",
         .text = &got.out},
    };
    const struct args_command with = {.name = "attune try", .summary = "Tries.", .options = wide, .option_count = 1};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    args_print_help(out, &with);
    fclose(out);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        assert_true(strlen(line) <= 100);
    }
    free(text);
}

static void memory_runs_out(void **state)
{
    (void)state;
    for (long n = 1;; n++) {
        struct err err = {0};
        reset(NULL);
        mem_fail_at(n);
        int result = parse_with(&command, "m --tag a f", &err);
        mem_fail_at(0);
        if (result == ARGS_RUN) {
            assert_int_equal(n, 3);
            break;
        }
        assert_null(got.tags.items);
        assert_null(got.files.items);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_kind_of_option, reset, reset),
        cmocka_unit_test_setup_teardown(defaults_stay, reset, reset),
        cmocka_unit_test_setup_teardown(spellings, reset, reset),
        cmocka_unit_test_setup_teardown(mistakes, reset, reset),
        cmocka_unit_test_setup_teardown(too_many_words, reset, reset),
        cmocka_unit_test_setup_teardown(one_file_at_least, reset, reset),
        cmocka_unit_test_setup_teardown(keys_are_passed_on, reset, reset),
        cmocka_unit_test_setup_teardown(help_names_everything, reset, reset),
        cmocka_unit_test_setup_teardown(long_help_is_wrapped, reset, reset),
        cmocka_unit_test_setup_teardown(memory_runs_out, reset, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
