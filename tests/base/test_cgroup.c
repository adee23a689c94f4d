/* Limits of control groups, read from folders made to look like /proc and /sys of several machines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cgroup.h"
#include "base/file.h"
#include "base/helper_folder.h"
#include <cmocka.h>
#include <math.h>
#include <string.h>

static void put(const char *path, const char *text)
{
    struct err err;
    char folder[4096];
    snprintf(folder, sizeof folder, "%s", in_folder(path));
    *strrchr(folder, '/') = '\0';
    assert_int_equal(file_make_dirs(folder, &err), 0);
    assert_int_equal(file_write_whole(in_folder(path), text, strlen(text), &err), 0);
}

static struct cgroup here(void)
{
    return (struct cgroup){.membership = in_folder("cgroup"), .mount = in_folder("sys")};
}

static void expect(double cpus, int64_t bytes)
{
    struct cgroup group = here();
    assert_true(fabs(cgroup_cpu_quota(&group) - cpus) < 1e-9);
    assert_int_equal(cgroup_memory_left(&group), bytes);
}

static void version2(void **state)
{
    (void)state;
    put("cgroup", "0::/slice/job.scope\n");
    expect(-1, -1);
    put("sys/slice/job.scope/cpu.max", "max 100000\n");
    put("sys/slice/job.scope/memory.max", "max\n");
    put("sys/slice/job.scope/memory.current", "5000\n");
    expect(-1, -1);
    put("sys/slice/job.scope/cpu.max", "150000 100000\n");
    put("sys/slice/job.scope/memory.max", "8589934592\n");
    expect(1.5, INT64_C(8589934592) - 5000);
    put("sys/slice/cpu.max", "100000 200000\n"); /* the parent has less */
    put("sys/slice/memory.max", "9000\n");
    put("sys/slice/memory.current", "8000\n");
    expect(0.5, 1000);
    put("sys/slice/memory.stat", "anon 3000\nfile 4500\ninactive_file 4000\nactive_file 100\ninactive_anon 7\n");
    expect(0.5, 5100);
    put("sys/slice/memory.current", "10000\n");
    expect(0.5, 3100);
    put("sys/slice/memory.current", "90000\n");
    expect(0.5, 0); /* over the limit: nothing is left, which is not "no limit" */
    put("sys/slice/cpu.max", "900000 100000\n");
    expect(1.5, 0);
}

/* In a container the path may be the host's, and the container's own group the root. */
static void container(void **state)
{
    (void)state;
    put("cgroup", "0::/../../pods/abc\n");
    put("sys/cpu.max", "300000 100000\n");
    put("sys/memory.max", "1048576\n");
    put("sys/memory.current", "48576\n");
    expect(3, 1000000);
    put("cgroup", "0::/\n");
    expect(3, 1000000);
}

static void version1(void **state)
{
    (void)state;
    put("cgroup", "12:memory:/docker/x\n11:cpuset:/\n5:cpu,cpuacct:/docker/x\n1:name=systemd:/docker/x\n0::/system\n");
    put("sys/cpu,cpuacct/docker/x/cpu.cfs_quota_us", "-1\n");
    put("sys/cpu,cpuacct/docker/x/cpu.cfs_period_us", "100000\n");
    put("sys/memory/docker/x/memory.limit_in_bytes", "9223372036854771712\n");
    put("sys/memory/docker/x/memory.usage_in_bytes", "1000\n");
    expect(-1, -1);
    put("sys/cpu,cpuacct/docker/x/cpu.cfs_quota_us", "250000\n");
    put("sys/memory/docker/x/memory.limit_in_bytes", "2147483648\n");
    expect(2.5, INT64_C(2147483648) - 1000);
    put("sys/memory/docker/x/memory.stat", "inactive_file 1\ntotal_inactive_file 300\ntotal_active_file 200\n");
    expect(2.5, INT64_C(2147483648) - 500);
}

static void nonsense(void **state)
{
    (void)state;
    expect(-1, -1); /* no membership file */
    put("cgroup", "nonsense\n::\n0:\n5:cpuset,xcpu:/a\n");
    put("sys/cpuset,xcpu/a/cpu.cfs_quota_us", "1000\n");
    put("sys/cpuset,xcpu/a/cpu.cfs_period_us", "1000\n");
    expect(-1, -1);
    put("cgroup", "0::/a\n");
    put("sys/a/cpu.max", "");
    put("sys/a/memory.max", "-5\n");
    put("sys/a/memory.current", "5\n");
    expect(-1, -1);
    put("sys/a/cpu.max", "100 0\n");
    expect(-1, -1);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(version2),
        IN_FOLDER(container),
        IN_FOLDER(version1),
        IN_FOLDER(nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
