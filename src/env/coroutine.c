#include "env/coroutine.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define WITH_ASAN 1
#endif

_Static_assert(offsetof(struct coroutine, stack_pointer) == 0, "the assembly's offsets");
_Static_assert(offsetof(struct coroutine, frame_pointer) == 8, "the assembly's offsets");
_Static_assert(offsetof(struct coroutine, resume_at) == 16, "the assembly's offsets");

/* ---- Stacks ---- */

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

enum status stack_map(struct stack *stack, size_t bytes)
{
    size_t page = page_bytes();
    size_t usable = (bytes + page - 1) & ~(page - 1);
    uint8_t *at = mmap(NULL, page + usable, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (at == MAP_FAILED)
        return STATUS_NO_MEMORY;
    if (mprotect(at, page, PROT_NONE) != 0) {
        munmap(at, page + usable);
        return STATUS_NO_MEMORY;
    }
    *stack = (struct stack){.low = at + page, .bytes = usable};
    return STATUS_OK;
}

void stack_unmap(struct stack *stack)
{
#ifdef WITH_ASAN
    /* What did not return left its red zones; the addresses will be used for something else. */
    __asan_unpoison_memory_region(stack->low, stack->bytes);
#endif
    size_t page = page_bytes();
    int result = munmap(stack->low - page, page + stack->bytes);
    ASSERT(result == 0);
    *stack = (struct stack){0};
}

/* ---- Switching ----
 *
 * Neither call nor ret is used, so that the processor's prediction of returns stays right on both
 * sides.  A prepared coroutine begins at coroutine_begin, whose argument is the register that holds
 * `to`: rdi, x0. */

#if defined(__x86_64__)

#define SWITCH_LOAD                                                                                \
    "movq 0(%[to]), %%rsp\n\t"                                                                     \
    "movq 8(%[to]), %%rbp\n\t"                                                                     \
    "jmpq *16(%[to])\n\t"

static inline void switch_registers(struct coroutine *from, struct coroutine *to)
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

NORETURN static inline void load_registers(struct coroutine *to)
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

static inline void switch_registers(struct coroutine *from, struct coroutine *to)
{
    register struct coroutine *to_x0 __asm__("x0") = to;
    register struct coroutine *from_x1 __asm__("x1") = from;
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

NORETURN static inline void load_registers(struct coroutine *to)
{
    register struct coroutine *to_x0 __asm__("x0") = to;
    __asm__ volatile(SWITCH_LOAD : : "r"(to_x0) : "memory");
    __builtin_unreachable();
}

#define ENTRY_BYTES 0u

#else
#error "coroutines are written for x86-64 and aarch64"
#endif

static inline void announce_switch(struct coroutine *to, void **fake_stack)
{
#ifdef WITH_ASAN
    __sanitizer_start_switch_fiber(fake_stack, to->stack_low, to->stack_bytes);
#else
    (void)to;
    (void)fake_stack;
#endif
}

/* Now on the stack of `self`; learn where the stack that was left lies. */
static inline void announce_arrival(struct coroutine *self)
{
#ifdef WITH_ASAN
    const void *low;
    size_t bytes;
    __sanitizer_finish_switch_fiber(self->fake_stack, &low, &bytes);
    if (self->switched_from != NULL) {
        self->switched_from->stack_low = low;
        self->switched_from->stack_bytes = bytes;
    }
#else
    (void)self;
#endif
}

static void coroutine_begin(struct coroutine *self)
{
    announce_arrival(self);
    self->entry(self->argument);
    assert_failed("the entry of a coroutine does not return", __FILE__, __LINE__);
}

void coroutine_prepare(struct coroutine *coroutine, void *low, size_t bytes,
                       void (*entry)(void *argument), void *argument)
{
    uintptr_t top = ((uintptr_t)low + bytes) & ~(uintptr_t)15;
    top -= 16;
    *(uint64_t *)top = 0;
    top -= ENTRY_BYTES;
    *(uint64_t *)top = 0; /* where a return address would be: a backtrace ends here */
    *coroutine = (struct coroutine){
        .stack_pointer = (void *)top,
        .resume_at = (void *)(uintptr_t)coroutine_begin,
        .entry = entry,
        .argument = argument,
        .stack_low = low,
        .stack_bytes = bytes,
    };
}

__attribute__((noinline)) void coroutine_switch(struct coroutine *from, struct coroutine *to)
{
    to->switched_from = from;
    announce_switch(to, &from->fake_stack);
    switch_registers(from, to);
    announce_arrival(from);
}

void coroutine_exit(struct coroutine *from, struct coroutine *to)
{
    (void)from;
    to->switched_from = NULL; /* `from` may be gone by then */
    announce_switch(to, NULL);
    load_registers(to);
}
