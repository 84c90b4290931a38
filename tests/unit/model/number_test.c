/* Numbers against a plain model: fixed-point decimals wide enough for every number there is. */
#include "model/number.h"

#include "unit/cmocka_headers.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/prng.h"

/* ---- The model: 140 digits before the point and 180 after it ---- */

#define WHOLE    140
#define FRACTION 180
#define PLACES   (WHOLE + FRACTION)

struct fixed {
    bool negative;
    int digits[PLACES];
};

static bool fixed_is_zero(const struct fixed *f)
{
    for (int i = 0; i < PLACES; i++) {
        if (f->digits[i] != 0)
            return false;
    }
    return true;
}

/* digits * 10^exponent */
static struct fixed fixed_make(bool negative, const char *digits, int exponent)
{
    struct fixed f = {.negative = negative};
    int count = (int)strlen(digits);
    for (int i = 0; i < count; i++) {
        int place = WHOLE - 1 - exponent - (count - 1 - i);
        if (digits[i] != '0') {
            assert_in_range(place, 0, PLACES - 1);
            f.digits[place] = digits[i] - '0';
        }
    }
    if (fixed_is_zero(&f))
        f.negative = false;
    return f;
}

static int fixed_compare_magnitude(const struct fixed *a, const struct fixed *b)
{
    for (int i = 0; i < PLACES; i++) {
        if (a->digits[i] != b->digits[i])
            return a->digits[i] < b->digits[i] ? -1 : 1;
    }
    return 0;
}

static int fixed_compare(const struct fixed *a, const struct fixed *b)
{
    if (a->negative != b->negative)
        return a->negative ? -1 : 1;
    int order = fixed_compare_magnitude(a, b);
    return a->negative ? -order : order;
}

static struct fixed fixed_add(const struct fixed *a, const struct fixed *b)
{
    const struct fixed *large = fixed_compare_magnitude(a, b) >= 0 ? a : b;
    const struct fixed *small = large == a ? b : a;
    int sign = a->negative == b->negative ? 1 : -1;
    struct fixed sum = {.negative = large->negative};
    int carry = 0;
    for (int i = PLACES - 1; i >= 0; i--) {
        int digit = large->digits[i] + sign * small->digits[i] + carry + 10;
        sum.digits[i] = digit % 10;
        carry = digit / 10 - 1;
    }
    if (fixed_is_zero(&sum))
        sum.negative = false;
    return sum;
}

static void fixed_format(const struct fixed *f, char *text)
{
    int first = 0, last = PLACES - 1;
    while (first < WHOLE - 1 && f->digits[first] == 0)
        first++;
    while (last >= WHOLE && f->digits[last] == 0)
        last--;
    if (f->negative)
        *text++ = '-';
    for (int i = first; i <= last; i++) {
        if (i == WHOLE)
            *text++ = '.';
        *text++ = (char)('0' + f->digits[i]);
    }
    *text = '\0';
}

/* What a number that is `f` runs into, in the order of sums. */
static enum number_fault fixed_fault(const struct fixed *f)
{
    int first = 0, last = PLACES - 1;
    while (first < PLACES && f->digits[first] == 0)
        first++;
    if (first == PLACES)
        return NUMBER_FAULT_NONE;
    while (f->digits[last] == 0)
        last--;
    if (first < WHOLE - 126)
        return NUMBER_FAULT_OVERFLOW;
    if (first > WHOLE - 1 + 130)
        return NUMBER_FAULT_UNDERFLOW;
    return last - first >= NUMBER_DIGITS_MAX ? NUMBER_FAULT_DIGITS : NUMBER_FAULT_NONE;
}

/* ---- Helpers ---- */

static struct number parse(const char *text)
{
    struct number number;
    enum number_fault fault;
    assert_int_equal(number_parse(bytes_of_text(text), &number, &fault), STATUS_OK);
    assert_int_equal(fault, NUMBER_FAULT_NONE);
    return number;
}

static enum number_fault parse_fault(const char *text)
{
    struct number number;
    enum number_fault fault;
    assert_int_equal(number_parse(bytes_of_text(text), &number, &fault), STATUS_INVALID);
    return fault;
}

static void assert_prints(const struct number *number, const char *expected)
{
    char text[NUMBER_TEXT_BYTES_MAX + 1];
    size_t count = number_format(number, text);
    assert_in_range(count, 1, NUMBER_TEXT_BYTES_MAX);
    text[count] = '\0';
    assert_string_equal(text, expected);
}

static void assert_text(const char *text, const char *expected)
{
    struct number number = parse(text);
    assert_prints(&number, expected);
}

static char *repeat(char *to, char c, int count)
{
    memset(to, c, (size_t)count);
    to[count] = '\0';
    return to + count;
}

