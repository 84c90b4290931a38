/* Percentiles and the schedule of the open loop, against plain computations; where an
 * answer ends. */
#include "unit/cmocka_headers.h"

#include <stdlib.h>

#include "base/compiler.h"
#include "base/prng.h"
#include "load/answer.h"
#include "load/latency.h"
#include "load/schedule.h"

#define VALUES 20000u

/* ---- Percentiles ---- */

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static struct latency *empty(void)
{
    struct latency *latency = calloc(1, sizeof(*latency));
    assert_non_null(latency);
    return latency;
}

/* Values of every magnitude: the percentile is never below the sorted one, and at most 0.8 % above
 * it. */
static void percentiles_are_those_of_the_sorted_values(void **state)
{
    (void)state;
    static const double shares[] = {0.0001, 0.01, 0.5, 0.9, 0.99, 0.999, 1};
    uint64_t *values = calloc(VALUES, sizeof(*values));
    assert_non_null(values);
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct latency *latency = empty();
        struct prng prng;
        prng_init(&prng, seed);
        for (uint32_t i = 0; i < VALUES; i++) {
            values[i] = prng_u64(&prng) >> prng_below(&prng, 64);
            latency_record(latency, values[i]);
        }
        qsort(values, VALUES, sizeof(*values), by_value);
        for (size_t i = 0; i < ARRAY_COUNT(shares); i++) {
            double rank = shares[i] * VALUES;
            uint32_t index = (uint32_t)rank + (rank > (uint32_t)rank ? 1 : 0) - 1;
            uint64_t exact = values[index];
            uint64_t found = latency_percentile(latency, shares[i]);
            assert_true(found >= exact);
            assert_true(found - exact <= exact / LATENCY_SUB);
        }
        assert_int_equal(latency_percentile(latency, 1), values[VALUES - 1]);
        free(latency);
    }
    free(values);
}

static void nothing_recorded_is_zero_and_one_value_is_itself(void **state)
{
    (void)state;
    struct latency *latency = empty();
    assert_int_equal(latency_percentile(latency, 0.5), 0);
    latency_record(latency, 123456789);
    assert_int_equal(latency_percentile(latency, 0.001), 123456789);
    assert_int_equal(latency_percentile(latency, 0.999), 123456789);
    free(latency);
    latency = empty();
    latency_record(latency, UINT64_MAX);
    assert_true(latency_percentile(latency, 0.5) == UINT64_MAX);
    free(latency);
}

/* ---- The schedule ---- */

static void even_arrivals_do_not_drift(void **state)
{
    (void)state;
    static const uint64_t rates[] = {1, 3, 7000, 99999, 1000000, SCHEDULE_RATE_MAX};
    for (size_t i = 0; i < ARRAY_COUNT(rates); i++) {
        struct schedule schedule;
        uint64_t due_ns = 0;
        schedule_init(&schedule, 1000, rates[i], false, 1);
        for (uint64_t n = 0; n <= 3 * rates[i] && n < 300000; n++) {
            assert_true(schedule_take(&schedule, UINT64_MAX, &due_ns));
            assert_int_equal(due_ns, 1000 + n * 1000000000 / rates[i]);
        }
    }
}

/* Whether the taker comes late or early, each request is due at its own time. */
static void a_late_taker_gets_the_times_that_were_due(void **state)
{
    (void)state;
    struct schedule schedule;
    uint64_t due_ns = 0;
    schedule_init(&schedule, 0, 1000, false, 1);
    assert_true(schedule_take(&schedule, 0, &due_ns));
    assert_false(schedule_take(&schedule, 999999, &due_ns));
    assert_true(schedule_take(&schedule, 5500000, &due_ns));
    assert_int_equal(due_ns, 1000000);
    for (uint64_t n = 2; n <= 5; n++) {
        assert_true(schedule_take(&schedule, 5500000, &due_ns));
        assert_int_equal(due_ns, n * 1000000);
    }
    assert_false(schedule_take(&schedule, 5500000, &due_ns));
}

/* The mean gap is 1 / rate, and as many gaps are above it as an exponential law says: 1 / e. */
static void poisson_arrivals_have_their_rate_and_spread(void **state)
{
    (void)state;
    struct schedule schedule;
    uint64_t due_ns = 0, last_ns = 0;
    uint32_t above = 0, count = 200000;
    schedule_init(&schedule, 0, 100000, true, 42);
    assert_true(schedule_take(&schedule, 0, &due_ns));
    for (uint32_t i = 0; i < count; i++) {
        assert_true(schedule_take(&schedule, UINT64_MAX, &due_ns));
        assert_true(due_ns >= last_ns);
        above += due_ns - last_ns > 10000;
        last_ns = due_ns;
    }
    assert_true(last_ns > count * UINT64_C(9900) && last_ns < count * UINT64_C(10100));
    assert_true(above > count * 0.36 && above < count * 0.376);
}

/* ---- Answers ---- */

static const char whole[] =
    "HTTP/1.1 400 Bad Request\r\nServer: x\r\ncontent-LENGTH:  17\r\nB: c\r\n\r\n";

static void an_answer_is_known_once_its_head_is_whole(void **state)
{
    (void)state;
    struct answer answer;
    size_t head = sizeof(whole) - 1;
    for (size_t count = 0; count < head; count++)
        assert_int_equal(answer_read(bytes_of(whole, count), &answer), ANSWER_PARTIAL);
    assert_int_equal(answer_read(bytes_of(whole, head), &answer), ANSWER_HEAD);
    assert_int_equal(answer.status, 400);
    assert_int_equal(answer.head_bytes, head);
    assert_int_equal(answer.body_bytes, 17);
}

static void what_is_no_answer_is_refused(void **state)
{
    (void)state;
    static const char *const broken[] = {
        "\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2 Debian\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\nContent-Length: 1\r\n\r\n",
    };
    struct answer answer;
    for (size_t i = 0; i < ARRAY_COUNT(broken); i++)
        assert_int_equal(answer_read(bytes_of_text(broken[i]), &answer), ANSWER_BROKEN);
    uint8_t endless[ANSWER_HEAD_MAX + 1];
    memset(endless, 'a', sizeof(endless));
    assert_int_equal(answer_read(bytes_of(endless, sizeof(endless)), &answer), ANSWER_BROKEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_are_those_of_the_sorted_values),
        cmocka_unit_test(nothing_recorded_is_zero_and_one_value_is_itself),
        cmocka_unit_test(even_arrivals_do_not_drift),
        cmocka_unit_test(a_late_taker_gets_the_times_that_were_due),
        cmocka_unit_test(poisson_arrivals_have_their_rate_and_spread),
        cmocka_unit_test(an_answer_is_known_once_its_head_is_whole),
        cmocka_unit_test(what_is_no_answer_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
