/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs every file of the folders (or the files) that it is given through a
 * fuzz target, and so do builds without libFuzzer what it once found.
 */
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"

static unsigned int n_run;

static void run_file(const char *path)
{
    char *data;
    gsize size;

    if (!g_file_get_contents(path, &data, &size, NULL)) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(1);
    }
    /* A crash must name its input. */
    printf("# %s\n", path);
    fflush(stdout);
    LLVMFuzzerTestOneInput((const uint8_t *)data, size);
    g_free(data);
    printf("ok %u - %s\n", ++n_run, path);
}

static int by_name(gconstpointer a, gconstpointer b)
{
    return g_strcmp0(*(char *const *)a, *(char *const *)b);
}

static void run_folder(const char *folder)
{
    GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
    GDir *dir = g_dir_open(folder, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_ptr_array_add(paths, g_build_filename(folder, name, NULL));
    }
    if (dir) {
        g_dir_close(dir);
    }
    g_ptr_array_sort(paths, by_name);
    for (unsigned int i = 0; i < paths->len; i++) {
        run_file(paths->pdata[i]);
    }
    g_ptr_array_unref(paths);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (g_file_test(argv[i], G_FILE_TEST_IS_DIR)) {
            run_folder(argv[i]);
        } else {
            run_file(argv[i]);
        }
    }
    printf("1..%u\n", n_run);
    return n_run == 0;
}
