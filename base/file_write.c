/*
 * The half of base/file.h that writes. The bytes go to "<path>.partial" under a lock, so that a partial file which a
 * crash left is taken over by the next attempt, and two processes that write the same path do not mix their bytes.
 */
#include "base/file.h"

#include "base/mem.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Fault injection of the tests. */
static atomic_long writes;
static atomic_long failing_write;

static bool injected_failure(void)
{
    long number = atomic_fetch_add(&writes, 1) + 1;
    if (number != atomic_load(&failing_write)) {
        return false;
    }
    errno = ENOSPC;
    return true;
}

void file_fail_at(long n)
{
    atomic_store(&writes, 0);
    atomic_store(&failing_write, n);
}

long file_count(void)
{
    return atomic_load(&writes);
}

static int sync_fd(int fd)
{
    return injected_failure() ? -1 : fsync(fd);
}

static int open_folder(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        err_set_errno(err, "cannot open the folder '%s'", path);
    }
    return fd;
}

/* Makes the names in a folder last, and closes it. Some file systems cannot sync a folder and say EINVAL. `path` is
 * that of the folder or of a file in it. */
static int sync_folder(int fd, const char *path, struct err *err)
{
    int failed = sync_fd(fd) != 0 && errno != EINVAL;
    if (failed) {
        err_set_errno(err, "cannot write the folder of '%s' to the disk", path);
    }
    close(fd);
    return failed ? -1 : 0;
}

/* The folder in which a name is about to change: opened before, so that nothing but its sync can fail afterwards. */
static int open_parent(const char *path, struct err *err)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') {
        length--;
    }
    while (length > 0 && path[length - 1] != '/') {
        length--;
    }
    char *parent = length > 0 ? mem_copy_string(path, length, err) : mem_copy_string(".", 1, err);
    if (!parent) {
        return -1;
    }
    int fd = open_folder(parent, err);
    mem_free(parent);
    return fd;
}

/* Whether the name still stands for the open file: another process may have renamed or removed it before we had the
 * lock. */
static bool still_named(int fd, const char *path)
{
    struct stat open_file, named_file;
    return fstat(fd, &open_file) == 0 && stat(path, &named_file) == 0 && open_file.st_ino == named_file.st_ino &&
           open_file.st_dev == named_file.st_dev;
}

/* Opens the partial file, empty and locked; -1 with errno (EWOULDBLOCK: another writer has it). */
static int open_partial(const char *path)
{
    for (;;) {
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (fd < 0) {
            return -1;
        }
        /* File systems without locks are written to without one. */
        bool locked = flock(fd, LOCK_EX | LOCK_NB) == 0 || errno == ENOLCK || errno == EOPNOTSUPP || errno == ENOSYS;
        if (locked && still_named(fd, path) && ftruncate(fd, 0) == 0) {
            return fd;
        }
        int cause = errno;
        bool again = locked && !still_named(fd, path);
        close(fd);
        if (!again) {
            errno = cause;
            return -1;
        }
    }
}

static void writer_free(struct file_writer *writer)
{
    mem_free(writer->path);
    mem_free(writer->beside);
    *writer = (struct file_writer){0};
}

static int begin_failed(struct file_writer *writer, int fd, struct err *err)
{
    if (errno == EWOULDBLOCK) {
        err_set(err, "cannot write '%s': another process is writing it; wait for that one to end", writer->path);
    } else {
        err_set_errno(err, "cannot write '%s'", writer->path);
    }
    if (fd >= 0) {
        unlink(writer->beside);
        if (writer->stream) {
            fclose(writer->stream);
        } else {
            close(fd);
        }
    }
    writer_free(writer);
    return -1;
}

int file_write_begin(struct file_writer *writer, const char *path, struct err *err)
{
    struct stat old;
    bool replaces = stat(path, &old) == 0;
    if (replaces && !S_ISREG(old.st_mode)) {
        return err_set(err, "cannot write '%s': it is there and is %s", path,
                       S_ISDIR(old.st_mode) ? "a directory" : "not a regular file");
    }
    static const char suffix[] = ".partial";
    size_t length = strlen(path);
    *writer = (struct file_writer){.path = mem_copy_string(path, length, err),
                                   .beside = mem_alloc(length + sizeof suffix, 1, err)};
    if (!writer->path || !writer->beside) {
        writer_free(writer);
        return -1;
    }
    memcpy(writer->beside, path, length);
    memcpy(writer->beside + length, suffix, sizeof suffix);
    int fd = open_partial(writer->beside);
    if (fd >= 0) {
        writer->stream = fdopen(fd, "w");
    }
    if (!writer->stream || (replaces && fchmod(fd, old.st_mode & 0777) != 0)) {
        return begin_failed(writer, fd, err);
    }
    return 0;
}

