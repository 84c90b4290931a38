/* expr_private.h - what the files of this room share: tokens, the compiler's state, and the bytes
 * of a program.
 *
 * Compiling is one pass from left to right that emits code as it reads.  A syntax error ends it;
 * what else is wrong is recorded (the first of each rank) and reported when the syntax of the whole
 * text turned out right, since the service checks syntax first, and then from left to right.
 */
#ifndef EXPR_EXPR_PRIVATE_H
#define EXPR_EXPR_PRIVATE_H

#include "base/codec.h"
#include "base/words.h"
#include "expr/expr.h"

#define INVALID_VALUES "One or more parameter values were invalid: " /* how some texts begin */

/* ---- Tokens ---- */

enum token_type {
    TOKEN_END,
    TOKEN_BAD,    /* a character that begins no token */
    TOKEN_WORD,   /* a name, a function or a clause's keyword */
    TOKEN_NAME,   /* #n */
    TOKEN_VALUE,  /* :v */
    TOKEN_NUMBER, /* digits */
    TOKEN_OPEN,
    TOKEN_CLOSE,
    TOKEN_OPEN_INDEX,
    TOKEN_CLOSE_INDEX,
    TOKEN_COMMA,
    TOKEN_DOT,
    TOKEN_PLUS,
    TOKEN_MINUS,
    TOKEN_EQ, /* the comparators are in the order of OP_EQ ... OP_GE */
    TOKEN_NE,
    TOKEN_LT,
    TOKEN_LE,
    TOKEN_GT,
    TOKEN_GE,
    TOKEN_AND,
    TOKEN_OR,
    TOKEN_NOT,
    TOKEN_BETWEEN,
    TOKEN_IN,
};

struct token {
    enum token_type type;
    uint32_t at; /* offset in the text */
    uint32_t count;
};

/* The token at or after offset `from`. */
struct token token_next(struct bytes text, uint32_t from);

/* Is `name` one of the 573 reserved words, in any case? */
bool word_reserved(struct bytes name);

/* Does a placeholder of names ('#') or values (':') have the right form? */
bool placeholder_valid(struct bytes placeholder, char sigil);

/* ---- Programs ----
 *
 * offset size  meaning
 *      0    1  format: 1
 *      1    1  enum expr_kind; of an update that legacy parameters made with PROGRAM_LEGACY, which
 *              gives faults their own texts and makes no item of deletions alone
 *      2    2  update: operands on the stack, at most
 *      4    4  bytes of code
 *      8    4  bytes of the pool
 *     12    -  code, then the pool: the names and values that code refers to by offset
 *
 * Names are (offset u32, bytes u32) in the pool.  A path element is 8 bytes: a name, or (index,
 * ELEMENT_INDEX).  Integers are little-endian.
 *
 * A condition is a sequence of instructions that set or test one flag; jumps go forward only, so
 * that a program ends after at most its length in steps and needs no stack.  An operation is OP,
 * operand count u8, operands.
 *
 * A projection or update is a tree of nodes in the order of their elements, the paths merged:
 *      0    4  bytes of the whole node
 *      4    8  path element
 *     12    1  enum verb; VERB_INNER: nodes below follow
 *     13    -  nodes below, or the code of the operand
 */
#define PROGRAM_FORMAT     1u
#define PROGRAM_HEAD_BYTES 12u
#define PROGRAM_LEGACY     0x80u
#define ELEMENT_BYTES      8u
#define ELEMENT_INDEX      UINT32_MAX
#define NODE_HEAD_BYTES    13u
#define PATH_ELEMENTS_MAX  32u
#define LIST_INDEX_MAX     INT32_MAX

enum op {
    OP_PATH = 1, /* operands: count u8, elements */
    OP_VALUE,    /* offset u32, bytes u32 in the pool */
    OP_SIZE,     /* and an OP_PATH */

    OP_EQ = 16, /* operations of conditions */
    OP_NE,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_BETWEEN,
    OP_IN,
    OP_EXISTS,
    OP_NOT_EXISTS,
    OP_TYPE,
    OP_BEGINS_WITH,
    OP_CONTAINS,

    OP_NOT = 32,      /* turn the flag */
    OP_JUMP_IF_FALSE, /* bytes to skip u32 */
    OP_JUMP_IF_TRUE,

    OP_IF_EXISTS = 48, /* update: bytes to skip u32, OP_PATH: if it is there, push it and skip */
    OP_APPEND,
    OP_ADD,
    OP_SUBTRACT,
};

enum verb { VERB_INNER, VERB_KEEP, VERB_SET, VERB_REMOVE, VERB_ADD, VERB_DELETE };

/* A program's parts. */
struct program_view {
    const uint8_t *code;
    const uint8_t *end; /* of the code */
    const uint8_t *pool;
};

static inline struct program_view program_view(const struct expr_program *program)
{
    const uint8_t *code = program->code.at + PROGRAM_HEAD_BYTES;
    const uint8_t *end = code + get_u32(program->code.at + 4);
    return (struct program_view){code, end, end};
}

