/* SPDX-License-Identifier: Apache-2.0 */

/* Runs a fuzz target once over each file of the directories and files in the arguments: the corpus as a regression test.
 * An empty corpus is a failure. */

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INPUT_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path) {
        uint8_t *copy, *buf = malloc(INPUT_MAX);
        FILE *f = fopen(path, "re");
        size_t n;

        if (!f || !buf) {
                perror(path);
                exit(EXIT_FAILURE);
        }
        n = fread(buf, 1, INPUT_MAX, f);
        fclose(f);
        /* Of the exact size, so that a read past the end is seen. */
        copy = malloc(n > 0 ? n : 1);
        if (!copy)
                exit(EXIT_FAILURE);
        memcpy(copy, buf, n);
        free(buf);
        (void) LLVMFuzzerTestOneInput(copy, n);
        free(copy);
        return 1;
}

static int replay(const char *path) {
        struct dirent *e;
        struct stat st;
        int count = 0;
        DIR *d;

        if (stat(path, &st) < 0) {
                perror(path);
                exit(EXIT_FAILURE);
        }
        if (!S_ISDIR(st.st_mode))
                return replay_file(path);
        d = opendir(path);
        while (d && (e = readdir(d))) {
                char child[4096];

                if (e->d_name[0] == '.')
                        continue;
                snprintf(child, sizeof(child), "%s/%s", path, e->d_name);
                count += replay(child);
        }
        if (d)
                closedir(d);
        return count;
}

int main(int argc, char *argv[]) {
        int count = 0;

        for (int i = 1; i < argc; i++)
                count += replay(argv[i]);
        printf("%s %s: %d inputs\n", count > 0 ? "ok" : "FAIL", program_invocation_short_name, count);
        return count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
