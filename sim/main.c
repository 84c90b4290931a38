/* trine-sim: run a scenario over seeds, and say what happened.
 *
 * Exit codes: 0 all passed, 2 a checker found something wrong, 3 something did not come about in
 * time, 64 wrong usage; an assertion of the program aborts. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "env/bugs.h"
#include "sim/check/self_check.h"
#include "sim/scenario.h"

#define EXIT_WRONG 2
#define EXIT_STUCK 3
#define EXIT_USAGE 64

#define BUG_RUNS_MAX 800u

struct options {
    const struct scenario *scenario;
    uint64_t seed, seeds;
    uint64_t minutes; /* 0 = no bound by time */
    unsigned bugs;
    bool trace, twice, marks, check_the_checkers, seeded_bugs;
};

struct totals {
    uint64_t seeds, counted, operations, undecided, virtual_ns, hash;
    uint64_t faults[SIM_FAULT_COUNT];
};

/* ---- Options ---- */

static void usage(FILE *to)
{
    fputs("usage: trine-sim [--scenario NAME] [--seed N] [--seeds K] [--minutes M] [--twice]\n"
          "                 [--trace] [--marks] [--bug NAME]...\n"
          "       trine-sim --check-the-checkers | --seeded-bugs | --help\n\n"
          "  --seed N      the first seed (1)          --seeds K    how many (1)\n"
          "  --minutes M   go on with new seeds for M minutes\n"
          "  --twice       run each seed twice and compare the trace hashes\n"
          "  --trace       print what happens          --marks      print the REACHED marks\n"
          "  --bug NAME    switch a seeded bug on\n\nscenarios:\n",
          to);
    for (size_t i = 0; scenario_at(i) != NULL; i++)
        fprintf(to, "  %-14s %s\n", scenario_at(i)->name, scenario_at(i)->text);
    fputs("\nbugs:\n", to);
#define BUG_LINE(name, option, text) fprintf(to, "  %-20s %s\n", option, text);
    BUG_MAP(BUG_LINE)
#undef BUG_LINE
}

static const struct scenario *find_scenario(const char *name)
{
    for (size_t i = 0; scenario_at(i) != NULL; i++)
        if (strcmp(scenario_at(i)->name, name) == 0)
            return scenario_at(i);
    return NULL;
}

static unsigned find_bug(const char *name)
{
#define BUG_FIND(bug, option, text)                                                                \
    if (strcmp(name, option) == 0)                                                                 \
        return BUG_##bug;
    BUG_MAP(BUG_FIND)
#undef BUG_FIND
    return 0;
}

static bool read_number(const char *text, uint64_t *number)
{
    char *end;
    *number = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0';
}

/* An option with a value.  false: no such option, or no such value. */
static bool take_value(struct options *o, const char *name, const char *value)
{
    if (strcmp(name, "--seed") == 0)
        return read_number(value, &o->seed);
    if (strcmp(name, "--seeds") == 0)
        return read_number(value, &o->seeds);
    if (strcmp(name, "--minutes") == 0)
        return read_number(value, &o->minutes);
    if (strcmp(name, "--scenario") == 0) {
        o->scenario = find_scenario(value);
        return o->scenario != NULL;
    }
    if (strcmp(name, "--bug") == 0) {
        unsigned bug = find_bug(value);
        o->bugs |= bug;
        return bug != 0;
    }
    return false;
}

static bool take_flag(struct options *o, const char *name)
{
    bool *flag = strcmp(name, "--trace") == 0                ? &o->trace
                 : strcmp(name, "--twice") == 0              ? &o->twice
                 : strcmp(name, "--marks") == 0              ? &o->marks
                 : strcmp(name, "--check-the-checkers") == 0 ? &o->check_the_checkers
                 : strcmp(name, "--seeded-bugs") == 0        ? &o->seeded_bugs
                                                             : NULL;
    if (flag != NULL)
        *flag = true;
    return flag != NULL;
}