static inline enum expr_kind program_kind(const struct expr_program *program)
{
    return (enum expr_kind)(program->code.at[1] & ~PROGRAM_LEGACY);
}

static inline struct bytes pool_bytes(const uint8_t *pool, const uint8_t *reference)
{
    return bytes_of(pool + get_u32(reference), get_u32(reference + 4));
}

/* A node of a projection's or update's tree. */
struct node {
    const uint8_t *next;    /* the node after it, or the end */
    const uint8_t *content; /* nodes below, or code */
    struct bytes name;      /* of an index: .at == NULL */
    uint32_t index;
    enum verb verb;
};

static inline struct node node_read(const uint8_t *at, const uint8_t *pool)
{
    struct node node = {.next = at + get_u32(at),
                        .content = at + NODE_HEAD_BYTES,
                        .index = get_u32(at + 4),
                        .verb = (enum verb)at[12]};
    if (get_u32(at + 8) != ELEMENT_INDEX)
        node.name = pool_bytes(pool, at + 4);
    return node;
}

/* What the path of `count` elements at `elements` leads to in `item`; VALUE_ABSENT: nothing. */
struct value path_find(const uint8_t *elements, unsigned count, const uint8_t *pool,
                       struct value item);

#define VALUE_NUMBER_BYTES_MAX (2u + NUMBER_ENCODED_BYTES_MAX)

/* size(v) as a value in `scratch`, of VALUE_NUMBER_BYTES_MAX bytes; false: v's type has no size. */
bool size_of(struct value v, uint8_t *scratch, struct value *size);

/* ---- Compiling ---- */

enum function {
    FUNCTION_ATTRIBUTE_EXISTS,
    FUNCTION_ATTRIBUTE_NOT_EXISTS,
    FUNCTION_ATTRIBUTE_TYPE,
    FUNCTION_BEGINS_WITH,
    FUNCTION_CONTAINS,
    FUNCTION_SIZE,
    FUNCTION_IF_NOT_EXISTS,
    FUNCTION_LIST_APPEND,
    FUNCTION_NONE, /* no such function */
};

/* An element of a path while compiling. */
struct path_element {
    struct bytes name; /* of an index: .at == NULL */
    uint32_t a, b;     /* as in the code */
};

struct operand {
    enum { OPERAND_PATH, OPERAND_VALUE, OPERAND_SIZE, OPERAND_FUNCTION } what;
    enum value_type type;     /* what is known of its type; VALUE_NONE: nothing */
    enum function function;   /* of SIZE and FUNCTION */
    uint32_t first, elements; /* PATH: its elements in the compiler's array */
    struct value value;       /* VALUE: the value; absent when it is not defined */
};

struct action {
    uint32_t first; /* path elements in the compiler's array */
    uint32_t code_at, code_bytes;
    uint16_t order; /* in the text */
    uint8_t elements;
    uint8_t verb;
};

#define CODE_LOCAL     512u
#define POOL_LOCAL     16u
#define ELEMENTS_LOCAL 24u

struct compiler {
    struct expr_scope *scope;
    struct arena *arena;
    struct expr_fault *fault;
    enum expr_kind kind;
    struct bytes text;
    struct token token; /* the next one */
    uint32_t compilation;
    uint32_t operators;
    uint32_t function_depth;
    uint32_t pushes; /* the most operands that one action of an update pushes */

    bool no_memory;
    bool legacy;           /* what is compiled are changes, not a text */
    bool bare;             /* from a tree: messages do not begin with "Invalid ...Expression: " */
    bool redundant;        /* parentheses */
    struct bytes semantic; /* the first thing wrong with names, values and operands; .at == NULL:
                              nothing */
    struct bytes late;     /* of a key condition: what is checked after all else */

    uint8_t *code;
    uint32_t code_count, code_capacity;
    struct bytes *pool;
    uint32_t pool_count, pool_capacity;
    size_t pool_total;
    struct path_element *elements;
    uint32_t element_count, element_capacity;

    uint8_t code_local[CODE_LOCAL];
    struct bytes pool_local[POOL_LOCAL];
    struct path_element elements_local[ELEMENTS_LOCAL];
};

/* Record a message unless an earlier one of the rank is there. */
#define SEMANTIC(c, format, ...)                                                                   \
    ((c)->semantic.at != NULL ? (void)0                                                            \
                              : compiler_record((c), &(c)->semantic,                               \
                                                arena_format((c)->arena, "%s" format,              \
                                                             compiler_prefix(c), __VA_ARGS__)))
#define LATE(c, ...)                                                                               \
    ((c)->late.at != NULL                                                                          \
         ? (void)0                                                                                 \
         : compiler_record((c), &(c)->late, arena_format((c)->arena, __VA_ARGS__)))

void compiler_record(struct compiler *c, struct bytes *slot, struct bytes message);

/* What messages about names, values and operands begin with: "Invalid FilterExpression: ". */
const char *compiler_prefix(const struct compiler *c);

