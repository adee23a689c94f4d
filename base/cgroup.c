#include "base/cgroup.h"

#include "base/minmax.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define LINE_MAX_BYTES 4096

struct cgroup cgroup_here(void)
{
    return (struct cgroup){.membership = "/proc/self/cgroup", .mount = "/sys/fs/cgroup"};
}

/* Where the settings of one group are: <mount><controller><group>/. */
struct group_place {
    const char *mount;
    const char *controller; /* "" or "/cpu,cpuacct" */
    const char *group;      /* "" or "/system.slice/job" */
};

static FILE *open_setting(const struct group_place *place, const char *name)
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "%s%s%s/%s", place->mount, place->controller, place->group, name);
    return length > 0 && (size_t)length < sizeof path ? fopen(path, "re") : NULL;
}

/* The first number of a setting; -1 where the setting is absent or does not begin with a number ("max"). */
static double read_number(const struct group_place *place, const char *name)
{
    double value;
    FILE *stream = open_setting(place, name);
    int found = stream ? fscanf(stream, "%lf", &value) : 0;
    if (stream) {
        fclose(stream);
    }
    return found == 1 && value >= 0 ? value : -1;
}

/* What one group leaves, or -1 where it sets no limit. */
typedef double read_limit(const struct group_place *place);

static double cpu_quota_v2(const struct group_place *place)
{
    double quota, period;
    FILE *stream = open_setting(place, "cpu.max");
    int found = stream ? fscanf(stream, "%lf %lf", &quota, &period) : 0; /* "max 100000": no limit */
    if (stream) {
        fclose(stream);
    }
    return found == 2 && quota > 0 && period > 0 ? quota / period : -1;
}

static double cpu_quota_v1(const struct group_place *place)
{
    double quota = read_number(place, "cpu.cfs_quota_us"); /* -1: no limit */
    double period = read_number(place, "cpu.cfs_period_us");
    return quota > 0 && period > 0 ? quota / period : -1;
}

/* The sum of two lines "<name> <bytes>" of memory.stat. */
static double cached_files(const struct group_place *place, const char *inactive, const char *active)
{
    FILE *stream = open_setting(place, "memory.stat");
    char line[LINE_MAX_BYTES], name[64];
    double bytes, sum = 0;
    while (stream && fgets(line, sizeof line, stream)) {
        if (sscanf(line, "%63s %lf", name, &bytes) == 2 && (strcmp(name, inactive) == 0 || strcmp(name, active) == 0)) {
            sum += bytes;
        }
    }
    if (stream) {
        fclose(stream);
    }
    return sum;
}

static double left_of(double limit, double used, double cached)
{
    if (limit < 0 || used < 0) {
        return -1;
    }
    double left = limit - used + min(cached, used);
    return max(left, 0);
}

static double memory_left_v2(const struct group_place *place)
{
    return left_of(read_number(place, "memory.max"), read_number(place, "memory.current"),
                   cached_files(place, "inactive_file", "active_file"));
}

/* Version 1 writes "no limit" as the largest multiple of a page below 2^63. */
#define MEMORY_UNLIMITED 0x1p62

static double memory_left_v1(const struct group_place *place)
{
    double limit = read_number(place, "memory.limit_in_bytes");
    return left_of(limit < MEMORY_UNLIMITED ? limit : -1, read_number(place, "memory.usage_in_bytes"),
                   cached_files(place, "total_inactive_file", "total_active_file"));
}

/* The smaller of two limits; a negative one is none. */
static double tighter(double a, double b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

/*
 * The least from the group up to the root. The whole way is walked even where a folder is missing: inside a container
 * the path may be the host's while the container's own group is mounted as the root.
 */
static double least_on_the_way(const char *mount, const char *controller, char *group, read_limit *limit)
{
    double least = -1;
    for (;;) {
        size_t length = strlen(group);
        while (length > 0 && group[length - 1] == '/') {
            group[--length] = '\0';
        }
        struct group_place place = {.mount = mount, .controller = controller, .group = group};
        least = tighter(least, limit(&place));
        char *slash = strrchr(group, '/');
        if (!slash) {
            return least;
        }
        *slash = '\0';
    }
}

/* Whether "cpu" is one of "cpu,cpuacct". */
static int lists_controller(const char *list, const char *controller)
{
    size_t length = strlen(controller);
    for (const char *at = list; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, controller, length) == 0 && (at[length] == ',' || at[length] == '\0')) {
            return 1;
        }
    }
    return 0;
}

/* Goes over the lines "<number>:<controllers>:<path>" of the membership file; version 2 has the number 0 and no
 * controllers. */
static double least_limit(const struct cgroup *group, const char *controller, read_limit *version1,
                          read_limit *version2)
{
    FILE *stream = fopen(group->membership, "re");
    if (!stream) {
        return -1;
    }
    double least = -1;
    char line[LINE_MAX_BYTES];
    while (fgets(line, sizeof line, stream)) {
        line[strcspn(line, "\n")] = '\0';
        char *list = strchr(line, ':');
        char *path = list ? strchr(list + 1, ':') : NULL;
        if (!path) {
            continue;
        }
        *path++ = '\0';
        list++;
        if (*list == '\0') {
            least = tighter(least, least_on_the_way(group->mount, "", path, version2));
        } else if (lists_controller(list, controller)) {
            char folder[LINE_MAX_BYTES];
            snprintf(folder, sizeof folder, "/%s", list);
            least = tighter(least, least_on_the_way(group->mount, folder, path, version1));
        }
    }
    fclose(stream);
    return least;
}

double cgroup_cpu_quota(const struct cgroup *group)
{
    return least_limit(group, "cpu", cpu_quota_v1, cpu_quota_v2);
}

int64_t cgroup_memory_left(const struct cgroup *group)
{
    return (int64_t)least_limit(group, "memory", memory_left_v1, memory_left_v2);
}
