#include "model/number.h"

#include "base/assert.h"

#define TAG_NEGATIVE 0x40
#define TAG_ZERO     0x80
#define TAG_POSITIVE 0xC0

#define PAIRS_MAX     (NUMBER_DIGITS_MAX / 2)
#define EXPONENT_BIAS (-NUMBER_EXPONENT_MIN)
#define NEGATIVE_END  0xFF
#define NEGATIVE_SUM  101 /* of a pair's byte in a positive and in a negative number */

/* Beyond this an exponent in the text cannot be brought back into range by the digits of a text
 * that fits in memory. */
#define TEXT_EXPONENT_MAX INT64_C(1000000000000)

_Static_assert(NUMBER_EXPONENT_MAX + EXPONENT_BIAS <= UINT8_MAX, "an exponent is one byte");
_Static_assert(NUMBER_ENCODED_BYTES_MAX == 2 + PAIRS_MAX, "tag, exponent, pairs");
_Static_assert(NUMBER_TEXT_BYTES_MAX >= 3 - NUMBER_EXPONENT_MIN + NUMBER_DIGITS_MAX, "-0.000d...");

static void set_zero(struct number *number)
{
    number->negative = false;
    number->digit_count = 0;
    number->exponent = 0;
}

/* ---- Text ---- */

/* What was read of the digits and the point, before the exponent. */
struct mantissa {
    uint32_t count;   /* significant digits kept */
    uint64_t zeros;   /* after them, significant only if another digit follows */
    int64_t exponent; /* of 0.d1d2... */
    bool any;         /* there was a digit */
    bool point;
    bool too_many; /* more than NUMBER_DIGITS_MAX significant digits */
};

static void take_digit(struct mantissa *m, uint8_t digit, uint8_t *digits)
{
    m->any = true;
    if (m->count == 0 && digit == 0) {
        m->exponent -= m->point;
        return;
    }
    m->exponent += !m->point;
    if (digit == 0) {
        m->zeros++;
        return;
    }
    if (UNLIKELY(m->count + m->zeros >= NUMBER_DIGITS_MAX)) {
        m->too_many = true;
        return;
    }
    for (; m->zeros > 0; m->zeros--)
        digits[m->count++] = 0;
    digits[m->count++] = digit;
}

/* [+-] digits to the end of the text; false: not that. */
static bool read_exponent(const uint8_t *at, const uint8_t *end, int64_t *exponent)
{
    bool negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    if (at == end)
        return false;
    int64_t value = 0;
    for (; at < end; at++) {
        uint8_t digit = (uint8_t)(*at - '0');
        if (digit > 9)
            return false;
        value = MIN(value * 10 + digit, TEXT_EXPONENT_MAX);
    }
    *exponent = negative ? -value : value;
    return true;
}

static enum status refuse(enum number_fault why, enum number_fault *fault)
{
    *fault = why;
    return STATUS_INVALID;
}

/* Store what the exponent leaves in range. */
static enum status finish(struct number *number, bool negative, uint32_t count, int64_t exponent,
                          enum number_fault *fault)
{
    if (exponent > NUMBER_EXPONENT_MAX)
        return refuse(NUMBER_FAULT_OVERFLOW, fault);
    if (exponent < NUMBER_EXPONENT_MIN)
        return refuse(NUMBER_FAULT_UNDERFLOW, fault);
    number->negative = negative;
    number->digit_count = (uint8_t)count;
    number->exponent = (int16_t)exponent;
    *fault = NUMBER_FAULT_NONE;
    return STATUS_OK;
}

enum status number_parse(struct bytes text, struct number *number, enum number_fault *fault)
{
    if (text.count == 0)
        return refuse(NUMBER_FAULT_SYNTAX, fault);
    const uint8_t *at = text.at;
    const uint8_t *end = at + text.count;
    bool negative = *at == '-';
    if (*at == '-' || *at == '+')
        at++;

