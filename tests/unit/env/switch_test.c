/* Stacks switched in user space: order, preserved registers, alignment, dropped and reused stacks.
 */
#include "env/switch.h"

#include "unit/cmocka_headers.h"

#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>

#define STACK_BYTES 65536u

struct flow {
    struct stack_switch own;
    struct stack_switch *loop;
    void *stack;
    int steps;
    int seen;
};

static void setup(struct flow *flow, struct stack_switch *loop, int steps, void (*run)(void *))
{
    flow->loop = loop;
    flow->steps = steps;
    flow->seen = 0;
    flow->stack = aligned_alloc(4096, STACK_BYTES);
    assert_non_null(flow->stack);
    switch_prepare(&flow->own, flow->stack, STACK_BYTES, run, flow);
}

static void count_and_return(void *argument)
{
    struct flow *flow = argument;
    for (int i = 0; i < flow->steps; i++) {
        flow->seen++;
        switch_to(&flow->own, flow->loop);
    }
    flow->seen = -1;
    switch_leave(&flow->own, flow->loop);
}

static void goes_on_where_it_was_left(void **state)
{
    (void)state;
    struct stack_switch loop;
    switch_init_own(&loop);
    struct flow a, b;
    setup(&a, &loop, 3, count_and_return);
    setup(&b, &loop, 3, count_and_return);
    for (int i = 1; i <= 3; i++) {
        switch_to(&loop, &a.own);
        switch_to(&loop, &b.own);
        assert_int_equal(a.seen, i);
        assert_int_equal(b.seen, i);
    }
    switch_to(&loop, &a.own);
    switch_to(&loop, &b.own);
    assert_int_equal(a.seen, -1);
    assert_int_equal(b.seen, -1);
    free(a.stack);
    free(b.stack);
}

/* Formatted floating point needs a stack aligned as the ABI asks, and keeps values in registers. */
static void compute(void *argument)
{
    struct flow *flow = argument;
    alignas(16) char text[64];
    assert_int_equal((uintptr_t)text % 16, 0);
    double sum = 0.5;
    for (int i = 0; i < flow->steps; i++) {
        sum += 1.25;
        switch_to(&flow->own, flow->loop);
    }
    snprintf(text, sizeof(text), "%.2f", sum);
    assert_string_equal(text, "5.50");
    flow->seen = 1;
    switch_leave(&flow->own, flow->loop);
}

static void preserves_what_a_call_preserves(void **state)
{
    (void)state;
    struct stack_switch loop;
    switch_init_own(&loop);
    struct flow flow;
    setup(&flow, &loop, 4, compute);
    double outside = 1.0;
    for (int i = 0; i < 5; i++) {
        outside *= 3.0;
        switch_to(&loop, &flow.own);
    }
    assert_true(outside == 243.0);
    assert_int_equal(flow.seen, 1);
    free(flow.stack);
}

static void use_much_stack(void *argument)
{
    struct flow *flow = argument;
    char block[STACK_BYTES / 2];
    memset(block, flow->steps, sizeof(block));
    switch_to(&flow->own, flow->loop);
    flow->seen = block[sizeof(block) / 3];
    switch_leave(&flow->own, flow->loop);
}

/* A flow is dropped with live, poisoned frames; its stack serves the next one. */
static void a_dropped_stack_is_prepared_again(void **state)
{
    (void)state;
    struct stack_switch loop;
    switch_init_own(&loop);
    struct flow flow;
    setup(&flow, &loop, 1, use_much_stack);
    for (int i = 1; i < 10; i++) {
        switch_to(&loop, &flow.own);
        flow.steps = i;
        switch_prepare(&flow.own, flow.stack, STACK_BYTES, use_much_stack, &flow);
    }
    switch_to(&loop, &flow.own);
    switch_to(&loop, &flow.own);
    assert_int_equal(flow.seen, 9);
    free(flow.stack);
}

static void switch_into_inner(void *argument)
{
    struct flow *flow = argument;
    struct flow inner;
    setup(&inner, &flow->own, flow->steps, count_and_return);
    for (int i = 0; i < flow->steps + 1; i++)
        switch_to(&flow->own, &inner.own);
    flow->seen = inner.seen;
    free(inner.stack);
    switch_leave(&flow->own, flow->loop);
}

static void a_flow_may_switch_to_another(void **state)
{
    (void)state;
    struct stack_switch loop;
    switch_init_own(&loop);
    struct flow flow;
    setup(&flow, &loop, 2, switch_into_inner);
    switch_to(&loop, &flow.own);
    assert_int_equal(flow.seen, -1);
    free(flow.stack);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_on_where_it_was_left),
        cmocka_unit_test(preserves_what_a_call_preserves),
        cmocka_unit_test(a_dropped_stack_is_prepared_again),
        cmocka_unit_test(a_flow_may_switch_to_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
