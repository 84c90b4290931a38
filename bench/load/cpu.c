#include "load/cpu.h"

enum status cpu_add(struct cpu *cpu, pid_t process)
{
    if (cpu->count == CPU_PROCESSES_MAX)
        return STATUS_TOO_LARGE;
    if (clock_getcpuclockid(process, &cpu->clocks[cpu->count]) != 0)
        return STATUS_NOT_FOUND;
    cpu->count++;
    return STATUS_OK;
}

uint64_t cpu_used_ns(const struct cpu *cpu)
{
    uint64_t used_ns = 0;
    for (uint32_t i = 0; i < cpu->count; i++) {
        struct timespec time = {0};
        if (clock_gettime(cpu->clocks[i], &time) == 0)
            used_ns += (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
    }
    return used_ns;
}