    struct mantissa m = {0};
    for (; at < end; at++) {
        uint8_t digit = (uint8_t)(*at - '0');
        if (LIKELY(digit <= 9))
            take_digit(&m, digit, number->digits);
        else if (*at == '.' && !m.point)
            m.point = true;
        else
            break;
    }
    int64_t exponent = 0;
    if (at < end) {
        bool exponent_follows = *at == 'e' || *at == 'E';
        if (!exponent_follows || !read_exponent(at + 1, end, &exponent))
            return refuse(NUMBER_FAULT_SYNTAX, fault);
    }
    if (!m.any)
        return refuse(NUMBER_FAULT_SYNTAX, fault);
    if (m.count == 0) {
        set_zero(number);
        *fault = NUMBER_FAULT_NONE;
        return STATUS_OK;
    }
    if (m.too_many)
        return refuse(NUMBER_FAULT_DIGITS, fault);
    return finish(number, negative, m.count, m.exponent + exponent, fault);
}

struct bytes number_fault_text(enum number_fault fault)
{
    switch (fault) {
    case NUMBER_FAULT_DIGITS:
        return BYTES("Attempting to store more than 38 significant digits in a Number");
    case NUMBER_FAULT_OVERFLOW:
        return BYTES("Number overflow. Attempting to store a number with magnitude larger than "
                     "supported range");
    case NUMBER_FAULT_UNDERFLOW:
        return BYTES("Number underflow. Attempting to store a number with magnitude smaller than "
                     "supported range");
    case NUMBER_FAULT_SYNTAX:
    case NUMBER_FAULT_NONE:
        break;
    }
    return BYTES("The parameter cannot be converted to a numeric value");
}

static char *put_zeros(char *to, int count)
{
    memset(to, '0', (size_t)count);
    return to + count;
}

static char *put_digits(char *to, const uint8_t *digits, int count)
{
    for (int i = 0; i < count; i++)
        *to++ = (char)('0' + digits[i]);
    return to;
}

/* The service prints plain decimals, however large or small the number ("1E125" comes back as 126
 * digits: dynamodb-conformance, tests/tier3/limits/numberByteSize.test.ts; boto3 #4636). */
size_t number_format(const struct number *number, char *text)
{
    char *to = text;
    int count = number->digit_count;
    int point = number->exponent; /* digits before it */
    if (count == 0) {
        *to = '0';
        return 1;
    }
    if (number->negative)
        *to++ = '-';
    if (point <= 0) {
        *to++ = '0';
        *to++ = '.';
        to = put_zeros(to, -point);
        to = put_digits(to, number->digits, count);
    } else if (point >= count) {
        to = put_digits(to, number->digits, count);
        to = put_zeros(to, point - count);
    } else {
        to = put_digits(to, number->digits, point);
        *to++ = '.';
        to = put_digits(to, number->digits + point, count - point);
    }
    return (size_t)(to - text);
}

/* ---- Encoded ---- */

size_t number_text_bytes_max(struct bytes encoded)
{
    if (encoded.count < 2)
        return 1;
    /* The exponent is biased, and mirrored for negative numbers. */
    int exponent = encoded.at[0] == 0xc0 ? encoded.at[1] - 129 : 126 - encoded.at[1];
    size_t zeros = (size_t)(exponent < 0 ? -exponent : exponent);
    return 3 + zeros + 2 * (encoded.count - 2); /* sign, zero and point */
}

size_t number_encode(const struct number *number, uint8_t *to)
{
    uint32_t count = number->digit_count;
    if (count == 0) {
        to[0] = TAG_ZERO;
        return 1;
    }
    ASSERT(count <= NUMBER_DIGITS_MAX);
    bool negative = number->negative;
    uint8_t exponent = (uint8_t)(number->exponent + EXPONENT_BIAS);
    to[0] = negative ? TAG_NEGATIVE : TAG_POSITIVE;
    to[1] = negative ? (uint8_t)(UINT8_MAX - exponent) : exponent;
    size_t length = 2;
    for (uint32_t i = 0; i < count; i += 2) {
        uint32_t low = i + 1 < count ? number->digits[i + 1] : 0;
        uint32_t byte = number->digits[i] * 10u + low + 1;
        to[length++] = (uint8_t)(negative ? NEGATIVE_SUM - byte : byte);
    }
    if (negative && length < NUMBER_ENCODED_BYTES_MAX)
        to[length++] = NEGATIVE_END;
    return length;
}

