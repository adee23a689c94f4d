#include "base/file.h"

#include "base/mem.h"
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int file_open_read(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        switch (errno) {
        case ENOENT:
            return err_set(err, "cannot read '%s': there is no such file", path);
        case EACCES:
            return err_set(err, "cannot read '%s': permission denied", path);
        default:
            return err_set_errno(err, "cannot read '%s'", path);
        }
    }
    struct stat status;
    if (fstat(fd, &status) != 0) {
        err_set_errno(err, "cannot read '%s'", path);
    } else if (S_ISDIR(status.st_mode)) {
        err_set(err, "cannot read '%s': it is a directory, a file is needed", path);
    } else {
        return fd;
    }
    close(fd);
    return -1;
}

int file_map_open(struct file_map *map, const char *path, struct err *err)
{
    int fd = file_open_read(path, err);
    if (fd < 0) {
        return -1;
    }
    int result = -1;
    struct stat status;
    if (fstat(fd, &status) != 0) {
        err_set_errno(err, "cannot read '%s'", path);
    } else if (!S_ISREG(status.st_mode)) {
        err_set(err, "cannot map '%s': it is not a regular file", path);
    } else if (status.st_size == 0) {
        *map = (struct file_map){0};
        result = 0;
    } else {
        void *data = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) {
            err_set_errno(err, "cannot map '%s' (%lld bytes) into memory", path, (long long)status.st_size);
        } else {
            *map = (struct file_map){.data = data, .size = (size_t)status.st_size};
            result = 0;
        }
    }
    close(fd);
    return result;
}

void file_map_release(const struct file_map *map, size_t offset, size_t size)
{
    assert(offset <= map->size && size <= map->size - offset);
    /* Whole pages only: the ones at both ends may hold bytes of a neighbour that is still in use. */
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t first = (offset + page - 1) / page * page;
    size_t last = offset + size == map->size ? map->size : (offset + size) / page * page;
    if (first < last) {
        madvise((void *)(uintptr_t)(map->data + first), last - first, MADV_DONTNEED);
    }
}

void file_pages_release(const void *bytes, size_t size)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = (uintptr_t)bytes / page * page, end = (uintptr_t)bytes + size;
    if (size > 0) {
        madvise((void *)first, end - first, MADV_DONTNEED);
    }
}

void file_map_close(struct file_map *map)
{
    if (map->data) {
        munmap((void *)(uintptr_t)map->data, map->size);
    }
    *map = (struct file_map){0};
}

int file_read(struct strbuf *out, const char *path, size_t max, struct err *err)
{
    int fd = file_open_read(path, err);
    if (fd < 0) {
        return -1;
    }
    int result = 0;
    size_t total = 0;
    char chunk[1 << 16];
    for (;;) {
        ssize_t got = read(fd, chunk, sizeof chunk);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            result = err_set_errno(err, "cannot read '%s'", path);
        } else if ((size_t)got > max - total) {
            result = err_set(err, "cannot read '%s': it is longer than the %zu bytes that are allowed here", path, max);
        }
        if (got <= 0 || result != 0) {
            break;
        }
        total += (size_t)got;
        strbuf_append(out, chunk, (size_t)got);
    }
    close(fd);
    return result != 0 ? -1 : strbuf_check(out, err);
}

bool file_exists(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0;
}

