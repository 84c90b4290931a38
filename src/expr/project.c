/* The part of an item that the paths of a projection or an update name. */
#include "expr/expr_private.h"

/* Copies what the nodes [at, end) name in `from`, a map or list of the right kind, into the
 * container that is open.  What turns out to have nothing is taken back, so that no empty container
 * is left of a path that leads nowhere; false: that is so for all. */
struct projection {
    const uint8_t *pool;
    struct value_writer *w;
};

static bool project_nodes(const struct projection *p, const uint8_t *at, const uint8_t *end,
                          struct value from);

/* The value that `node` leads to; false: it names nothing in it. */
static bool project_value(const struct projection *p, const struct node *node, struct value value)
{
    if (node->verb != VERB_INNER) {
        value_write_value(p->w, value);
        return true;
    }
    bool index = get_u32(node->content + 8) == ELEMENT_INDEX;
    enum value_type type = index ? VALUE_L : VALUE_M;
    if (value_type(value) != type)
        return false;
    value_write_begin(p->w, type);
    bool any = project_nodes(p, node->content, node->next, value);
    value_write_end(p->w);
    return any;
}

static bool project_member(const struct projection *p, const struct node *node, struct bytes name,
                           struct value value)
{
    struct value_mark mark = value_writer_mark(p->w);
    if (node->name.at != NULL)
        value_write_name(p->w, name);
    bool any = project_value(p, node, value);
    if (!any)
        value_writer_rewind(p->w, mark);
    return any;
}

/* Nodes and members both come in order. */
static bool project_nodes(const struct projection *p, const uint8_t *at, const uint8_t *end,
                          struct value from)
{
    struct value_cursor cursor;
    struct bytes name;
    struct value value;
    bool any = false;
    value_cursor_init(&cursor, from);
    for (uint32_t i = 0; at < end && value_next(&cursor, &name, &value); i++) {
        struct node node = node_read(at, p->pool);
        int by = node.name.at != NULL ? bytes_compare(node.name, name)
                 : node.index < i     ? -1
                                      : node.index > i;
        while (by < 0 && node.next < end) {
            at = node.next;
            node = node_read(at, p->pool);
            by = node.name.at != NULL ? bytes_compare(node.name, name)
                 : node.index < i     ? -1
                                      : node.index > i;
        }
        if (by < 0)
            break;
        if (by == 0) {
            any |= project_member(p, &node, name, value);
            at = node.next;
        }
    }
    return any;
}

static void project(const struct expr_program *program, struct value item, struct value_writer *w)
{
    value_write_begin(w, VALUE_M);
    if (item.at != NULL) {
        struct program_view view = program_view(program);
        struct projection p = {view.pool, w};
        project_nodes(&p, view.code, view.end, item);
    }
    value_write_end(w);
}

void expr_project(const struct expr_program *program, struct value item, struct value_writer *w)
{
    project(program, item, w);
}

void expr_updated(const struct expr_program *program, struct value item, struct value_writer *w)
{
    project(program, item, w);
}