/* The pairs of an encoded number, which lie in [2, *end); false: not ended as it must. */
static bool find_pairs_end(struct bytes encoded, bool negative, size_t *end)
{
    *end = encoded.count;
    if (!negative)
        return true;
    if (encoded.at[encoded.count - 1] == NEGATIVE_END) {
        (*end)--;
        return *end < NUMBER_ENCODED_BYTES_MAX;
    }
    return encoded.count == NUMBER_ENCODED_BYTES_MAX;
}

enum status number_decode(struct bytes encoded, struct number *number)
{
    if (encoded.count == 1 && encoded.at[0] == TAG_ZERO) {
        set_zero(number);
        return STATUS_OK;
    }
    if (encoded.count < 3 || encoded.count > NUMBER_ENCODED_BYTES_MAX)
        return STATUS_CORRUPT;
    bool negative = encoded.at[0] == TAG_NEGATIVE;
    if (!negative && encoded.at[0] != TAG_POSITIVE)
        return STATUS_CORRUPT;
    size_t end;
    if (!find_pairs_end(encoded, negative, &end) || end < 3)
        return STATUS_CORRUPT;

    uint32_t count = 0;
    for (size_t i = 2; i < end; i++) {
        uint32_t byte = encoded.at[i];
        uint32_t pair = (negative ? NEGATIVE_SUM - byte : byte) - 1;
        if (pair > 99)
            return STATUS_CORRUPT;
        number->digits[count++] = (uint8_t)(pair / 10);
        number->digits[count++] = (uint8_t)(pair % 10);
    }
    if (number->digits[count - 1] == 0)
        count--;
    if (number->digits[0] == 0 || number->digits[count - 1] == 0)
        return STATUS_CORRUPT;
    int biased = negative ? UINT8_MAX - encoded.at[1] : encoded.at[1];
    number->negative = negative;
    number->digit_count = (uint8_t)count;
    number->exponent = (int16_t)(biased - EXPONENT_BIAS);
    return STATUS_OK;
}

/* ---- Arithmetic ---- */

/* A sum is worked out digit by digit over at most this many places: wider apart, both the first
 * digit of the larger and the last of the smaller operand stay, and there are more than 38. */
#define SUM_PLACES_MAX (2 * NUMBER_DIGITS_MAX + 2)

/* The digit of `n` at 10^-place relative to 0.d1... with exponent `top`. */
static int digit_at(const struct number *n, int top, int place)
{
    int i = place - (top - n->exponent);
    return i >= 0 && i < n->digit_count ? n->digits[i] : 0;
}

static int compare_magnitude(const struct number *a, const struct number *b)
{
    if (a->digit_count == 0 || b->digit_count == 0)
        return (a->digit_count > 0) - (b->digit_count > 0);
    if (a->exponent != b->exponent)
        return a->exponent < b->exponent ? -1 : 1;
    return bytes_compare(bytes_of(a->digits, a->digit_count), bytes_of(b->digits, b->digit_count));
}

/* Store the significant digits of digits[0..places), 0.d... with exponent `top`. */
static enum status store_sum(const uint8_t *digits, int places, int top, bool negative,
                             struct number *sum, enum number_fault *fault)
{
    int first = 0;
    while (first < places && digits[first] == 0)
        first++;
    int end = places;
    while (end > first && digits[end - 1] == 0)
        end--;
    if (first == end) {
        set_zero(sum);
        *fault = NUMBER_FAULT_NONE;
        return STATUS_OK;
    }
    if (top - first > NUMBER_EXPONENT_MAX)
        return refuse(NUMBER_FAULT_OVERFLOW, fault);
    if (top - first < NUMBER_EXPONENT_MIN)
        return refuse(NUMBER_FAULT_UNDERFLOW, fault);
    if (end - first > NUMBER_DIGITS_MAX)
        return refuse(NUMBER_FAULT_DIGITS, fault);
    memcpy(sum->digits, digits + first, (size_t)(end - first));
    return finish(sum, negative, (uint32_t)(end - first), top - first, fault);
}

