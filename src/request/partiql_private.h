/* partiql_private.h - what the files of the PartiQL parser share: tokens and the parser's state.
 *
 * Recursive descent with one token of look-ahead.  Syntax errors end the parse; what else is wrong
 * is recorded (the first), and reported when the syntax of the whole is right, as by the service.
 */
#ifndef REQUEST_PARTIQL_PRIVATE_H
#define REQUEST_PARTIQL_PRIVATE_H

#include "base/buffer.h"
#include "base/words.h"
#include "request/partiql.h"

enum pq_token_type {
    PQ_END,
    PQ_BAD,        /* no token: the whole text is none then */
    PQ_IDENTIFIER, /* no keyword */
    PQ_QUOTED,     /* "..." */
    PQ_KEYWORD,
    PQ_STRING, /* '...' */
    PQ_NUMBER, /* without a sign */
    PQ_PARAMETER,
    PQ_OPEN, /* ( */
    PQ_CLOSE,
    PQ_OPEN_LIST, /* [ */
    PQ_CLOSE_LIST,
    PQ_OPEN_MAP, /* { */
    PQ_CLOSE_MAP,
    PQ_OPEN_SET, /* << */
    PQ_CLOSE_SET,
    PQ_COMMA,
    PQ_DOT,
    PQ_COLON,
    PQ_SEMICOLON,
    PQ_STAR, /* operators from here on */
    PQ_PLUS,
    PQ_MINUS,
    PQ_OTHER_OPERATOR, /* / % || */
    PQ_EQ,             /* the comparators are in the order of TERM_EQ ... TERM_GE */
    PQ_NE,
    PQ_LT,
    PQ_LE,
    PQ_GT,
    PQ_GE,
};

struct pq_token {
    enum pq_token_type type;
    uint32_t at; /* offset in the text */
    uint32_t count;
};

/* The token at or after offset `from`. */
struct pq_token pq_token_next(struct bytes text, uint32_t from);

/* Is it a word that is no name unless it is quoted, in any case? */
bool pq_is_keyword(struct bytes text);

/* How deep parentheses and functions may stand in each other: a bound of ours. Each makes at most
 * four levels of the tree, and the deepest comparison two. */
#define PQ_DEPTH_MAX 20u
_Static_assert(PQ_DEPTH_MAX * 4 + 8 <= EXPR_TERM_DEPTH_MAX, "no tree is too deep");

struct pq_parser {
    struct bytes text;
    struct arena *arena;
    struct error *error;
    struct pq_token token; /* the next one */
    const struct value *parameters;
    uint32_t parameter_count, parameters_taken;
    uint32_t depth;
    bool in_set; /* a right-hand side of SET: the functions of updates are allowed */
    bool no_memory;
    struct bytes semantic; /* the first thing wrong but the syntax; .at == NULL: nothing */
    struct buffer scratch; /* for one literal at a time */
};

/* ---- partiql_parse.c ---- */

static inline struct bytes pq_text(const struct pq_parser *p, struct pq_token token)
{
    return bytes_of(p->text.at + token.at, token.count);
}

static inline void pq_advance(struct pq_parser *p)
{
    p->token = pq_token_next(p->text, p->token.at + p->token.count);
}

static inline bool pq_word_is(const struct pq_parser *p, const char *keyword)
{
    return p->token.type == PQ_KEYWORD && word_is(pq_text(p, p->token), keyword);
}

/* Take the keyword if it is next. */
bool pq_take_word(struct pq_parser *p, const char *keyword);
bool pq_take(struct pq_parser *p, enum pq_token_type type);

/* "Statement wasn't well formed, can't be processed: ..."; returns STATUS_INVALID. */
COLD MUST_USE enum status pq_malformed(struct pq_parser *p, const char *detail);

/* The token that is next cannot begin a term: the fault that it is. */
COLD MUST_USE enum status pq_unexpected(struct pq_parser *p);

/* Take a token of this type or fail. */
MUST_USE enum status pq_expect(struct pq_parser *p, enum pq_token_type type);

/* Record what is wrong, unless something is. */
void pq_record(struct pq_parser *p, struct bytes message);
#define PQ_SEMANTIC(p, ...)                                                                        \
    ((p)->semantic.at != NULL ? (void)0 : pq_record((p), arena_format((p)->arena, __VA_ARGS__)))

/* "1:33:6": line, column and length of a token, in characters. */
struct bytes pq_place(struct pq_parser *p, struct pq_token token);

/* The name that an identifier, quoted or not, is; the content of a string. */
struct bytes pq_name(struct pq_parser *p, struct pq_token token);

/* ---- partiql_condition.c ---- */

MUST_USE enum status pq_condition(struct pq_parser *p, struct expr_term **term);

/* A sum, which binds tighter than comparisons: a right-hand side of SET. */
MUST_USE enum status pq_operand(struct pq_parser *p, struct expr_term **term);

/* A path, whose first name is next. */
MUST_USE enum status pq_path(struct pq_parser *p, struct expr_term **term);

/* NULL, and no_memory, when there is none. */
struct expr_term *pq_term(struct pq_parser *p, enum expr_term_kind kind);
struct expr_term *pq_value_term(struct pq_parser *p, struct value value);

/* ---- partiql_literal.c ---- */

/* Does a literal or a parameter begin here? */
bool pq_at_literal(const struct pq_parser *p);

/* Take one; it is a value in the arena. */
MUST_USE enum status pq_literal(struct pq_parser *p, struct value *value);

/* The map of an INSERT. */
MUST_USE enum status pq_item(struct pq_parser *p, struct value *item);

#endif
