#include "sim/scenario.h"

#include <stdarg.h>

#include "base/compiler.h"

void scenario_fail(struct scenario_result *result, enum scenario_verdict verdict,
                   const char *format, ...)
{
    if (result->verdict != SCENARIO_PASSED)
        return;
    result->verdict = verdict;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(result->what, sizeof(result->what), format, arguments);
    va_end(arguments);
}

void scenario_finish(struct scenario_result *result, const struct sim *sim)
{
    for (int i = 0; i < SIM_FAULT_COUNT; i++)
        result->faults[i] = sim_fault_count(sim, (enum sim_fault)i);
    result->virtual_ns = sim_now_ns(sim);
    result->trace_hash = sim_trace_hash(sim);
}

uint64_t scenario_faults(const struct scenario_result *result)
{
    uint64_t faults = 0;
    for (int i = 0; i < SIM_FAULT_COUNT; i++)
        faults += result->faults[i];
    return faults;
}

const struct scenario *scenario_at(size_t index)
{
    static const struct scenario *const scenarios[] = {&scenario_single_node, &scenario_damage,
                                                       &scenario_storage, &scenario_transactions,
                                                       &scenario_toy};
    return index < ARRAY_COUNT(scenarios) ? scenarios[index] : NULL;
}
