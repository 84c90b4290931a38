/* Tokens of all five grammars. */
#include "expr/expr_private.h"

enum class { BAD, SPACE, LETTER, DIGIT, SIGIL, SYMBOL };

/* clang-format off */
static const uint8_t classes[256] = {
    [' '] = SPACE, ['\t'] = SPACE, ['\r'] = SPACE, ['\n'] = SPACE,
    ['a'] = LETTER, ['b'] = LETTER, ['c'] = LETTER, ['d'] = LETTER, ['e'] = LETTER, ['f'] = LETTER,
    ['g'] = LETTER, ['h'] = LETTER, ['i'] = LETTER, ['j'] = LETTER, ['k'] = LETTER, ['l'] = LETTER,
    ['m'] = LETTER, ['n'] = LETTER, ['o'] = LETTER, ['p'] = LETTER, ['q'] = LETTER, ['r'] = LETTER,
    ['s'] = LETTER, ['t'] = LETTER, ['u'] = LETTER, ['v'] = LETTER, ['w'] = LETTER, ['x'] = LETTER,
    ['y'] = LETTER, ['z'] = LETTER,
    ['A'] = LETTER, ['B'] = LETTER, ['C'] = LETTER, ['D'] = LETTER, ['E'] = LETTER, ['F'] = LETTER,
    ['G'] = LETTER, ['H'] = LETTER, ['I'] = LETTER, ['J'] = LETTER, ['K'] = LETTER, ['L'] = LETTER,
    ['M'] = LETTER, ['N'] = LETTER, ['O'] = LETTER, ['P'] = LETTER, ['Q'] = LETTER, ['R'] = LETTER,
    ['S'] = LETTER, ['T'] = LETTER, ['U'] = LETTER, ['V'] = LETTER, ['W'] = LETTER, ['X'] = LETTER,
    ['Y'] = LETTER, ['Z'] = LETTER,
    ['0'] = DIGIT, ['1'] = DIGIT, ['2'] = DIGIT, ['3'] = DIGIT, ['4'] = DIGIT, ['5'] = DIGIT,
    ['6'] = DIGIT, ['7'] = DIGIT, ['8'] = DIGIT, ['9'] = DIGIT,
    ['#'] = SIGIL, [':'] = SIGIL,
    ['('] = SYMBOL, [')'] = SYMBOL, ['['] = SYMBOL, [']'] = SYMBOL, [','] = SYMBOL, ['.'] = SYMBOL,
    ['+'] = SYMBOL, ['-'] = SYMBOL, ['='] = SYMBOL, ['<'] = SYMBOL, ['>'] = SYMBOL,
};
/* clang-format on */

static enum token_type word_type(struct bytes word)
{
    switch (word.count) {
    case 2:
        return word_is(word, "OR") ? TOKEN_OR : word_is(word, "IN") ? TOKEN_IN : TOKEN_WORD;
    case 3:
        return word_is(word, "AND") ? TOKEN_AND : word_is(word, "NOT") ? TOKEN_NOT : TOKEN_WORD;
    case 7:
        return word_is(word, "BETWEEN") ? TOKEN_BETWEEN : TOKEN_WORD;
    default:
        return TOKEN_WORD;
    }
}

/* An underscore may be in a word, but not begin it. */
static bool in_word(uint8_t c)
{
    return classes[c] == LETTER || classes[c] == DIGIT || c == '_';
}

bool placeholder_valid(struct bytes placeholder, char sigil)
{
    if (placeholder.count < 2 || placeholder.at[0] != (uint8_t)sigil)
        return false;
    for (size_t i = 1; i < placeholder.count; i++) {
        if (!in_word(placeholder.at[i]))
            return false;
    }
    return true;
}

static enum token_type symbol_type(const uint8_t *at, size_t left, uint32_t *count)
{
    uint8_t second = left > 1 ? at[1] : 0;
    switch (at[0]) {
    case '(':
        return TOKEN_OPEN;
    case ')':
        return TOKEN_CLOSE;
    case '[':
        return TOKEN_OPEN_INDEX;
    case ']':
        return TOKEN_CLOSE_INDEX;
    case ',':
        return TOKEN_COMMA;
    case '.':
        return TOKEN_DOT;
    case '+':
        return TOKEN_PLUS;
    case '-':
        return TOKEN_MINUS;
    case '=':
        return TOKEN_EQ;
    case '<':
        *count = second == '>' || second == '=' ? 2 : 1;
        return second == '>' ? TOKEN_NE : second == '=' ? TOKEN_LE : TOKEN_LT;
    default:
        *count = second == '=' ? 2 : 1;
        return second == '=' ? TOKEN_GE : TOKEN_GT;
    }
}

/* A character of more than one byte is one bad token. */
static uint32_t bad_count(const uint8_t *at, size_t left)
{
    uint32_t count = 1;
    while (at[0] >= 0xc0 && count < left && (at[count] & 0xc0) == 0x80)
        count++;
    return count;
}

struct token token_next(struct bytes text, uint32_t from)
{
    const uint8_t *at = text.at + from;
    const uint8_t *end = text.at + text.count;
    while (at < end && classes[*at] == SPACE)
        at++;
    struct token token = {.type = TOKEN_END, .at = (uint32_t)(at - text.at), .count = 0};
    if (at == end)
        return token;
    const uint8_t *to = at + 1;
    switch ((enum class)classes[*at]) {
    case LETTER:
        while (to < end && in_word(*to))
            to++;
        token.type = word_type(bytes_of(at, (size_t)(to - at)));
        token.count = (uint32_t)(to - at);
        break;
    case DIGIT:
        while (to < end && classes[*to] == DIGIT)
            to++;
        token.type = TOKEN_NUMBER;
        token.count = (uint32_t)(to - at);
        break;
    case SIGIL:
        while (to < end && in_word(*to))
            to++;
        token.count = (uint32_t)(to - at);
        token.type = token.count == 1 ? TOKEN_BAD : *at == '#' ? TOKEN_NAME : TOKEN_VALUE;
        break;
    case SYMBOL:
        token.count = 1;
        token.type = symbol_type(at, (size_t)(end - at), &token.count);
        break;
    default:
        token.type = TOKEN_BAD;
        token.count = bad_count(at, (size_t)(end - at));
        break;
    }
    return token;
}