static bool read_options(struct options *o, int count, char **arguments)
{
    *o = (struct options){.scenario = scenario_at(0), .seed = 1, .seeds = 1};
    for (int i = 1; i < count; i++) {
        if (take_flag(o, arguments[i]))
            continue;
        if (i + 1 == count || !take_value(o, arguments[i], arguments[i + 1])) {
            fprintf(stderr, "trine-sim: wrong option or value: %s\n", arguments[i]);
            return false;
        }
        i++;
    }
    return true;
}

/* ---- Reports ---- */

static void print_trace(void *sink, uint64_t now_ns, const char *line)
{
    fprintf(sink, "%14.6f ms  %s\n", (double)now_ns / 1e6, line);
}

static void print_commit(FILE *to)
{
    char commit[64] = "";
    FILE *git = popen("git rev-parse --short HEAD 2>/dev/null", "r");
    if (git != NULL) {
        if (fgets(commit, sizeof(commit), git) != NULL)
            commit[strcspn(commit, "\n")] = '\0';
        pclose(git);
    }
    fprintf(to, "  commit: %s\n", commit[0] != '\0' ? commit : "not known");
}

static void print_failure(const struct options *o, uint64_t seed,
                          const struct scenario_result *result)
{
    printf("FAILED  scenario %s, seed %" PRIu64 ": %s\n", o->scenario->name, seed, result->what);
    print_commit(stdout);
    printf("  replay: trine-sim --scenario %s --seed %" PRIu64, o->scenario->name, seed);
#define BUG_OPTION(bug, option, text)                                                              \
    if ((o->bugs & BUG_##bug) != 0)                                                                \
        printf(" --bug %s", option);
    BUG_MAP(BUG_OPTION)
#undef BUG_OPTION
    printf(" --trace\n");
}

static void print_marks(void)
{
#ifdef TRINE_DEBUG
    for (struct reached_mark *mark = __start_reached_marks; mark < __stop_reached_marks; mark++)
        printf("  %10" PRIu64 "  %s (%s)\n", mark->count, mark->why, mark->file);
#endif
}

static void print_summary(const struct options *o, const struct totals *totals)
{
    printf("scenario %s: %" PRIu64 " seeds from %" PRIu64 ", %" PRIu64 " counted, %" PRIu64
           " operations, %.2f virtual hours\n",
           o->scenario->name, totals->seeds, o->seed, totals->counted, totals->operations,
           (double)totals->virtual_ns / 3.6e12);
    if (totals->undecided > 0)
        printf("  %" PRIu64 " items could not be judged\n", totals->undecided);
    for (int i = 0; i < SIM_FAULT_COUNT; i++)
        if (totals->faults[i] > 0)
            printf("  %10" PRIu64 "  %s\n", totals->faults[i], sim_fault_text((enum sim_fault)i));
    uint64_t marks = 0, reached = 0;
#ifdef TRINE_DEBUG
    for (struct reached_mark *mark = __start_reached_marks; mark < __stop_reached_marks; mark++) {
        marks++;
        reached += mark->count > 0;
    }
    for (struct reached_mark *mark = __start_reached_marks; mark < __stop_reached_marks; mark++)
        if (mark->count == 0 && !o->marks)
            printf("  never reached: %s (%s)\n", mark->why, mark->file);
#endif
    printf("  REACHED %" PRIu64 " of %" PRIu64 " marks\n", reached, marks);
    if (o->marks)
        print_marks();
    printf("  trace hash %016" PRIx64 "\n", totals->hash);
}

/* ---- Running ---- */

static void run_seed(const struct options *o, uint64_t seed, bool trace,
                     struct scenario_result *result)
{
    struct scenario_settings settings = {.seed = seed, .bugs = o->bugs, .report = stdout};
    if (trace) {
        settings.trace = print_trace;
        settings.trace_sink = stdout;
    }
    o->scenario->run(&settings, result);
}

static void add(struct totals *totals, const struct scenario_result *result)
{
    totals->seeds++;
    totals->counted += result->undecided == 0 && result->operations >= SCENARIO_OPERATIONS_MIN &&
                       scenario_faults(result) >= SCENARIO_FAULTS_MIN;
    totals->operations += result->operations;
    totals->undecided += result->undecided;
    totals->virtual_ns += result->virtual_ns;
    totals->hash = totals->hash * UINT64_C(0x9e3779b97f4a7c15) + result->trace_hash;
    for (int i = 0; i < SIM_FAULT_COUNT; i++)
        totals->faults[i] += result->faults[i];
}

static int run_seeds(const struct options *o)
{
    struct totals totals = {0};
    int status = EXIT_SUCCESS;
    time_t end = time(NULL) + (time_t)(60 * o->minutes);
    for (uint64_t seed = o->seed; status == EXIT_SUCCESS; seed++) {
        if (o->minutes > 0 ? time(NULL) >= end : seed - o->seed >= o->seeds)
            break;
        struct scenario_result result, again;
        run_seed(o, seed, o->trace, &result);
        if (o->twice) {
            run_seed(o, seed, false, &again);
            if (again.trace_hash != result.trace_hash)
                scenario_fail(&result, SCENARIO_WRONG, "the second run went another way");
        }
        add(&totals, &result);
        if (result.verdict != SCENARIO_PASSED) {
            print_failure(o, seed, &result);
            status = result.verdict == SCENARIO_STUCK ? EXIT_STUCK : EXIT_WRONG;
        }
    }
    print_summary(o, &totals);
    return status;
}

/* Run a seed in a process of its own, which a bug may bring down; returns how that ended. */
static int run_apart(const struct options *o, uint64_t seed)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        struct scenario_settings settings = {.seed = seed, .bugs = o->bugs};
        struct scenario_result result;
        o->scenario->run(&settings, &result);
        if (result.verdict != SCENARIO_PASSED)
            printf("  found by %s, seed %" PRIu64 ": %s\n", o->scenario->name, seed, result.what);
        fflush(stdout);
        _exit(result.verdict == SCENARIO_WRONG ? EXIT_WRONG : EXIT_SUCCESS);
    }
    int status = -1;
    if (child < 0 || waitpid(child, &status, 0) != child)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Switch on each bug in turn: the ordinary scenarios must find it from a random seed on, by what
 * the checkers see; an assertion that fires is none of them. */
static int find_seeded_bugs(void)
{
    static const char *const names[BUG_COUNT] = {
#define BUG_NAME(bug, option, text) option,
        BUG_MAP(BUG_NAME)
#undef BUG_NAME
    };
    static const char *const scenarios[] = {"single_node", "damage", "storage", "transactions"};
    const uint64_t count = ARRAY_COUNT(scenarios);
    uint64_t first = (uint64_t)time(NULL) * 1000;
    int found = 0, missed = 0;
    for (int bug = 0; bug < BUG_COUNT; bug++) {
        printf("%s, seeds from %" PRIu64 "\n", names[bug], first);
        bool seen = false;
        uint64_t tried = 0;
        for (; tried < BUG_RUNS_MAX && !seen; tried++) {
            struct options o = {.scenario = find_scenario(scenarios[tried % count]),
                                .bugs = 1u << bug};
            seen = run_apart(&o, first + tried / count) == EXIT_WRONG;
        }
        printf("  %s in %" PRIu64 " runs\n", seen ? "found" : "NOT FOUND", tried);
        found += seen;
        missed += !seen;
    }
    printf("%d passed, %d failed\n", found, missed);
    return missed > 0 ? EXIT_WRONG : EXIT_SUCCESS;
}

static int check_the_checkers(void)
{
    struct heap heap;
    heap_init(&heap, false);
    int status = EXIT_SUCCESS;
    bool last = false;
    for (size_t i = 0; !last; i++) {
        const char *name;
        bool right = self_check(&heap, i, &name, &last);
        printf("%-6s %s\n", right ? "ok" : "WRONG", name);
        if (!right)
            status = EXIT_WRONG;
    }
    return status;
}

int main(int count, char **arguments)
{
    struct options options;
    if (count == 2 && strcmp(arguments[1], "--help") == 0) {
        usage(stdout);
        return EXIT_SUCCESS;
    }
    if (!read_options(&options, count, arguments)) {
        usage(stderr);
        return EXIT_USAGE;
    }
    if (options.check_the_checkers)
        return check_the_checkers();
    return options.seeded_bugs ? find_seeded_bugs() : run_seeds(&options);
}
