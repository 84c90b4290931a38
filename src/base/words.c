#include "base/words.h"

#include "base/assert.h"

static char upper(uint8_t c)
{
    return (char)(c >= 'a' && c <= 'z' ? c - ('a' - 'A') : c);
}

bool word_is(struct bytes text, const char *word)
{
    size_t i = 0;
    for (; i < text.count && word[i] != 0; i++) {
        if (upper(text.at[i]) != upper((uint8_t)word[i]))
            return false;
    }
    return i == text.count && word[i] == 0;
}

bool word_is_among(struct bytes text, const char *words, size_t width, size_t count)
{
    char wanted[WORD_BYTES_MAX] = {0};
    ASSERT(width <= WORD_BYTES_MAX);
    if (text.count >= width)
        return false;
    for (size_t i = 0; i < text.count; i++)
        wanted[i] = upper(text.at[i]);
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = memcmp(wanted, words + middle * width, width);
        if (order == 0)
            return true;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}
