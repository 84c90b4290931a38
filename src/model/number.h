/* number.h - DynamoDB numbers: up to 38 significant decimal digits, exact.
 *
 * A number is sign * 0.d1d2...dn * 10^exponent with d1 != 0 and dn != 0 (canonical), or zero.
 * Magnitudes lie between 1E-130 and 9.9999999999999999999999999999999999999E+125 (Developer Guide,
 * "Naming rules and data types", Number). The encoded form sorts as the numbers do under memcmp,
 * holds two digits a byte, and is canonical: equal numbers have equal bytes.  So keys, sets and
 * comparisons work on bytes.
 *
 * Encoded form (valid if and only if number_decode accepts it):
 *
 *   zero      80
 *   positive  C0  exponent + 129  pair + 1 ...
 *   negative  40  126 - exponent  101 - (pair + 1) ...  FF (left out after 19 pairs)
 *
 * A pair is two digits, the more significant first (0..99); an odd last digit is paired with 0.  A
 * shorter positive number is a prefix and so sorts before what extends it; a shorter negative one
 * ends with FF, which is above every pair, and so sorts after.  All numbers: bytes_compare.
 */
#ifndef MODEL_NUMBER_H
#define MODEL_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/compiler.h"
#include "base/status.h"

#define NUMBER_DIGITS_MAX        38
#define NUMBER_EXPONENT_MAX      126    /* of 0.d...: 9.99E+125 */
#define NUMBER_EXPONENT_MIN      (-129) /* 1E-130 */
#define NUMBER_ENCODED_BYTES_MAX 21
#define NUMBER_TEXT_BYTES_MAX                                                                      \
    180 /* plain decimal text of the longest number, sign and point included */

struct number {
    bool negative;
    uint8_t digit_count; /* 0 = zero */
    int16_t exponent;
    uint8_t digits[NUMBER_DIGITS_MAX]; /* 0..9, most significant first */
};

/* Why a text is no number, so that the caller can say it in the service's words. */
enum number_fault {
    NUMBER_FAULT_NONE,
    NUMBER_FAULT_SYNTAX,    /* not a number */
    NUMBER_FAULT_DIGITS,    /* more than 38 significant digits */
    NUMBER_FAULT_OVERFLOW,  /* magnitude over the largest */
    NUMBER_FAULT_UNDERFLOW, /* magnitude under the smallest */
};

/* Parse decimal text: [+-] digits [. digits] [e [+-] digits], with at least one digit before the
 * exponent ("5." and ".5" are numbers), no spaces; reported of the service in paritysuite's
 * dynamodb-conformance, CHANGELOG 2026-06-26.  Zeros at either end do not count as digits.
 *   STATUS_INVALID  *fault says why; *number is undefined.  Of several faults the first in the
 *                   order of enum number_fault */
MUST_USE enum status number_parse(struct bytes text, struct number *number,
                                  enum number_fault *fault);

/* Write canonical text as the service prints it, into NUMBER_TEXT_BYTES_MAX bytes; returns its
 * length. */
size_t number_format(const struct number *number, char *text);

/* No less than number_format writes for a number that is encoded so, and at most twice as much. */
size_t number_text_bytes_max(struct bytes encoded);

/* Encode into NUMBER_ENCODED_BYTES_MAX bytes; returns the length. */
size_t number_encode(const struct number *number, uint8_t *to);

/* Decode a whole encoded number.
 *   STATUS_CORRUPT  not canonical or out of range */
MUST_USE enum status number_decode(struct bytes encoded, struct number *number);

/* The service's text for `fault`, without the number ("The parameter cannot be converted to a
 * numeric value", to which the service adds ": <text>" when the text is not empty). */
struct bytes number_fault_text(enum number_fault fault);

/* a + b, a - b, exact; the result may be one of the operands.
 *   STATUS_INVALID  the result is out of range or needs more than 38 digits: *fault says which, in
 *                   this order (9.99E+125 + 1E+125 overflows, whatever its digits) */
MUST_USE enum status number_add(const struct number *a, const struct number *b, struct number *sum,
                                enum number_fault *fault);
MUST_USE enum status number_subtract(const struct number *a, const struct number *b,
                                     struct number *difference, enum number_fault *fault);

/* < 0, 0, > 0 */
int number_compare(const struct number *a, const struct number *b);

/* Whole numbers for counters and sizes. */
void number_from_u64(uint64_t value, struct number *number);

/* STATUS_INVALID  not a whole number in the range of int64_t */
MUST_USE enum status number_to_i64(const struct number *number, int64_t *value);

/* Bytes that the service counts for a number's value: 1, and for each side of the point its
 * significant digits / 2, rounded up; one more when negative; 1 for zero.  So 15 takes 2 and 1.5
 * takes 3.  The Developer Guide's rule ("approximately ... 1 byte per two significant digits + 1
 * byte") says less; this one was measured to the byte by paritysuite's dynamodb-conformance
 * (CHANGELOG 2026-09-03, "A number's byte cost"). */
uint32_t number_size(const struct number *number);

/* The same of an encoded number, whose bytes are trusted. */
uint32_t number_encoded_size(struct bytes encoded);

#endif
