/* cpu.h - the CPU time that processes have used.
 *
 * Read from the process's CPU clock (clock_getcpuclockid), which is the scheduler's own sum of
 * nanoseconds over all threads, those that have ended included.  /proc/PID/stat counts in ticks of
 * 10 ms, and /proc/PID/task/.../schedstat forgets threads that end.
 */
#ifndef LOAD_CPU_H
#define LOAD_CPU_H

#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/status.h"

#define CPU_PROCESSES_MAX 8u

struct cpu {
    uint32_t count;
    clockid_t clocks[CPU_PROCESSES_MAX];
};

/*   STATUS_NOT_FOUND  no such process     STATUS_TOO_LARGE  there are CPU_PROCESSES_MAX already */
MUST_USE enum status cpu_add(struct cpu *cpu, pid_t process);

/* Nanoseconds used by all of them since they started; 0 without any. */
uint64_t cpu_used_ns(const struct cpu *cpu);

#endif
