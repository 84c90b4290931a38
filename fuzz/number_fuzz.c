/* Numbers from any text and from any encoded bytes: text, encoding, order and sums agree. */
#include <stdint.h>
#include <stdlib.h>

#include "base/assert.h"
#include "model/number.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int sign_of(int order)
{
    return (order > 0) - (order < 0);
}

/* Its text and its encoding give the number back. */
static void check_number(const struct number *number)
{
    char text[NUMBER_TEXT_BYTES_MAX];
    uint8_t encoded[NUMBER_ENCODED_BYTES_MAX];
    struct number again;
    enum number_fault fault;
    size_t count = number_format(number, text);
    ASSERT(count <= NUMBER_TEXT_BYTES_MAX);
    ASSERT(number_parse(bytes_of(text, count), &again, &fault) == STATUS_OK);
    ASSERT(number_compare(number, &again) == 0);
    count = number_encode(number, encoded);
    ASSERT(count <= NUMBER_ENCODED_BYTES_MAX);
    ASSERT(number_decode(bytes_of(encoded, count), &again) == STATUS_OK);
    ASSERT(number_compare(number, &again) == 0);
    ASSERT(number_size(number) <= NUMBER_ENCODED_BYTES_MAX + 1);
    uint8_t sized[NUMBER_ENCODED_BYTES_MAX];
    ASSERT(number_encoded_size(bytes_of(sized, number_encode(number, sized))) ==
           number_size(number));
}

static void check_pair(const struct number *a, const struct number *b)
{
    uint8_t a_bytes[NUMBER_ENCODED_BYTES_MAX], b_bytes[NUMBER_ENCODED_BYTES_MAX];
    struct bytes a_encoded = bytes_of(a_bytes, number_encode(a, a_bytes));
    struct bytes b_encoded = bytes_of(b_bytes, number_encode(b, b_bytes));
    ASSERT(sign_of(bytes_compare(a_encoded, b_encoded)) == sign_of(number_compare(a, b)));
    struct number sum, back;
    enum number_fault fault;
    if (number_add(a, b, &sum, &fault) != STATUS_OK)
        return;
    check_number(&sum);
    ASSERT(number_subtract(&sum, b, &back, &fault) == STATUS_OK);
    ASSERT(number_compare(&back, a) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct number number, first, second;
    enum number_fault fault;
    if (number_decode(bytes_of(data, size), &number) == STATUS_OK) {
        uint8_t encoded[NUMBER_ENCODED_BYTES_MAX];
        check_number(&number);
        ASSERT(
            bytes_equal(bytes_of(encoded, number_encode(&number, encoded)), bytes_of(data, size)));
    }
    const uint8_t *split = size > 0 ? memchr(data, ' ', size) : NULL;
    size_t count = split != NULL ? (size_t)(split - data) : size;
    if (number_parse(bytes_of(data, count), &first, &fault) != STATUS_OK) {
        ASSERT(fault != NUMBER_FAULT_NONE);
        return 0;
    }
    check_number(&first);
    if (split != NULL &&
        number_parse(bytes_of(split + 1, size - count - 1), &second, &fault) == STATUS_OK)
        check_pair(&first, &second);
    return 0;
}
