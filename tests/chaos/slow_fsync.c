/* Preloaded into a server, makes each fsync slow, and keeps a record of what a power cut would leave on the disk.
 *
 * FSYNC_DELAY names a file with the milliseconds that an fsync takes longer. To the file FSYNC_RECORD a line is added
 * when an fsync begins, "begin INODE SIZE", and one when it has ended, "end INODE SIZE": so many bytes are safe. The
 * size is that from before the fsync. Lines are short and written by one write(2), so a kill never leaves half of one.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void record(const char *what, const struct stat *file)
{
    char line[80];
    const char *path = getenv("FSYNC_RECORD");
    int out = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (out < 0)
        return;
    int length = snprintf(line, sizeof line, "%s %llu %llu\n", what, (unsigned long long)file->st_ino,
                          (unsigned long long)file->st_size);
    if (write(out, line, length) != length)
        abort();
    close(out);
}

static void delay(void)
{
    char text[16] = "";
    const char *path = getenv("FSYNC_DELAY");
    int in = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (in < 0)
        return;
    if (read(in, text, sizeof text - 1) > 0) {
        long ms = atol(text);
        struct timespec rest = {ms / 1000, ms % 1000 * 1000000};
        nanosleep(&rest, NULL);
    }
    close(in);
}

static int slowly(const char *name, int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    struct stat file;
    int known = fstat(fd, &file) == 0 && S_ISREG(file.st_mode);
    if (known)
        record("begin", &file);
    delay();
    int failed = real(fd);
    if (known && !failed)
        record("end", &file);
    return failed;
}

int fsync(int fd) { return slowly("fsync", fd); }

int fdatasync(int fd) { return slowly("fdatasync", fd); }
