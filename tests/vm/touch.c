/* SPDX-License-Identifier: BSD-3-Clause */
/* touch-window FILE: reads and writes each page of a PCI resource. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct stat st;
    int fd = argc == 2 ? open(argv[1], O_RDWR) : -1;
    unsigned long odd = 0;
    volatile char *window;

    if (fd < 0 || fstat(fd, &st) < 0) {
        perror("open");
        return 1;
    }
    window = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (window == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    for (off_t at = 0; at < st.st_size; at += 4096) {
        volatile unsigned int *word = (volatile void *)(window + at);

        (void)*word;
        *word = 0x5a5a5a5a;
        odd += *word != 0x5a5a5a5a;
    }
    printf("%lld MiB, %lu odd\n", (long long)(st.st_size >> 20), odd);
    return odd != 0;
}
