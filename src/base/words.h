/* words.h - the words of a language that does not tell the case of letters apart. */
#ifndef BASE_WORDS_H
#define BASE_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"

#define WORD_BYTES_MAX 24u

/* Is `text` this word, in any case? */
bool word_is(struct bytes text, const char *word);

/* Is it one of `count` words, in any case?  They are in upper case and in byte order, each padded
 * with zeros to `width` bytes, at most WORD_BYTES_MAX. */
bool word_is_among(struct bytes text, const char *words, size_t width, size_t count);

#endif
