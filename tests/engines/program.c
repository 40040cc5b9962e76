#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
    FILE *out = fopen(argv[1], "a");
    long total = 0;
    srandom(5);
    for (int step = 0; argc == 3 && step < atoi(argv[2]); step++) {
        total += random() % 1000;
        fprintf(out, "%d %ld\n", step, total);
        fflush(out);
        printf("step %d\n", step);
        fflush(stdout);
        if (access("fast", F_OK)) usleep(20000);
    }
    printf("total %ld\n", total);
    return 0;
}
