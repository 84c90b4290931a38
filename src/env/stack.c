#include "env/stack.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"

#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#endif

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
