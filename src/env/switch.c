#include "env/switch.h"

#include <stdint.h>

#include "base/assert.h"

#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

_Static_assert(offsetof(struct stack_switch, stack_pointer) == 0, "the assembly's offsets");
_Static_assert(offsetof(struct stack_switch, frame_pointer) == 8, "the assembly's offsets");
_Static_assert(offsetof(struct stack_switch, resume_at) == 16, "the assembly's offsets");

/* ---- Switching ----
 *
 * Neither call nor ret is used, so that the processor's prediction of returns stays right on both
 * sides.  A prepared flow begins at the function `begin`, whose argument is the register that holds
 * `to`: rdi, x0. */

#if defined(__x86_64__)

#define SWITCH_LOAD                                                                                \
    "movq 0(%[to]), %%rsp\n\t"                                                                     \
    "movq 8(%[to]), %%rbp\n\t"                                                                     \
    "jmpq *16(%[to])\n\t"

static inline void switch_registers(struct stack_switch *from, struct stack_switch *to)
{
    __asm__ volatile("leaq 1f(%%rip), %%rax\n\t"
                     "movq %%rsp, 0(%[from])\n\t"
                     "movq %%rbp, 8(%[from])\n\t"
                     "movq %%rax, 16(%[from])\n\t" SWITCH_LOAD "1:\n\t"
                     : [from] "+S"(from), [to] "+D"(to)
                     :
                     : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
                       "r15", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                       "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "cc",
                       "memory");
}

NORETURN static inline void load_registers(struct stack_switch *to)
{
    __asm__ volatile(SWITCH_LOAD : : [to] "D"(to) : "memory");
    __builtin_unreachable();
}

/* A function finds its stack pointer 8 below a multiple of 16, at its return address: none. */
#define ENTRY_BYTES 8u

#elif defined(__aarch64__)

#define SWITCH_LOAD                                                                                \
    "ldp x9, x29, [x0]\n\t"                                                                        \
    "ldr x10, [x0, #16]\n\t"                                                                       \
    "mov sp, x9\n\t"                                                                               \
    "mov x30, xzr\n\t"                                                                             \
    "br x10\n\t"

static inline void switch_registers(struct stack_switch *from, struct stack_switch *to)
{
    register struct stack_switch *to_x0 __asm__("x0") = to;
    register struct stack_switch *from_x1 __asm__("x1") = from;
    __asm__ volatile("adr x10, 1f\n\t"
                     "mov x9, sp\n\t"
                     "stp x9, x29, [x1]\n\t"
                     "str x10, [x1, #16]\n\t" SWITCH_LOAD "1:\n\t"
                     : "+r"(to_x0), "+r"(from_x1)
                     :
                     : "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13",
                       "x14", "x15", "x16", "x17", "x19", "x20", "x21", "x22", "x23", "x24", "x25",
                       "x26", "x27", "x28", "x30", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7",
                       "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18",
                       "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29",
                       "v30", "v31", "cc", "memory");
}

NORETURN static inline void load_registers(struct stack_switch *to)
{
    register struct stack_switch *to_x0 __asm__("x0") = to;
    __asm__ volatile(SWITCH_LOAD : : "r"(to_x0) : "memory");
    __builtin_unreachable();
}

#define ENTRY_BYTES 0u

#else
#error "stacks are switched on x86-64 and aarch64"
#endif

static inline void announce(struct stack_switch *to, void **shadow)
{
#ifdef WITH_ASAN
    __sanitizer_start_switch_fiber(shadow, to->stack_low, to->stack_bytes);
#else
    (void)to;
    (void)shadow;
#endif
}

/* The first thing done on the stack that was switched to. */
static inline void arrive(struct stack_switch *own)
{
#ifdef WITH_ASAN
    const void *low;
    size_t bytes;
    __sanitizer_finish_switch_fiber(own->shadow, &low, &bytes);
    if (own->from != NULL) { /* only the sanitizer knows the loop's own stack */
        own->from->stack_low = low;
        own->from->stack_bytes = bytes;
    }
#else
    (void)own;
#endif
}

static void begin(struct stack_switch *own)
{
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
#ifdef WITH_ASAN
    __asan_unpoison_memory_region(stack_low, bytes); /* what a dropped flow left behind */
#endif
    uintptr_t top = (((uintptr_t)stack_low + bytes) & ~(uintptr_t)15) - 16;
    top -= ENTRY_BYTES;
    *(uint64_t *)top = 0; /* where a return address would be: a backtrace ends here */
    *flow = (struct stack_switch){
        .stack_pointer = (void *)top,
        .resume_at = (void *)(uintptr_t)begin,
        .function = function,
        .argument = argument,
        .stack_low = stack_low,
        .stack_bytes = bytes,
    };
}

__attribute__((noinline)) void switch_to(struct stack_switch *own, struct stack_switch *to)
{
    to->from = own;
    announce(to, &own->shadow);
    switch_registers(own, to);
    arrive(own);
}

void switch_leave(struct stack_switch *own, struct stack_switch *to)
{
    (void)own;
    to->from = NULL; /* `own` may be gone when `to` runs */
    announce(to, NULL);
    load_registers(to);
}
