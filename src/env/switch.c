#include "env/switch.h"

#include <stdint.h>
#include <string.h>

#include "base/assert.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SWITCH_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define SWITCH_ASAN 1
#endif

#ifdef SWITCH_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

/* In switch.S.  Save the preserved registers on the running stack and its pointer in *save, take
 * those at `load`, and return there. */
void switch_stacks(void **save, void *load);

/* In switch.S.  Where a prepared stack begins: calls function(argument) as the saved registers say.
 */
void switch_entry(void);

/* What switch_stacks takes from the top of a stack that it goes to, lowest address first. */
#if defined(__x86_64__)
struct saved_registers {
    uint32_t mxcsr;
    uint16_t x87_control;
    uint16_t unused;
    uint64_t r15, r14, r13, r12, rbx, rbp;
    uint64_t return_address;
    uint64_t above; /* keeps the stack aligned as the ABI asks at a call */
};
_Static_assert(sizeof(struct saved_registers) == 72, "switch.S knows this layout");
#elif defined(__aarch64__)
struct saved_registers {
    uint64_t x19_to_x28[10];
    uint64_t x29, x30;
    uint64_t d8_to_d15[8];
    uint64_t fpcr, unused;
};
_Static_assert(sizeof(struct saved_registers) == 176, "switch.S knows this layout");
#else
#error "stacks are switched on x86-64 and aarch64"
#endif

static void leave_begin(struct stack_switch *own, struct stack_switch *to, bool for_ever)
{
    to->from = own;
#ifdef SWITCH_ASAN
    __sanitizer_start_switch_fiber(for_ever ? NULL : &own->shadow, to->stack_low, to->stack_bytes);
#else
    (void)for_ever;
#endif
}

/* The first thing done on the stack that was switched to. */
static void arrive(struct stack_switch *own)
{
#ifdef SWITCH_ASAN
    const void *low = NULL;
    size_t bytes = 0;
    __sanitizer_finish_switch_fiber(own->shadow, &low, &bytes);
    own->shadow = NULL;
    if (own->from->stack_low == NULL) { /* only the sanitizer knows the loop's own stack */
        own->from->stack_low = low;
        own->from->stack_bytes = bytes;
    }
#else
    (void)own;
#endif
}

NORETURN static void begin(void *argument)
{
    struct stack_switch *own = argument;
    arrive(own);
    own->function(own->argument);
    assert_failed("a flow ends with switch_leave", __FILE__, __LINE__);
}

void switch_init_own(struct stack_switch *own)
{
    *own = (struct stack_switch){0};
}

void switch_prepare(struct stack_switch *flow, void *stack_low, size_t bytes,
                    void (*function)(void *argument), void *argument)
{
    ASSERT(bytes >= 4096);
#ifdef SWITCH_ASAN
    __asan_unpoison_memory_region(stack_low, bytes); /* what a dropped flow left behind */
#endif
    uintptr_t top = ((uintptr_t)stack_low + bytes) & ~(uintptr_t)15;
    struct saved_registers saved;
    memset(&saved, 0, sizeof(saved));
#if defined(__x86_64__)
    __asm__ volatile("stmxcsr %0" : "=m"(saved.mxcsr));
    __asm__ volatile("fnstcw %0" : "=m"(saved.x87_control));
    saved.rbx = (uint64_t)(uintptr_t)begin;
    saved.r12 = (uint64_t)(uintptr_t)flow;
    saved.return_address = (uint64_t)(uintptr_t)switch_entry;
    uintptr_t at = top - 80; /* 64 bytes are taken: switch_entry begins on a multiple of 16 */
#else
    __asm__ volatile("mrs %0, fpcr" : "=r"(saved.fpcr));
    saved.x19_to_x28[0] = (uint64_t)(uintptr_t)begin;
    saved.x19_to_x28[1] = (uint64_t)(uintptr_t)flow;
    saved.x30 = (uint64_t)(uintptr_t)switch_entry;
    uintptr_t at = top - sizeof(saved);
#endif
    memcpy((void *)at, &saved, sizeof(saved));
    *flow = (struct stack_switch){
        .stack_pointer = (void *)at,
        .function = function,
        .argument = argument,
        .stack_low = stack_low,
        .stack_bytes = bytes,
    };
}

void switch_to(struct stack_switch *own, struct stack_switch *to)
{
    ASSERT(own != to);
    leave_begin(own, to, false);
    switch_stacks(&own->stack_pointer, to->stack_pointer);
    arrive(own);
}

void switch_leave(struct stack_switch *own, struct stack_switch *to)
{
    ASSERT(own != to);
    leave_begin(own, to, true);
    switch_stacks(&own->stack_pointer, to->stack_pointer);
    assert_failed("a flow that was left for ever does not run", __FILE__, __LINE__);
}
