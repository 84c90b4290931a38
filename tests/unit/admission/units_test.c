/* Capacity units at the borders of their sizes, as the Developer Guide counts them. */
#include "unit/cmocka_headers.h"

#include "admission/units.h"

static void reads_count_four_kilobytes(void **state)
{
    (void)state;
    assert_int_equal(units_read_halves(0, true), 2); /* what is absent costs the smallest */
    assert_int_equal(units_read_halves(0, false), 1);
    assert_int_equal(units_read_halves(1, true), 2);
    assert_int_equal(units_read_halves(4096, true), 2);
    assert_int_equal(units_read_halves(4096, false), 1);
    assert_int_equal(units_read_halves(4097, true), 4);
    assert_int_equal(units_read_halves(4097, false), 2);
    assert_int_equal(units_read_halves(400 * 1024, true), 200);
    assert_true(units_read_halves(UINT64_C(1) << 40, true) == UINT64_C(1) << 29);
}

static void writes_count_one_kilobyte_of_the_larger_image(void **state)
{
    (void)state;
    assert_int_equal(units_write_halves(0, 0), 2);
    assert_int_equal(units_write_halves(0, 1), 2);
    assert_int_equal(units_write_halves(1024, 0), 2);
    assert_int_equal(units_write_halves(1, 1025), 4);
    assert_int_equal(units_write_halves(1025, 1), 4);
    assert_int_equal(units_write_halves(400 * 1024, 5), 800);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_count_four_kilobytes),
        cmocka_unit_test(writes_count_one_kilobyte_of_the_larger_image),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
