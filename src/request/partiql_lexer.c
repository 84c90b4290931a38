/* Tokens of PartiQL: names, quoted names, strings, numbers, symbols; comments are space. */
#include "request/partiql_private.h"

static bool is_letter(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$';
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static uint8_t peek(struct bytes text, size_t at)
{
    return at < text.count ? text.at[at] : 0;
}

/* The first byte from `at` on that is no space and in no comment; *open: a comment has no end. */
static size_t skip(struct bytes text, size_t at, bool *open)
{
    *open = false;
    for (;;) {
        while (at < text.count && is_space(text.at[at]))
            at++;
        if (peek(text, at) == '-' && peek(text, at + 1) == '-') {
            while (at < text.count && text.at[at] != '\n')
                at++;
        } else if (peek(text, at) == '/' && peek(text, at + 1) == '*') {
            size_t end = at + 2;
            while (end + 1 < text.count && (text.at[end] != '*' || text.at[end + 1] != '/'))
                end++;
            *open = end + 1 >= text.count;
            if (*open)
                return at;
            at = end + 2;
        } else {
            return at;
        }
    }
}

static size_t digits(struct bytes text, size_t at)
{
    while (is_digit(peek(text, at)))
        at++;
    return at;
}

/* digits [. digits] [e [+-] digits].  The service reads them as Java's BigDecimal does: a scale
 * (the digits after the point less the exponent) or an exponent of more than 32 bits is no
 * number. */
static struct pq_token take_number(struct bytes text, size_t from)
{
    size_t at = digits(text, from);
    int64_t scale = 0, exponent = 0;
    bool bad = false;
    if (peek(text, at) == '.') {
        size_t end = digits(text, at + 1);
        scale = (int64_t)(end - at - 1);
        at = end;
    }
    if (peek(text, at) == 'e' || peek(text, at) == 'E') {
        bool negative = peek(text, at + 1) == '-';
        size_t begin = at + 1 + (negative || peek(text, at + 1) == '+');
        at = digits(text, begin);
        bad = at == begin;
        for (size_t i = begin; i < at && exponent <= INT32_MAX; i++)
            exponent = exponent * 10 + (text.at[i] - '0');
        exponent = negative ? -exponent : exponent;
        scale -= exponent;
    }
    bad = bad || is_letter(peek(text, at)) || exponent > INT32_MAX || exponent < INT32_MIN ||
          scale > INT32_MAX || scale < INT32_MIN;
    return (struct pq_token){bad ? PQ_BAD : PQ_NUMBER, (uint32_t)from, (uint32_t)(at - from)};
}

/* Up to the closing quote; two in a row are one of the content. */
static struct pq_token take_quoted(struct bytes text, size_t from, enum pq_token_type type)
{
    uint8_t quote = text.at[from];
    size_t at = from + 1;
    for (; at < text.count; at++) {
        if (text.at[at] != quote)
            continue;
        if (peek(text, at + 1) != quote)
            return (struct pq_token){type, (uint32_t)from, (uint32_t)(at + 1 - from)};
        at++;
    }
    return (struct pq_token){PQ_BAD, (uint32_t)from, (uint32_t)(text.count - from)};
}

static struct pq_token take_word(struct bytes text, size_t from)
{
    size_t at = from;
    while (is_letter(peek(text, at)) || is_digit(peek(text, at)))
        at++;
    bool keyword = pq_is_keyword(bytes_of(text.at + from, at - from));
    return (struct pq_token){keyword ? PQ_KEYWORD : PQ_IDENTIFIER, (uint32_t)from,
                             (uint32_t)(at - from)};
}

static const struct symbol {
    char text[3];
    enum pq_token_type type;
} symbols[] = {
    /* The longer first. */
    {"<<", PQ_OPEN_SET},
    {">>", PQ_CLOSE_SET},
    {"<=", PQ_LE},
    {">=", PQ_GE},
    {"<>", PQ_NE},
    {"!=", PQ_NE},
    {"||", PQ_OTHER_OPERATOR},
    {"?", PQ_PARAMETER},
    {"(", PQ_OPEN},
    {")", PQ_CLOSE},
    {"[", PQ_OPEN_LIST},
    {"]", PQ_CLOSE_LIST},
    {"{", PQ_OPEN_MAP},
    {"}", PQ_CLOSE_MAP},
    {",", PQ_COMMA},
    {".", PQ_DOT},
    {":", PQ_COLON},
    {";", PQ_SEMICOLON},
    {"*", PQ_STAR},
    {"+", PQ_PLUS},
    {"-", PQ_MINUS},
    {"/", PQ_OTHER_OPERATOR},
    {"%", PQ_OTHER_OPERATOR},
    {"=", PQ_EQ},
    {"<", PQ_LT},
    {">", PQ_GT},
};

struct pq_token pq_token_next(struct bytes text, uint32_t from)
{
    bool open;
    size_t at = skip(text, from, &open);
    if (open)
        return (struct pq_token){PQ_BAD, (uint32_t)at, (uint32_t)(text.count - at)};
    if (at == text.count)
        return (struct pq_token){PQ_END, (uint32_t)at, 0};
    uint8_t c = text.at[at];
    if (is_letter(c))
        return take_word(text, at);
    if (is_digit(c) || (c == '.' && is_digit(peek(text, at + 1))))
        return take_number(text, at);
    if (c == '\'')
        return take_quoted(text, at, PQ_STRING);
    if (c == '"')
        return take_quoted(text, at, PQ_QUOTED);
    for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
        uint32_t count = symbols[i].text[1] == 0 ? 1 : 2;
        if (c == (uint8_t)symbols[i].text[0] &&
            (count == 1 || peek(text, at + 1) == (uint8_t)symbols[i].text[1]))
            return (struct pq_token){symbols[i].type, (uint32_t)at, count};
    }
    return (struct pq_token){PQ_BAD, (uint32_t)at, 1};
}