static inline struct bytes compiler_text(const struct compiler *c, struct token token)
{
    return bytes_of(c->text.at + token.at, token.count);
}

static inline void compiler_advance(struct compiler *c)
{
    c->token = token_next(c->text, c->token.at + c->token.count);
}

/* End the compilation with this message; with STATUS_NO_MEMORY when its `at` is NULL. */
MUST_USE enum status compiler_refuse(struct compiler *c, struct bytes message);

/* "Syntax error; token: ..." at the token that is next. */
COLD MUST_USE enum status compiler_syntax(struct compiler *c);

/* How deep functions may stand in functions: a bound of ours, so that no text makes the parser
 * recurse without end; what has a meaning needs three or four. */
#define FUNCTION_DEPTH_MAX 32u
COLD MUST_USE enum status compiler_too_deep(struct compiler *c);

/* Take a token of this type or fail. */
static inline MUST_USE enum status compiler_expect(struct compiler *c, enum token_type type)
{
    if (UNLIKELY(c->token.type != type))
        return compiler_syntax(c);
    compiler_advance(c);
    return STATUS_OK;
}

/* ---- Code, pool, paths, values (compiler.c) ---- */

/* Append `count` bytes of code; what does not fit sets no_memory and goes to a place of no effect.
 */
uint8_t *compiler_emit(struct compiler *c, uint32_t count);

/* A place in the pool. */
uint32_t compiler_pool(struct compiler *c, struct bytes bytes);

/* Parse a document path into the compiler's elements; emit nothing. */
MUST_USE enum status compile_path(struct compiler *c, struct operand *path);

/* The same when its first word was taken. */
MUST_USE enum status compile_path_from(struct compiler *c, struct token first,
                                       struct operand *path);

void emit_path(struct compiler *c, const struct operand *path);
void emit_value(struct compiler *c, struct value value, uint32_t pool_at);

/* Look :v up, mark it used; emit nothing.  *pool_at is where its bytes are. */
struct value compile_value(struct compiler *c, struct token token, uint32_t *pool_at);

/* Code and pool as a program (compile.c). */
MUST_USE enum status compiler_assemble(struct compiler *c, struct expr_program *program);

/* ---- Names (names.c) ---- */

/* FUNCTION_NONE: there is no such function. */
enum function function_find(struct bytes name);
const char *function_name(enum function function);

/* The name of an operation in messages: "<", "BETWEEN", "begins_with". */
const char *op_name(enum op op);

/* ---- Grammars (operand.c, condition.c, update_compile.c, tree.c) ---- */

/* Parse an operand of a condition, or an argument of a function, which may be in parentheses, and
 * emit it. */
MUST_USE enum status compile_operand(struct compiler *c, struct operand *operand);

/* What may be an operand or, of a function, a condition; not in parentheses.  `head` is where the
 * instruction begins that a condition's function completes; UINT32_MAX: none. */
MUST_USE enum status compile_term(struct compiler *c, uint32_t head, struct operand *operand);

MUST_USE enum status compile_condition(struct compiler *c);
MUST_USE enum status compile_projection(struct compiler *c);
MUST_USE enum status compile_update(struct compiler *c);

/* Write the tree of `count` actions' paths as the program's code; what is wrong between paths is
 * recorded. */
MUST_USE enum status compile_tree(struct compiler *c, struct action *actions, uint32_t count);

/* ---- Checks (check.c) ---- */

bool operand_same_path(const struct compiler *c, const struct operand *a, const struct operand *b);
/* An operand that is a function which yields no value. */
void check_not_boolean(struct compiler *c, const struct operand *operand);
/* "first operand must be distinct" */
void check_distinct(struct compiler *c, const char *name, const struct operand *first,
                    const struct operand *other);
void check_comparison(struct compiler *c, enum op op, const struct operand *operands,
                      uint32_t count);
void check_between(struct compiler *c, const struct operand *low, const struct operand *high);
void check_in(struct compiler *c, const struct operand *first, const struct operand *other);
void check_function(struct compiler *c, enum function function, const struct operand *operands,
                    uint32_t count);
void check_operand_type(struct compiler *c, const char *name, enum value_type type,
                        uint32_t allowed);

/* "[a, b, [3]]" */
struct bytes path_format(struct compiler *c, const struct path_element *elements, uint32_t count);

#define TYPE_BIT(type) (1u << (type))
#define TYPES_ORDERED  (TYPE_BIT(VALUE_S) | TYPE_BIT(VALUE_N) | TYPE_BIT(VALUE_B))
#define TYPES_SETS     (TYPE_BIT(VALUE_SS) | TYPE_BIT(VALUE_NS) | TYPE_BIT(VALUE_BS))

/* What restricts a key condition. */
void key_check_operation(struct compiler *c, enum op op, const struct operand *operands,
                         uint32_t count);
void key_check_word(struct compiler *c, const char *word);
void key_check_duplicates(struct compiler *c, const struct expr_program *program);

#endif
