/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the benchmarks have in common: clocks, processors, and figures. A
 * figure has several series of samples that were taken in turns (ours, and the
 * same work without the device), and one of them is the base that the others
 * are told as ratios of. Figures are printed, and with VWL_BENCH_JSON appended
 * to that file, one JSON object in a line; tests/bench/run makes tables and
 * pictures of those.
 */
#ifndef VWL_BENCH_H
#define VWL_BENCH_H

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

double bench_now_us(void);
/* The q-th part of n values; sorts them. */
double bench_quantile(double *values, size_t n, double q);
/* n, or hardly any with VWL_BENCH_QUICK: to see that all of it works. */
unsigned int bench_times(unsigned int n);
/* Ends the program when it is not good. */
void bench_must(bool good, const char *what);
/* cpu -1: any. pid 0: the caller. */
void bench_pin(pid_t pid, int cpu);
/* All threads of a process but one. */
void bench_pin_threads(pid_t pid, pid_t but, int cpu);
/* All threads of all processes of a group. */
void bench_pin_group(pid_t group, int cpu);
/* What a process and its threads have used. */
double bench_cpu_us(pid_t pid);
/* How often it slept. */
double bench_switches(pid_t pid);
/* What all processes of a group have used. */
double bench_group_cpu_us(pid_t group);
/* A child that dies with its parent, in a process group of its own; argv ends
 * with NULL. environ: NULL, or "NAME=VALUE" to add. */
pid_t bench_spawn(const char *const *argv, const char *const *environ_add);
void bench_kill_group(pid_t group);

/* Bytes there and back, descriptors too, between two sockets, unread: the
 * least that anything between two programs must do. One connection after the
 * other, never returns. */
void bench_relay(int listener, const char *upstream) G_GNUC_NORETURN;
/* A folder, and the files and sockets in it. */
void bench_remove_folder(const char *path);
int bench_listen(const char *path);
int bench_connect(const char *path);

struct bench_figure;

/* more: more is better. */
struct bench_figure *bench_figure(const char *group, const char *name,
                                  const char *unit, bool more,
                                  const char *base);
void bench_sample(struct bench_figure *figure, const char *series,
                  double value);
/* "cpu": microseconds of processor per operation; "calls": system calls. */
void bench_note(struct bench_figure *figure, const char *series,
                const char *what, double value);
/* Prints and frees it. */
void bench_done(struct bench_figure *figure);

#endif
