/*
 * base/cgroup.h - what the control group of this process may use, as a container or a batch system has set it.
 *
 * Both versions of cgroups are read. Folders are given as arguments so that tests can stand in for /proc and /sys;
 * cgroup_here() are the real ones.
 */
#ifndef ATTUNE_BASE_CGROUP_H
#define ATTUNE_BASE_CGROUP_H

#include <stdint.h>

struct cgroup {
    const char *membership; /* the file that names the groups of the process: /proc/self/cgroup */
    const char *mount;      /* where the hierarchies are mounted: /sys/fs/cgroup */
};
struct cgroup cgroup_here(void);

/* CPUs' worth of time, the least of the group's and its ancestors' quotas; -1 where nothing limits it. */
double cgroup_cpu_quota(const struct cgroup *group);

/*
 * Bytes that may still be taken, the least of what the group's and its ancestors' limits leave; -1 where nothing limits
 * it. Cached pages of files do not count as taken: the kernel gives them up before it refuses memory.
 */
int64_t cgroup_memory_left(const struct cgroup *group);

#endif
