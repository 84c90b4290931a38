/* scenario.h - a scenario: from a seed to a verdict. */
#ifndef SIM_SCENARIO_H
#define SIM_SCENARIO_H

#include <stdio.h>

#include "env/sim/sim_env.h"

enum scenario_verdict {
    SCENARIO_PASSED,
    SCENARIO_WRONG, /* a checker found something that must not be */
    SCENARIO_STUCK, /* what must come about did not, in its time */
};

struct scenario_settings {
    uint64_t seed;
    unsigned bugs;                                                /* enum bug: switched on */
    void (*trace)(void *sink, uint64_t now_ns, const char *line); /* NULL = none */
    void *trace_sink;
    FILE *report; /* where a failure is explained; NULL = nowhere */
};

struct scenario_result {
    enum scenario_verdict verdict;
    char what[512]; /* of a verdict that is not PASSED */
    uint64_t operations;
    uint64_t undecided; /* items that the checkers could not judge */
    uint64_t faults[SIM_FAULT_COUNT];
    uint64_t virtual_ns;
    uint64_t trace_hash;
};

#define SCENARIO_OPERATIONS_MIN 500u /* for a seed to count */
#define SCENARIO_FAULTS_MIN     10u

struct scenario {
    const char *name;
    const char *text;
    void (*run)(const struct scenario_settings *settings, struct scenario_result *result);
};

/* Set the verdict, if none was set before. */
void scenario_fail(struct scenario_result *result, enum scenario_verdict verdict,
                   const char *format, ...) PRINTF_LIKE(3, 4);

/* Take from the world what the result wants. */
void scenario_finish(struct scenario_result *result, const struct sim *sim);

uint64_t scenario_faults(const struct scenario_result *result);

/* All scenarios; NULL at the end. */
const struct scenario *scenario_at(size_t index);

extern const struct scenario scenario_single_node, scenario_damage, scenario_storage,
    scenario_transactions, scenario_toy;

#endif