static void random_digits(struct prng *prng, char *digits)
{
    static const int likely[] = {1, 2, 3, 4, 5, 10, 17, 18, 19, 20, 37, 38};
    int count = likely[prng_below(prng, 12)];
    for (int i = 0; i < count; i++)
        digits[i] = (char)('0' + (prng_one_in(prng, 3) ? 0 : prng_below(prng, 10)));
    if (prng_one_in(prng, 4))
        memset(digits, '9', (size_t)count);
    digits[count] = '\0';
}

/* A random number in range, as text in one of its many forms, and in the model. */
static void random_number(struct prng *prng, char *text, struct fixed *model)
{
    char digits[64];
    bool negative = prng_one_in(prng, 2);
    random_digits(prng, digits);
    int count = (int)strlen(digits);
    int lowest = prng_one_in(prng, 2) ? (int)prng_below(prng, 60) - 30
                                      : (int)prng_below(prng, 128 + 126) - 128;
    int exponent = lowest - count / 2;
    if (exponent + count > 126)
        exponent = 126 - count;
    *model = fixed_make(negative, digits, exponent);
    if (fixed_fault(model) != NUMBER_FAULT_NONE) /* leading zeros took it below the smallest */
        *model = fixed_make(negative, digits, exponent = 0);
    if (prng_one_in(prng, 2)) {
        fixed_format(model, text);
        return;
    }
    int point = (int)prng_below(prng, (uint64_t)count + 1);
    sprintf(text, "%s%s%.*s%s%s%c%s%d",
            negative               ? "-"
            : prng_one_in(prng, 3) ? "+"
                                   : "",
            prng_one_in(prng, 5) ? "000" : "", point, digits, point < count ? "." : "",
            digits + point, prng_one_in(prng, 2) ? 'e' : 'E',
            exponent + count - point >= 0 && prng_one_in(prng, 2) ? "+" : "",
            exponent + count - point);
}

/* ---- Tests ---- */

static void prints_plain_decimals(void **state)
{
    (void)state;
    assert_text("0", "0");
    assert_text("-0", "0");
    assert_text("+0.000e17", "0");
    assert_text("0e99999999999999999999", "0");
    assert_text("00042", "42");
    assert_text("1.0", "1");
    assert_text("3.1400", "3.14");
    assert_text("1.5E2", "150");
    assert_text("+5", "5");
    assert_text("5.", "5");
    assert_text(".5", "0.5");
    assert_text("1.e5", "100000");
    assert_text("-.25e1", "-2.5");
    assert_text("1.00000000000000007629769841092E+50",
                "100000000000000007629769841092000000000000000000000");
    char expected[200];
    strcpy(expected, "1");
    repeat(expected + 1, '0', 125);
    assert_text("1E125", expected);
    strcpy(expected, "-0.");
    strcpy(repeat(expected + 3, '0', 129), "1");
    assert_text("-1E-130", expected);
}

static void keeps_38_digits_wherever_they_stand(void **state)
{
    (void)state;
    char text[400], expected[400];
    assert_text("12345678901234567890123456789012345678", "12345678901234567890123456789012345678");
    assert_text("0.12345678901234567890123456789012345678",
                "0.12345678901234567890123456789012345678");
    strcpy(text, "9.");
    strcpy(repeat(text + 2, '9', 37), "E+125");
    repeat(repeat(expected, '9', 38), '0', 88);
    assert_text(text, expected);
    strcpy(text, "1.");
    strcpy(repeat(text + 2, '1', 37), "E-130");
    strcpy(expected, "0.");
    repeat(repeat(expected + 2, '0', 129), '1', 38);
    assert_text(text, expected);
    /* Zeros at the ends are no digits, however many. */
    strcpy(repeat(text, '0', 100), "7");
    repeat(text + 101, '0', 60);
    strcpy(text + 161, ".");
    repeat(text + 162, '0', 100);
    strcpy(expected, "7");
    repeat(expected + 1, '0', 60);
    assert_text(text, expected);
}

static void says_why_a_text_is_no_number(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",    "+",   "-",     ".",   "e5",       "+e2",  "1e",  "1e+",   "1.2.3",
        "1+2", " 5",  "5 ",    "1 2", "abc",      "0x10", "--1", "+-1",   "1e5.5",
        "NaN", "1e-", "\"1\"", "1,5", "Infinity", "1_0",  "\n1", "1e5e5", "٣",
    };
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        assert_int_equal(parse_fault(wrong[i]), NUMBER_FAULT_SYNTAX);
    assert_int_equal(parse_fault("123456789012345678901234567890123456789"), NUMBER_FAULT_DIGITS);
    assert_int_equal(parse_fault("-1.23456789012345678901234567890123456789"), NUMBER_FAULT_DIGITS);
    assert_int_equal(parse_fault("1e126"), NUMBER_FAULT_OVERFLOW);
    assert_int_equal(parse_fault("-1e126"), NUMBER_FAULT_OVERFLOW);
    assert_int_equal(parse_fault("1e99999999999999999999999"), NUMBER_FAULT_OVERFLOW);
    assert_int_equal(parse_fault("1e-131"), NUMBER_FAULT_UNDERFLOW);
    assert_int_equal(parse_fault("9.9e-131"), NUMBER_FAULT_UNDERFLOW);
    assert_int_equal(parse_fault("-1e-99999999999999999999999"), NUMBER_FAULT_UNDERFLOW);
}

