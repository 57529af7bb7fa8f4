/* The kernel of brenner.cu on the processor: a thread for each thread of a CUDA block, the same barriers, one block
   after the other. It shows the arithmetic, nothing of a GPU. */
#include <pthread.h>

struct Index { unsigned int x, y; };
static __thread struct Index threadIdx, blockIdx;
static struct Index gridDim;
static pthread_barrier_t everybody;

#define KERNEL static void
#define __shared__ static
#define __syncthreads() pthread_barrier_wait(&everybody)
static void atomicAdd(unsigned int *total, unsigned int more) { __atomic_fetch_add(total, more, __ATOMIC_RELAXED); }

#include "brenner.cu"

static const unsigned char *frame_read;
static int pitch_given;
static float *energy_written;

static void *run(void *number) {
  threadIdx.x = (unsigned int)(unsigned long)number % (BLOCK / 2);
  threadIdx.y = (unsigned int)(unsigned long)number / (BLOCK / 2);
  for (blockIdx.y = 0; blockIdx.y < gridDim.y; blockIdx.y++)
    for (blockIdx.x = 0; blockIdx.x < gridDim.x; blockIdx.x++) {
      brenner(frame_read, pitch_given, energy_written);
      __syncthreads(); /* the next block has the same shared memory */
    }
  return 0;
}

/* 0, or the system's error number. */
int brenner_on_host(const unsigned char *frame, int pitch, unsigned int cols, unsigned int rows, float *energy) {
  pthread_t threads[THREADS];
  frame_read = frame, pitch_given = pitch, energy_written = energy;
  gridDim.x = cols, gridDim.y = rows;
  int failed = pthread_barrier_init(&everybody, 0, THREADS);
  for (unsigned long number = 0; number < THREADS && !failed; number++)
    failed = pthread_create(&threads[number], 0, run, (void *)number);
  if (failed) return failed; /* those begun wait for ever; the test fails */
  for (int number = 0; number < THREADS; number++) pthread_join(threads[number], 0);
  return pthread_barrier_destroy(&everybody);
}