bool file_is_dir(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

int file_make_dirs(const char *path, struct err *err)
{
    size_t length = strlen(path);
    char *partial = mem_copy_string(path, length, err);
    if (!partial) {
        return -1;
    }
    int result = 0;
    for (size_t end = 1; end <= length && result == 0; end++) {
        if (partial[end] != '/' && partial[end] != '\0') {
            continue;
        }
        partial[end] = '\0';
        if (mkdir(partial, 0777) != 0 && !(errno == EEXIST && file_is_dir(partial))) {
            result = errno == EEXIST
                         ? err_set(err, "cannot make the folder '%s': '%s' is there and is not a folder", path, partial)
                         : err_set_errno(err, "cannot make the folder '%s'", partial);
        }
        partial[end] = path[end];
    }
    mem_free(partial);
    return result;
}

static int remove_entry(const FTSENT *entry, struct err *err)
{
    switch (entry->fts_info) {
    case FTS_D:
        return 0; /* comes again as FTS_DP, after what is in it */
    case FTS_NS:
        if (entry->fts_errno == ENOENT) {
            return 0;
        }
        break;
    case FTS_DNR:
    case FTS_ERR:
        break;
    case FTS_DP:
        return rmdir(entry->fts_accpath) == 0 || errno == ENOENT
                   ? 0
                   : err_set_errno(err, "cannot remove the folder '%s'", entry->fts_path);
    default:
        return unlink(entry->fts_accpath) == 0 || errno == ENOENT
                   ? 0
                   : err_set_errno(err, "cannot remove '%s'", entry->fts_path);
    }
    errno = entry->fts_errno;
    return err_set_errno(err, "cannot remove '%s'", entry->fts_path);
}

int file_remove_tree(const char *path, struct err *err)
{
    struct stat status;
    if (lstat(path, &status) != 0 && errno == ENOENT) {
        return 0;
    }
    char *root = mem_copy_string(path, strlen(path), err);
    if (!root) {
        return -1;
    }
    char *const roots[] = {root, NULL};
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_NOSTAT, NULL);
    int result = tree ? 0 : err_set_errno(err, "cannot remove '%s'", path);
    while (result == 0) {
        errno = 0;
        const FTSENT *entry = fts_read(tree);
        if (!entry) {
            result = errno == 0 ? 0 : err_set_errno(err, "cannot remove '%s'", path);
            break;
        }
        result = remove_entry(entry, err);
    }
    if (tree) {
        fts_close(tree);
    }
    mem_free(root);
    return result;
}

static int compare_names(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static int read_names(DIR *folder, char ***names, size_t *count, const char *path, struct err *err)
{
    size_t capacity = 0;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (!entry) {
            return errno == 0 ? 0 : err_set_errno(err, "cannot list the folder '%s'", path);
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        char **grown = mem_grow(*names, &capacity, *count + 1, sizeof **names, err);
        if (!grown) {
            return -1;
        }
        *names = grown;
        grown[*count] = mem_copy_string(entry->d_name, strlen(entry->d_name), err);
        if (!grown[*count]) {
            return -1;
        }
        (*count)++;
    }
}

int file_list(char ***names, size_t *count, const char *path, struct err *err)
{
    DIR *folder = opendir(path);
    if (!folder) {
        return err_set_errno(err, "cannot list the folder '%s'", path);
    }
    char **found = NULL;
    size_t found_count = 0;
    int result = read_names(folder, &found, &found_count, path, err);
    closedir(folder);
    if (result != 0) {
        file_names_free(found, found_count);
        return -1;
    }
    if (found_count > 0) {
        qsort(found, found_count, sizeof *found, compare_names);
    }
    *names = found;
    *count = found_count;
    return 0;
}

void file_names_free(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mem_free(names[i]);
    }
    mem_free(names);
}

char *file_join(const char *dir, const char *name, struct err *err)
{
    size_t dir_length = strlen(dir), name_length = strlen(name);
    bool slash = dir_length > 0 && dir[dir_length - 1] != '/';
    char *joined = mem_alloc(dir_length + slash + name_length + 1, 1, err);
    if (joined) {
        memcpy(joined, dir, dir_length);
        joined[dir_length] = '/'; /* overwritten by the name where no slash is needed */
        memcpy(joined + dir_length + slash, name, name_length + 1);
    }
    return joined;
}

int file_copy(const char *from, const char *to, struct err *err)
{
    int fd = file_open_read(from, err);
    if (fd < 0) {
        return -1;
    }
    struct file_writer writer;
    if (file_write_begin(&writer, to, err) != 0) {
        close(fd);
        return -1;
    }
    int result = 0;
    char chunk[1 << 16];
    for (;;) {
        ssize_t got = read(fd, chunk, sizeof chunk);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            result = err_set_errno(err, "cannot read '%s'", from);
        }
        if (got <= 0 || result != 0) {
            break;
        }
        result = file_write(&writer, chunk, (size_t)got, err);
    }
    close(fd);
    if (result != 0 || file_write_commit(&writer, err) != 0) {
        file_write_abort(&writer);
        return -1;
    }
    return 0;
}