static void has_the_service_s_words(void **state)
{
    (void)state;
    static const struct {
        enum number_fault fault;
        const char *text;
    } expected[] = {
        {NUMBER_FAULT_SYNTAX, "The parameter cannot be converted to a numeric value"},
        {NUMBER_FAULT_DIGITS, "Attempting to store more than 38 significant digits in a Number"},
        {NUMBER_FAULT_OVERFLOW, "Number overflow. Attempting to store a number with magnitude "
                                "larger than supported range"},
        {NUMBER_FAULT_UNDERFLOW, "Number underflow. Attempting to store a number with magnitude "
                                 "smaller than supported range"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(expected); i++)
        assert_true(
            bytes_equal(number_fault_text(expected[i].fault), bytes_of_text(expected[i].text)));
}

/* dynamodb-conformance, src/item-size.ts: measured on the service at the 400 KB gate. */
static void counts_bytes_as_measured_on_the_service(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t bytes;
    } measured[] = {
        {"0", 1},
        {"1", 2},
        {"12", 2},
        {"123", 3},
        {"1234", 3},
        {"0042", 2},
        {"100", 2},
        {"1010", 3},
        {"1E125", 2},
        {"0.0000001", 2},
        {"1E-100", 2},
        {"1.5", 3},
        {"15", 2},
        {"1.2", 3},
        {"1.200", 3},
        {"1.234", 4},
        {"3.14159", 5},
        {"123456", 4},
        {"100.5", 4},
        {"0.15", 2},
        {"-42", 3},
        {"-0", 1},
        {"12345678901234567890123456789012345678", 20},
    };
    for (size_t i = 0; i < ARRAY_COUNT(measured); i++) {
        struct number number = parse(measured[i].text);
        assert_int_equal(number_size(&number), measured[i].bytes);
        uint8_t encoded[NUMBER_ENCODED_BYTES_MAX];
        size_t count = number_encode(&number, encoded);
        assert_int_equal(number_encoded_size(bytes_of(encoded, count)), measured[i].bytes);
    }
}

static void agrees_with_the_model(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 2718);
    for (int i = 0; i < 20000; i++) {
        char text[400], expected[400];
        struct fixed model;
        random_number(&prng, text, &model);
        fixed_format(&model, expected);
        struct number number = parse(text), decoded;
        assert_prints(&number, expected);
        uint8_t encoded[NUMBER_ENCODED_BYTES_MAX];
        size_t count = number_encode(&number, encoded);
        assert_in_range(count, 1, NUMBER_ENCODED_BYTES_MAX);
        assert_int_equal(number_decode(bytes_of(encoded, count), &decoded), STATUS_OK);
        assert_prints(&decoded, expected);
        assert_int_equal(number_compare(&number, &decoded), 0);
    }
}

static int sign_of(int order)
{
    return (order > 0) - (order < 0);
}

static void encodings_sort_as_numbers_do(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 31415);
    struct number last = parse("0");
    struct fixed last_model = {0};
    for (int i = 0; i < 20000; i++) {
        char text[400];
        struct fixed model;
        random_number(&prng, text, &model);
        if (prng_one_in(&prng, 3)) { /* a near neighbour: one more digit, or one changed */
            struct fixed step = fixed_make(prng_one_in(&prng, 2), "1", -(int)prng_below(&prng, 20));
            struct fixed near = fixed_add(&last_model, &step);
            if (fixed_fault(&near) == NUMBER_FAULT_NONE) {
                model = near;
                fixed_format(&model, text);
            }
        }
        struct number number = parse(text);
        uint8_t a[NUMBER_ENCODED_BYTES_MAX], b[NUMBER_ENCODED_BYTES_MAX];
        struct bytes encoded = bytes_of(a, number_encode(&number, a));
        struct bytes last_encoded = bytes_of(b, number_encode(&last, b));
        int expected = fixed_compare(&model, &last_model);
        assert_int_equal(sign_of(number_compare(&number, &last)), expected);
        assert_int_equal(sign_of(bytes_compare(encoded, last_encoded)), expected);
        last = number;
        last_model = model;
    }
}