/* |large| + sign * |small|, with the sign of the result given; |large| >= |small| > 0. */
static enum status combine(const struct number *large, const struct number *small, int sign,
                           bool negative, struct number *sum, enum number_fault *fault)
{
    int top = large->exponent + 1; /* one place for the carry */
    int bottom =
        MIN(large->exponent - large->digit_count, small->exponent - (int)small->digit_count);
    int places = top - bottom;
    if (places > SUM_PLACES_MAX)
        return refuse(NUMBER_FAULT_DIGITS, fault);
    uint8_t digits[SUM_PLACES_MAX];
    int carry = 0;
    for (int place = places - 1; place >= 0; place--) {
        int digit = digit_at(large, top, place) + sign * digit_at(small, top, place) + carry;
        carry = digit > 9 ? 1 : digit < 0 ? -1 : 0;
        digits[place] = (uint8_t)(digit - 10 * carry);
    }
    ASSERT(carry == 0);
    return store_sum(digits, places, top, negative, sum, fault);
}

static enum status add_signed(const struct number *a, const struct number *b, bool b_negative,
                              struct number *sum, enum number_fault *fault)
{
    *fault = NUMBER_FAULT_NONE;
    if (b->digit_count == 0) {
        *sum = *a;
        return STATUS_OK;
    }
    if (a->digit_count == 0) {
        *sum = *b;
        sum->negative = b_negative;
        return STATUS_OK;
    }
    int sign = a->negative == b_negative ? 1 : -1;
    if (compare_magnitude(a, b) >= 0)
        return combine(a, b, sign, a->negative, sum, fault);
    return combine(b, a, sign, b_negative, sum, fault);
}

enum status number_add(const struct number *a, const struct number *b, struct number *sum,
                       enum number_fault *fault)
{
    return add_signed(a, b, b->negative, sum, fault);
}

enum status number_subtract(const struct number *a, const struct number *b,
                            struct number *difference, enum number_fault *fault)
{
    return add_signed(a, b, !b->negative, difference, fault);
}

int number_compare(const struct number *a, const struct number *b)
{
    if (a->negative != b->negative)
        return a->negative ? -1 : 1;
    int order = compare_magnitude(a, b);
    return a->negative ? -order : order;
}

/* ---- Whole numbers ---- */

void number_from_u64(uint64_t value, struct number *number)
{
    uint8_t reversed[20];
    uint32_t count = 0;
    for (; value > 0; value /= 10)
        reversed[count++] = (uint8_t)(value % 10);
    set_zero(number);
    number->exponent = (int16_t)count;
    uint32_t zeros = 0;
    while (zeros < count && reversed[zeros] == 0)
        zeros++;
    number->digit_count = (uint8_t)(count - zeros);
    for (uint32_t i = 0; i < number->digit_count; i++)
        number->digits[i] = reversed[count - 1 - i];
}

enum status number_to_i64(const struct number *number, int64_t *value)
{
    if (number->exponent > 19 || number->exponent < number->digit_count)
        return STATUS_INVALID;
    int64_t total = 0;
    for (int i = 0; i < number->exponent; i++) {
        int digit = i < number->digit_count ? number->digits[i] : 0;
        if (__builtin_mul_overflow(total, 10, &total) ||
            __builtin_add_overflow(total, number->negative ? -digit : digit, &total))
            return STATUS_INVALID;
    }
    *value = total;
    return STATUS_OK;
}

/* Of `count` digits, the point after the first `exponent` of them. */
static uint32_t size_of(uint32_t count, int exponent, bool negative)
{
    uint32_t sign = negative ? 1 : 0;
    if (exponent <= 0 || (uint32_t)exponent >= count)
        return 1 + (count + 1) / 2 + sign;
    uint32_t whole = (uint32_t)exponent;
    return 1 + (whole + 1) / 2 + (count - whole + 1) / 2 + sign;
}

uint32_t number_size(const struct number *number)
{
    if (number->digit_count == 0)
        return 1;
    return size_of(number->digit_count, number->exponent, number->negative);
}

uint32_t number_encoded_size(struct bytes encoded)
{
    if (encoded.count == 1)
        return 1;
    bool negative = encoded.at[0] == TAG_NEGATIVE;
    size_t end = encoded.count;
    if (negative && encoded.at[end - 1] == NEGATIVE_END)
        end--;
    uint32_t last = encoded.at[end - 1];
    uint32_t pair = (negative ? NEGATIVE_SUM - last : last) - 1;
    uint32_t count = 2 * (uint32_t)(end - 2) - (pair % 10 == 0);
    int biased = negative ? UINT8_MAX - encoded.at[1] : encoded.at[1];
    return size_of(count, biased - EXPONENT_BIAS, negative);
}