int file_write(struct file_writer *writer, const void *bytes, size_t size, struct err *err)
{
    assert(writer->stream);
    if (injected_failure() || (size > 0 && fwrite(bytes, 1, size, writer->stream) != size)) {
        return err_set_errno(err, "cannot write '%s'", writer->path);
    }
    return 0;
}

int file_write_commit(struct file_writer *writer, struct err *err)
{
    assert(writer->stream);
    if (injected_failure() || fflush(writer->stream) != 0 || sync_fd(fileno(writer->stream)) != 0) {
        return err_set_errno(err, "cannot write '%s'", writer->path);
    }
    int folder = open_parent(writer->path, err);
    if (folder < 0) {
        return -1;
    }
    /* Renamed before it is closed: the lock lasts until the name is taken. */
    if (rename(writer->beside, writer->path) != 0) {
        err_set_errno(err, "cannot rename '%s' to '%s'", writer->beside, writer->path);
        close(folder);
        return -1;
    }
    int closed = fclose(writer->stream);
    writer->stream = NULL;
    if (closed != 0) {
        err_set_errno(err, "cannot write '%s'", writer->path);
    }
    if (sync_folder(folder, writer->path, err) != 0 || closed != 0) {
        return -1;
    }
    writer_free(writer);
    return 0;
}

void file_write_abort(struct file_writer *writer)
{
    if (writer->stream) {
        /* Unlinked under the lock; without a stream the partial file was renamed already and the name may be another's.
         */
        unlink(writer->beside);
        fclose(writer->stream);
    }
    writer_free(writer);
}

int file_write_whole(const char *path, const void *bytes, size_t size, struct err *err)
{
    struct file_writer writer;
    if (file_write_begin(&writer, path, err) != 0) {
        return -1;
    }
    if (file_write(&writer, bytes, size, err) != 0 || file_write_commit(&writer, err) != 0) {
        file_write_abort(&writer);
        return -1;
    }
    return 0;
}

static int write_all(int file, const char *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t written = write(file, bytes + done, size - done);
        if (written < 0 && errno != EINTR) {
            return -1;
        }
        done += written > 0 ? (size_t)written : 0;
    }
    return 0;
}

int file_append(int file, const char *path, const void *bytes, size_t size, struct err *err)
{
    off_t end = lseek(file, 0, SEEK_END);
    if (injected_failure() || write_all(file, bytes, size) != 0) {
        err_set_errno(err, "cannot write '%s'", path);
        if (end >= 0 && ftruncate(file, end) != 0) {
            err_prefix(err, "half a record stands at the end of '%s'", path);
        }
        return -1;
    }
    return 0;
}

int file_sync(int file, const char *path, struct err *err)
{
    return sync_fd(file) == 0 ? 0 : err_set_errno(err, "cannot write '%s' to the disk", path);
}

static int sync_path(const char *path, struct err *err)
{
    struct stat status;
    if (lstat(path, &status) == 0 && !S_ISREG(status.st_mode)) {
        return 0;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int result = 0;
    if (fd < 0 || sync_fd(fd) != 0) {
        result = err_set_errno(err, "cannot write '%s' to the disk", path);
    }
    if (fd >= 0) {
        close(fd);
    }
    return result;
}

int file_publish_dir(const char *from, const char *to, struct err *err)
{
    char **names;
    size_t count;
    if (file_list(&names, &count, from, err) != 0) {
        return -1;
    }
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++) {
        char *path = file_join(from, names[i], err);
        result = path ? sync_path(path, err) : -1;
        mem_free(path);
    }
    file_names_free(names, count);
    int folder = result == 0 ? open_folder(from, err) : -1;
    if (folder < 0 || sync_folder(folder, from, err) != 0) {
        return -1;
    }
    int parent = open_parent(to, err);
    if (parent < 0) {
        return -1;
    }
    if (rename(from, to) != 0) {
        err_set_errno(err, "cannot rename the folder '%s' to '%s'", from, to);
        close(parent);
        return -1;
    }
    return sync_folder(parent, to, err);
}