static void adds_and_subtracts_exactly(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 16180);
    int exact = 0, refused = 0;
    for (int i = 0; i < 20000; i++) {
        char text[400], expected[400];
        struct fixed a_model, b_model;
        random_number(&prng, text, &a_model);
        struct number a = parse(text);
        random_number(&prng, text, &b_model);
        struct number b = parse(text), sum;
        bool subtract = prng_one_in(&prng, 2);
        enum number_fault fault;
        enum status status =
            subtract ? number_subtract(&a, &b, &sum, &fault) : number_add(&a, &b, &sum, &fault);
        if (subtract)
            b_model.negative = !b_model.negative;
        struct fixed model = fixed_add(&a_model, &b_model);
        enum number_fault expected_fault = fixed_fault(&model);
        assert_int_equal(fault, expected_fault);
        assert_int_equal(status, fault == NUMBER_FAULT_NONE ? STATUS_OK : STATUS_INVALID);
        if (status == STATUS_OK) {
            fixed_format(&model, expected);
            assert_prints(&sum, expected);
            exact++;
        } else {
            refused++;
        }
    }
    assert_true(exact > 2000 && refused > 1000);
}

static void sums_run_into_the_limits(void **state)
{
    (void)state;
    enum number_fault fault;
    struct number a = parse("9.9999999999999999999999999999999999999E+125");
    struct number b = parse("1E+125"), sum;
    assert_int_equal(number_add(&a, &b, &sum, &fault), STATUS_INVALID);
    assert_int_equal(fault, NUMBER_FAULT_OVERFLOW);
    a = parse("1.1E-130");
    b = parse("1E-130");
    assert_int_equal(number_subtract(&a, &b, &sum, &fault), STATUS_INVALID);
    assert_int_equal(fault, NUMBER_FAULT_UNDERFLOW);
    a = parse("1E+125");
    b = parse("-1E-130");
    assert_int_equal(number_add(&a, &b, &sum, &fault), STATUS_INVALID);
    assert_int_equal(fault, NUMBER_FAULT_DIGITS);
    assert_int_equal(number_subtract(&a, &a, &a, &fault), STATUS_OK); /* in place */
    assert_prints(&a, "0");
    a = parse("9.9");
    assert_int_equal(number_add(&a, &a, &a, &fault), STATUS_OK);
    assert_prints(&a, "19.8");
}

static void refuses_what_is_no_encoding(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 1);
    int accepted = 0;
    for (int i = 0; i < 200000; i++) {
        uint8_t bytes[24], again[NUMBER_ENCODED_BYTES_MAX];
        size_t count = prng_below(&prng, 23);
        for (size_t j = 0; j < count; j++)
            bytes[j] =
                (uint8_t)(prng_one_in(&prng, 8) ? prng_u64(&prng) : 1 + prng_below(&prng, 101));
        if (count > 0)
            bytes[0] = (uint8_t)(prng_one_in(&prng, 2) ? 0x40 : 0xC0);
        if (count > 1 && prng_one_in(&prng, 2))
            bytes[count - 1] = 0xFF;
        struct number number;
        if (number_decode(bytes_of(bytes, count), &number) != STATUS_OK)
            continue;
        accepted++;
        assert_true(
            bytes_equal(bytes_of(again, number_encode(&number, again)), bytes_of(bytes, count)));
    }
    assert_true(accepted > 1000);
}

static void converts_whole_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool whole;
        int64_t value;
    } cases[] = {
        {"0", true, 0},
        {"-1", true, -1},
        {"1e3", true, 1000},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"1.5", false, 0},
        {"0.1", false, 0},
        {"1e-130", false, 0},
        {"1e125", false, 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct number number = parse(cases[i].text);
        int64_t value = 0;
        enum status status = number_to_i64(&number, &value);
        assert_int_equal(status, cases[i].whole ? STATUS_OK : STATUS_INVALID);
        assert_true(value == cases[i].value);
    }
    static const uint64_t values[] = {0, 1, 9, 10, 100, 18446744073709551615u, 1000000007};
    for (size_t i = 0; i < ARRAY_COUNT(values); i++) {
        char text[32];
        struct number number, parsed;
        sprintf(text, "%llu", (unsigned long long)values[i]);
        number_from_u64(values[i], &number);
        parsed = parse(text);
        assert_int_equal(number_compare(&number, &parsed), 0);
        assert_prints(&number, text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prints_plain_decimals),
        cmocka_unit_test(keeps_38_digits_wherever_they_stand),
        cmocka_unit_test(says_why_a_text_is_no_number),
        cmocka_unit_test(has_the_service_s_words),
        cmocka_unit_test(counts_bytes_as_measured_on_the_service),
        cmocka_unit_test(agrees_with_the_model),
        cmocka_unit_test(encodings_sort_as_numbers_do),
        cmocka_unit_test(adds_and_subtracts_exactly),
        cmocka_unit_test(sums_run_into_the_limits),
        cmocka_unit_test(refuses_what_is_no_encoding),
        cmocka_unit_test(converts_whole_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
